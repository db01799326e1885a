/** Makes an API token. */
import { isAddressBlock } from "../domain/address.ts";
import { type Caller, callerId } from "../domain/caller.ts";
import type { Organization, Token } from "../domain/entities.ts";
import { AppError, type FieldViolation, invalidArgument } from "../domain/errors.ts";
import { fingerprint } from "../domain/fingerprint.ts";
import { fromAnyId, type Id, uuidV7 } from "../domain/ids.ts";
import {
  isPersonal,
  type Profile,
  type Profiles,
  planOf,
  SERVICE_KEY_TYPE,
  SERVICE_PROFILE_ID,
  typeOf,
} from "../domain/profile.ts";
import { generateSecret, secretHint } from "../domain/secret-format.ts";
import type { NewToken } from "../domain/storage.ts";
import {
  profileOf,
  requireGrantor,
  requireIdempotencyKey,
  requireManager,
  requirePlanWithTokens,
  resolveOrganization,
} from "./authorization.ts";
import { type Attempt, type IdempotencyDeps, once } from "./idempotency.ts";
import { changeOf, type Origin } from "./origin.ts";

export interface IssueTokenDeps extends IdempotencyDeps {
  readonly profiles: Profiles;
}

/** What is asked for; an empty value means that the caller leaves it to the profile. */
export interface TokenWishes {
  readonly name: string;
  readonly type: string;
  readonly permission: string;
  readonly scopes: readonly string[];
  readonly expiresAt: Date | undefined;
  readonly ipAllowlist: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
}

export interface IssueTokenInput extends TokenWishes {
  /** Public id, or empty for the caller's own. */
  readonly organizationId: string;
  /** Public id of the person whom a service key issues for, or empty. */
  readonly userId: string;
  readonly attempt: Attempt | undefined;
}

export interface IssuedToken {
  readonly token: Token;
  /** The plaintext, which is kept nowhere, unless sealed for a retry of the call. */
  readonly secret: string;
}

/**
 * Issues a token in the organization named, or the caller's own.
 *
 * @throws AppError: `not_found` for the organization, `permission_denied` for the caller or the plan,
 *   `already_exists` for an idempotency key that served another request, `invalid_argument` that names each field that the profile doesn't offer or that is out of its range.
 */
export async function issueToken(deps: IssueTokenDeps, origin: Origin, input: IssueTokenInput): Promise<IssuedToken> {
  const { caller } = origin;
  const organization = await resolveOrganization(deps, caller, input.organizationId);
  const { profile, wishes } = conventions(deps.profiles, organization, input);
  if (profile.id === SERVICE_PROFILE_ID) requireGrantor(caller, wishes.scopes);
  else requireManager(caller, profile, wishes.type, undefined);
  requirePlanWithTokens(profile, organization);
  requireIdempotencyKey(profile, input.attempt);
  const { result, confidential } = await once(deps, caller, input.attempt, async () => {
    const user = await findUser(deps, caller, organization, input.userId);
    const violations = [...user.violations, ...findViolations(profile, organization, wishes, deps.clock())];
    if (violations.length > 0) throw invalidArgument(...violations);
    const by = { createdBy: callerId(caller), userId: user.id };
    const { secret, newToken } = mintToken(deps, profile, organization.id, wishes, by);
    const change = changeOf(origin, newToken.token.createdAt.getTime());
    return { confidential: secret, write: (record) => deps.storage.createToken(newToken, change, record) };
  });
  return { token: result, secret: confidential };
}

/** Makes the secret and the row of a token, and stores nothing. */
export function mintToken(
  { clock, entropy }: Pick<IssueTokenDeps, "clock" | "entropy">,
  profile: Profile,
  organizationId: Id,
  wishes: TokenWishes,
  by: Pick<Token, "createdBy" | "userId">,
): { readonly secret: string; readonly newToken: NewToken } {
  const secret = generateSecret(profile.secretFormat, entropy);
  const hint = secretHint(profile.secretFormat, secret);
  return {
    secret,
    newToken: {
      fingerprint: fingerprint(secret),
      isPersonal: isPersonal(typeOf(profile, wishes.type)),
      token: makeToken({ clock, entropy }, profile, organizationId, wishes, { ...by, hint }),
    },
  };
}

/** Makes the row of a token that nobody has used yet. */
export function makeToken(
  { clock, entropy }: Pick<IssueTokenDeps, "clock" | "entropy">,
  profile: Profile,
  organizationId: Id,
  wishes: TokenWishes,
  by: Pick<Token, "createdBy" | "userId" | "hint">,
): NewToken["token"] {
  const now = clock();
  return {
    ...by,
    id: uuidV7(now, entropy(10)),
    organizationId,
    profile: profile.id,
    type: wishes.type,
    name: wishes.name,
    permission: wishes.permission,
    scopes: normalizeScopes(wishes.scopes),
    ipAllowlist: [...wishes.ipAllowlist],
    metadata: { ...wishes.metadata },
    enabled: true,
    createdAt: new Date(now),
    expiresAt: wishes.expiresAt,
    lastUsedAt: undefined,
    lastUsedAddress: "",
    revokedAt: undefined,
    revokedBy: undefined,
    rotation: undefined,
  };
}

/** Whose conventions the new token follows, and the wishes with the profile's default type. */
function conventions(
  profiles: Profiles,
  organization: Organization,
  input: TokenWishes,
): { readonly profile: Profile; readonly wishes: TokenWishes } {
  const own = profileOf(profiles, organization);
  const profile = input.type === SERVICE_KEY_TYPE ? (profiles.get(SERVICE_PROFILE_ID) ?? own) : own;
  const [first] = profile.types;
  return { profile, wishes: { ...input, type: input.type === "" && first ? first.name : input.type } };
}

/** As a token has them: sorted, without repeats. */
export function normalizeScopes(scopes: readonly string[]): readonly string[] {
  return [...new Set(scopes)].toSorted();
}

/** The person whom the token is for: the caller, or a member whom a service key names. */
export async function findUser(
  { storage }: Pick<IssueTokenDeps, "storage">,
  caller: Caller,
  organization: Organization,
  requested: string,
): Promise<{ readonly id: Id | undefined; readonly violations: readonly FieldViolation[] }> {
  const self = caller.kind === "user" ? caller.userId : caller.kind === "token" ? caller.token.userId : undefined;
  if (requested === "") return { id: self, violations: [] };
  const refuse = (description: string) => ({ id: undefined, violations: [{ field: "user_id", description }] });
  if (caller.kind !== "service") return refuse("can be named by a service key only");
  const id = fromAnyId("usr", requested);
  const membership = id === undefined ? undefined : await storage.getMembership(organization.id, id);
  return membership === undefined ? refuse("must be a member of the organization") : { id, violations: [] };
}

/** What the type of a token must be, to go on after the field's name. */
export function wantedType({ id, types }: Profile): string {
  const names = types.map(({ name }) => name).filter((name) => name !== "");
  return names.length === 0 ? `is not offered by the profile ${id}` : `must be one of ${names.join(", ")}`;
}

/**
 * What is wrong with the wishes for a token; of one that isn't there nothing is.
 *
 * @throws AppError of kind `permission_denied` for what another plan would have.
 */
export function findViolations(
  profile: Profile,
  organization: Organization,
  wishes: Partial<TokenWishes>,
  nowMs: number,
): readonly FieldViolation[] {
  const found: FieldViolation[] = [];
  const refuse = (field: string, description: string): void => void found.push({ field, description });
  const notOffered = `is not offered by the profile ${profile.id}`;
  const { access } = profile;
  const { type, permission, scopes = [], expiresAt, ipAllowlist = [] } = wishes;

  if (type !== undefined && typeOf(profile, type) === undefined) refuse("type", wantedType(profile));
  if (access.kind === "permissions") {
    const names = access.permissions.map(({ name }) => name);
    if (permission !== undefined && !names.includes(permission)) {
      refuse("permission", `must be one of ${names.join(", ")}`);
    }
  } else if (permission) {
    refuse("permission", notOffered);
  }
  if (access.kind === "scopes") {
    const names = access.catalog.map(({ name }) => name);
    if (scopes.some((scope) => !names.includes(scope))) refuse("scopes", `must be among ${names.join(", ")}`);
  } else if (scopes.length > 0) {
    refuse("scopes", notOffered);
  }
  if (expiresAt !== undefined) {
    if (profile.expiry === "never") refuse("expires_at", notOffered);
    else if (expiresAt.getTime() <= nowMs) refuse("expires_at", "must be in the future");
  }
  if (ipAllowlist.length > 0) {
    requirePlanWithAllowlist(profile, organization, refuse);
    for (const [index, block] of ipAllowlist.entries()) {
      if (!isAddressBlock(block)) refuse(`ip_allowlist[${index}]`, "must be an IP address or a CIDR block");
    }
  }
  return found;
}

/** @throws AppError of kind `permission_denied` when another plan would have it: that is no fault of the field. */
function requirePlanWithAllowlist(
  profile: Profile,
  { plan }: Organization,
  refuse: (field: string, description: string) => void,
): void {
  if (planOf(profile, plan)?.ipAllowlist === true) return;
  const plans = profile.plans.filter(({ ipAllowlist }) => ipAllowlist).map(({ name }) => name);
  if (plans.length === 0) return refuse("ip_allowlist", `is not offered by the profile ${profile.id}`);
  const description = `the plan ${plan} doesn't offer it; it needs ${plans.join(" or ")}`;
  const violations = [{ field: "ip_allowlist", description }];
  throw new AppError("permission_denied", `ip_allowlist: ${description}`, { violations });
}
