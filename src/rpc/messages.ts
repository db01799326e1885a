/** Domain values as protobuf messages, and back. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { EventSchema } from "../../gen/latchkey/v1/audit_pb.ts";
import type { UserSchema } from "../../gen/latchkey/v1/auth_pb.ts";
import {
  type InvitationSchema,
  type MemberSchema,
  type OrganizationSchema,
  Role as ProtoRole,
} from "../../gen/latchkey/v1/organization_pb.ts";
import {
  type DailyUseSchema,
  TokenState as ProtoTokenState,
  type RotationSchema,
  type TokenSchema,
} from "../../gen/latchkey/v1/token_pb.ts";
import type { AuditEvent } from "../domain/audit.ts";
import { type DailyUse, dateOf } from "../domain/daily-uses.ts";
import {
  type Invitation,
  type Member,
  type Organization,
  type Rotation,
  type Token,
  type TokenState,
  tokenState,
  type User,
} from "../domain/entities.ts";
import { toPublicId } from "../domain/ids.ts";
import { ROLES, type Role } from "../domain/roles.ts";

const PROTO_TOKEN_STATE: Readonly<Record<TokenState, ProtoTokenState>> = {
  active: ProtoTokenState.ACTIVE,
  disabled: ProtoTokenState.DISABLED,
  expired: ProtoTokenState.EXPIRED,
  revoked: ProtoTokenState.REVOKED,
};

const PROTO_ROLE: Readonly<Record<Role, ProtoRole>> = {
  owner: ProtoRole.OWNER,
  admin: ProtoRole.ADMIN,
  member: ProtoRole.MEMBER,
};

/** A token's metadata as of `nowMs`. */
export function tokenMessage(token: Token, nowMs: number): MessageInitShape<typeof TokenSchema> {
  return {
    id: toPublicId("tok", token.id),
    organizationId: toPublicId("org", token.organizationId),
    profile: token.profile,
    type: token.type,
    name: token.name,
    hint: token.hint,
    permission: token.permission,
    scopes: [...token.scopes],
    ipAllowlist: [...token.ipAllowlist],
    metadata: { ...token.metadata },
    state: PROTO_TOKEN_STATE[tokenState(token, nowMs)],
    createdBy: token.createdBy,
    createdAt: timestampFromDate(token.createdAt),
    ...optionalTimestamp("expiresAt", token.expiresAt),
    ...optionalTimestamp("lastUsedAt", token.lastUsedAt),
    lastUsedAddress: token.lastUsedAddress,
    ...optionalTimestamp("revokedAt", token.revokedAt),
    revokedBy: token.revokedBy ?? "",
    userId: token.userId === undefined ? "" : toPublicId("usr", token.userId),
    revision: BigInt(token.revision),
    ...(token.rotation === undefined ? {} : { rotation: rotationMessage(token.rotation) }),
  };
}

export function dailyUseMessage({ day, uses }: DailyUse): MessageInitShape<typeof DailyUseSchema> {
  return { date: dateOf(day), count: BigInt(uses) };
}

function rotationMessage(rotation: Rotation): MessageInitShape<typeof RotationSchema> {
  return {
    startedAt: timestampFromDate(rotation.startedAt),
    overlapEndsAt: timestampFromDate(rotation.overlapEndsAt),
    previousHint: rotation.previousHint,
    ...optionalTimestamp("previousLastUsedAt", rotation.previousLastUsedAt),
  };
}

export function organizationMessage(organization: Organization): MessageInitShape<typeof OrganizationSchema> {
  return {
    id: toPublicId("org", organization.id),
    name: organization.name,
    profile: organization.profile,
    plan: organization.plan,
    createdAt: timestampFromDate(organization.createdAt),
  };
}

/** A person, with a name to show whatever is known of them. */
export function userMessage(user: User): MessageInitShape<typeof UserSchema> {
  const { email, firstName, lastName, displayName, avatarUrl } = user;
  return {
    id: toPublicId("usr", user.id),
    email,
    firstName,
    lastName,
    displayName: displayName.trim() || `${firstName} ${lastName}`.trim() || email,
    avatarUrl,
  };
}

export const roleMessage = (role: Role): ProtoRole => PROTO_ROLE[role];

export function memberMessage({ membership, user }: Member): MessageInitShape<typeof MemberSchema> {
  return {
    user: userMessage(user),
    role: roleMessage(membership.role),
    joinedAt: timestampFromDate(membership.createdAt),
  };
}

export function invitationMessage(invitation: Invitation): MessageInitShape<typeof InvitationSchema> {
  const { id, email, role, createdBy, createdAt, expiresAt } = invitation;
  const times = { createdAt: timestampFromDate(createdAt), expiresAt: timestampFromDate(expiresAt) };
  return { id, email, role: roleMessage(role), createdBy, ...times };
}

export function eventMessage(event: AuditEvent): MessageInitShape<typeof EventSchema> {
  return {
    revision: BigInt(event.revision),
    organizationId: toPublicId("org", event.organizationId),
    sequence: BigInt(event.sequence),
    time: timestampFromDate(event.at),
    actor: event.actor,
    address: event.address,
    action: event.action,
    target: event.target,
    targetName: event.targetName,
    scopes: [...event.scopes],
    details: { ...event.details },
    requestId: event.requestId,
    previousHash: new Uint8Array(event.previousHash),
    hash: new Uint8Array(event.hash),
  };
}

/** A field that is left out when there is no such time. */
export function optionalTimestamp<Name extends string>(
  name: Name,
  date: Date | undefined,
): { [Key in Name]?: Timestamp } {
  return date === undefined ? {} : ({ [name]: timestampFromDate(date) } as { [Key in Name]: Timestamp });
}

export function optionalDate(timestamp: Timestamp | undefined): Date | undefined {
  return timestamp === undefined ? undefined : timestampDate(timestamp);
}

/** The domain's states for the ones that a request names; validation has let only known ones through. */
export function tokenStates(states: readonly ProtoTokenState[]): readonly TokenState[] {
  return (Object.keys(PROTO_TOKEN_STATE) as TokenState[]).filter((state) => states.includes(PROTO_TOKEN_STATE[state]));
}

/**
 * The domain's role for the one that a request names.
 *
 * @throws Error for one that validation should not have let through
 */
export function roleOf(named: ProtoRole): Role {
  const role = ROLES.find((candidate) => PROTO_ROLE[candidate] === named);
  if (role === undefined) throw new Error(`no role has the number ${named}`);
  return role;
}
