/** Makes an API token. */
import { isAddressBlock } from "../domain/address.ts";
import { type Caller, callerId } from "../domain/caller.ts";
import type { Clock, Entropy } from "../domain/clock.ts";
import type { Organization, Token } from "../domain/entities.ts";
import { AppError, type FieldViolation, invalidArgument } from "../domain/errors.ts";
import { fingerprint } from "../domain/fingerprint.ts";
import { type Id, uuidV7 } from "../domain/ids.ts";
import { type Profile, type Profiles, SERVICE_KEY_TYPE, SERVICE_PROFILE_ID } from "../domain/profile.ts";
import { generateSecret, secretHint } from "../domain/secret-format.ts";
import type { NewToken, Storage } from "../domain/storage.ts";
import { profileOf, requireManager, requireServiceScope, resolveOrganization } from "./authorization.ts";

export interface IssueTokenDeps {
  readonly storage: Storage;
  readonly profiles: Profiles;
  readonly clock: Clock;
  readonly entropy: Entropy;
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

export interface IssuedToken {
  readonly token: Token;
  /** The plaintext, which is kept nowhere. */
  readonly secret: string;
}

/**
 * Issues a token in the organization named, or the caller's own.
 *
 * @throws AppError: `not_found` for the organization, `permission_denied` for the caller,
 *   `invalid_argument` that names each field that the profile doesn't offer or that is out of its range.
 */
export async function issueToken(
  deps: IssueTokenDeps,
  caller: Caller,
  input: TokenWishes & { readonly organizationId: string },
): Promise<IssuedToken> {
  const organization = await resolveOrganization(deps, caller, input.organizationId);
  const profile = profileToIssue(deps.profiles, caller, organization, input);
  const violations = findViolations(profile, organization, input, deps.clock());
  if (violations.length > 0) throw invalidArgument(...violations);
  const { secret, newToken } = mintToken(deps, profile, organization.id, input, {
    createdBy: callerId(caller),
    userId: caller.kind === "user" ? caller.userId : caller.kind === "token" ? caller.token.userId : undefined,
  });
  return { token: await deps.storage.createToken(newToken), secret };
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
  const now = clock();
  return {
    secret,
    newToken: {
      fingerprint: fingerprint(secret),
      token: {
        ...by,
        id: uuidV7(now, entropy(10)),
        organizationId,
        profile: profile.id,
        type: wishes.type === "" ? (profile.types[0] ?? "") : wishes.type,
        name: wishes.name,
        hint: secretHint(profile.secretFormat, secret),
        permission: wishes.permission,
        scopes: [...new Set(wishes.scopes)].toSorted(),
        ipAllowlist: [...wishes.ipAllowlist],
        metadata: { ...wishes.metadata },
        enabled: true,
        createdAt: new Date(now),
        expiresAt: wishes.expiresAt,
        lastUsedAt: undefined,
        revokedAt: undefined,
        revokedBy: undefined,
      },
    },
  };
}

/** The organization's own profile, or that of service keys, which only a service key may issue. */
function profileToIssue(profiles: Profiles, caller: Caller, organization: Organization, wishes: TokenWishes): Profile {
  const own = profileOf(profiles, organization);
  const serviceKey = own.id === SERVICE_PROFILE_ID || wishes.type === SERVICE_KEY_TYPE;
  if (!serviceKey) {
    requireManager(caller, own);
    return own;
  }
  requireServiceScope(caller, "tokens:write");
  const held = caller.kind === "service" ? caller.token.scopes : [];
  const excess = wishes.scopes.filter((scope) => !held.includes(scope));
  if (excess.length > 0) {
    throw new AppError("permission_denied", `A service key can't grant scopes that it lacks: ${excess.join(", ")}.`);
  }
  return profiles.get(SERVICE_PROFILE_ID) ?? own;
}

function findViolations(
  profile: Profile,
  organization: Organization,
  wishes: TokenWishes,
  nowMs: number,
): readonly FieldViolation[] {
  const found: FieldViolation[] = [];
  const refuse = (field: string, description: string): void => void found.push({ field, description });
  const notOffered = `is not offered by the profile ${profile.id}`;
  const { permissionModel: model } = profile;

  if (wishes.type !== "" && !profile.types.includes(wishes.type)) {
    refuse("type", profile.types.length === 0 ? notOffered : `must be one of ${profile.types.join(", ")}`);
  }
  if (model.kind === "permissions") {
    const names = [...model.permissions.keys()];
    if (!names.includes(wishes.permission)) refuse("permission", `must be one of ${names.join(", ")}`);
  } else if (wishes.permission !== "") {
    refuse("permission", notOffered);
  }
  if (model.kind === "scopes") {
    const unknown = wishes.scopes.some((scope) => !model.catalog.includes(scope));
    if (unknown) refuse("scopes", `must be among ${model.catalog.join(", ")}`);
  } else if (wishes.scopes.length > 0) {
    refuse("scopes", notOffered);
  }
  if (wishes.expiresAt !== undefined) {
    if (profile.expiry === "never") refuse("expires_at", notOffered);
    else if (wishes.expiresAt.getTime() <= nowMs) refuse("expires_at", "must be in the future");
  }
  if (wishes.ipAllowlist.length > 0) {
    if (!profile.ipAllowlistPlans.includes(organization.plan)) {
      refuse("ip_allowlist", `is not offered by the profile ${profile.id} on the plan ${organization.plan}`);
    }
    for (const [index, block] of wishes.ipAllowlist.entries()) {
      if (!isAddressBlock(block)) refuse(`ip_allowlist[${index}]`, "must be an IP address or a CIDR block");
    }
  }
  return found;
}
