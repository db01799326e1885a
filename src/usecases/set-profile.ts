/** Changes whose token conventions an organization follows. */
import type { Organization } from "../domain/entities.ts";
import { notFound } from "../domain/errors.ts";
import type { Profiles } from "../domain/profile.ts";
import { requireServiceScope } from "./authorization.ts";
import { type Attempt, type IdempotencyDeps, once } from "./idempotency.ts";
import { explainRefusal, findOrganization, requireOfferedProfile, requirePlan } from "./organization-access.ts";
import { changeOf, type Origin } from "./origin.ts";

export interface SetProfileDeps extends IdempotencyDeps {
  readonly profiles: Profiles;
}

export interface SetProfileInput {
  /** Public id or UUID, or empty for the caller's own. */
  readonly organizationId: string;
  readonly profile: string;
  /** Empty for the profile's first. */
  readonly plan: string;
  readonly attempt: Attempt | undefined;
}

/**
 * Sets the profile, and one of its plans, of an organization that has never issued a token.
 *
 * @throws AppError: `permission_denied`, `not_found`, `invalid_argument` for an unknown profile or plan,
 *   `failed_precondition` when there are tokens, `already_exists` for an idempotency key that served another
 *   request.
 */
export async function setProfile(deps: SetProfileDeps, origin: Origin, input: SetProfileInput): Promise<Organization> {
  const { caller } = origin;
  requireServiceScope(caller, "organizations:write");
  const organization = await findOrganization(deps, caller, "organizations:write", input.organizationId);
  const { result } = await once(deps, caller, input.attempt, async () => {
    const profile = requireOfferedProfile(deps.profiles, input.profile);
    const plan = requirePlan(profile, input.plan);
    return {
      confidential: undefined,
      async write(record) {
        const change = changeOf(origin, deps.clock());
        const changed = await explainRefusal(
          deps.storage.setProfile(organization.id, profile.id, plan.name, change, record),
          "failed_precondition",
          `The organization has issued tokens of the profile ${organization.profile}, revoked ones included, so its profile can't change.`,
        );
        if (changed === undefined) throw notFound("organization");
        return changed;
      },
    };
  });
  return result;
}
