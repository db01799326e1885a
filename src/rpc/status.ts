/** The one table from error kind to what each protocol calls it. */
import type { ErrorKind } from "../domain/errors.ts";

export interface Status {
  /** Number of the gRPC code. */
  readonly code: number;
  /** Name of the gRPC code, as google.rpc.Code spells it. */
  readonly name: string;
  /** HTTP status on the public routes. */
  readonly http: number;
}

export const OK: Status = { code: 0, name: "OK", http: 200 };

export const STATUS: Readonly<Record<ErrorKind, Status>> = {
  cancelled: { code: 1, name: "CANCELLED", http: 499 },
  invalid_argument: { code: 3, name: "INVALID_ARGUMENT", http: 400 },
  unsupported_media_type: { code: 3, name: "INVALID_ARGUMENT", http: 415 },
  deadline_exceeded: { code: 4, name: "DEADLINE_EXCEEDED", http: 504 },
  not_found: { code: 5, name: "NOT_FOUND", http: 404 },
  already_exists: { code: 6, name: "ALREADY_EXISTS", http: 409 },
  permission_denied: { code: 7, name: "PERMISSION_DENIED", http: 403 },
  too_large: { code: 8, name: "RESOURCE_EXHAUSTED", http: 413 },
  rate_limited: { code: 8, name: "RESOURCE_EXHAUSTED", http: 429 },
  failed_precondition: { code: 9, name: "FAILED_PRECONDITION", http: 400 },
  unimplemented: { code: 12, name: "UNIMPLEMENTED", http: 404 },
  internal: { code: 13, name: "INTERNAL", http: 500 },
  unavailable: { code: 14, name: "UNAVAILABLE", http: 503 },
  unauthenticated: { code: 16, name: "UNAUTHENTICATED", http: 401 },
};
