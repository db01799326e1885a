/** Who may do what to an organization's tokens. */
import { type Caller, callerOrganization } from "../domain/caller.ts";
import type { Organization, Token } from "../domain/entities.ts";
import { AppError, invalidArgument, missingCredential, notFound } from "../domain/errors.ts";
import { fromPublicId, type Id } from "../domain/ids.ts";
import { type Profile, type Profiles, SERVICE_PROFILE_ID } from "../domain/profile.ts";
import type { ServiceScope } from "../domain/scopes.ts";
import type { Storage } from "../domain/storage.ts";

type ServiceCaller = Extract<Caller, { kind: "service" }>;

/** @throws AppError of kind `permission_denied` that names the scope. */
export function requireServiceScope(caller: Caller, scope: ServiceScope): asserts caller is ServiceCaller {
  if (caller.kind !== "service") {
    throw new AppError("permission_denied", `This call needs a service key with the scope ${scope}.`);
  }
  if (!caller.token.scopes.includes(scope)) {
    throw new AppError("permission_denied", `The service key lacks the scope ${scope}.`);
  }
}

/**
 * The organization that a call is about: the one it names, else the caller's own.
 *
 * @param requested a public id, or empty
 * @throws AppError of kind `not_found` for one that isn't there or isn't the caller's to see;
 *   `invalid_argument` when none is named and the caller has no own.
 */
export async function resolveOrganization(
  { storage }: { readonly storage: Storage },
  caller: Caller,
  requested: string,
): Promise<Organization> {
  if (caller.kind === "anonymous") throw missingCredential();
  const own = callerOrganization(caller);
  const id = requested === "" ? own : fromPublicId("org", requested);
  if (requested === "" && own === undefined) {
    throw invalidArgument({
      field: "organization_id",
      description: "is required with a service key of all organizations",
    });
  }
  if (id === undefined || (own !== undefined && own !== id)) throw notFound("organization");
  const organization = await storage.getOrganization(id);
  if (organization === undefined) throw notFound("organization");
  return organization;
}

/** The profile of an organization. */
export function profileOf(profiles: Profiles, organization: Organization): Profile {
  const profile = profiles.get(organization.profile);
  if (profile === undefined) {
    throw new AppError(
      "failed_precondition",
      `The organization's profile ${organization.profile} is not part of this deployment.`,
    );
  }
  return profile;
}

/** @throws AppError of kind `permission_denied` that says what is needed to issue and revoke tokens. */
export function requireManager(caller: Caller, profile: Profile): void {
  const { roles, tokens } = profile.managers;
  switch (caller.kind) {
    case "anonymous":
      throw missingCredential();
    case "service":
      return requireServiceScope(caller, "tokens:write");
    case "user":
      if (roles.includes(caller.role)) return;
      throw new AppError("permission_denied", `Only ${listRoles(roles)} of the organization can manage API tokens.`);
    case "token":
      if (tokens) return;
      throw new AppError("permission_denied", "An API token can't manage API tokens; sign in instead.");
  }
}

/** @throws AppError of kind `permission_denied` that says what is needed to read tokens. */
export function requireReader(caller: Caller, profile: Profile): void {
  if (caller.kind === "service") requireServiceScope(caller, "tokens:read");
  else if (caller.kind !== "user") requireManager(caller, profile);
}

/**
 * Reads the token that a call names.
 *
 * @throws AppError of kind `not_found`, the same whether there is no such token, the id is malformed, or
 *   the token isn't the caller's to see. Service keys are seen by service keys only.
 */
export async function findVisibleToken(
  { storage }: { readonly storage: Storage },
  caller: Caller,
  request: { readonly id: string; readonly organizationId: string },
): Promise<Token> {
  if (caller.kind === "anonymous") throw missingCredential();
  const id: Id | undefined = fromPublicId("tok", request.id);
  const token = id === undefined ? undefined : await storage.getToken(id);
  const own = callerOrganization(caller);
  const named = request.organizationId === "" ? undefined : (fromPublicId("org", request.organizationId) ?? "none");
  if (
    token === undefined ||
    (own !== undefined && own !== token.organizationId) ||
    (named !== undefined && named !== token.organizationId) ||
    (token.profile === SERVICE_PROFILE_ID && caller.kind !== "service")
  ) {
    throw notFound("token");
  }
  return token;
}

function listRoles(roles: readonly string[]): string {
  const names = roles.map((role) => (/^[aeiou]/.test(role) ? `an ${role}` : `a ${role}`));
  return names.length === 0 ? "nobody" : names.join(" or ");
}
