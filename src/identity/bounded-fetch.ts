/** Fetches a JSON document from an identity provider, which gets neither our time nor our memory. */

const TIMEOUT_MS = 5_000;
const MAX_BYTES = 256 * 1024;

/** Somebody answered, and not with 200. */
export class FetchRefused extends Error {
  override readonly name = "FetchRefused";
  readonly status: number;

  constructor(url: string, status: number) {
    super(`${new URL(url).origin} answered with status ${status}`);
    this.status = status;
  }
}

/**
 * The answer's JSON. No redirect is followed: whoever answers decides nothing about where we send to.
 *
 * @throws FetchRefused for any other status than 200; Error for no answer within 5 s, more than 256 KiB, and what isn't JSON
 */
export async function fetchJson(
  url: string,
  signal: AbortSignal,
  init: Pick<RequestInit, "method" | "headers" | "body"> = {},
): Promise<unknown> {
  const response = await fetch(url, {
    ...init,
    headers: { accept: "application/json", ...(init.headers as Record<string, string> | undefined) },
    redirect: "manual",
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new FetchRefused(url, response.status);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  const body: AsyncIterable<Uint8Array> | null = response.body;
  for await (const chunk of body ?? []) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new Error(`${new URL(url).origin} answered with more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString("utf8"));
}
