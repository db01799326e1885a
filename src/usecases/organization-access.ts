/** Who may read and change organizations and their members. */
import { type Caller, callerOrganization } from "../domain/caller.ts";
import type { Membership, Organization } from "../domain/entities.ts";
import { AppError, type ErrorKind, invalidArgument, missingCredential, notFound } from "../domain/errors.ts";
import { fromAnyId, SYSTEM_ORGANIZATION_ID } from "../domain/ids.ts";
import { type Plan, type Profile, type Profiles, planOf } from "../domain/profile.ts";
import type { Role } from "../domain/roles.ts";
import type { ServiceScope } from "../domain/scopes.ts";
import type { Storage } from "../domain/storage.ts";
import { requireServiceScope, resolveOrganization } from "./authorization.ts";

/**
 * The organization that a call is about, for a person of that organization or a service key with the scope.
 *
 * @param requested a public id or a UUID, or empty for the caller's own
 * @param field the request's field that names it
 * @throws AppError: `permission_denied` for an API token or a service key without the scope; `not_found`
 *   for an organization that isn't there or isn't the caller's to see; `invalid_argument` when none is
 *   named and the caller has no own.
 */
export async function findOrganization(
  deps: { readonly storage: Storage },
  caller: Caller,
  scope: ServiceScope,
  requested: string,
  field = "organization_id",
): Promise<Organization> {
  if (caller.kind === "anonymous") throw missingCredential();
  if (caller.kind === "token") {
    throw new AppError(
      "permission_denied",
      `An API token can't do this: sign in, or use a service key with the scope ${scope}.`,
    );
  }
  if (caller.kind === "service") requireServiceScope(caller, scope);
  if (requested === "" && callerOrganization(caller) === undefined) {
    throw invalidArgument({ field, description: "is required with a service key of all organizations" });
  }
  const organization = await resolveOrganization(deps, caller, requested);
  // It holds the service keys of all organizations: nobody's members or plan belong there.
  if (organization.id === SYSTEM_ORGANIZATION_ID) throw notFound("organization");
  return organization;
}

/**
 * Lets through whoever may manage members.
 *
 * @param roles the roles that are given or taken
 * @throws AppError of kind `permission_denied` that says what is needed
 */
export function requireMemberManager(caller: Caller, roles: readonly Role[]): void {
  switch (caller.kind) {
    case "service":
      return requireServiceScope(caller, "organizations:write");
    case "user":
    case "external":
      if (caller.role === "owner") return;
      if (caller.role !== "admin") {
        throw new AppError(
          "permission_denied",
          "Only an owner or an admin of the organization can manage its members.",
        );
      }
      if (!roles.includes("owner")) return;
      throw new AppError("permission_denied", "Only an owner of the organization can make, change or remove an owner.");
    case "anonymous":
    case "token":
      throw new AppError("permission_denied", "Managing members needs a person or a service key.");
  }
}

/**
 * The membership that a call is about; undefined alike when there is no such person, the id is malformed,
 * or they belong elsewhere.
 *
 * @param requested public id or UUID of the person
 */
export async function findMembership(
  { storage }: { readonly storage: Storage },
  organization: Organization,
  requested: string,
): Promise<Membership | undefined> {
  const userId = fromAnyId("usr", requested);
  return userId === undefined ? undefined : storage.getMembership(organization.id, userId);
}

/** @throws AppError of kind `invalid_argument` that lists the profiles that an organization can have. */
export function requireOfferedProfile(profiles: Profiles, id: string): Profile {
  const profile = profiles.offered.find((candidate) => candidate.id === id);
  if (profile !== undefined) return profile;
  const ids = profiles.offered.map((candidate) => candidate.id).toSorted();
  throw invalidArgument({ field: "profile", description: `must be one of ${ids.join(", ")}` });
}

/**
 * The plan of that name, or the profile's first for an empty one.
 *
 * @throws AppError of kind `invalid_argument` that lists the profile's plans.
 */
export function requirePlan(profile: Profile, name: string): Plan {
  const plan = name === "" ? profile.plans[0] : planOf(profile, name);
  if (plan !== undefined) return plan;
  const names = profile.plans.map((candidate) => candidate.name);
  throw invalidArgument({
    field: "plan",
    description: `must be one of ${names.join(", ")} with the profile ${profile.id}`,
  });
}

/**
 * Refuses in the words of the use case what the store refuses with this kind of error. One with a reason
 * isn't about what the use case wants to write.
 */
export async function explainRefusal<T>(write: Promise<T>, kind: ErrorKind, message: string): Promise<T> {
  try {
    return await write;
  } catch (error) {
    throw error instanceof AppError && error.kind === kind && error.reason === undefined
      ? new AppError(kind, message)
      : error;
  }
}
