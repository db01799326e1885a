/** What each change says of itself in the audit log, the same on every engine. */
import { isDeepStrictEqual } from "node:util";
import type { Action, Occurrence } from "./audit.ts";
import {
  type Identity,
  type Invitation,
  type Membership,
  type Organization,
  type Session,
  settingsOf,
  type Token,
  type TokenSettings,
  type User,
} from "./entities.ts";
import { type Id, SYSTEM_ORGANIZATION_ID, toPublicId } from "./ids.ts";
import type { Role } from "./roles.ts";

/** Why somebody who tried to sign in was refused. */
export type SignInFailure = "unknown_address" | "wrong_password" | "not_a_member" | "wrong_current_password";

type PersonKnown = Pick<User, "id" | "email">;

/** The deployment's own chain is that of the organization that holds the service keys. */
export function deploymentSetUp(): Occurrence {
  const target = toPublicId("org", SYSTEM_ORGANIZATION_ID);
  return occurrence(SYSTEM_ORGANIZATION_ID, "deployment.set_up", { target });
}

/** @param backupRevision the last one that the backup holds; nothing of it is newer */
export function deploymentRestored(backupRevision: number): Occurrence {
  const target = toPublicId("org", SYSTEM_ORGANIZATION_ID);
  return occurrence(SYSTEM_ORGANIZATION_ID, "deployment.restored", {
    target,
    details: { backup_revision: String(backupRevision) },
  });
}

export function organizationCreated({ id, name, profile, plan }: Organization): Occurrence {
  const details = { profile, plan };
  return occurrence(id, "organization.created", { target: toPublicId("org", id), targetName: name, details });
}

export function planSet(before: Organization, after: Organization): Occurrence {
  const details = { plan_before: before.plan, plan: after.plan };
  return occurrence(after.id, "organization.plan_set", {
    target: toPublicId("org", after.id),
    targetName: after.name,
    details,
  });
}

export function profileSet(before: Organization, after: Organization): Occurrence {
  return occurrence(after.id, "organization.profile_set", {
    target: toPublicId("org", after.id),
    targetName: after.name,
    details: {
      profile_before: before.profile,
      profile: after.profile,
      plan_before: before.plan,
      plan: after.plan,
    },
  });
}

/** The person invited may not be one that anybody knows yet, so the target is the invitation. */
export function memberInvited(invitation: Invitation): Occurrence {
  return ofInvitation(invitation, "member.invited");
}

export function invitationRevoked(invitation: Invitation): Occurrence {
  return ofInvitation(invitation, "member.invitation_revoked");
}

function ofInvitation({ id, organizationId, email, role }: Invitation, action: Action): Occurrence {
  return occurrence(organizationId, action, { target: id, targetName: email, details: { role } });
}

export function memberAdded({ organizationId, role }: Membership, user: PersonKnown): Occurrence {
  return occurrence(organizationId, "member.added", { ...person(user), details: { role } });
}

export function memberRoleSet(before: Membership, role: Role, user: PersonKnown): Occurrence {
  const details = { role_before: before.role, role };
  return occurrence(before.organizationId, "member.role_set", { ...person(user), details });
}

export function memberRemoved({ organizationId, role }: Membership, user: PersonKnown): Occurrence {
  return occurrence(organizationId, "member.removed", { ...person(user), details: { role } });
}

export function tokenIssued(token: Omit<Token, "revision">): Occurrence {
  return ofToken(token, "token.issued", powersOf(token));
}

/** Another system made its key, at a time of its own. */
export function tokenImported(token: Omit<Token, "revision">): Occurrence {
  const details = { created_at: token.createdAt.toISOString(), enabled: String(token.enabled) };
  return ofToken(token, "token.imported", { ...powersOf(token), ...details });
}

/** What a change of settings did; undefined when it did nothing. Of metadata it says only that it changed. */
export function tokenChanged(before: Token, after: Token): Occurrence | undefined {
  const [old, now] = [settingsOf(before), settingsOf(after)];
  const names = Object.keys(now) as (keyof TokenSettings)[];
  const changed = names.filter((name) => !isDeepStrictEqual(old[name], now[name]));
  if (changed.length === 0) return undefined;
  const { profile, type } = after;
  if (changed.join() === "enabled") {
    return ofToken(after, now.enabled ? "token.enabled" : "token.disabled", { profile, type });
  }
  const details: Record<string, string> = { profile, type };
  for (const name of changed) {
    const field = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (name === "metadata") details[field] = "changed";
    else Object.assign(details, { [`${field}_before`]: asText(old[name]), [field]: asText(now[name]) });
  }
  return ofToken(after, "token.updated", details);
}

/** @param circumstances details besides what the token is: that many were revoked at once, or why */
export function tokenRevoked(token: Token, circumstances: Readonly<Record<string, string>> = {}): Occurrence {
  return ofToken(token, "token.revoked", { profile: token.profile, type: token.type, ...circumstances });
}

/** What many tokens were chosen by, of one profile. */
interface Criteria {
  readonly profile: string;
  readonly type: string | undefined;
  readonly namePrefix: string | undefined;
  readonly createdBy: string | undefined;
  readonly userId: Id | undefined;
  readonly unusedSince: Date | undefined;
}

/** Many tokens were revoked at once, each of which has an event of its own. */
export function tokensRevokedMany({ id, name }: Organization, criteria: Criteria, count: number): Occurrence {
  const { profile, type, namePrefix, createdBy, userId, unusedSince } = criteria;
  return occurrence(id, "tokens.revoked_many", {
    target: toPublicId("org", id),
    targetName: name,
    details: {
      count: String(count),
      profile,
      type: type ?? "",
      name_prefix: namePrefix ?? "",
      created_by: createdBy ?? "",
      user: userId === undefined ? "" : toPublicId("usr", userId),
      unused_since: unusedSince?.toISOString() ?? "",
    },
  });
}

export function tokenPurged(token: Token, endedAt: Date): Occurrence {
  const { profile, type } = token;
  return ofToken(token, "token.purged", { profile, type, ended_at: endedAt.toISOString() });
}

export function tokenRotated(token: Token, overlapEndsAt: Date): Occurrence {
  return ofToken(token, "token.rotated", { overlap_ends_at: overlapEndsAt.toISOString() });
}

export function rotationFinished(token: Token): Occurrence {
  return ofToken(token, "token.rotation_finished", {});
}

export function rotationCancelled(token: Token): Occurrence {
  return ofToken(token, "token.rotation_cancelled", {});
}

export function signedIn({ id, organizationId, method }: Session, user: PersonKnown): Occurrence {
  const details = { session: id, method: method === "password" ? "" : method };
  return occurrence(organizationId, "user.signed_in", { ...person(user), details });
}

/** @param user undefined for an address that nobody has: whatever was typed there may be a password. */
export function signInFailed(organizationId: Id, user: PersonKnown | undefined, reason: SignInFailure): Occurrence {
  return occurrence(organizationId, "user.sign_in_failed", { ...(user && person(user)), details: { reason } });
}

/** A refresh token was used twice, so its session was ended. */
export function sessionEndedByReuse(session: Session, user: PersonKnown): Occurrence {
  return sessionEnded(session, user, "refresh_token_reused");
}

/** Its person was removed from the organization. */
export function sessionEndedByRemoval(session: Session, user: PersonKnown): Occurrence {
  return sessionEnded(session, user, "member_removed");
}

export function passwordLinkSent(organizationId: Id, user: PersonKnown): Occurrence {
  return occurrence(organizationId, "user.password_link_sent", person(user));
}

export function passwordRestored(organizationId: Id, user: PersonKnown): Occurrence {
  return occurrence(organizationId, "user.password_restored", person(user));
}

/** Somebody wanted to register with the address of a person who has an account. */
export function registrationRefused(organizationId: Id, user: PersonKnown): Occurrence {
  return occurrence(organizationId, "user.registration_refused", person(user));
}

/** Another service vouches for a person, and signs them in from now on. */
export function identityLinked(organizationId: Id, user: PersonKnown, { issuer, subject }: Identity): Occurrence {
  return occurrence(organizationId, "user.identity_linked", { ...person(user), details: { issuer, subject } });
}

/** Its person signed out. */
export function sessionEndedBySignOut(session: Session, user: PersonKnown): Occurrence {
  return sessionEnded(session, user, "signed_out");
}

/** Its person has another password. */
export function sessionEndedByPassword(session: Session, user: PersonKnown): Occurrence {
  return sessionEnded(session, user, "password_changed");
}

export function passwordChanged(organizationId: Id, user: PersonKnown): Occurrence {
  return occurrence(organizationId, "user.password_changed", person(user));
}

function sessionEnded({ id, organizationId }: Session, user: PersonKnown, reason: string): Occurrence {
  return occurrence(organizationId, "session.ended", { ...person(user), details: { session: id, reason } });
}

/** What a new token can do, where and until when, and for whom. */
function powersOf(token: Omit<Token, "revision">): Readonly<Record<string, string>> {
  const { profile, type, permission, userId, expiresAt } = token;
  return {
    profile,
    type,
    permission,
    user: userId === undefined ? "" : toPublicId("usr", userId),
    expires_at: expiresAt?.toISOString() ?? "",
    ip_allowlist: token.ipAllowlist.join(" "),
  };
}

function ofToken(
  { id, organizationId, name, scopes }: Omit<Token, "revision">,
  action: Action,
  details: Readonly<Record<string, string>>,
): Occurrence {
  return occurrence(organizationId, action, { target: toPublicId("tok", id), targetName: name, scopes, details });
}

function asText(setting: TokenSettings[Exclude<keyof TokenSettings, "metadata">]): string {
  if (setting instanceof Date) return setting.toISOString();
  return typeof setting === "object" ? setting.join(" ") : String(setting ?? "");
}

function person({ id, email }: PersonKnown): Pick<Occurrence, "target" | "targetName"> {
  return { target: toPublicId("usr", id), targetName: email };
}

/** Leaves out the details that have no value. */
function occurrence(
  organizationId: Id,
  action: Action,
  { target = "", targetName = "", scopes = [], details = {} }: Partial<Occurrence>,
): Occurrence {
  const known = Object.fromEntries(Object.entries(details).filter(([, value]) => value !== ""));
  return { organizationId, action, target, targetName, scopes, details: known };
}
