/** Reads an organization's tokens, a page at a time. */
import type { Caller } from "../domain/caller.ts";
import type { Clock } from "../domain/clock.ts";
import type { Token, TokenState } from "../domain/entities.ts";
import type { Profiles } from "../domain/profile.ts";
import type { Storage } from "../domain/storage.ts";
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
  return readPage(
    {
      identity: ["tokens", organization.id, ...input.states.toSorted()],
      read: (after, limit) =>
        storage.listTokens({
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
