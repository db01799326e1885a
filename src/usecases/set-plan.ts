/** Moves an organization to another plan. */
import type { Organization } from "../domain/entities.ts";
import { notFound } from "../domain/errors.ts";
import type { Profiles } from "../domain/profile.ts";
import { profileOf, requireServiceScope } from "./authorization.ts";
import { type Attempt, type IdempotencyDeps, once } from "./idempotency.ts";
import { findOrganization, requirePlan } from "./organization-access.ts";
import { changeOf, type Origin } from "./origin.ts";

export interface SetPlanDeps extends IdempotencyDeps {
  readonly profiles: Profiles;
}

export interface SetPlanInput {
  /** Public id or UUID, or empty for the caller's own. */
  readonly organizationId: string;
  readonly plan: string;
  readonly attempt: Attempt | undefined;
}

/**
 * Sets the plan. An introspection that starts after this resolves goes by the new one. Plans are the
 * vendor's to give, so people can't, whatever their role.
 *
 * @throws AppError: `permission_denied`, `not_found`, `invalid_argument` for a plan that the
 *   organization's profile doesn't have, `already_exists` for an idempotency key that served another
 *   request.
 */
export async function setPlan(deps: SetPlanDeps, origin: Origin, input: SetPlanInput): Promise<Organization> {
  const { caller } = origin;
  requireServiceScope(caller, "organizations:write");
  const organization = await findOrganization(deps, caller, "organizations:write", input.organizationId);
  const { result } = await once(deps, caller, input.attempt, async () => {
    const plan = requirePlan(profileOf(deps.profiles, organization), input.plan);
    return {
      confidential: undefined,
      async write(record) {
        const changed = await deps.storage.setPlan(organization.id, plan.name, changeOf(origin, deps.clock()), record);
        if (changed === undefined) throw notFound("organization");
        return changed;
      },
    };
  });
  return result;
}
