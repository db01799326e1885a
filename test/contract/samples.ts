/** Makes entities to store. Ids and fingerprints are new on every call; every field can be given. */
import { randomBytes, randomUUID } from "node:crypto";
import type { Change } from "../../src/domain/audit.ts";
import type { KnownRecord } from "../../src/domain/decision.ts";
import type { ImportKey } from "../../src/domain/digest-scheme.ts";
import type {
  Identity,
  Invitation,
  Membership,
  Organization,
  Session,
  SigningKey,
  Token,
  TokenSettings,
  User,
} from "../../src/domain/entities.ts";
import type { IdempotencyRecord } from "../../src/domain/idempotency.ts";
import type { PresentedSecret } from "../../src/domain/rotation.ts";
import type {
  EventQuery,
  LeaseRequest,
  NewDigestScheme,
  NewInvitation,
  NewToken,
  PasswordLink,
  SecretRotation,
  TokenFilter,
  TokenQuery,
  TokenSelection,
  TokensOfMember,
  TokenUse,
} from "../../src/domain/storage.ts";

export const NOW = new Date("2026-11-21T12:00:00.123Z");

/** `NOW` and so many milliseconds. */
export function after(milliseconds: number): Date {
  return new Date(NOW.getTime() + milliseconds);
}

export function someFingerprint(): Uint8Array {
  return new Uint8Array(randomBytes(32));
}

export function someOrganization(fields: Partial<Organization> = {}): Organization {
  return { id: randomUUID(), name: "Acme", profile: "watchplane", plan: "free", createdAt: NOW, ...fields };
}

export function someUser(fields: Partial<User> = {}): User {
  const id = randomUUID();
  return {
    id,
    email: `${id}@example.com`,
    passwordHash: "$argon2id$v=19$…",
    firstName: "Ada",
    lastName: "Lovelace",
    displayName: "ada",
    avatarUrl: "https://example.com/ada.png",
    createdAt: NOW,
    ...fields,
  };
}

export function someMembership(
  fields: Pick<Membership, "organizationId" | "userId"> & Partial<Membership>,
): Membership {
  return { role: "member", createdAt: NOW, ...fields };
}

export function someToken(fields: Pick<Token, "organizationId"> & Partial<Omit<Token, "revision">>): NewToken {
  return {
    token: {
      id: randomUUID(),
      profile: "watchplane",
      type: "",
      name: "deploy",
      hint: "wp_…beef",
      permission: "",
      scopes: [],
      ipAllowlist: [],
      metadata: {},
      enabled: true,
      createdBy: "usr_someone",
      userId: undefined,
      createdAt: NOW,
      expiresAt: undefined,
      lastUsedAt: undefined,
      lastUsedAddress: "",
      revokedAt: undefined,
      revokedBy: undefined,
      rotation: undefined,
      ...fields,
    },
    fingerprint: someFingerprint(),
  };
}

/** What a look for the secret finds of a token. */
export function knownRecord(token: Token, { id, plan }: Organization, secret: PresentedSecret): KnownRecord {
  return {
    token: {
      id: token.id,
      organizationId: token.organizationId,
      userId: token.userId,
      profile: token.profile,
      type: token.type,
      name: token.name,
      permission: token.permission,
      scopes: token.scopes,
      ipAllowlist: token.ipAllowlist,
      enabled: token.enabled,
      expiresAt: token.expiresAt,
      revokedAt: token.revokedAt,
      revision: token.revision,
    },
    organization: { id, plan },
    secret,
  };
}

export function someSettings(fields: Partial<TokenSettings> = {}): TokenSettings {
  return {
    name: "deploy",
    enabled: true,
    permission: "",
    scopes: [],
    ipAllowlist: [],
    expiresAt: undefined,
    metadata: {},
    ...fields,
  };
}

export function someSession(fields: Pick<Session, "organizationId" | "userId"> & Partial<Session>): Session {
  return {
    id: randomUUID(),
    createdAt: NOW,
    expiresAt: after(60_000),
    endedAt: undefined,
    client: "api",
    method: "password",
    ...fields,
  };
}

/** An invitation that works for a minute. */
export function someInvitation(organizationId: string, fields: Partial<Invitation> = {}): NewInvitation {
  const id = randomUUID();
  const email = `${id}@example.com`;
  const times = { createdAt: NOW, expiresAt: after(60_000) };
  return {
    invitation: {
      id,
      organizationId,
      email,
      role: "admin",
      isMailed: true,
      createdBy: "usr_someone",
      ...times,
      ...fields,
    },
    fingerprint: someFingerprint(),
  };
}

/** A link that works for a minute. */
export function somePasswordLink(userId: string): PasswordLink {
  return { fingerprint: someFingerprint(), userId, expiresAt: after(60_000) };
}

export function someIdentity(): Identity {
  return { issuer: `https://id-${randomUUID()}.example.com`, subject: `subject-${randomUUID()}` };
}

export function someSigningKey(fields: Partial<SigningKey> = {}): SigningKey {
  return { id: randomUUID(), sealedPrivateKey: new Uint8Array(randomBytes(80)), createdAt: NOW, ...fields };
}

/** A use of a token's current secret, which isn't counted, from nowhere that is known. */
export function someUse(tokenId: string, usedAt: Date, fields: Partial<TokenUse> = {}): TokenUse {
  return { tokenId, secret: "current", usedAt, address: "", daily: [], ...fields };
}

/** A new secret for a token as it is, without an overlap. */
export function someRotation(
  { revision }: Pick<Token, "revision">,
  fields: Partial<SecretRotation> = {},
): SecretRotation {
  return { revision, fingerprint: someFingerprint(), hint: "wp_…cafe", overlapEndsAt: NOW, ...fields };
}

export function someImportKey(fields: Partial<ImportKey> = {}): ImportKey {
  return { id: randomUUID(), sealedKey: new Uint8Array(randomBytes(60)), createdAt: NOW, ...fields };
}

/** The scheme of an HMAC key. */
export function someHmacScheme(key: ImportKey = someImportKey()): NewDigestScheme {
  return { algorithm: "hmac_sha256", key };
}

/** One unit of a limit of 60, in the minute that `NOW` is in. */
export function someLeaseRequest(fields: Partial<LeaseRequest> = {}): LeaseRequest {
  const windowStart = new Date("2026-11-21T12:00:00.000Z");
  const windowEnd = new Date("2026-11-21T12:01:00.000Z");
  return { tokenId: randomUUID(), windowStart, windowEnd, limit: 60, units: 1, ...fields };
}

/** The record of a call that may be repeated within a minute. */
export function someRecord(fields: Partial<IdempotencyRecord> = {}): IdempotencyRecord {
  return {
    keyHash: someFingerprint(),
    requestHash: someFingerprint(),
    createdAt: NOW,
    expiresAt: after(60_000),
    sealing: { key: someFingerprint(), nonce: new Uint8Array(randomBytes(12)) },
    confidential: undefined,
    ...fields,
  };
}

/** Matches every token. */
export const NO_FILTER: TokenFilter = {
  type: undefined,
  namePrefix: undefined,
  createdBy: undefined,
  userId: undefined,
  unusedSince: undefined,
};

/** All tokens of an organization. */
export function everyToken(organizationId: string, fields: Partial<TokenQuery> = {}): TokenQuery {
  const anything = { ...NO_FILTER, profile: undefined, states: undefined };
  return { organizationId, ...anything, now: NOW, after: undefined, limit: 1000, ...fields };
}

/** All Watchplane tokens of an organization. */
export function someSelection(organizationId: string, fields: Partial<TokenSelection> = {}): TokenSelection {
  const anything = {
    type: undefined,
    namePrefix: undefined,
    createdBy: undefined,
    userId: undefined,
    unusedSince: undefined,
  };
  return { organizationId, profile: "watchplane", ...anything, ...fields };
}

/** No token of a member. */
export const NO_TOKENS: TokensOfMember = { profile: "watchplane", types: [] };

/** A person's change, at `NOW`. */
export function someChange(fields: Partial<Change> = {}): Change {
  return { ...changeBy("usr_someone", NOW), ...fields };
}

export function changeBy(id: string, at: Date): Change {
  return { at, actor: { kind: "user", id }, address: "192.0.2.7", requestId: "some-request" };
}

/** All events, or all of an organization. */
export function everyEvent(fields: Partial<EventQuery> = {}): EventQuery {
  const anything = { actions: undefined, actor: undefined, target: undefined, from: undefined, until: undefined };
  return { organizationId: undefined, ...anything, after: undefined, limit: 100_000, ...fields };
}
