/** Reads an organization's tokens, a page at a time. */
import type { Caller } from "../domain/caller.ts";
import type { Clock } from "../domain/clock.ts";
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
): Promise<Page<Token>> {
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
  return readPage(
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
}
