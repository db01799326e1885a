/** Reads an organization's tokens, a page at a time. */
import type { Caller } from "../domain/caller.ts";
import type { Clock } from "../domain/clock.ts";
import { type DailyUse, dayOf, SHOWN_DAYS } from "../domain/daily-uses.ts";
import type { Token, TokenState } from "../domain/entities.ts";
import type { Profiles } from "../domain/profile.ts";
import type { Storage, TokenFilter } from "../domain/storage.ts";
import { profileOf, requireReader, resolveOrganization } from "./authorization.ts";
import { type Page, type PageRequest, readPage } from "./page-token.ts";

const ALL_BUT_REVOKED: readonly TokenState[] = ["active", "disabled", "expired"];

export interface ListTokensDeps {
  readonly storage: Storage;
  readonly profiles: Profiles;
  readonly clock: Clock;
}

export interface ListTokensInput extends PageRequest {
  /** Public id, or empty for the caller's own. */
  readonly organizationId: string;
  /** Empty for what the profile lists by itself. */
  readonly states: readonly TokenState[];
  /** Empty for any; so are the two that follow. */
  readonly type: string;
  readonly namePrefix: string;
  /** Public id. */
  readonly createdBy: string;
  readonly unusedSince: Date | undefined;
  readonly includeUses: boolean;
}

export interface PageOfTokens extends Page<Token> {
  /** Those of each token, in their order, as `getToken` has them; empty where they weren't asked for. */
  readonly uses: readonly (readonly DailyUse[])[];
}

/**
 * Lists tokens, newest first. Service keys are listed to service keys only.
 *
 * @throws AppError: `not_found` for the organization, `permission_denied`, `invalid_argument` for a page
 *   token that isn't one of this list with these filters.
 */
export async function listTokens(
  { storage, profiles, clock }: ListTokensDeps,
  caller: Caller,
  input: ListTokensInput,
): Promise<PageOfTokens> {
  const organization = await resolveOrganization({ storage }, caller, input.organizationId);
  const profile = profileOf(profiles, organization);
  requireReader(caller, profile);
  const states = input.states.length > 0 ? input.states : profile.listsRevoked ? undefined : ALL_BUT_REVOKED;
  const filter: TokenFilter = {
    type: input.type || undefined,
    namePrefix: input.namePrefix || undefined,
    createdBy: input.createdBy || undefined,
    userId: undefined,
    unusedSince: input.unusedSince,
  };
  const page = await readPage(
    {
      identity: ["tokens", JSON.stringify([organization.id, input.states.toSorted(), filter])],
      read: (after, limit) =>
        storage.listTokens({
          ...filter,
          organizationId: organization.id,
          profile: caller.kind === "service" ? undefined : profile.id,
          states,
          now: new Date(clock()),
          after,
          limit,
        }),
      positionOf: (token) => token,
    },
    input,
  );
  const today = dayOf(clock());
  const ids = input.includeUses ? page.items.map(({ id }) => id) : [];
  return { ...page, uses: ids.length === 0 ? [] : await storage.readUsesOfTokens(ids, today - SHOWN_DAYS + 1, today) };
}
