/** Gives a token a new secret, beside which the old one may go on working for a while. */
import { notFound } from "../domain/errors.ts";
import { fingerprint } from "../domain/fingerprint.ts";
import { type Profiles, SERVICE_PROFILE_ID } from "../domain/profile.ts";
import { generateSecret, secretHint } from "../domain/secret-format.ts";
import { findTokenToChange, requireGrantor } from "./authorization.ts";
import { type Attempt, type IdempotencyDeps, once } from "./idempotency.ts";
import type { IssuedToken } from "./issue-token.ts";
import { changeOf, type Origin } from "./origin.ts";

export interface RotateTokenDeps extends IdempotencyDeps {
  readonly profiles: Profiles;
}

export interface RotateTokenInput {
  /** Public id or UUID. */
  readonly id: string;
  /** Public id or UUID, or empty for any that the caller sees. */
  readonly organizationId: string;
  /** How long the old secret goes on working; 0 ends it at once. */
  readonly overlapMs: number;
  readonly attempt: Attempt | undefined;
}

/**
 * Rotates a token. The overlap ends with the token's expiry at the latest. When this resolves without an
 * overlap, no introspection that starts later finds the old secret active.
 *
 * @throws AppError: `not_found`, `permission_denied`, `already_exists` for an idempotency key that served
 *   another request, `failed_precondition` for a token that is revoked or expired, whose overlap is running,
 *   or that somebody changes at the same time.
 */
export async function rotateToken(
  deps: RotateTokenDeps,
  origin: Origin,
  input: RotateTokenInput,
): Promise<IssuedToken> {
  const { storage, clock, entropy } = deps;
  const { caller } = origin;
  const { token, profile } = await findTokenToChange(deps, caller, input);
  if (profile.id === SERVICE_PROFILE_ID) requireGrantor(caller, token.scopes);
  const { result, confidential } = await once(deps, caller, input.attempt, async () => {
    const secret = generateSecret(profile.secretFormat, entropy);
    const now = clock();
    const expiresAtMs = token.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY;
    const rotation = {
      revision: token.revision,
      fingerprint: fingerprint(secret),
      hint: secretHint(profile.secretFormat, secret),
      overlapEndsAt: new Date(Math.min(now + input.overlapMs, expiresAtMs)),
    };
    return {
      confidential: secret,
      async write(record) {
        const rotated = await storage.rotateToken(token.id, rotation, changeOf(origin, now), record);
        if (rotated === undefined) throw notFound("token");
        return rotated;
      },
    };
  });
  return { token: result, secret: confidential };
}
