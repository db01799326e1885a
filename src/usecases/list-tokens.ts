/** Reads an organization's tokens, a page at a time. */
import { createHash } from "node:crypto";
import type { Caller } from "../domain/caller.ts";
import type { Clock } from "../domain/clock.ts";
import type { Token, TokenState } from "../domain/entities.ts";
import { invalidArgument } from "../domain/errors.ts";
import type { Id } from "../domain/ids.ts";
import type { Profiles } from "../domain/profile.ts";
import type { Storage, TokenPosition } from "../domain/storage.ts";
import { profileOf, requireReader, resolveOrganization } from "./authorization.ts";

const DEFAULT_PAGE_SIZE = 50;
const MAX_PAGE_SIZE = 1000;

const ALL_BUT_REVOKED: readonly TokenState[] = ["active", "disabled", "expired"];

export interface ListTokensDeps {
  readonly storage: Storage;
  readonly profiles: Profiles;
  readonly clock: Clock;
}

export interface ListTokensInput {
  /** Public id, or empty for the caller's own. */
  readonly organizationId: string;
  /** 0 means the default. */
  readonly pageSize: number;
  /** Empty for the first page. */
  readonly pageToken: string;
  /** Empty for what the profile lists by itself. */
  readonly states: readonly TokenState[];
}

export interface TokenPage {
  readonly tokens: readonly Token[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
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
): Promise<TokenPage> {
  const organization = await resolveOrganization({ storage }, caller, input.organizationId);
  const profile = profileOf(profiles, organization);
  requireReader(caller, profile);
  const states = input.states.length > 0 ? input.states : profile.listsRevoked ? undefined : ALL_BUT_REVOKED;
  const pageSize = Math.min(input.pageSize === 0 ? DEFAULT_PAGE_SIZE : input.pageSize, MAX_PAGE_SIZE);
  const filters = digestFilters(organization.id, input.states);
  const found = await storage.listTokens({
    organizationId: organization.id,
    profile: caller.kind === "service" ? undefined : profile.id,
    states,
    now: new Date(clock()),
    after: input.pageToken === "" ? undefined : parsePageToken(input.pageToken, filters),
    // One more than asked for tells whether there is a next page.
    limit: pageSize + 1,
  });
  const tokens = found.slice(0, pageSize);
  const last = tokens.at(-1);
  return { tokens, nextPageToken: found.length > pageSize && last ? formatPageToken(last, filters) : "" };
}

/** A page token of one list means nothing in another. */
function digestFilters(organizationId: Id, states: readonly TokenState[]): string {
  const text = [organizationId, ...states.toSorted()].join(" ");
  return createHash("sha256").update(text).digest("base64url").slice(0, 8);
}

function formatPageToken({ createdAt, id }: TokenPosition, filters: string): string {
  return Buffer.from(`${createdAt.getTime()}.${id}.${filters}`).toString("base64url");
}

function parsePageToken(text: string, filters: string): TokenPosition {
  const match = /^(\d{1,15})\.([0-9a-f-]{36})\.(.{8})$/.exec(Buffer.from(text, "base64url").toString());
  const [, ms, id, sentFilters] = match ?? [];
  if (ms === undefined || id === undefined || sentFilters !== filters) {
    throw invalidArgument({
      field: "page_token",
      description: "must be the next_page_token of a call with the same organization and filters",
    });
  }
  return { createdAt: new Date(Number(ms)), id };
}
