/** Who may do what to an organization's tokens. */
import { type Caller, callerOrganization } from "../domain/caller.ts";
import type { Organization, Token } from "../domain/entities.ts";
import { AppError, invalidArgument, missingCredential, notFound } from "../domain/errors.ts";
import { fromAnyId, type Id } from "../domain/ids.ts";
import { type Managers, type Profile, type Profiles, planOf, SERVICE_PROFILE_ID, typeOf } from "../domain/profile.ts";
import type { ServiceScope } from "../domain/scopes.ts";
import type { Storage } from "../domain/storage.ts";
import type { Attempt } from "./idempotency.ts";

type ServiceCaller = Extract<Caller, { kind: "service" }>;

/** @throws AppError of kind `permission_denied` that names the scope. */
export function requireServiceScope(caller: Caller, scope: ServiceScope): asserts caller is ServiceCaller {
  if (caller.kind !== "service") {
    throw new AppError("permission_denied", `This call needs a service key with the scope ${scope}.`);
  }
  const { service } = caller;
  if (!service.scopes.includes(scope)) {
    const who = "id" in service ? "The service key" : `The service ${service.name}`;
    throw new AppError("permission_denied", `${who} lacks the scope ${scope}.`);
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
  const id = requested === "" ? own : fromAnyId("org", requested);
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

/**
 * Lets through whoever may manage tokens of this type: issue one, or change the one given.
 *
 * @param token the token to change, or what is known of all that are to be changed; undefined to issue one
 * @throws AppError of kind `permission_denied` that says what is needed
 */
export function requireManager(
  caller: Caller,
  profile: Profile,
  type: string,
  token: Pick<Token, "userId"> | undefined,
): void {
  switch (caller.kind) {
    case "anonymous":
      throw missingCredential();
    case "service":
      return requireServiceScope(caller, "tokens:write");
    case "token":
      if (mayManage(profile, caller.token)) return;
      throw new AppError("permission_denied", managingTokensNeeded(profile));
    case "user":
    case "external": {
      // A type that doesn't exist is refused later, as the field that is wrong.
      const { any, own } = (typeOf(profile, type) ?? profile.types[0])?.managers ?? NOBODY;
      if (any.includes(caller.role)) return;
      // Nothing is the own of somebody who isn't a member here.
      const isOwn = caller.kind === "user" && (token === undefined || token.userId === caller.userId);
      if (own.includes(caller.role) && isOwn) return;
      const which = profile.types.length > 1 ? ` of the type ${type}` : "";
      const whose = own.includes(caller.role) ? " of others" : "";
      throw new AppError(
        "permission_denied",
        `Only ${listRoles(any)} of the organization can manage API tokens${which}${whose}.`,
      );
    }
  }
}

/**
 * Lets through whoever may be handed the secret of a service key with these scopes: a service that has
 * all of them itself.
 *
 * @throws AppError of kind `permission_denied` that names the scopes that are missing
 */
export function requireGrantor(caller: Caller, scopes: readonly string[]): void {
  requireServiceScope(caller, "tokens:write");
  const excess = scopes.filter((scope) => !caller.service.scopes.includes(scope));
  if (excess.length > 0) {
    throw new AppError("permission_denied", `A service key can't grant scopes that it lacks: ${excess.join(", ")}.`);
  }
}

/** @throws AppError of kind `permission_denied` when the organization's plan comes without tokens. */
export function requirePlanWithTokens(profile: Profile, { plan }: Organization): void {
  if (planOf(profile, plan)?.tokens === true) return;
  const plans = profile.plans.filter(({ tokens }) => tokens).map(({ name }) => name);
  throw new AppError(
    "permission_denied",
    `The plan ${plan} comes without API tokens; they need ${plans.join(" or ")}.`,
  );
}

/** @throws AppError of kind `invalid_argument` when the profile wants a key and there is none. */
export function requireIdempotencyKey(profile: Profile, attempt: Attempt | undefined): void {
  if (!profile.requiresIdempotencyKey || attempt !== undefined) return;
  throw invalidArgument({ field: "idempotency_key", description: "is required: send the header Idempotency-Key" });
}

const NOBODY: Managers = { any: [], own: [] };

function mayManage({ managingTokens }: Profile, { permission }: Pick<Token, "permission">): boolean {
  return typeof managingTokens === "string" ? managingTokens === "all" : managingTokens.includes(permission);
}

function managingTokensNeeded({ managingTokens }: Profile): string {
  return typeof managingTokens === "string"
    ? "An API token can't manage API tokens; sign in instead."
    : `Managing API tokens needs a token with the permission ${managingTokens.join(" or ")}.`;
}

/** @throws AppError of kind `permission_denied` that says what is needed to read tokens. */
export function requireReader(caller: Caller, profile: Profile): void {
  if (caller.kind === "anonymous") throw missingCredential();
  if (caller.kind === "service") requireServiceScope(caller, "tokens:read");
  if (caller.kind === "token" && !mayManage(profile, caller.token)) {
    throw new AppError("permission_denied", managingTokensNeeded(profile));
  }
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
  const id: Id | undefined = fromAnyId("tok", request.id);
  const token = id === undefined ? undefined : await storage.getToken(id);
  const own = callerOrganization(caller);
  const named = request.organizationId === "" ? undefined : (fromAnyId("org", request.organizationId) ?? "none");
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

/**
 * Reads the token that a call is about to change, and its profile.
 *
 * @throws AppError: as `findVisibleToken`, `requireManager` and `requireIdempotencyKey`.
 */
export async function findTokenToChange(
  { storage, profiles }: { readonly storage: Storage; readonly profiles: Profiles },
  caller: Caller,
  request: { readonly id: string; readonly organizationId: string; readonly attempt: Attempt | undefined },
): Promise<{ readonly token: Token; readonly profile: Profile }> {
  const token = await findVisibleToken({ storage }, caller, request);
  const profile = profiles.get(token.profile);
  if (profile === undefined) throw notFound("token");
  requireManager(caller, profile, token.type, token);
  requireIdempotencyKey(profile, request.attempt);
  return { token, profile };
}

function listRoles(roles: readonly string[]): string {
  const names = roles.map((role) => (/^[aeiou]/.test(role) ? `an ${role}` : `a ${role}`));
  return names.length === 0 ? "nobody" : names.join(" or ");
}
