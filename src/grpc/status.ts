/** What a failure looks like on the wire: the code, the text, and the details that clients can read by machine. */
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Metadata, type StatusObject } from "@grpc/grpc-js";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import type { AppError } from "../domain/errors.ts";
import { STATUS } from "../rpc/status.ts";

// Trailers are HTTP/2 headers, and some clients take no more than 8 KiB of them.
const MAX_MESSAGE_LENGTH = 500;
const MAX_VIOLATIONS = 10;

/** The status to end a call with. For bad input its trailers name the fields. */
export function toGrpcStatus(error: AppError): StatusObject {
  const { code } = STATUS[error.kind];
  // A half of a surrogate pair can't be percent-encoded.
  const details = error.message.slice(0, MAX_MESSAGE_LENGTH).toWellFormed();
  const metadata = new Metadata();
  if (error.kind === "unauthenticated") metadata.set("www-authenticate", 'Bearer realm="latchkey"');
  if (error.violations.length > 0) {
    const badRequest = create(BadRequestSchema, { fieldViolations: error.violations.slice(0, MAX_VIOLATIONS) });
    const status = create(StatusSchema, { code, message: details, details: [anyPack(BadRequestSchema, badRequest)] });
    metadata.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, status)));
  }
  return { code, details, metadata };
}
