/** Moves an organization to another plan. */
import type { Caller } from "../domain/caller.ts";
import type { Organization } from "../domain/entities.ts";
import { notFound } from "../domain/errors.ts";
import type { Profiles } from "../domain/profile.ts";
import type { Storage } from "../domain/storage.ts";
import { profileOf, requireServiceScope } from "./authorization.ts";
import { findOrganization, requirePlan } from "./organization-access.ts";

export interface SetPlanDeps {
  readonly storage: Storage;
  readonly profiles: Profiles;
}

/**
 * Sets the plan. An introspection that starts after this resolves goes by the new one. Plans are the
 * vendor's to give, so people can't, whatever their role.
 *
 * @throws AppError: `permission_denied`, `not_found`, `invalid_argument` for a plan that the
 *   organization's profile doesn't have.
 */
export async function setPlan(
  { storage, profiles }: SetPlanDeps,
  caller: Caller,
  request: { readonly organizationId: string; readonly plan: string },
): Promise<Organization> {
  requireServiceScope(caller, "organizations:write");
  const organization = await findOrganization({ storage }, caller, "organizations:write", request.organizationId);
  const plan = requirePlan(profileOf(profiles, organization), request.plan);
  const changed = await storage.setPlan(organization.id, plan.name);
  if (changed === undefined) throw notFound("organization");
  return changed;
}
