/** Ends a token for good. */
import type { Token } from "../domain/entities.ts";
import { notFound } from "../domain/errors.ts";
import type { Profiles } from "../domain/profile.ts";
import { findTokenToChange } from "./authorization.ts";
import { type Attempt, type IdempotencyDeps, once } from "./idempotency.ts";
import { changeOf, type Origin } from "./origin.ts";

export interface RevokeTokenDeps extends IdempotencyDeps {
  readonly profiles: Profiles;
}

export interface RevokeTokenInput {
  /** Public id or UUID. */
  readonly id: string;
  /** Public id or UUID, or empty for any that the caller sees. */
  readonly organizationId: string;
  readonly attempt: Attempt | undefined;
}

/**
 * Revokes a token. When this resolves, no introspection that starts later finds it active. Revoking
 * again changes nothing.
 *
 * @throws AppError: `not_found`, `permission_denied`, `already_exists` for an idempotency key that served
 *   another request.
 */
export async function revokeToken(deps: RevokeTokenDeps, origin: Origin, input: RevokeTokenInput): Promise<Token> {
  const { storage, clock } = deps;
  const { caller } = origin;
  const { token } = await findTokenToChange(deps, caller, input);
  const { result } = await once(deps, caller, input.attempt, async () => ({
    confidential: undefined,
    async write(record) {
      const revoked = await storage.revokeToken(token.id, changeOf(origin, clock()), record);
      if (revoked === undefined) throw notFound("token");
      return revoked;
    },
  }));
  return result;
}
