/** Trades a refresh token for a new pair. */
import { AppError } from "../domain/errors.ts";
import type { Logger } from "../domain/logger.ts";
import { changeOf, type Origin, originOfPerson } from "./origin.ts";
import { issueAccessToken, newRefreshToken, type SignInDeps, secretFingerprint, type TokenPair } from "./sign-in.ts";

export interface RefreshSessionDeps extends Omit<SignInDeps, "passwords" | "attemptLimits"> {
  readonly logger: Logger;
}

/**
 * Uses up a refresh token. One that was used before must have leaked, so it ends the session for both
 * who hold it (RFC 9700, section 4.14.2).
 *
 * @throws AppError of kind `unauthenticated`, the same for every refresh token that doesn't work.
 */
export async function refreshSession(
  deps: RefreshSessionDeps,
  origin: Origin,
  input: { readonly refreshToken: string },
): Promise<TokenPair> {
  const { storage, clock, entropy, logger } = deps;
  const next = newRefreshToken(entropy);
  const outcome = await storage.rotateRefreshToken(
    { presented: secretFingerprint(input.refreshToken), next: secretFingerprint(next) },
    changeOf(originOfPerson(origin), clock()),
  );
  if (outcome.kind === "reused") {
    logger.warn({ session: outcome.session.id }, "a refresh token was used twice; its session was ended");
  }
  if (outcome.kind !== "rotated") throw new AppError("unauthenticated", "The refresh token is not valid.");
  return { ...(await issueAccessToken(deps, outcome.session)), refreshToken: next };
}
