/** Reads one token's metadata. */
import type { Caller } from "../domain/caller.ts";
import type { Token } from "../domain/entities.ts";
import { notFound } from "../domain/errors.ts";
import type { Profiles } from "../domain/profile.ts";
import type { Storage } from "../domain/storage.ts";
import { findVisibleToken, requireReader } from "./authorization.ts";

export interface GetTokenDeps {
  readonly storage: Storage;
  readonly profiles: Profiles;
}

/** @throws AppError: `not_found`, `permission_denied`. */
export async function getToken(
  { storage, profiles }: GetTokenDeps,
  caller: Caller,
  request: { readonly id: string; readonly organizationId: string },
): Promise<Token> {
  const token = await findVisibleToken({ storage }, caller, request);
  const profile = profiles.get(token.profile);
  if (profile === undefined) throw notFound("token");
  requireReader(caller, profile);
  return token;
}
