/** Encoded requests as messages. */
import { type DescMethod, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { AppError } from "../domain/errors.ts";
import { maxRequestBytes } from "./limits.ts";

/** @throws AppError of kind `too_large`, or `invalid_argument` for bytes that aren't such a message. */
export function decodeRequest<M extends DescMethod>(method: M, bytes: Uint8Array): MessageShape<M["input"]> {
  const limit = maxRequestBytes(method);
  if (bytes.byteLength > limit) throw new AppError("too_large", `The request is larger than ${limit} bytes.`);
  try {
    return fromBinary<M["input"]>(method.input, bytes);
  } catch {
    throw new AppError("invalid_argument", `The request is not a valid ${method.input.typeName} message.`);
  }
}
