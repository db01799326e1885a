/** How much one call may ask for. Every transport holds to these. */
import type { DescMethod } from "@bufbuild/protobuf";
import { IntrospectionService } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";

/** A client's deadline counts up to this, in milliseconds; a call without one gets it. */
export const MAX_TIMEOUT_MS = 30_000;

/** The most that any request message may be. */
export const MAX_REQUEST_BYTES = 2 * 1024 * 1024;

/**
 * The most faults that one error names: enough to mend a request by, and little enough for the trailers
 * that gRPC sends errors in.
 */
export const MAX_VIOLATIONS = 16;

const MAX_SMALL_REQUEST_BYTES = 64 * 1024;

/**
 * The most that this method's request message may be. A question about a token is let through at any
 * size up to the outer limit, because an over-long token deserves an answer and not an error: the
 * caller passes on what a stranger sent to it. An import holds a thousand tokens.
 */
export function maxRequestBytes(method: DescMethod): number {
  const isLarge = method.parent === IntrospectionService || method === TokenService.method.import;
  return isLarge ? MAX_REQUEST_BYTES : MAX_SMALL_REQUEST_BYTES;
}
