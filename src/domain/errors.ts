/** The closed set of failures that may leave the service, and the one error type that carries them. */

import type { RateStatus } from "./rate-window.ts";

export const ERROR_KINDS = [
  "invalid_argument",
  "unauthenticated",
  "permission_denied",
  "not_found",
  "already_exists",
  "failed_precondition",
  "too_large",
  "unsupported_media_type",
  "rate_limited",
  "unimplemented",
  "cancelled",
  "deadline_exceeded",
  "unavailable",
  "internal",
] as const;

/**
 * What went wrong, in terms that every surface can translate. `rpc/status.ts` holds the one table from
 * kind to gRPC code and HTTP status.
 */
export type ErrorKind = (typeof ERROR_KINDS)[number];

/** A field of the request that is at fault, by its protobuf path (`page_size`), and what to do about it. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

export const ERROR_REASONS = ["credential_missing", "credential_invalid", "idempotency_key_reused"] as const;

/** What went wrong more exactly, where somebody can act on it; the product's own wording may depend on it. */
export type ErrorReason = (typeof ERROR_REASONS)[number];

export interface AppErrorOptions {
  readonly violations?: readonly FieldViolation[];
  readonly reason?: ErrorReason;
  /** Where the caller stands against its rate limit, for a call that got no further than finding that out. */
  readonly rateStatus?: RateStatus;
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
  readonly reason: ErrorReason | undefined;
  readonly rateStatus: RateStatus | undefined;

  constructor(kind: ErrorKind, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.violations = options.violations ?? [];
    this.reason = options.reason;
    this.rateStatus = options.rateStatus;
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
  return new AppError("unauthenticated", "The credential is not valid.", { reason: "credential_invalid" });
}

/** The answer for a call without a credential. */
export function missingCredential(): AppError {
  return new AppError(
    "unauthenticated",
    "A credential is missing: send `Authorization: Bearer <access token>` or `X-Api-Key: <token>`.",
    { reason: "credential_missing" },
  );
}

/** The answer for a token that is bound to addresses, and comes from another one. */
export function addressNotAllowed(rateStatus: RateStatus | undefined): AppError {
  const options = rateStatus === undefined ? {} : { rateStatus };
  return new AppError("permission_denied", "The API token can't be used from this address.", options);
}

/** The answer for a call over its rate limit. */
export function rateLimited(rateStatus: RateStatus): AppError {
  return new AppError("rate_limited", "The rate limit is exceeded.", { rateStatus });
}
