/** Ends all tokens of an organization that a filter matches, or counts them. */
import { AppError, type FieldViolation, invalidArgument } from "../domain/errors.ts";
import { fromAnyId, fromPublicId } from "../domain/ids.ts";
import { type Profile, type Profiles, SERVICE_PROFILE_ID, typeOf } from "../domain/profile.ts";
import type { TokenFilter, TokenSelection } from "../domain/storage.ts";
import { profileOf, requireIdempotencyKey, requireManager, resolveOrganization } from "./authorization.ts";
import { type Attempt, type IdempotencyDeps, once } from "./idempotency.ts";
import { wantedType } from "./issue-token.ts";
import { changeOf, type Origin } from "./origin.ts";
import type { UsageRecorder } from "./usage-recorder.ts";

export interface RevokeManyTokensDeps extends IdempotencyDeps {
  readonly profiles: Profiles;
  readonly usage: UsageRecorder;
}

export interface RevokeManyTokensInput {
  /** Public id or UUID, or empty for the caller's own. */
  readonly organizationId: string;
  /** Public id or UUID; empty for anybody's, like the three that follow. */
  readonly userId: string;
  /** Public id. */
  readonly createdBy: string;
  readonly type: string;
  readonly namePrefix: string;
  readonly unusedSince: Date | undefined;
  /** Must say so when nothing else says which tokens are meant. */
  readonly all: boolean;
  /** Whether they are only counted. */
  readonly dryRun: boolean;
  readonly attempt: Attempt | undefined;
}

/**
 * Revokes, all at once, every token of the organization that matches all that is given and is neither revoked
 * nor expired, and answers how many. When this resolves, no introspection that starts later finds one of
 * them active; none of them is revoked without the others. Service keys are never among them.
 *
 * Somebody who has no tokens here is as unknown as somebody who doesn't exist: the answer is 0.
 *
 * @throws AppError: `not_found` for the organization, `permission_denied` unless the caller may manage all
 *   tokens that could match, `invalid_argument` that names each field that is wrong, `failed_precondition`
 *   for the organization of the service keys, `already_exists` for an idempotency key that served another
 *   request.
 */
export async function revokeManyTokens(
  deps: RevokeManyTokensDeps,
  origin: Origin,
  input: RevokeManyTokensInput,
): Promise<number> {
  const { storage, profiles, clock, usage } = deps;
  const { caller } = origin;
  const organization = await resolveOrganization({ storage }, caller, input.organizationId);
  const profile = profileOf(profiles, organization);
  const filter = readFilter(input);
  const concerned = input.type === "" ? profile.types.map(({ name }) => name) : [input.type];
  for (const type of concerned) requireManager(caller, profile, type, filter);
  if (profile.id === SERVICE_PROFILE_ID) {
    throw new AppError("failed_precondition", "Service keys are revoked one by one.");
  }
  const violations = findViolations(profile, input, filter, clock());
  if (violations.length > 0) throw invalidArgument(...violations);
  const selection: TokenSelection = { ...filter, organizationId: organization.id, profile: profile.id };
  if (!input.dryRun) requireIdempotencyKey(profile, input.attempt);
  // A use of a moment ago saves a token from a filter for unused ones.
  if (filter.unusedSince !== undefined) await usage.flush();
  if (input.dryRun) return storage.countTokens(selection, new Date(clock()));
  const { result } = await once(deps, caller, input.attempt, async () => ({
    confidential: undefined,
    write: (record) => storage.revokeTokens(selection, changeOf(origin, clock()), record),
  }));
  return result;
}

function readFilter({ userId, createdBy, type, namePrefix, unusedSince }: RevokeManyTokensInput): TokenFilter {
  const given = (text: string): string | undefined => (text === "" ? undefined : text);
  return {
    userId: fromAnyId("usr", userId),
    createdBy: given(createdBy),
    type: given(type),
    namePrefix: given(namePrefix),
    unusedSince,
  };
}

function findViolations(
  profile: Profile,
  { userId, createdBy, type, all }: RevokeManyTokensInput,
  filter: TokenFilter,
  nowMs: number,
): readonly FieldViolation[] {
  const found: FieldViolation[] = [];
  const refuse = (field: string, description: string): void => void found.push({ field, description });
  if (userId !== "" && filter.userId === undefined) refuse("user_id", "must be the id of a user, such as usr_…");
  if (createdBy !== "" && (fromPublicId("usr", createdBy) ?? fromPublicId("tok", createdBy)) === undefined) {
    refuse("created_by", "must be the public id of a user or a token, usr_… or tok_…");
  }
  if (type !== "" && typeOf(profile, type) === undefined) refuse("type", wantedType(profile));
  // A moment that is yet to come makes every token an unused one.
  if (filter.unusedSince !== undefined && filter.unusedSince.getTime() > nowMs) {
    refuse("unused_since", "must not be in the future");
  }
  const isFiltered = userId !== "" || Object.values(filter).some((value) => value !== undefined);
  if (!all && !isFiltered) refuse("all", "must be true to mean every token, or give a filter");
  if (all && isFiltered) refuse("all", "must be false beside a filter, which says which tokens are meant");
  return found;
}
