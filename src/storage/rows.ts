/** Rows of the database to entities of the domain, and back. */
import type { Action, ActorKind, AuditEvent, ChangeNotice } from "../domain/audit.ts";
import type { KnownRecord } from "../domain/decision.ts";
import type { DigestAlgorithm, DigestScheme, ImportKey } from "../domain/digest-scheme.ts";
import type {
  KnownToken,
  Member,
  Membership,
  Organization,
  Rotation,
  Session,
  SessionClient,
  SigningKey,
  Token,
  User,
} from "../domain/entities.ts";
import type { RecordedCall } from "../domain/idempotency.ts";
import type { Role } from "../domain/roles.ts";
import type { PresentedSecret, SecretKind } from "../domain/rotation.ts";

export interface OrganizationRow {
  readonly id: string;
  readonly name: string;
  readonly profile: string;
  readonly plan: string;
  readonly created_at: number;
}

export interface UserRow {
  readonly id: string;
  readonly email: string;
  readonly password_hash: string;
  readonly first_name: string;
  readonly last_name: string;
  readonly display_name: string;
  readonly avatar_url: string;
  readonly created_at: number;
}

export interface MembershipRow {
  readonly organization_id: string;
  readonly user_id: string;
  readonly role: Role;
  readonly created_at: number;
}

/** A membership's row next to its user's. */
export interface MemberRow extends Omit<UserRow, "id" | "created_at">, MembershipRow {
  readonly user_created_at: number;
}

export interface TokenRow {
  readonly id: string;
  readonly organization_id: string;
  readonly profile: string;
  readonly type: string;
  readonly name: string;
  readonly hint: string;
  readonly permission: string;
  readonly scopes: string;
  readonly ip_allowlist: string;
  readonly metadata: string;
  readonly enabled: number;
  readonly created_by: string;
  readonly user_id: string | null;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly last_used_at: number | null;
  readonly last_used_address: string;
  readonly revoked_at: number | null;
  readonly revoked_by: string | null;
  readonly rotated_at: number | null;
  readonly overlap_ends_at: number | null;
  readonly former_hint: string | null;
  readonly former_last_used_at: number | null;
  readonly revision: number;
}

/** A secret that a token had before. */
export interface FormerSecretRow {
  readonly fingerprint: Uint8Array;
  /** Null when it has ended for good. */
  readonly ends_at: number | null;
}

/** As much of a token as a judgement takes, its organization's plan, and which of its secrets it was found by. */
export interface KnownRecordRow extends Pick<TokenRow, (typeof KNOWN_TOKEN_COLUMNS)[number]> {
  readonly organization_plan: string;
  readonly secret_kind: SecretKind;
  readonly secret_ends_at: number | null;
}

export interface SessionRow {
  readonly id: string;
  readonly user_id: string;
  readonly organization_id: string;
  readonly created_at: number;
  readonly expires_at: number;
  readonly ended_at: number | null;
  readonly client: SessionClient;
  readonly method: string;
}

/** What is read of a recorded call. */
export interface RecordedCallRow {
  readonly request_hash: Uint8Array;
  readonly sealed_answer: Uint8Array;
}

export interface SigningKeyRow {
  readonly id: string;
  readonly sealed_private_key: Uint8Array;
  readonly created_at: number;
}

export interface DigestSchemeRow {
  readonly algorithm: string;
  readonly key_id: string | null;
}

export interface ImportKeyRow {
  readonly id: string;
  readonly sealed_key: Uint8Array;
  readonly created_at: number;
}

export type ChangeNoticeRow = Pick<EventRow, "revision" | "organization_id" | "action" | "target">;

export interface EventRow {
  readonly revision: number;
  readonly organization_id: string;
  readonly sequence: number;
  readonly at: number;
  readonly actor_kind: string;
  readonly actor_id: string;
  readonly address: string;
  readonly action: string;
  readonly target: string;
  readonly target_name: string;
  readonly scopes: string;
  readonly details: string;
  readonly request_id: string;
  readonly previous_hash: Uint8Array;
  readonly hash: Uint8Array;
}

/** What is read of an event for the tree over the log. */
export type EventHashRow = Pick<EventRow, "revision" | "hash">;

/** Those of a `KnownToken`. */
export const KNOWN_TOKEN_COLUMNS = [
  "id",
  "organization_id",
  "user_id",
  "profile",
  "type",
  "name",
  "permission",
  "scopes",
  "ip_allowlist",
  "enabled",
  "expires_at",
  "revoked_at",
  "revision",
] as const satisfies readonly (keyof TokenRow)[];

/** Every column of a token but its fingerprint, which never leaves the store. */
export const TOKEN_COLUMNS = [
  "id",
  "organization_id",
  "profile",
  "type",
  "name",
  "hint",
  "permission",
  "scopes",
  "ip_allowlist",
  "metadata",
  "enabled",
  "created_by",
  "user_id",
  "created_at",
  "expires_at",
  "last_used_at",
  "last_used_address",
  "revoked_at",
  "revoked_by",
  "rotated_at",
  "overlap_ends_at",
  "former_hint",
  "former_last_used_at",
  "revision",
] as const satisfies readonly (keyof TokenRow)[];

/**
 * Where `tokens` is read, its later use in `last_uses` stands before its own: that one is from before there was such a
 * table, or by a process of that version, which may still run.
 */
const lastUse = (column: "at" | "address"): string => `
  SELECT last_uses.${column}
  FROM last_uses
  WHERE last_uses.token_id = tokens.id AND (tokens.last_used_at IS NULL OR last_uses.at > tokens.last_used_at)
`;

/** When a token was last used, where `tokens` is read. */
export const LAST_USED_AT = `coalesce((${lastUse("at")}), tokens.last_used_at)`;

/** A whole `TokenRow`, where `tokens` is read. */
export const TOKEN_ROW = TOKEN_COLUMNS.map((column) => {
  switch (column) {
    case "last_used_at":
      return `${LAST_USED_AT} AS last_used_at`;
    case "last_used_address":
      return `coalesce((${lastUse("address")}), tokens.last_used_address) AS last_used_address`;
    default:
      return column;
  }
}).join(", ");

export const EVENT_COLUMNS = [
  "revision",
  "organization_id",
  "sequence",
  "at",
  "actor_kind",
  "actor_id",
  "address",
  "action",
  "target",
  "target_name",
  "scopes",
  "details",
  "request_id",
  "previous_hash",
  "hash",
] as const satisfies readonly (keyof EventRow)[];

/** A member's columns, of `memberships` joined with `users`. */
export const MEMBER_COLUMNS = `
  memberships.*,
  users.email,
  users.password_hash,
  users.first_name,
  users.last_name,
  users.display_name,
  users.avatar_url,
  users.created_at AS user_created_at
`;

const NO_TEXTS: readonly string[] = Object.freeze([]);
const NO_METADATA: Readonly<Record<string, string>> = Object.freeze({});

export function toOrganization(row: OrganizationRow): Organization {
  return {
    id: row.id,
    name: row.name,
    profile: row.profile,
    plan: row.plan,
    createdAt: new Date(row.created_at),
  };
}

export function organizationRow(organization: Organization): OrganizationRow {
  return {
    id: organization.id,
    name: organization.name,
    profile: organization.profile,
    plan: organization.plan,
    created_at: toMillis(organization.createdAt),
  };
}

export function toUser(row: UserRow): User {
  return {
    id: row.id,
    email: row.email,
    passwordHash: row.password_hash,
    firstName: row.first_name,
    lastName: row.last_name,
    displayName: row.display_name,
    avatarUrl: row.avatar_url,
    createdAt: new Date(row.created_at),
  };
}

export function userRow(user: User): UserRow {
  return {
    id: user.id,
    email: user.email,
    password_hash: user.passwordHash,
    first_name: user.firstName,
    last_name: user.lastName,
    display_name: user.displayName,
    avatar_url: user.avatarUrl,
    created_at: toMillis(user.createdAt),
  };
}

export function toMembership(row: MembershipRow): Membership {
  return {
    organizationId: row.organization_id,
    userId: row.user_id,
    role: row.role,
    createdAt: new Date(row.created_at),
  };
}

export function membershipRow(membership: Membership): MembershipRow {
  return {
    organization_id: membership.organizationId,
    user_id: membership.userId,
    role: membership.role,
    created_at: toMillis(membership.createdAt),
  };
}

export function toMember(row: MemberRow): Member {
  return {
    membership: toMembership(row),
    user: toUser({ ...row, id: row.user_id, created_at: row.user_created_at }),
  };
}

export function toToken(row: TokenRow): Token {
  return {
    ...toKnownToken(row),
    hint: row.hint,
    metadata: toMetadata(row.metadata),
    createdBy: row.created_by,
    createdAt: new Date(row.created_at),
    lastUsedAt: toDate(row.last_used_at),
    lastUsedAddress: row.last_used_address,
    revokedBy: row.revoked_by ?? undefined,
    rotation: toRotation(row),
  };
}

function toKnownToken(row: Omit<KnownRecordRow, "organization_plan" | "secret_kind" | "secret_ends_at">): KnownToken {
  return {
    id: row.id,
    organizationId: row.organization_id,
    userId: row.user_id ?? undefined,
    profile: row.profile,
    type: row.type,
    name: row.name,
    permission: row.permission,
    scopes: toTexts(row.scopes),
    ipAllowlist: toTexts(row.ip_allowlist),
    enabled: row.enabled !== 0,
    expiresAt: toDate(row.expires_at),
    revokedAt: toDate(row.revoked_at),
    revision: row.revision,
  };
}

export function tokenRow(token: Token): TokenRow {
  return {
    id: token.id,
    organization_id: token.organizationId,
    profile: token.profile,
    type: token.type,
    name: token.name,
    hint: token.hint,
    permission: token.permission,
    scopes: JSON.stringify(token.scopes),
    ip_allowlist: JSON.stringify(token.ipAllowlist),
    metadata: JSON.stringify(token.metadata),
    enabled: token.enabled ? 1 : 0,
    created_by: token.createdBy,
    user_id: token.userId ?? null,
    created_at: toMillis(token.createdAt),
    expires_at: toOptionalMillis(token.expiresAt),
    last_used_at: toOptionalMillis(token.lastUsedAt),
    last_used_address: token.lastUsedAddress,
    revoked_at: toOptionalMillis(token.revokedAt),
    revoked_by: token.revokedBy ?? null,
    ...rotationRow(token.rotation),
    revision: token.revision,
  };
}

function toRotation(row: TokenRow): Rotation | undefined {
  const { rotated_at, overlap_ends_at, former_hint, former_last_used_at } = row;
  // The schema has the three or none.
  if (rotated_at === null || overlap_ends_at === null || former_hint === null) return undefined;
  return {
    startedAt: new Date(rotated_at),
    overlapEndsAt: new Date(overlap_ends_at),
    previousHint: former_hint,
    previousLastUsedAt: toDate(former_last_used_at),
  };
}

type RotationRow = Pick<TokenRow, "rotated_at" | "overlap_ends_at" | "former_hint" | "former_last_used_at">;

function rotationRow(rotation: Rotation | undefined): RotationRow {
  return {
    rotated_at: toOptionalMillis(rotation?.startedAt),
    overlap_ends_at: toOptionalMillis(rotation?.overlapEndsAt),
    former_hint: rotation?.previousHint ?? null,
    former_last_used_at: toOptionalMillis(rotation?.previousLastUsedAt),
  };
}

const CURRENT_SECRET: PresentedSecret = Object.freeze({ kind: "current" });

export function toFormerSecret({ ends_at }: Pick<FormerSecretRow, "ends_at">): PresentedSecret {
  return { kind: "former", endsAt: toDate(ends_at) };
}

export function toKnownRecord(row: KnownRecordRow): KnownRecord {
  return {
    token: toKnownToken(row),
    organization: { id: row.organization_id, plan: row.organization_plan },
    secret: row.secret_kind === "current" ? CURRENT_SECRET : toFormerSecret({ ends_at: row.secret_ends_at }),
  };
}

export function toSession(row: SessionRow): Session {
  return {
    id: row.id,
    userId: row.user_id,
    organizationId: row.organization_id,
    createdAt: new Date(row.created_at),
    expiresAt: new Date(row.expires_at),
    endedAt: toDate(row.ended_at),
    client: row.client,
    method: row.method,
  };
}

export function sessionRow(session: Session): SessionRow {
  return {
    id: session.id,
    user_id: session.userId,
    organization_id: session.organizationId,
    created_at: toMillis(session.createdAt),
    expires_at: toMillis(session.expiresAt),
    ended_at: toOptionalMillis(session.endedAt),
    client: session.client,
    method: session.method,
  };
}

export function toRecordedCall(row: RecordedCallRow): RecordedCall {
  return { requestHash: new Uint8Array(row.request_hash), sealedAnswer: new Uint8Array(row.sealed_answer) };
}

export function toSigningKey(row: SigningKeyRow): SigningKey {
  return {
    id: row.id,
    sealedPrivateKey: new Uint8Array(row.sealed_private_key),
    createdAt: new Date(row.created_at),
  };
}

export function signingKeyRow(key: SigningKey): SigningKeyRow {
  return {
    id: key.id,
    sealed_private_key: key.sealedPrivateKey,
    created_at: toMillis(key.createdAt),
  };
}

export function toDigestScheme(row: DigestSchemeRow): DigestScheme {
  return { algorithm: row.algorithm as DigestAlgorithm, keyId: row.key_id ?? undefined };
}

export function toImportKey(row: ImportKeyRow): ImportKey {
  return { id: row.id, sealedKey: new Uint8Array(row.sealed_key), createdAt: new Date(row.created_at) };
}

export function importKeyRow(key: ImportKey): ImportKeyRow {
  return { id: key.id, sealed_key: key.sealedKey, created_at: toMillis(key.createdAt) };
}

/** Never throws: an event that somebody edited comes back as one whose hash is wrong. */
export function toEvent(row: EventRow): AuditEvent {
  return {
    revision: row.revision,
    organizationId: row.organization_id,
    sequence: row.sequence,
    at: new Date(row.at),
    actor: { kind: row.actor_kind as ActorKind, id: row.actor_id },
    address: row.address,
    action: row.action as Action,
    target: row.target,
    targetName: row.target_name,
    scopes: isOwnJson(row.scopes, Array.isArray) ? toTexts(row.scopes) : [row.scopes],
    details: isOwnJson(row.details, isObject) ? toMetadata(row.details) : { edited: row.details },
    requestId: row.request_id,
    previousHash: new Uint8Array(row.previous_hash),
    hash: new Uint8Array(row.hash),
  };
}

export function toChangeNotice(row: ChangeNoticeRow): ChangeNotice {
  return {
    revision: row.revision,
    organizationId: row.organization_id,
    action: row.action as Action,
    target: row.target,
  };
}

export function eventRow(event: AuditEvent): EventRow {
  return {
    revision: event.revision,
    organization_id: event.organizationId,
    sequence: event.sequence,
    at: toMillis(event.at),
    actor_kind: event.actor.kind,
    actor_id: event.actor.id,
    address: event.address,
    action: event.action,
    target: event.target,
    target_name: event.targetName,
    scopes: JSON.stringify(event.scopes),
    details: JSON.stringify(event.details),
    request_id: event.requestId,
    previous_hash: event.previousHash,
    hash: event.hash,
  };
}

/** The order of sessions that end together, which no statement that changes them keeps. */
export function byAge(one: SessionRow, two: SessionRow): number {
  return one.created_at - two.created_at || Number(one.id > two.id) - Number(one.id < two.id);
}

/** A row's values in the order of the columns. */
export function valuesOf<Row>(row: Row, columns: readonly (keyof Row)[]): Row[keyof Row][] {
  return columns.map((column) => row[column]);
}

/** Throws on an invalid Date: an engine could store NULL for it, and a token without expiry never expires. */
export function toMillis(time: Date): number {
  const millis = time.getTime();
  if (Number.isNaN(millis)) throw new RangeError("an invalid Date can't be stored");
  return millis;
}

function toOptionalMillis(time: Date | undefined): number | null {
  return time === undefined ? null : toMillis(time);
}

function toDate(millis: number | null): Date | undefined {
  return millis === null ? undefined : new Date(millis);
}

// Most tokens have none, and this is the hot path.
function toTexts(json: string): readonly string[] {
  return json === "[]" ? NO_TEXTS : (JSON.parse(json) as readonly string[]);
}

function toMetadata(json: string): Readonly<Record<string, string>> {
  return json === "{}" ? NO_METADATA : (JSON.parse(json) as Readonly<Record<string, string>>);
}

/** Whether this is the very text that was written for such a value: the same value has other texts too. */
function isOwnJson(text: string, isValue: (value: unknown) => boolean): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return isValue(value) && JSON.stringify(value) === text;
  } catch {
    return false;
  }
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
