/** Reads one token's metadata, and how often it was used lately. */
import type { Caller } from "../domain/caller.ts";
import type { Clock } from "../domain/clock.ts";
import { type DailyUse, dayOf, SHOWN_DAYS } from "../domain/daily-uses.ts";
import type { Token } from "../domain/entities.ts";
import { notFound } from "../domain/errors.ts";
import type { Profiles } from "../domain/profile.ts";
import type { Storage } from "../domain/storage.ts";
import { findVisibleToken, requireReader } from "./authorization.ts";

export interface GetTokenDeps {
  readonly storage: Storage;
  readonly profiles: Profiles;
  readonly clock: Clock;
}

export interface TokenWithUses {
  readonly token: Token;
  /** The oldest first, without the days on which there was no use. */
  readonly dailyUses: readonly DailyUse[];
}

/** @throws AppError: `not_found`, `permission_denied`. */
export async function getToken(
  { storage, profiles, clock }: GetTokenDeps,
  caller: Caller,
  request: { readonly id: string; readonly organizationId: string },
): Promise<TokenWithUses> {
  const token = await findVisibleToken({ storage }, caller, request);
  const profile = profiles.get(token.profile);
  if (profile === undefined) throw notFound("token");
  requireReader(caller, profile);
  const today = dayOf(clock());
  return { token, dailyUses: await storage.readUses(token.id, today - SHOWN_DAYS + 1, today) };
}
