/** Changes whose token conventions an organization follows. */
import type { Caller } from "../domain/caller.ts";
import type { Organization } from "../domain/entities.ts";
import { notFound } from "../domain/errors.ts";
import type { Profiles } from "../domain/profile.ts";
import type { Storage } from "../domain/storage.ts";
import { requireServiceScope } from "./authorization.ts";
import { explainRefusal, findOrganization, requireOfferedProfile, requirePlan } from "./organization-access.ts";

export interface SetProfileDeps {
  readonly storage: Storage;
  readonly profiles: Profiles;
}

export interface SetProfileInput {
  /** Public id or UUID, or empty for the caller's own. */
  readonly organizationId: string;
  readonly profile: string;
  /** Empty for the profile's first. */
  readonly plan: string;
}

/**
 * Sets the profile, and one of its plans, of an organization that has never issued a token.
 *
 * @throws AppError: `permission_denied`, `not_found`, `invalid_argument` for an unknown profile or plan,
 *   `failed_precondition` when there are tokens.
 */
export async function setProfile(
  { storage, profiles }: SetProfileDeps,
  caller: Caller,
  input: SetProfileInput,
): Promise<Organization> {
  requireServiceScope(caller, "organizations:write");
  const organization = await findOrganization({ storage }, caller, "organizations:write", input.organizationId);
  const profile = requireOfferedProfile(profiles, input.profile);
  const plan = requirePlan(profile, input.plan);
  const changed = await explainRefusal(
    storage.setProfile(organization.id, profile.id, plan.name),
    "failed_precondition",
    `The organization has issued tokens of the profile ${organization.profile}, revoked ones included, so its profile can't change.`,
  );
  if (changed === undefined) throw notFound("organization");
  return changed;
}
