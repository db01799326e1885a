/** The closed set of failures that may leave the service, and the one error type that carries them. */

/**
 * What went wrong, in terms that every surface can translate. `rpc/status.ts` holds the one table from
 * kind to gRPC code and HTTP status.
 */
export type ErrorKind =
  | "invalid_argument"
  | "unauthenticated"
  | "permission_denied"
  | "not_found"
  | "already_exists"
  | "failed_precondition"
  | "too_large"
  | "unsupported_media_type"
  | "rate_limited"
  | "unimplemented"
  | "cancelled"
  | "deadline_exceeded"
  | "unavailable"
  | "internal";

/** A field of the request that is at fault, by its protobuf path (`page_size`), and what to do about it. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

export interface AppErrorOptions {
  readonly violations?: readonly FieldViolation[];
  readonly cause?: unknown;
}

/**
 * An expected failure. The `message` is public: it reaches the caller as it is, so it never quotes a
 * secret, a query, a path or another tenant's data. The `cause` is private: it is logged, never sent.
 */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly kind: ErrorKind;
  readonly violations: readonly FieldViolation[];

  constructor(kind: ErrorKind, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.violations = options.violations ?? [];
  }
}

/** Bad input, named by field. With several violations the message names each. */
export function invalidArgument(...violations: readonly FieldViolation[]): AppError {
  const message = violations.map(({ field, description }) => `${field}: ${description}`).join("; ");
  return new AppError("invalid_argument", message, { violations });
}

/** The one answer for an id that doesn't exist, isn't an id, or belongs to somebody else. */
export function notFound(what: string): AppError {
  return new AppError("not_found", `No such ${what}.`);
}

/** The one answer for a credential that is there but doesn't work; it never says why. */
export function invalidCredential(): AppError {
  return new AppError("unauthenticated", "The credential is not valid.");
}

/** The answer for a call without a credential. */
export function missingCredential(): AppError {
  return new AppError(
    "unauthenticated",
    "A credential is missing: send `Authorization: Bearer <access token>` or `X-Api-Key: <token>`.",
  );
}
