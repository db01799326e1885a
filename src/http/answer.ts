/** Writes answers, and leaves the connection in a state that the client can make sense of. */

import type { Exchange } from "./exchange.ts";

/** On every answer: nobody stores it, frames it, sniffs it, or learns from it where a page came from. */
export const COMMON_HEADERS: Readonly<Record<string, string>> = {
  "Cache-Control": "no-store",
  "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
};

/**
 * On answers over TLS of our own: browsers come back by TLS only, for a year (RFC 6797). Where a proxy has the
 * certificate, that is the proxy's to say.
 */
export const TRANSPORT_SECURITY = "max-age=31536000";

const CHALLENGE = 'Bearer realm="latchkey"';

/** How long, and for how many bytes, a client that is still sending is listened to after its answer. */
const LINGER_MS = 2000;
const LINGER_BYTES = 8 * 1024 * 1024;

export async function sendJson(
  exchange: Exchange,
  { status, body }: { readonly status: number; readonly body: unknown },
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(body));
  await send(
    exchange,
    status,
    { ...headers, "Content-Type": "application/json", "Content-Length": `${bytes.length}` },
    [bytes],
  );
}

/** Sends chunks as they come, no faster than the client takes them. */
export async function send(
  exchange: Exchange,
  status: number,
  headers: Iterable<readonly [string, string]> | Readonly<Record<string, string>>,
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const { response } = exchange;
  if (exchange.isClosed) return;
  const lingers = exchange.leavesBodyUnread;
  if (lingers) response.shouldKeepAlive = false;
  const pairs = Symbol.iterator in headers ? headers : Object.entries(headers);
  for (const [name, value] of pairs) response.setHeader(name, value);
  if (status === 401) response.setHeader("WWW-Authenticate", CHALLENGE);
  response.statusCode = status;
  for await (const chunk of chunks) {
    // Leaving the loop tells a stream's handler that it can stop.
    if (exchange.isClosed) return;
    await written(exchange, chunk);
  }
  if (lingers) await restDiscarded(exchange);
  response.end();
}

/**
 * Resolves once the chunk has left this process. Ending an answer only after that keeps its connection
 * from counting as idle, and from being closed by a stop, while a slow client is still taking it.
 */
async function written(exchange: Exchange, chunk: Uint8Array): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  exchange.onClose(resolve);
  exchange.response.write(chunk, () => resolve());
  await promise;
  exchange.offClose(resolve);
}

/**
 * Takes in what the client is still sending. Closing at once would reset the connection, and a client
 * that is busy sending would see that instead of the answer (RFC 9112, section 9.6).
 */
async function restDiscarded(exchange: Exchange): Promise<void> {
  const { request } = exchange;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, LINGER_MS);
  let bytesLeft = LINGER_BYTES;
  request.on("data", (chunk: Buffer) => {
    bytesLeft -= chunk.length;
    if (bytesLeft < 0) resolve();
  });
  request.once("end", resolve);
  exchange.onClose(resolve);
  request.resume();
  await promise;
  clearTimeout(timer);
}
