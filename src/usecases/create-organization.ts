/** Makes a tenant. */
import { callerOrganization } from "../domain/caller.ts";
import type { Organization } from "../domain/entities.ts";
import { AppError } from "../domain/errors.ts";
import { uuidV7 } from "../domain/ids.ts";
import type { Profile, Profiles } from "../domain/profile.ts";
import { requireServiceScope } from "./authorization.ts";
import { type Attempt, type IdempotencyDeps, once } from "./idempotency.ts";
import { requireOfferedProfile, requirePlan } from "./organization-access.ts";
import { changeOf, type Origin } from "./origin.ts";

export interface CreateOrganizationDeps extends IdempotencyDeps {
  readonly profiles: Profiles;
  /** Profile of organizations for which none is asked. */
  readonly defaultProfile: Profile;
}

export interface CreateOrganizationInput {
  readonly name: string;
  /** Empty for the deployment's default. */
  readonly profile: string;
  /** Empty for the profile's first. */
  readonly plan: string;
  readonly attempt: Attempt | undefined;
}

/**
 * @throws AppError: `permission_denied`, `invalid_argument` for an unknown profile or plan, `already_exists`
 *   for an idempotency key that served another request.
 */
export async function createOrganization(
  deps: CreateOrganizationDeps,
  origin: Origin,
  input: CreateOrganizationInput,
): Promise<Organization> {
  const { caller } = origin;
  requireServiceScope(caller, "organizations:write");
  if (callerOrganization(caller) !== undefined) {
    throw new AppError("permission_denied", "Making an organization needs a service key of all organizations.");
  }
  const { storage, profiles, defaultProfile, clock, entropy } = deps;
  const { result } = await once(deps, caller, input.attempt, async () => {
    const profile = input.profile === "" ? defaultProfile : requireOfferedProfile(profiles, input.profile);
    const now = clock();
    const organization: Organization = {
      id: uuidV7(now, entropy(10)),
      name: input.name,
      profile: profile.id,
      plan: requirePlan(profile, input.plan).name,
      createdAt: new Date(now),
    };
    const change = changeOf(origin, now);
    return { confidential: undefined, write: (record) => storage.createOrganization(organization, change, record) };
  });
  return result;
}
