/** Reads a request's body, never more of it than the method takes. */
import { AppError } from "../domain/errors.ts";
import { CALLER_GONE, type Exchange } from "./exchange.ts";

const FIRST_BYTES = 1024;

/**
 * The whole body, decoded from chunks but otherwise as sent.
 *
 * @param maxBytes most bytes of the message
 * @param framingBytes bytes around the message that the protocol adds
 * @throws AppError of kind `too_large` as soon as that is known, `unsupported_media_type` for a
 *   compressed body, or `cancelled` when the client goes away before the end
 */
export async function readBody(exchange: Exchange, maxBytes: number, framingBytes = 0): Promise<Uint8Array> {
  const { request } = exchange;
  const encoding = exchange.header("content-encoding") ?? "identity";
  if (encoding !== "identity") throw compressed();
  const limit = maxBytes + framingBytes;
  if ((exchange.declaredBytes ?? 0) > limit) throw tooLarge(maxBytes);
  exchange.askForBody();

  // Grows by copying: a list of chunks would cost many times its bytes when they come one by one.
  let body = Buffer.allocUnsafe(Math.min(FIRST_BYTES, limit));
  let size = 0;
  try {
    // The default would take the connection down with the loop, and with it the answer.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      if (size + chunk.length > limit) throw tooLarge(maxBytes);
      if (size + chunk.length > body.length) {
        const grown = Buffer.allocUnsafe(Math.min(limit, Math.max(body.length * 2, size + chunk.length)));
        body.copy(grown, 0, 0, size);
        body = grown;
      }
      chunk.copy(body, size);
      size += chunk.length;
    }
  } catch (error) {
    throw error instanceof AppError ? error : CALLER_GONE;
  }
  return body.subarray(0, size);
}

function tooLarge(maxBytes: number): AppError {
  return new AppError("too_large", `The request is larger than ${maxBytes} bytes.`);
}

/** Compression is not for messages this small, and a bomb that inflates is not for anybody. */
export function compressed(): AppError {
  return new AppError("unsupported_media_type", "The request is compressed: send it as it is.");
}
