/**
 * The writes of every engine. Each runs inside a transaction, after all that other writers have committed and before
 * what they commit next, and throws to undo what it did. It may be run again after that, on the state that it began
 * with, so it must touch nothing else: no clock, chance or memory.
 */
import {
  type AuditEvent,
  type ChainHead,
  type Change,
  EMPTY_CHAIN,
  nextEvent,
  type Occurrence,
} from "../domain/audit.ts";
import { MAX_IMPORT_KEYS } from "../domain/digest-scheme.ts";
import type {
  Member,
  Membership,
  Organization,
  Session,
  SigningKey,
  Token,
  TokenSettings,
  User,
} from "../domain/entities.ts";
import { AppError } from "../domain/errors.ts";
import { type IdempotencyRecord, idempotencyKeyReused, sealAnswer } from "../domain/idempotency.ts";
import { type Id, SYSTEM_ORGANIZATION_ID, toPublicId } from "../domain/ids.ts";
import {
  deploymentRestored,
  deploymentSetUp,
  memberAdded,
  memberRemoved,
  memberRoleSet,
  organizationCreated,
  planSet,
  profileSet,
  rotationCancelled,
  rotationFinished,
  type SignInFailure,
  sessionEndedByRemoval,
  sessionEndedByReuse,
  signedIn,
  signInFailed,
  tokenChanged,
  tokenImported,
  tokenIssued,
  tokenPurged,
  tokenRevoked,
  tokenRotated,
  tokensRevokedMany,
} from "../domain/occurrences.ts";
import { SERVICE_PROFILE_ID } from "../domain/profile.ts";
import type { Role } from "../domain/roles.ts";
import { noOverlap, overlapRuns, requireRotation } from "../domain/rotation.ts";
import type {
  Lease,
  LeaseRequest,
  LeaseReturn,
  NewDigestScheme,
  NewToken,
  RefreshTokenOutcome,
  RefreshTokenRotation,
  RemovedMember,
  SecretRotation,
  SetUp,
  TokenSelection,
  TokensOfMember,
} from "../domain/storage.ts";
import { accountCommands, isConfirmed, prepareAccountWrites } from "./account-commands.ts";
import type { EncodedUses } from "./encoded-uses.ts";
import { TAKEN } from "./errors.ts";
import {
  byAge,
  type DigestSchemeRow,
  EVENT_COLUMNS,
  type EventRow,
  eventRow,
  type FormerSecretRow,
  type ImportKeyRow,
  importKeyRow,
  MEMBER_COLUMNS,
  type MemberRow,
  type MembershipRow,
  membershipRow,
  type OrganizationRow,
  organizationRow,
  type RecordedCallRow,
  type SessionRow,
  type SigningKeyRow,
  sessionRow,
  signingKeyRow,
  TOKEN_COLUMNS,
  TOKEN_ROW,
  type TokenRow,
  toFormerSecret,
  tokenRow,
  toMember,
  toMembership,
  toMillis,
  toOrganization,
  toSession,
  toSigningKey,
  toToken,
  toUser,
  type UserRow,
  userRow,
  valuesOf,
} from "./rows.ts";
import type { Dialect, ResultOf, Work } from "./statement.ts";
import { filterParameters, matchesFilter, type TokenFilterParameters } from "./token-filter.ts";

/** What is written, and what its event says of whoever writes it. */
interface Changing {
  readonly change: Change;
}

interface FirstContents extends Changing {
  readonly contents: SetUp;
}

interface NewOrganization extends Changing {
  readonly organization: Organization;
}

interface PlanChange extends Changing {
  readonly id: Id;
  readonly plan: string;
}

interface ProfileChange extends PlanChange {
  readonly profile: string;
}

interface StoredMembership extends Changing {
  readonly membership: Membership;
}

interface NewMember extends Changing {
  readonly membership: Omit<Membership, "userId">;
  readonly user: User;
  readonly confirmedOnly: boolean;
}

interface MemberKey {
  readonly organizationId: Id;
  readonly userId: Id;
}

interface RoleChange extends MemberKey, Changing {
  readonly role: Role;
}

interface MemberRemoval extends MemberKey, Changing {
  readonly tokens: TokensOfMember;
}

interface TokenCreation extends Changing {
  readonly newToken: NewToken;
}

interface TokenImport extends Changing {
  readonly tokens: readonly NewToken[];
  readonly schemes: readonly NewDigestScheme[];
}

interface WindowSweep {
  readonly endedBefore: Date;
  readonly limit: number;
}

interface RecordSweep {
  readonly now: Date;
  readonly limit: number;
}

interface Revocation extends Changing {
  readonly id: Id;
}

interface TokenRotation extends Revocation {
  readonly rotation: SecretRotation;
}

interface TokenUpdate extends Changing {
  readonly id: Id;
  readonly settings: TokenSettings;
  readonly ifRevision: number;
}

interface BulkRevocation extends Changing {
  readonly selection: TokenSelection;
}

interface TokenCount {
  readonly selection: TokenSelection;
  readonly now: Date;
}

interface TokenPurge extends Changing {
  readonly endedBefore: Date;
  readonly limit: number;
}

interface UseSweep {
  readonly before: number;
  readonly limit: number;
}

interface SessionSweep {
  readonly overBefore: Date;
  readonly limit: number;
}

interface SelectionParameters extends TokenFilterParameters {
  readonly organizationId: string;
  readonly profile: string;
  readonly now: number;
}

interface NewSession extends Changing {
  readonly session: Session;
  readonly refreshFingerprint: Uint8Array;
  readonly passwordHash: string | undefined;
}

interface Rotation extends Changing {
  readonly rotation: RefreshTokenRotation;
}

interface Restoration extends Changing {
  /** All that comes after the restore has a higher revision. */
  readonly above: number;
}

interface RefusedSignIn extends Changing {
  readonly userId: Id | undefined;
  readonly reason: SignInFailure;
}

/** Tokens that are read at once while many are changed. */
const PAGE_SIZE = 1_000;

/** Earlier than any Date. */
const START_OF_TIME_MS = -8_640_000_000_000_001;

export type Writes = ReturnType<typeof prepareWrites>;

type Commands = typeof commands;
export type CommandName = keyof Commands;
export type CommandInput<Name extends CommandName> = Parameters<Commands[Name]>[1];
export type CommandResult<Name extends CommandName> = ResultOf<ReturnType<Commands[Name]>>;

/**
 * The statements of the commands, prepared once. SQLite looks at what is bound while it plans, and prepares some
 * statements anew for each value; a plus hides it, where that took most of a statement's time.
 */
export function prepareWrites(connection: Dialect) {
  // Tokens of a selection that still work, or would if they were enabled.
  const selectedTokens = `
    organization_id = @organizationId
    AND profile = @profile
    AND revoked_at IS NULL
    AND (expires_at IS NULL OR expires_at > @now)
    AND ${matchesFilter(connection)}
  `;
  return {
    isEmpty: connection.prepare<[], number>("SELECT NOT EXISTS (SELECT 1 FROM organizations)").pluck(),

    insertOrganization: connection.prepare<OrganizationRow>(`
      INSERT INTO organizations (id, name, profile, plan, created_at)
      VALUES (@id, @name, @profile, @plan, @created_at)
    `),

    getOrganization: connection.prepare<[id: string], OrganizationRow>("SELECT * FROM organizations WHERE id = ?"),

    setPlan: connection.prepare<Omit<PlanChange, "change">>("UPDATE organizations SET plan = @plan WHERE id = @id"),

    setProfile: connection.prepare<Omit<ProfileChange, "change">>(
      "UPDATE organizations SET profile = @profile, plan = @plan WHERE id = @id",
    ),

    hasTokens: connection
      .prepare<[organizationId: string, profile: string], number>(
        "SELECT EXISTS (SELECT 1 FROM tokens WHERE organization_id = ? AND profile = ?)",
      )
      .pluck(),

    insertUser: connection.prepare<UserRow>(`
      INSERT INTO users (id, email, password_hash, first_name, last_name, display_name, avatar_url, created_at)
      VALUES (@id, @email, @password_hash, @first_name, @last_name, @display_name, @avatar_url, @created_at)
    `),

    getUser: connection.prepare<[id: string], UserRow>("SELECT * FROM users WHERE id = ?"),

    findUserByEmail: connection.prepare<[email: string], UserRow>("SELECT * FROM users WHERE email = ?"),

    listOrganizationsOfUser: connection
      .prepare<[userId: string], string>(
        "SELECT organization_id FROM memberships WHERE user_id = +? ORDER BY created_at, organization_id",
      )
      .pluck(),

    putMembership: connection.prepare<MembershipRow>(`
      INSERT INTO memberships (organization_id, user_id, role, created_at)
      VALUES (@organization_id, @user_id, @role, @created_at)
      ON CONFLICT (organization_id, user_id) DO UPDATE SET role = excluded.role
    `),

    insertMembership: connection.prepare<MembershipRow>(`
      INSERT INTO memberships (organization_id, user_id, role, created_at)
      VALUES (@organization_id, @user_id, @role, @created_at)
    `),

    getMember: connection.prepare<MemberKey, MemberRow>(`
      SELECT ${MEMBER_COLUMNS}
      FROM memberships JOIN users ON users.id = memberships.user_id
      WHERE organization_id = +@organizationId AND user_id = +@userId
    `),

    hasOtherOwner: connection
      .prepare<MemberKey, number>(`
        SELECT EXISTS (
          SELECT 1 FROM memberships
          WHERE organization_id = @organizationId AND user_id <> @userId AND role = 'owner'
        )
      `)
      .pluck(),

    setRole: connection.prepare<Omit<RoleChange, "change">>(
      "UPDATE memberships SET role = @role WHERE organization_id = @organizationId AND user_id = @userId",
    ),

    deleteMembership: connection.prepare<MemberKey>(
      "DELETE FROM memberships WHERE organization_id = @organizationId AND user_id = @userId",
    ),

    getRevision: connection.prepare<[], number>("SELECT value FROM revision").pluck(),

    takeRevisions: connection
      .prepare<[count: number], number>("UPDATE revision SET value = value + ? RETURNING value")
      .pluck(),

    raiseRevision: connection.prepare<{ above: number }>(
      "UPDATE revision SET value = CASE WHEN value < @above THEN @above ELSE value END",
    ),

    getChainHead: connection.prepare<[organizationId: string], ChainHead>(
      "SELECT sequence, revision, hash FROM events WHERE organization_id = +? ORDER BY sequence DESC LIMIT 1",
    ),

    // Bound by their order: to look so many up by their names took almost as long as to store them.
    insertEvent: connection.prepare<EventRow[keyof EventRow][]>(`
      INSERT INTO events (${EVENT_COLUMNS.join(", ")}) VALUES (${EVENT_COLUMNS.map(() => "?").join(", ")})
    `),

    insertToken: connection.prepare<[fingerprint: Uint8Array, ...columns: TokenRow[keyof TokenRow][]]>(`
      INSERT INTO tokens (fingerprint, ${TOKEN_COLUMNS.join(", ")})
      VALUES (?, ${TOKEN_COLUMNS.map(() => "?").join(", ")})
    `),

    putImportKey: connection.prepare<ImportKeyRow>(`
      INSERT INTO import_keys (id, sealed_key, created_at)
      VALUES (@id, @sealed_key, @created_at)
      ON CONFLICT (id) DO NOTHING
    `),

    countImportKeys: connection.prepare<[], number>("SELECT count(*) FROM import_keys").pluck(),

    putDigestScheme: connection.prepare<DigestSchemeRow>(`
      INSERT INTO digest_schemes (algorithm, key_id)
      VALUES (@algorithm, @key_id)
      ON CONFLICT DO NOTHING
    `),

    getToken: connection.prepare<[id: string], TokenRow>(`SELECT ${TOKEN_ROW} FROM tokens WHERE id = ?`),

    revokeToken: connection.prepare<Pick<TokenRow, "id" | "revoked_at" | "revoked_by" | "revision">>(`
      UPDATE tokens SET revoked_at = @revoked_at, revoked_by = @revoked_by, revision = @revision WHERE id = @id
    `),

    updateToken: connection.prepare<TokenRow>(`
      UPDATE tokens
      SET name = @name, enabled = @enabled, permission = @permission, scopes = @scopes, ip_allowlist = @ip_allowlist,
        expires_at = @expires_at, metadata = @metadata, revision = @revision
      WHERE id = @id
    `),

    countSelected: connection
      .prepare<SelectionParameters, number>(`SELECT count(*) FROM tokens WHERE ${selectedTokens}`)
      .pluck(),

    listSelected: connection.prepare<
      SelectionParameters & { afterCreatedAt: number; afterId: string; limit: number },
      TokenRow
    >(`
      SELECT ${TOKEN_ROW}
      FROM tokens
      WHERE ${selectedTokens} AND (created_at, id) > (@afterCreatedAt, @afterId)
      ORDER BY created_at, id
      LIMIT +@limit
    `),

    listEnded: connection.prepare<
      { endedBefore: number; now: number; limit: number },
      TokenRow & { ended_at: number }
    >(`
      SELECT ${TOKEN_ROW}, ended_at
      FROM tokens
      WHERE ended_at < @endedBefore AND ended_at <= @now
      ORDER BY ended_at, id
      LIMIT +@limit
    `),

    countEnded: connection
      .prepare<{ endedBefore: number; now: number }, number>(
        "SELECT count(*) FROM tokens WHERE ended_at < @endedBefore AND ended_at <= @now",
      )
      .pluck(),

    deleteWindowsOfToken: connection.prepare<[tokenId: string]>("DELETE FROM rate_windows WHERE token_id = ?"),

    deleteFormerSecrets: connection.prepare<[tokenId: string]>("DELETE FROM former_secrets WHERE token_id = ?"),

    deleteToken: connection.prepare<[id: string]>("DELETE FROM tokens WHERE id = ?"),

    deleteUsesOfToken: connection.prepare<[tokenId: string]>("DELETE FROM token_uses WHERE token_id = ?"),

    deleteLastUse: connection.prepare<[tokenId: string]>("DELETE FROM last_uses WHERE token_id = ?"),

    // The token may be gone, and then its use is.
    recordLastUses: connection.prepare<{ uses: string }>(`
      INSERT INTO last_uses (token_id, at, address)
      SELECT tokens.id, used.at, used.address
      FROM (
        SELECT value ->> 'id' AS id, CAST(value ->> 'at' AS BIGINT) AS at, value ->> 'address' AS address
        FROM ${connection.objectsOf("@uses")}
      ) AS used
      JOIN tokens ON tokens.id = used.id
      WHERE 1 = 1
      ON CONFLICT (token_id) DO UPDATE SET at = excluded.at, address = excluded.address
      WHERE last_uses.at < excluded.at
    `),

    recordLastFormerUses: connection.prepare<{ uses: string }>(`
      UPDATE tokens SET former_last_used_at = used.at
      FROM (
        SELECT value ->> 'id' AS id, CAST(value ->> 'at' AS BIGINT) AS at FROM ${connection.objectsOf("@uses")}
      ) AS used
      WHERE tokens.id = used.id AND tokens.rotated_at <= used.at
        AND (tokens.former_last_used_at IS NULL OR tokens.former_last_used_at < used.at)
    `),

    // After their last use, which whoever has uses has.
    addUses: connection.prepare<{ counts: string }>(`
      INSERT INTO token_uses (token_id, day, uses)
      SELECT used.id, used.day, used.uses
      FROM (
        SELECT value ->> 'id' AS id, CAST(value ->> 'day' AS BIGINT) AS day,
          CAST(SUM(CAST(value ->> 'uses' AS BIGINT)) AS BIGINT) AS uses
        FROM ${connection.objectsOf("@counts")}
        GROUP BY value ->> 'id', CAST(value ->> 'day' AS BIGINT)
      ) AS used
      JOIN last_uses ON last_uses.token_id = used.id
      WHERE 1 = 1
      ON CONFLICT (token_id, day) DO UPDATE SET uses = token_uses.uses + excluded.uses
    `),

    sweepUses: connection.prepare<UseSweep>(`
      DELETE FROM token_uses
      WHERE (token_id, day) IN (SELECT token_id, day FROM token_uses WHERE day < @before ORDER BY day LIMIT +@limit)
    `),

    isTaken: connection
      .prepare<{ fingerprint: Uint8Array }, number>(`
        SELECT EXISTS (SELECT 1 FROM tokens WHERE fingerprint = @fingerprint)
          OR EXISTS (SELECT 1 FROM former_secrets WHERE fingerprint = @fingerprint)
      `)
      .pluck(),

    getFormerSecret: connection.prepare<[tokenId: string], FormerSecretRow>(
      "SELECT fingerprint, ends_at FROM former_secrets WHERE token_id = ? AND ends_at IS NOT NULL",
    ),

    endFormerSecret: connection.prepare<[tokenId: string]>(
      "UPDATE former_secrets SET ends_at = NULL WHERE token_id = ? AND ends_at IS NOT NULL",
    ),

    keepCurrentSecret: connection.prepare<{ id: string; endsAt: number | null }>(`
      INSERT INTO former_secrets (fingerprint, token_id, ends_at) SELECT fingerprint, id, @endsAt FROM tokens WHERE id = @id
    `),

    deleteFormerSecret: connection.prepare<[fingerprint: Uint8Array]>(
      "DELETE FROM former_secrets WHERE fingerprint = ?",
    ),

    rotateToken: connection.prepare<
      {
        id: string;
        fingerprint: Uint8Array;
        hint: string;
        rotatedAt: number;
        overlapEndsAt: number;
        revision: number;
      },
      TokenRow
    >(`
      UPDATE tokens
      SET fingerprint = @fingerprint, hint = @hint, rotated_at = @rotatedAt, overlap_ends_at = @overlapEndsAt,
        former_hint = hint, former_last_used_at = NULL, revision = @revision
      WHERE id = @id
      RETURNING ${TOKEN_ROW}
    `),

    finishRotation: connection.prepare<{ id: string; overlapEndsAt: number; revision: number }, TokenRow>(`
      UPDATE tokens SET overlap_ends_at = @overlapEndsAt, revision = @revision
      WHERE id = @id
      RETURNING ${TOKEN_ROW}
    `),

    cancelRotation: connection.prepare<{ id: string; fingerprint: Uint8Array; revision: number }, TokenRow>(`
      UPDATE tokens
      SET fingerprint = @fingerprint, hint = former_hint, rotated_at = NULL, overlap_ends_at = NULL,
        former_hint = NULL, former_last_used_at = NULL, revision = @revision
      WHERE id = @id
      RETURNING ${TOKEN_ROW}
    `),

    getTaken: connection
      .prepare<{ tokenId: string; windowStart: number }, number>(
        "SELECT taken FROM rate_windows WHERE token_id = @tokenId AND window_start = @windowStart",
      )
      .pluck(),

    // The end can differ where a limit's window changed its length; the later one keeps the count alive.
    take: connection.prepare<{ tokenId: string; windowStart: number; windowEnd: number; units: number }>(`
      INSERT INTO rate_windows (token_id, window_start, window_end, taken)
      VALUES (@tokenId, @windowStart, @windowEnd, @units)
      ON CONFLICT (token_id, window_start)
      DO UPDATE SET
        taken = rate_windows.taken + excluded.taken,
        window_end = CASE
          WHEN rate_windows.window_end > excluded.window_end THEN rate_windows.window_end
          ELSE excluded.window_end
        END
    `),

    giveBack: connection.prepare<{ tokenId: string; windowStart: number; units: number }>(`
      UPDATE rate_windows SET taken = CASE WHEN taken > @units THEN taken - @units ELSE 0 END
      WHERE token_id = @tokenId AND window_start = @windowStart
    `),

    sweepWindows: connection.prepare<{ endedBefore: number; limit: number }>(`
      DELETE FROM rate_windows
      WHERE (token_id, window_start) IN (
        SELECT token_id, window_start FROM rate_windows WHERE window_end < @endedBefore ORDER BY window_end LIMIT +@limit
      )
    `),

    hasRecordedCall: connection
      .prepare<{ keyHash: Uint8Array; now: number }, number>(
        "SELECT EXISTS (SELECT 1 FROM recorded_calls WHERE key_hash = @keyHash AND expires_at > @now)",
      )
      .pluck(),

    // One whose time is over may not be swept yet.
    putRecordedCall: connection.prepare<RecordedCallRow & { key_hash: Uint8Array; expires_at: number }>(`
      INSERT INTO recorded_calls (key_hash, request_hash, sealed_answer, expires_at)
      VALUES (@key_hash, @request_hash, @sealed_answer, @expires_at)
      ON CONFLICT (key_hash) DO UPDATE SET
        request_hash = excluded.request_hash,
        sealed_answer = excluded.sealed_answer,
        expires_at = excluded.expires_at
    `),

    sweepRecordedCalls: connection.prepare<{ now: number; limit: number }>(`
      DELETE FROM recorded_calls
      WHERE key_hash IN (SELECT key_hash FROM recorded_calls WHERE expires_at <= @now ORDER BY expires_at LIMIT +@limit)
    `),

    insertSession: connection.prepare<SessionRow>(`
      INSERT INTO sessions (id, user_id, organization_id, created_at, expires_at, ended_at, client, method)
      VALUES (@id, @user_id, @organization_id, @created_at, @expires_at, @ended_at, @client, @method)
    `),

    endSession: connection.prepare<{ id: string; endedAt: number }, SessionRow>(`
      UPDATE sessions SET ended_at = coalesce(ended_at, @endedAt) WHERE id = @id RETURNING *
    `),

    endSessionsOfMember: connection.prepare<MemberKey & { endedAt: number }, SessionRow>(`
      UPDATE sessions SET ended_at = @endedAt
      WHERE user_id = @userId AND organization_id = @organizationId AND ended_at IS NULL AND expires_at > @endedAt
      RETURNING *
    `),

    listOverSessions: connection
      .prepare<{ overBefore: number; limit: number }, string>(
        "SELECT id FROM sessions WHERE over_at < @overBefore ORDER BY over_at LIMIT +@limit",
      )
      .pluck(),

    deleteRefreshTokens: connection.prepare<[sessionId: string]>("DELETE FROM refresh_tokens WHERE session_id = ?"),

    deleteSession: connection.prepare<[id: string]>("DELETE FROM sessions WHERE id = ?"),

    insertRefreshToken: connection.prepare<[fingerprint: Uint8Array, sessionId: string]>(
      "INSERT INTO refresh_tokens (fingerprint, session_id) VALUES (?, ?)",
    ),

    findRefreshToken: connection.prepare<[fingerprint: Uint8Array], SessionRow & { used_at: number | null }>(`
      SELECT sessions.*, refresh_tokens.used_at
      FROM refresh_tokens JOIN sessions ON sessions.id = refresh_tokens.session_id
      WHERE refresh_tokens.fingerprint = +?
    `),

    useRefreshToken: connection.prepare<[usedAt: number, fingerprint: Uint8Array]>(
      "UPDATE refresh_tokens SET used_at = ? WHERE fingerprint = ?",
    ),

    insertFirstSigningKey: connection.prepare<SigningKeyRow>(`
      INSERT INTO signing_keys (id, sealed_private_key, created_at)
      SELECT @id, @sealed_private_key, @created_at
      WHERE NOT EXISTS (SELECT 1 FROM signing_keys)
    `),

    listSigningKeys: connection.prepare<[], SigningKeyRow>("SELECT * FROM signing_keys ORDER BY created_at, id"),

    touch: connection.prepare(connection.touch),

    ...prepareAccountWrites(connection),
  };
}

const commands = {
  ...accountCommands(openChain, record),

  *setUp(writes: Writes, { contents, change }: FirstContents): Work<boolean> {
    if ((yield* writes.isEmpty.get()) === 0) return false;
    const { organizations, users, memberships, tokens } = contents;
    yield* record(writes, change, deploymentSetUp());
    for (const organization of organizations) yield* commands.createOrganization(writes, { organization, change });
    for (const user of users) yield* commands.createUser(writes, user);
    for (const membership of memberships) yield* commands.putMembership(writes, { membership, change });
    for (const newToken of tokens) yield* commands.createToken(writes, { newToken, change });
    return true;
  },

  *createOrganization(writes: Writes, { organization, change }: NewOrganization): Work<Organization> {
    yield* writes.insertOrganization.run(organizationRow(organization));
    yield* record(writes, change, organizationCreated(organization));
    return organization;
  },

  *setPlan(writes: Writes, { id, plan, change }: PlanChange): Work<Organization | undefined> {
    const before = yield* findOrganization(writes, id);
    if (before === undefined || before.plan === plan) return before;
    const after = { ...before, plan };
    yield* writes.setPlan.run({ id, plan });
    yield* record(writes, change, planSet(before, after));
    return after;
  },

  *setProfile(writes: Writes, { id, profile, plan, change }: ProfileChange): Work<Organization | undefined> {
    const before = yield* findOrganization(writes, id);
    if (before === undefined) return undefined;
    if ((yield* writes.hasTokens.get(id, before.profile)) === 1) {
      throw new AppError("failed_precondition", "An organization that has tokens keeps its profile.");
    }
    if (before.profile === profile && before.plan === plan) return before;
    const after = { ...before, profile, plan };
    yield* writes.setProfile.run({ id, profile, plan });
    yield* record(writes, change, profileSet(before, after));
    return after;
  },

  *createUser(writes: Writes, user: User): Work<void> {
    yield* writes.insertUser.run(userRow(user));
  },

  *putMembership(writes: Writes, { membership, change }: StoredMembership): Work<void> {
    const before = yield* writes.getMember.get(membership);
    yield* writes.putMembership.run(membershipRow(membership));
    const { user } = yield* storedMember(writes, membership);
    if (before === undefined) yield* record(writes, change, memberAdded(membership, user));
    else yield* recordRole(writes, change, before, membership.role);
  },

  *addMember(writes: Writes, { membership, user, confirmedOnly, change }: NewMember): Work<Member> {
    const existing = yield* writes.findUserByEmail.get(user.email);
    if (confirmedOnly && existing !== undefined && !(yield* isConfirmed(writes, existing.id))) {
      const key = { organizationId: membership.organizationId, userId: existing.id };
      // Somebody who is a member is told so.
      if ((yield* writes.getMember.get(key)) === undefined) {
        throw new AppError("failed_precondition", "Nobody knows whether this person has the mailbox.");
      }
    }
    if (existing === undefined) yield* writes.insertUser.run(userRow(user));
    const userId = existing?.id ?? user.id;
    yield* writes.insertMembership.run(membershipRow({ ...membership, userId }));
    const member = yield* storedMember(writes, { organizationId: membership.organizationId, userId });
    yield* record(writes, change, memberAdded(member.membership, member.user));
    return member;
  },

  *setMemberRole(writes: Writes, { organizationId, userId, role, change }: RoleChange): Work<Member | undefined> {
    const key = { organizationId, userId };
    const before = yield* writes.getMember.get(key);
    if (before === undefined) return undefined;
    if (role !== "owner") yield* keepAnOwner(writes, before);
    yield* writes.setRole.run({ ...key, role });
    yield* recordRole(writes, change, before, role);
    return yield* storedMember(writes, key);
  },

  *removeMember(writes: Writes, removal: MemberRemoval): Work<RemovedMember | undefined> {
    const { organizationId, userId, tokens, change } = removal;
    const key = { organizationId, userId };
    const before = yield* writes.getMember.get(key);
    if (before === undefined) return undefined;
    yield* keepAnOwner(writes, before);
    yield* writes.deleteMembership.run(key);
    const { membership, user } = toMember(before);
    yield* writes.deleteInvitationsBy.run({ organizationId, createdBy: toPublicId("usr", userId) });
    const ended = yield* writes.endSessionsOfMember.all({ ...key, endedAt: toMillis(change.at) });
    const sessions = ended.toSorted(byAge);
    const selections = (tokens.types ?? [undefined]).map((type) => ({
      ...EVERY_TOKEN,
      organizationId,
      userId,
      profile: tokens.profile,
      type,
    }));
    let revokedTokens = 0;
    for (const selection of selections) {
      revokedTokens += yield* commands.countTokens(writes, { selection, now: change.at });
    }
    const addEvent = yield* openChain(writes, change, organizationId, 1 + sessions.length + revokedTokens);
    yield* addEvent(memberRemoved(membership, user));
    for (const row of sessions) yield* addEvent(sessionEndedByRemoval(toSession(row), user));
    for (const selection of selections) {
      yield* revokeSelected(writes, selection, change, addEvent, { reason: "member_removed" });
    }
    return { revokedTokens };
  },

  createToken(writes: Writes, { newToken, change }: TokenCreation): Work<Token> {
    return storeToken(writes, change, newToken, tokenIssued);
  },

  *importTokens(writes: Writes, { tokens, schemes, change }: TokenImport): Work<readonly (Token | "taken")[]> {
    const answers: (Token | "taken")[] = [];
    for (const newToken of tokens) {
      if (newToken.token.profile === SERVICE_PROFILE_ID) {
        throw new AppError("failed_precondition", "Service keys can't be imported.");
      }
      const isTaken = yield* writes.isTaken.get({ fingerprint: newToken.fingerprint });
      answers.push(isTaken === 1 ? "taken" : yield* storeToken(writes, change, newToken, tokenImported));
    }
    if (answers.some((answer) => answer !== "taken")) yield* putDigestSchemes(writes, schemes);
    return answers;
  },

  *revokeToken(writes: Writes, { id, change }: Revocation): Work<Token | undefined> {
    const before = yield* writes.getToken.get(id);
    if (before === undefined || before.revoked_at !== null) return before && toToken(before);
    const { revision } = yield* record(writes, change, tokenRevoked(toToken(before)));
    const revocation = { revoked_at: toMillis(change.at), revoked_by: change.actor.id, revision };
    yield* writes.revokeToken.run({ id, ...revocation });
    return toToken({ ...before, ...revocation });
  },

  *revokeTokens(writes: Writes, { selection, change }: BulkRevocation): Work<number> {
    const organization = yield* findOrganization(writes, selection.organizationId);
    const count = yield* commands.countTokens(writes, { selection, now: change.at });
    if (organization === undefined || count === 0) return 0;
    const addEvent = yield* openChain(writes, change, organization.id, 1 + count);
    yield* addEvent(tokensRevokedMany(organization, selection, count));
    yield* revokeSelected(writes, selection, change, addEvent, { bulk: "true" });
    return count;
  },

  // It writes nothing, but it can take a while, and on this thread nobody's introspection waits for it.
  *countTokens(writes: Writes, { selection, now }: TokenCount): Work<number> {
    return (yield* writes.countSelected.get(selectionParameters(selection, now))) ?? 0;
  },

  *purgeTokens(writes: Writes, { endedBefore, limit, change }: TokenPurge): Work<number> {
    const parameters = { endedBefore: toMillis(endedBefore), now: toMillis(change.at), limit };
    const ended = yield* writes.listEnded.all(parameters);
    for (const row of ended) {
      yield* record(writes, change, tokenPurged(toToken(row), new Date(row.ended_at)));
      yield* writes.deleteWindowsOfToken.run(row.id);
      yield* writes.deleteFormerSecrets.run(row.id);
      yield* writes.deleteUsesOfToken.run(row.id);
      yield* writes.deleteLastUse.run(row.id);
      yield* writes.deleteToken.run(row.id);
    }
    return ended.length;
  },

  *updateToken(writes: Writes, { id, settings, ifRevision, change }: TokenUpdate): Work<Token | undefined> {
    const row = yield* writes.getToken.get(id);
    if (row === undefined) return undefined;
    const before = toToken(row);
    if (before.revokedAt !== undefined) throw new AppError("failed_precondition", "A revoked token can't be changed.");
    if (before.revision !== ifRevision) return undefined;
    const occurrence = tokenChanged(before, { ...before, ...settings });
    if (occurrence === undefined) return before;
    const { revision } = yield* record(writes, change, occurrence);
    const after = { ...before, ...settings, revision };
    yield* writes.updateToken.run(tokenRow(after));
    return after;
  },

  *recordUses(writes: Writes, { last, former, counts }: EncodedUses): Work<void> {
    // A statement for all of them, for a busy deployment has thousands of them every few seconds.
    yield* writes.recordLastUses.run({ uses: last });
    if (former !== undefined) yield* writes.recordLastFormerUses.run({ uses: former });
    if (counts !== undefined) yield* writes.addUses.run({ counts });
  },

  *sweepUses(writes: Writes, sweep: UseSweep): Work<number> {
    return yield* writes.sweepUses.changes(sweep);
  },

  *rotateToken(writes: Writes, { id, rotation, change }: TokenRotation): Work<Token | undefined> {
    const before = yield* findToken(writes, id);
    if (before === undefined) return undefined;
    const { revision: seen, fingerprint, hint, overlapEndsAt } = rotation;
    const former = yield* writes.getFormerSecret.get(id);
    const now = toMillis(change.at);
    requireRotation(before, former && toFormerSecret(former), seen, now);
    requireNew(yield* writes.isTaken.get({ fingerprint }));
    const { revision } = yield* record(writes, change, tokenRotated(before, overlapEndsAt));
    const endsAt = toMillis(overlapEndsAt);
    // One whose time had run out ends for good, also for a clock that is set back.
    yield* writes.endFormerSecret.run(id);
    yield* writes.keepCurrentSecret.run({ id, endsAt: endsAt > now ? endsAt : null });
    const after = yield* writes.rotateToken.get({
      id,
      fingerprint,
      hint,
      rotatedAt: now,
      overlapEndsAt: endsAt,
      revision,
    });
    return after && toToken(after);
  },

  *finishRotation(writes: Writes, { id, change }: Revocation): Work<Token | undefined> {
    const before = yield* findToken(writes, id);
    if (before === undefined) return undefined;
    const former = yield* writes.getFormerSecret.get(id);
    const now = toMillis(change.at);
    if (!overlapRuns(before, former && toFormerSecret(former), now)) return before;
    const { revision } = yield* record(writes, change, rotationFinished(before));
    yield* writes.endFormerSecret.run(id);
    const after = yield* writes.finishRotation.get({ id, overlapEndsAt: now, revision });
    return after && toToken(after);
  },

  *cancelRotation(writes: Writes, { id, change }: Revocation): Work<Token | undefined> {
    const before = yield* findToken(writes, id);
    if (before === undefined) return undefined;
    const former = yield* writes.getFormerSecret.get(id);
    if (former === undefined || !overlapRuns(before, toFormerSecret(former), toMillis(change.at))) throw noOverlap();
    const { fingerprint } = former;
    const { revision } = yield* record(writes, change, rotationCancelled(before));
    yield* writes.deleteFormerSecret.run(fingerprint);
    yield* writes.keepCurrentSecret.run({ id, endsAt: null });
    const after = yield* writes.cancelRotation.get({ id, fingerprint, revision });
    return after && toToken(after);
  },

  *takeLease(writes: Writes, request: LeaseRequest): Work<Lease> {
    const { tokenId, limit, units } = request;
    const windowStart = toMillis(request.windowStart);
    const taken = (yield* writes.getTaken.get({ tokenId, windowStart })) ?? 0;
    const granted = Math.max(0, Math.min(units, limit - taken));
    // A refusal writes nothing, so it costs no flush of the disk.
    if (granted > 0)
      yield* writes.take.run({ tokenId, windowStart, windowEnd: toMillis(request.windowEnd), units: granted });
    return { granted, taken: taken + granted };
  },

  *returnLeases(writes: Writes, returns: readonly LeaseReturn[]): Work<void> {
    for (const { tokenId, windowStart, units } of returns) {
      yield* writes.giveBack.run({ tokenId, windowStart: toMillis(windowStart), units });
    }
  },

  *sweepWindows(writes: Writes, { endedBefore, limit }: WindowSweep): Work<number> {
    return yield* writes.sweepWindows.changes({ endedBefore: toMillis(endedBefore), limit });
  },

  *sweepRecordedCalls(writes: Writes, { now, limit }: RecordSweep): Work<number> {
    return yield* writes.sweepRecordedCalls.changes({ now: toMillis(now), limit });
  },

  *createSession(writes: Writes, { session, refreshFingerprint, passwordHash, change }: NewSession): Work<void> {
    const { user } = yield* requireMember(writes, session);
    if (passwordHash !== undefined && user.passwordHash !== passwordHash) {
      throw new AppError("failed_precondition", "The person has another password by now.");
    }
    yield* writes.insertSession.run(sessionRow(session));
    yield* writes.insertRefreshToken.run(refreshFingerprint, session.id);
    yield* record(writes, change, signedIn(session, user));
  },

  *sweepSessions(writes: Writes, { overBefore, limit }: SessionSweep): Work<number> {
    const over = yield* writes.listOverSessions.all({ overBefore: toMillis(overBefore), limit });
    for (const id of over) {
      yield* writes.deleteRefreshTokens.run(id);
      yield* writes.deleteSession.run(id);
    }
    return over.length;
  },

  *rotateRefreshToken(writes: Writes, { rotation, change }: Rotation): Work<RefreshTokenOutcome> {
    const { presented, next } = rotation;
    const found = yield* writes.findRefreshToken.get(presented);
    if (found === undefined || found.client === "browser") return { kind: "refused" };
    const nowMs = toMillis(change.at);
    // A used one comes first: whoever presents it has a copy, also when the session is over already.
    if (found.used_at !== null) {
      const session = toSession((yield* writes.endSession.get({ id: found.id, endedAt: nowMs })) ?? found);
      if (found.ended_at === null)
        yield* record(writes, change, sessionEndedByReuse(session, yield* getUser(writes, found.user_id)));
      return { kind: "reused", session };
    }
    if (found.ended_at !== null || found.expires_at <= nowMs) return { kind: "refused" };
    yield* writes.useRefreshToken.run(nowMs, presented);
    yield* writes.insertRefreshToken.run(next, found.id);
    return { kind: "rotated", session: toSession(found) };
  },

  *recordSignInFailure(writes: Writes, { userId, reason, change }: RefusedSignIn): Work<void> {
    const row = userId === undefined ? undefined : yield* writes.getUser.get(userId);
    const organizations = row === undefined ? [] : yield* writes.listOrganizationsOfUser.all(row.id);
    for (const organizationId of organizations.length > 0 ? organizations : [SYSTEM_ORGANIZATION_ID]) {
      yield* record(writes, change, signInFailed(organizationId, row && toUser(row), reason));
    }
  },

  *ensureSigningKey(writes: Writes, key: SigningKey): Work<readonly SigningKey[]> {
    yield* writes.insertFirstSigningKey.run(signingKeyRow(key));
    return (yield* writes.listSigningKeys.all()).map(toSigningKey);
  },

  /** Not of the port: it is for a copy that no service has open. */
  *markRestored(writes: Writes, { above, change }: Restoration): Work<void> {
    const backupRevision = (yield* writes.getRevision.get()) ?? 0;
    yield* writes.raiseRevision.run({ above });
    yield* record(writes, change, deploymentRestored(backupRevision));
  },

  /** Writes the file's first page as it is, so that the commit has to put it into the log and sync that. */
  *ping(writes: Writes, _input: undefined): Work<void> {
    yield* writes.touch.run();
  },
};

/** Runs one command by its name. */
export function runCommand(writes: Writes, name: CommandName, input: unknown): Work<unknown> {
  // The sender's types tie name and input together; where they are queued TypeScript can't see it.
  const command = commands[name] as (writes: Writes, input: unknown) => Work<unknown>;
  return command(writes, input);
}

/** Runs one command by its name, and stores what it answered; throws when that was done before. */
export function* runOnce(writes: Writes, name: CommandName, input: unknown, call: IdempotencyRecord): Work<unknown> {
  const { keyHash, requestHash, createdAt, expiresAt } = call;
  if ((yield* writes.hasRecordedCall.get({ keyHash, now: toMillis(createdAt) })) === 1) throw idempotencyKeyReused();
  const result = yield* runCommand(writes, name, input);
  if (result === undefined || result === false) return result;
  yield* writes.putRecordedCall.run({
    key_hash: keyHash,
    request_hash: requestHash,
    sealed_answer: sealAnswer(call, result),
    expires_at: toMillis(expiresAt),
  });
  return result;
}

function* storeToken(
  writes: Writes,
  change: Change,
  { token, fingerprint, isPersonal = false }: NewToken,
  occurrence: typeof tokenIssued,
): Work<Token> {
  const organization = yield* writes.getOrganization.get(token.organizationId);
  // An organization that doesn't exist is left to the foreign key.
  if (organization !== undefined && organization.profile !== token.profile && token.profile !== SERVICE_PROFILE_ID) {
    throw new AppError("failed_precondition", "Its organization has another profile.");
  }
  const { organizationId, userId } = token;
  if (isPersonal && userId !== undefined) yield* requireMember(writes, { organizationId, userId });
  requireNew(yield* writes.isTaken.get({ fingerprint }));
  const { revision } = yield* record(writes, change, occurrence(token));
  const stored = { ...token, revision };
  yield* writes.insertToken.run(fingerprint, ...valuesOf(tokenRow(stored), TOKEN_COLUMNS));
  return stored;
}

/** Throws when there would be too many keys. */
function* putDigestSchemes(writes: Writes, schemes: readonly NewDigestScheme[]): Work<void> {
  for (const { algorithm, key } of schemes) {
    if (key !== undefined) yield* writes.putImportKey.run(importKeyRow(key));
    yield* writes.putDigestScheme.run({ algorithm, key_id: key?.id ?? null });
  }
  if (((yield* writes.countImportKeys.get()) ?? 0) > MAX_IMPORT_KEYS) {
    const message = `A deployment keeps up to ${MAX_IMPORT_KEYS} HMAC keys of imports, and has as many.`;
    throw new AppError("failed_precondition", message);
  }
}

function* findOrganization(writes: Writes, id: Id): Work<Organization | undefined> {
  const row = yield* writes.getOrganization.get(id);
  return row && toOrganization(row);
}

function* findToken(writes: Writes, id: Id): Work<Token | undefined> {
  const row = yield* writes.getToken.get(id);
  return row && toToken(row);
}

/** Each of the two tables sees to its own fingerprints; this is for what `isTaken` says of both together. */
function requireNew(isTaken: number | undefined): void {
  if (isTaken === 1) throw new AppError("already_exists", TAKEN);
}

function* getUser(writes: Writes, id: Id): Work<User> {
  const row = yield* writes.getUser.get(id);
  if (row === undefined) throw new Error("a user who is referred to is missing");
  return toUser(row);
}

function* storedMember(writes: Writes, key: MemberKey): Work<Member> {
  const row = yield* writes.getMember.get(key);
  if (row === undefined) throw new Error("a member that was just written is missing");
  return toMember(row);
}

/** Throws for somebody who isn't, or is no longer, a member. */
function* requireMember(writes: Writes, { organizationId, userId }: MemberKey): Work<Member> {
  const row = yield* writes.getMember.get({ organizationId, userId });
  if (row !== undefined) return toMember(row);
  throw new AppError("failed_precondition", "The person isn't a member of the organization.");
}

/** Throws when the organization would have no owner without this one. */
function* keepAnOwner(writes: Writes, { organization_id, user_id, role }: MembershipRow): Work<void> {
  if (role !== "owner") return;
  if ((yield* writes.hasOtherOwner.get({ organizationId: organization_id, userId: user_id })) === 1) return;
  throw new AppError("failed_precondition", "An organization keeps at least one owner.");
}

export type AddEvent = (occurrence: Occurrence) => Work<AuditEvent>;

/** Adds the event of a change to its organization's chain, in the transaction of the change. */
function* record(writes: Writes, change: Change, occurrence: Occurrence): Work<AuditEvent> {
  // As `openChain` does for many, without its price for one: most changes have one.
  const head = (yield* writes.getChainHead.get(occurrence.organizationId)) ?? EMPTY_CHAIN;
  const revision = yield* writes.takeRevisions.get(1);
  if (revision === undefined) throw new Error("the revision's row is missing");
  const event = nextEvent(head, revision, change, occurrence);
  yield* insertEvent(writes, event);
  return event;
}

/**
 * Adds so many events of one change, no more and no fewer, to the organization's chain. Looks up the chain's
 * end and takes the revisions once, which is most of what an event costs besides being stored.
 */
function* openChain(writes: Writes, change: Change, organizationId: Id, count: number): Work<AddEvent> {
  let head: ChainHead = (yield* writes.getChainHead.get(organizationId)) ?? EMPTY_CHAIN;
  const last = yield* writes.takeRevisions.get(count);
  if (last === undefined) throw new Error("the revision's row is missing");
  let revision = last - count;
  return function* addEvent(occurrence) {
    if (++revision > last) throw new Error("more happened than was counted");
    const event = nextEvent(head, revision, change, occurrence);
    yield* insertEvent(writes, event);
    head = event;
    return event;
  };
}

function insertEvent(writes: Writes, event: AuditEvent): Work<void> {
  return writes.insertEvent.run(...valuesOf(eventRow(event), EVENT_COLUMNS));
}

const EVERY_TOKEN = {
  type: undefined,
  namePrefix: undefined,
  createdBy: undefined,
  userId: undefined,
  unusedSince: undefined,
};

/** Revokes the tokens of a selection, the oldest first. */
function* revokeSelected(
  writes: Writes,
  selection: TokenSelection,
  change: Change,
  addEvent: AddEvent,
  circumstances: Readonly<Record<string, string>>,
): Work<void> {
  const parameters = selectionParameters(selection, change.at);
  const revocation = { revoked_at: toMillis(change.at), revoked_by: change.actor.id };
  // A page at a time: there may be more tokens than memory.
  for (let last: TokenRow | undefined; ; ) {
    const place = { afterCreatedAt: last?.created_at ?? START_OF_TIME_MS, afterId: last?.id ?? "" };
    const page = yield* writes.listSelected.all({ ...parameters, ...place, limit: PAGE_SIZE });
    for (const row of page) {
      const { revision } = yield* addEvent(tokenRevoked(toToken(row), circumstances));
      yield* writes.revokeToken.run({ ...revocation, id: row.id, revision });
    }
    if (page.length < PAGE_SIZE) return;
    last = page.at(-1);
  }
}

function selectionParameters(selection: TokenSelection, now: Date): SelectionParameters {
  const { organizationId, profile } = selection;
  return { organizationId, profile, now: toMillis(now), ...filterParameters(selection) };
}

/** A role that stays as it is was not changed. */
function* recordRole(writes: Writes, change: Change, before: MemberRow, role: Role): Work<void> {
  if (before.role === role) return;
  const { user } = toMember(before);
  yield* record(writes, change, memberRoleSet(toMembership(before), role, user));
}
