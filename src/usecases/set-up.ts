/** Gives an empty deployment its first organization, admin and service key. */
import { SYSTEM_ACTOR } from "../domain/audit.ts";
import type { Clock, Entropy } from "../domain/clock.ts";
import type { Organization, User } from "../domain/entities.ts";
import { AppError } from "../domain/errors.ts";
import { SYSTEM_ORGANIZATION_ID, toPublicId, uuidV7 } from "../domain/ids.ts";
import type { PasswordHasher } from "../domain/passwords.ts";
import { type Profile, type Profiles, SERVICE_PROFILE_ID } from "../domain/profile.ts";
import { SERVICE_SCOPES } from "../domain/scopes.ts";
import type { SetUp, Storage } from "../domain/storage.ts";
import { normalizeEmail } from "./check-password.ts";
import { mintToken } from "./issue-token.ts";

export interface SetUpDeps {
  readonly storage: Storage;
  readonly profiles: Profiles;
  readonly passwords: PasswordHasher;
  readonly clock: Clock;
  readonly entropy: Entropy;
}

export interface SetUpInput {
  readonly organizationName: string;
  /** Id of the first organization's profile. */
  readonly profileId: string;
  readonly adminEmail: string;
  /** Undefined makes one up. */
  readonly adminPassword: string | undefined;
}

/** What the operator is given, once. */
export interface FirstCredentials {
  /** A service key for all organizations, with every scope. */
  readonly serviceKey: string;
  readonly organizationId: string;
  readonly adminEmail: string;
  readonly adminPassword: string;
}

/** @throws AppError of kind `failed_precondition` when the deployment isn't empty. */
export async function setUp(deps: SetUpDeps, input: SetUpInput): Promise<FirstCredentials> {
  const { storage, profiles, passwords, clock, entropy } = deps;
  const createdAt = new Date(clock());
  const newId = (): string => uuidV7(clock(), entropy(10));
  const adminEmail = normalizeEmail(input.adminEmail);
  const adminPassword = input.adminPassword ?? Buffer.from(entropy(18)).toString("base64url");

  const system: Organization = {
    id: SYSTEM_ORGANIZATION_ID,
    name: "Latchkey",
    profile: SERVICE_PROFILE_ID,
    plan: "standard",
    createdAt,
  };
  const profile = requireProfile(profiles, input.profileId);
  const organization: Organization = {
    id: newId(),
    name: input.organizationName,
    profile: profile.id,
    plan: profile.plans[0]?.name ?? "",
    createdAt,
  };
  const admin: User = {
    id: newId(),
    email: adminEmail,
    passwordHash: await passwords.hash(adminPassword),
    firstName: "",
    lastName: "",
    displayName: "",
    avatarUrl: "",
    createdAt,
  };
  const { secret, newToken } = mintToken(
    deps,
    requireProfile(profiles, SERVICE_PROFILE_ID),
    SYSTEM_ORGANIZATION_ID,
    {
      name: "first service key",
      type: "",
      permission: "",
      scopes: SERVICE_SCOPES,
      expiresAt: undefined,
      ipAllowlist: [],
      metadata: {},
    },
    { createdBy: SYSTEM_ACTOR.id, userId: undefined },
  );
  const contents: SetUp = {
    organizations: [system, organization],
    users: [admin],
    memberships: [{ organizationId: organization.id, userId: admin.id, role: "owner", createdAt }],
    tokens: [newToken],
  };
  const stored = await storage.setUp(contents, { at: createdAt, actor: SYSTEM_ACTOR, address: "", requestId: "" });
  if (!stored) throw new AppError("failed_precondition", "This deployment has been set up already.");
  return { serviceKey: secret, organizationId: toPublicId("org", organization.id), adminEmail, adminPassword };
}

function requireProfile(profiles: Profiles, id: string): Profile {
  const profile = profiles.get(id);
  if (profile === undefined) throw new Error(`there is no profile ${id}`);
  return profile;
}
