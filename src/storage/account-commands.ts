/** The writes of people's own accounts: registering, invitations, signing out, passwords; and of the keys that sign people in. */
import type { Change, Occurrence } from "../domain/audit.ts";
import type {
  Identity,
  Invitation,
  Member,
  Membership,
  Organization,
  Session,
  SigningKey,
  User,
} from "../domain/entities.ts";
import { AppError } from "../domain/errors.ts";
import { type Id, SYSTEM_ORGANIZATION_ID } from "../domain/ids.ts";
import {
  identityLinked,
  invitationRevoked,
  memberAdded,
  memberInvited,
  organizationCreated,
  passwordChanged,
  passwordLinkSent,
  passwordRestored,
  registrationRefused,
  sessionEndedByPassword,
  sessionEndedBySignOut,
} from "../domain/occurrences.ts";
import {
  type Guest,
  MAX_INVITATIONS,
  MAX_PASSWORD_LINKS,
  type NewInvitation,
  type PasswordChange,
  type PasswordLink,
} from "../domain/storage.ts";
import type { AddEvent, Writes } from "./commands.ts";
import { type InvitationRow, invitationRow, toInvitation } from "./invitation-rows.ts";
import { FIND_USER_BY_IDENTITY } from "./reads.ts";
import {
  byAge,
  membershipRow,
  organizationRow,
  type SessionRow,
  type SigningKeyRow,
  signingKeyRow,
  toMember,
  toMillis,
  toSession,
  toUser,
  type UserRow,
  userRow,
} from "./rows.ts";
import type { Dialect, Work } from "./statement.ts";

interface SessionEnd {
  readonly id: Id;
  readonly change: Change;
}

interface Registration {
  readonly organization: Organization;
  readonly user: User;
  readonly change: Change;
}

interface NewPasswordLink {
  readonly link: PasswordLink;
  readonly change: Change;
}

interface PasswordReset {
  readonly fingerprint: Uint8Array;
  readonly passwordHash: string;
  readonly change: Change;
}

interface IdentityLink {
  readonly identity: Identity;
  readonly email: string;
  readonly passwordHash: string;
  readonly change: Change;
}

interface LinkSweep {
  readonly now: Date;
  readonly limit: number;
}

interface SigningKeyReplacement {
  readonly newestId: string;
  readonly key: SigningKey;
}

interface SigningKeyEnd {
  readonly succeededBefore: Date;
}

interface InvitationMade extends NewInvitation {
  readonly change: Change;
}

interface InvitationEnd {
  readonly organizationId: Id;
  readonly id: Id;
  readonly change: Change;
}

interface Acceptance {
  readonly fingerprint: Uint8Array;
  readonly guest: Guest;
  readonly change: Change;
}

interface NewPassword {
  readonly userId: Id;
  readonly password: PasswordChange;
  readonly change: Change;
}

/** Opens an organization's chain for so many events of one change; see `commands.ts`. */
type OpenChain = (writes: Writes, change: Change, organizationId: Id, count: number) => Work<AddEvent>;

/** Adds the event of a change to its organization's chain; see `commands.ts`. */
type RecordEvent = (writes: Writes, change: Change, occurrence: Occurrence) => Work<unknown>;

export function prepareAccountWrites(connection: Dialect) {
  return {
    countPasswordLinks: connection
      .prepare<{ userId: string; now: number }, number>(
        "SELECT count(*) FROM password_links WHERE user_id = @userId AND expires_at > @now",
      )
      .pluck(),

    insertPasswordLink: connection.prepare<{ fingerprint: Uint8Array; userId: string; expiresAt: number }>(
      "INSERT INTO password_links (fingerprint, user_id, expires_at) VALUES (@fingerprint, @userId, @expiresAt)",
    ),

    findPasswordLink: connection
      .prepare<{ fingerprint: Uint8Array; now: number }, string>(
        "SELECT user_id FROM password_links WHERE fingerprint = @fingerprint AND expires_at > @now",
      )
      .pluck(),

    deletePasswordLinks: connection.prepare<[userId: string]>("DELETE FROM password_links WHERE user_id = ?"),

    sweepPasswordLinks: connection.prepare<{ now: number; limit: number }>(`
      DELETE FROM password_links
      WHERE fingerprint IN (
        SELECT fingerprint FROM password_links WHERE expires_at <= @now ORDER BY expires_at LIMIT +@limit
      )
    `),

    insertSigningKey: connection.prepare<SigningKeyRow>(
      "INSERT INTO signing_keys (id, sealed_private_key, created_at) VALUES (@id, @sealed_private_key, @created_at)",
    ),

    deleteSigningKey: connection.prepare<[id: string]>("DELETE FROM signing_keys WHERE id = ?"),

    isConfirmed: connection
      .prepare<[id: string], number>("SELECT confirmed_at IS NOT NULL FROM users WHERE id = ?")
      .pluck(),

    confirmUser: connection.prepare<{ id: string; now: number }>(
      "UPDATE users SET confirmed_at = coalesce(confirmed_at, @now) WHERE id = @id",
    ),

    findUserByIdentity: connection.prepare<[issuer: string, subject: string], UserRow>(FIND_USER_BY_IDENTITY),

    hasIdentityOf: connection
      .prepare<[userId: string, issuer: string], number>(
        "SELECT EXISTS (SELECT 1 FROM identities WHERE user_id = ? AND issuer = ?)",
      )
      .pluck(),

    insertIdentity: connection.prepare<Identity & { userId: string; now: number }>(
      "INSERT INTO identities (issuer, subject, user_id, linked_at) VALUES (@issuer, @subject, @userId, @now)",
    ),

    isMember: connection
      .prepare<{ organizationId: string; email: string }, number>(`
        SELECT EXISTS (
          SELECT 1 FROM memberships JOIN users ON users.id = memberships.user_id
          WHERE memberships.organization_id = @organizationId AND users.email = @email
        )
      `)
      .pluck(),

    replaceInvitation: connection.prepare<{ organizationId: string; email: string }>(
      "DELETE FROM invitations WHERE organization_id = @organizationId AND email = @email",
    ),

    countInvitations: connection
      .prepare<{ organizationId: string; now: number }, number>(
        "SELECT count(*) FROM invitations WHERE organization_id = @organizationId AND expires_at > @now",
      )
      .pluck(),

    insertInvitation: connection.prepare<InvitationRow & { fingerprint: Uint8Array }>(`
      INSERT INTO invitations (
        id, fingerprint, organization_id, email, role, is_mailed, created_by, created_at, expires_at
      )
      VALUES (
        @id, @fingerprint, @organization_id, @email, @role, @is_mailed, @created_by, @created_at, @expires_at
      )
    `),

    revokeInvitation: connection.prepare<{ organizationId: string; id: string; now: number }, InvitationRow>(`
      DELETE FROM invitations WHERE organization_id = @organizationId AND id = @id AND expires_at > @now RETURNING *
    `),

    useInvitation: connection.prepare<{ fingerprint: Uint8Array; now: number }, InvitationRow>(
      "DELETE FROM invitations WHERE fingerprint = @fingerprint AND expires_at > @now RETURNING *",
    ),

    deleteInvitationsBy: connection.prepare<{ organizationId: string; createdBy: string }>(
      "DELETE FROM invitations WHERE organization_id = @organizationId AND created_by = @createdBy",
    ),

    sweepInvitations: connection.prepare<{ now: number; limit: number }>(`
      DELETE FROM invitations
      WHERE id IN (SELECT id FROM invitations WHERE expires_at <= @now ORDER BY expires_at LIMIT +@limit)
    `),

    setPassword: connection.prepare<{ userId: string; passwordHash: string }>(
      "UPDATE users SET password_hash = @passwordHash WHERE id = @userId",
    ),

    getSession: connection.prepare<[id: string], SessionRow>("SELECT * FROM sessions WHERE id = ?"),

    endLiveSession: connection.prepare<{ id: string; endedAt: number }, SessionRow>(`
      UPDATE sessions SET ended_at = @endedAt WHERE id = @id AND ended_at IS NULL AND expires_at > @endedAt RETURNING *
    `),

    endSessionsOfUser: connection.prepare<{ userId: string; keptId: string; endedAt: number }, SessionRow>(`
      UPDATE sessions SET ended_at = @endedAt
      WHERE user_id = @userId AND id <> @keptId AND ended_at IS NULL AND expires_at > @endedAt
      RETURNING *
    `),

    changePassword: connection.prepare<{ userId: string; before: string; after: string }>(
      "UPDATE users SET password_hash = @after WHERE id = @userId AND password_hash = @before",
    ),
  };
}

export function accountCommands(openChain: OpenChain, record: RecordEvent) {
  /** What goes with a password: the links to another one, and the sessions. */
  function* replaced(
    writes: Writes,
    change: Change,
    user: User,
    { keptSessionId, occurrence }: { keptSessionId: Id; occurrence: typeof passwordChanged },
  ): Work<void> {
    const parameters = { userId: user.id, keptId: keptSessionId, endedAt: toMillis(change.at) };
    const sessions = (yield* writes.endSessionsOfUser.all(parameters)).toSorted(byAge).map(toSession);
    yield* writes.deletePasswordLinks.run(user.id);
    // A session's person is a member where it is: it ends with the membership.
    for (const organizationId of yield* organizationsOf(writes, user.id)) {
      const ended = sessions.filter((session) => session.organizationId === organizationId);
      const addEvent = yield* openChain(writes, change, organizationId, 1 + ended.length);
      yield* addEvent(occurrence(organizationId, user));
      for (const session of ended) yield* addEvent(sessionEndedByPassword(session, user));
    }
  }

  return {
    *endSession(writes: Writes, { id, change }: SessionEnd): Work<Session | undefined> {
      const ended = yield* writes.endLiveSession.get({ id, endedAt: toMillis(change.at) });
      const row = ended ?? (yield* writes.getSession.get(id));
      if (row === undefined) return undefined;
      const session = toSession(row);
      const user = yield* writes.getUser.get(session.userId);
      if (ended !== undefined && user !== undefined) {
        yield* record(writes, change, sessionEndedBySignOut(session, toUser(user)));
      }
      return session;
    },

    *createPasswordLink(writes: Writes, { link, change }: NewPasswordLink): Work<boolean> {
      const { fingerprint, userId, expiresAt } = link;
      const working = (yield* writes.countPasswordLinks.get({ userId, now: toMillis(change.at) })) ?? 0;
      if (working >= MAX_PASSWORD_LINKS) return false;
      const user = yield* writes.getUser.get(userId);
      // A user who doesn't exist is left to the foreign key.
      yield* writes.insertPasswordLink.run({ fingerprint, userId, expiresAt: toMillis(expiresAt) });
      if (user === undefined) return false;
      for (const organizationId of yield* organizationsOf(writes, userId)) {
        yield* record(writes, change, passwordLinkSent(organizationId, user));
      }
      return true;
    },

    *resetPassword(writes: Writes, { fingerprint, passwordHash, change }: PasswordReset): Work<boolean> {
      const userId = yield* writes.findPasswordLink.get({ fingerprint, now: toMillis(change.at) });
      const row = userId === undefined ? undefined : yield* writes.getUser.get(userId);
      if (row === undefined) return false;
      yield* writes.setPassword.run({ userId: row.id, passwordHash });
      // The link went to the mailbox.
      yield* writes.confirmUser.run({ id: row.id, now: toMillis(change.at) });
      yield* replaced(writes, change, toUser(row), { keptSessionId: "", occurrence: passwordRestored });
      return true;
    },

    *sweepPasswordLinks(writes: Writes, { now, limit }: LinkSweep): Work<number> {
      return yield* writes.sweepPasswordLinks.changes({ now: toMillis(now), limit });
    },

    *replaceSigningKey(writes: Writes, { newestId, key }: SigningKeyReplacement): Work<boolean> {
      const newest = (yield* writes.listSigningKeys.all()).at(-1);
      if (newest?.id !== newestId) return false;
      // By a clock that was set back it would come before the other one, and never be the newest.
      const created_at = Math.max(toMillis(key.createdAt), newest.created_at + 1);
      yield* writes.insertSigningKey.run({ ...signingKeyRow(key), created_at });
      return true;
    },

    *deleteSigningKeys(writes: Writes, { succeededBefore }: SigningKeyEnd): Work<void> {
      const keys = yield* writes.listSigningKeys.all();
      for (const [index, { id }] of keys.entries()) {
        const successor = keys[index + 1];
        if (successor !== undefined && successor.created_at < toMillis(succeededBefore))
          yield* writes.deleteSigningKey.run(id);
      }
    },

    *createInvitation(writes: Writes, { invitation, fingerprint, change }: InvitationMade): Work<Invitation> {
      const { organizationId, email } = invitation;
      if ((yield* writes.isMember.get({ organizationId, email })) === 1) {
        throw new AppError("already_exists", "The person is a member of the organization.");
      }
      yield* writes.replaceInvitation.run({ organizationId, email });
      if (
        ((yield* writes.countInvitations.get({ organizationId, now: toMillis(change.at) })) ?? 0) >= MAX_INVITATIONS
      ) {
        throw new AppError(
          "failed_precondition",
          `An organization has up to ${MAX_INVITATIONS} invitations at a time.`,
        );
      }
      yield* writes.insertInvitation.run({ ...invitationRow(invitation), fingerprint });
      yield* record(writes, change, memberInvited(invitation));
      return invitation;
    },

    *revokeInvitation(writes: Writes, { organizationId, id, change }: InvitationEnd): Work<Invitation | undefined> {
      const row = yield* writes.revokeInvitation.get({ organizationId, id, now: toMillis(change.at) });
      if (row === undefined) return undefined;
      const invitation = toInvitation(row);
      yield* record(writes, change, invitationRevoked(invitation));
      return invitation;
    },

    *acceptInvitation(writes: Writes, { fingerprint, guest, change }: Acceptance): Work<Member | undefined> {
      const now = toMillis(change.at);
      const row = yield* writes.useInvitation.get({ fingerprint, now });
      if (row === undefined) return undefined;
      const { organizationId, email, role, isMailed } = toInvitation(row);
      const existing = yield* writes.findUserByEmail.get(email);
      if (guest.kind === "person") {
        if (existing?.id !== guest.userId)
          throw new AppError("failed_precondition", "The invitation is for another person.");
      } else if (existing === undefined) {
        yield* writes.insertUser.run(userRow({ ...guest.user, email }));
      } else if (isMailed && !(yield* isConfirmed(writes, existing.id))) {
        yield* writes.setPassword.run({ userId: existing.id, passwordHash: guest.user.passwordHash });
        yield* replaced(writes, change, toUser(existing), { keptSessionId: "", occurrence: passwordRestored });
      } else {
        throw new AppError("failed_precondition", "Somebody has the address already.");
      }
      const user = yield* writes.findUserByEmail.get(email);
      if (user === undefined) throw new Error("a user who was just written is missing");
      const key = { organizationId, userId: user.id };
      if (isMailed) yield* writes.confirmUser.run({ id: user.id, now });
      if ((yield* writes.getMember.get(key)) === undefined) {
        const membership: Membership = { ...key, role, createdAt: change.at };
        yield* writes.insertMembership.run(membershipRow(membership));
        yield* record(writes, change, memberAdded(membership, user));
      }
      const member = yield* writes.getMember.get(key);
      if (member === undefined) throw new Error("a member that was just written is missing");
      return toMember(member);
    },

    *sweepInvitations(writes: Writes, { now, limit }: LinkSweep): Work<number> {
      return yield* writes.sweepInvitations.changes({ now: toMillis(now), limit });
    },

    *linkIdentity(writes: Writes, { identity, email, passwordHash, change }: IdentityLink): Work<User | undefined> {
      const linked = yield* writes.findUserByIdentity.get(identity.issuer, identity.subject);
      if (linked !== undefined) return toUser(linked);
      const row = yield* writes.findUserByEmail.get(email);
      if (row === undefined) return undefined;
      if ((yield* writes.hasIdentityOf.get(row.id, identity.issuer)) === 1) {
        throw new AppError("failed_precondition", "The user has another identity of the issuer.");
      }
      const now = toMillis(change.at);
      if (!(yield* isConfirmed(writes, row.id))) {
        yield* writes.setPassword.run({ userId: row.id, passwordHash });
        yield* replaced(writes, change, toUser(row), { keptSessionId: "", occurrence: passwordRestored });
      }
      yield* writes.confirmUser.run({ id: row.id, now });
      yield* writes.insertIdentity.run({ ...identity, userId: row.id, now });
      const changed = yield* writes.getUser.get(row.id);
      if (changed === undefined) throw new Error("a user who was just changed is missing");
      const user = toUser(changed);
      for (const organizationId of yield* organizationsOf(writes, user.id)) {
        yield* record(writes, change, identityLinked(organizationId, user, identity));
      }
      return user;
    },

    *register(writes: Writes, { organization, user, change }: Registration): Work<boolean> {
      const taken = yield* writes.findUserByEmail.get(user.email);
      if (taken !== undefined) {
        for (const organizationId of yield* organizationsOf(writes, taken.id)) {
          yield* record(writes, change, registrationRefused(organizationId, taken));
        }
        return false;
      }
      const membership: Membership = {
        organizationId: organization.id,
        userId: user.id,
        role: "owner",
        createdAt: change.at,
      };
      yield* writes.insertOrganization.run(organizationRow(organization));
      yield* writes.insertUser.run(userRow(user));
      yield* writes.insertMembership.run(membershipRow(membership));
      const addEvent = yield* openChain(writes, change, organization.id, 2);
      yield* addEvent(organizationCreated(organization));
      yield* addEvent(memberAdded(membership, user));
      return true;
    },

    *changePassword(writes: Writes, { userId, password, change }: NewPassword): Work<boolean> {
      const { before, after, keptSessionId } = password;
      if ((yield* writes.changePassword.changes({ userId, before, after })) === 0) return false;
      const row = yield* writes.getUser.get(userId);
      if (row === undefined) throw new Error("a user who was just changed is missing");
      yield* replaced(writes, change, toUser(row), { keptSessionId, occurrence: passwordChanged });
      return true;
    },
  };
}

/** Whether it is certain that the person has the mailbox of their address. */
export function* isConfirmed(writes: Writes, userId: Id): Work<boolean> {
  return (yield* writes.isConfirmed.get(userId)) === 1;
}

/** Whose audit logs tell of a person: those of their organizations, else that of the deployment. */
function* organizationsOf(writes: Writes, userId: Id): Work<readonly Id[]> {
  const organizations = yield* writes.listOrganizationsOfUser.all(userId);
  return organizations.length > 0 ? organizations : [SYSTEM_ORGANIZATION_ID];
}
