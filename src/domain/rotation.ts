/** Which of a token's secrets work, and when it can be given another one. The same on every engine. */
import { type Token, tokenState } from "./entities.ts";
import { AppError } from "./errors.ts";

/** The secret by which a token was found. */
export type PresentedSecret =
  | { readonly kind: "current" }
  /** It was the token's before; it works before `endsAt`. Undefined: it has ended for good. */
  | { readonly kind: "former"; readonly endsAt: Date | undefined };

export type SecretKind = PresentedSecret["kind"];

/** Whether the secret itself still works; its token may not. It ends at its `endsAt`, to the millisecond. */
export function secretWorks(secret: PresentedSecret, nowMs: number): boolean {
  return secret.kind === "current" || (secret.endsAt !== undefined && nowMs < secret.endsAt.getTime());
}

/**
 * Whether a token has two secrets at a moment, so that one of them can be given up.
 *
 * @param former the secret that its last rotation replaced; undefined when it has ended for good
 */
export function overlapRuns(token: Token, former: PresentedSecret | undefined, nowMs: number): boolean {
  return token.revokedAt === undefined && former !== undefined && secretWorks(former, nowMs);
}

/**
 * Lets a token through that can be rotated. The revision is the one that the caller saw: of two who rotate
 * at once without an overlap, the first would be handed a secret that the second has ended already.
 *
 * @param former as in `overlapRuns`
 * @throws AppError of kind `failed_precondition` that says what to do
 */
export function requireRotation(
  token: Token,
  former: PresentedSecret | undefined,
  revision: number,
  nowMs: number,
): void {
  const state = tokenState(token, nowMs);
  if (state === "revoked" || state === "expired") {
    throw refusal(`A token that is ${state} can't be rotated. Issue a new one.`);
  }
  if (overlapRuns(token, former, nowMs)) {
    throw refusal("The overlap of an earlier rotation is running. Finish or cancel that rotation first.");
  }
  if (token.revision !== revision) {
    throw refusal("The token was changed at the same time. Look at it again, then rotate it if it still needs it.");
  }
}

/** The answer to a cancel when there is nothing to go back to. */
export function noOverlap(): AppError {
  return refusal("No overlap is running, so there is no rotation to cancel.");
}

function refusal(message: string): AppError {
  return new AppError("failed_precondition", message);
}
