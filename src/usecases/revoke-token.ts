/** Ends a token for good. */
import { type Caller, callerId } from "../domain/caller.ts";
import type { Clock } from "../domain/clock.ts";
import type { Token } from "../domain/entities.ts";
import { notFound } from "../domain/errors.ts";
import type { Profiles } from "../domain/profile.ts";
import type { Storage } from "../domain/storage.ts";
import { findVisibleToken, requireIdempotencyKey, requireManager } from "./authorization.ts";

export interface RevokeTokenDeps {
  readonly storage: Storage;
  readonly profiles: Profiles;
  readonly clock: Clock;
}

/**
 * Revokes a token. When this resolves, no introspection that starts later finds it active. Revoking
 * again changes nothing.
 *
 * @throws AppError: `not_found`, `permission_denied`.
 */
export async function revokeToken(
  { storage, profiles, clock }: RevokeTokenDeps,
  caller: Caller,
  request: { readonly id: string; readonly organizationId: string; readonly idempotencyKey: string },
): Promise<Token> {
  const token = await findVisibleToken({ storage }, caller, request);
  const profile = profiles.get(token.profile);
  if (profile === undefined) throw notFound("token");
  requireManager(caller, profile, token.type, token);
  requireIdempotencyKey(profile, request.idempotencyKey);
  const revoked = await storage.revokeToken(token.id, new Date(clock()), callerId(caller));
  if (revoked === undefined) throw notFound("token");
  return revoked;
}
