/** The writes. Each runs on the writer thread, inside a transaction, and throws to undo what it did. */
import type Database from "better-sqlite3";
import type { Membership, Organization, Session, SigningKey, Token, User } from "../../domain/entities.ts";
import type { Id } from "../../domain/ids.ts";
import type { NewToken, RefreshTokenOutcome, RefreshTokenRotation, SetUp, TokenUse } from "../../domain/storage.ts";
import {
  type MembershipRow,
  membershipRow,
  type OrganizationRow,
  organizationRow,
  type SessionRow,
  type SigningKeyRow,
  sessionRow,
  signingKeyRow,
  TOKEN_COLUMNS,
  type TokenRow,
  tokenRow,
  toMillis,
  toSession,
  toSigningKey,
  toToken,
  type UserRow,
  userRow,
} from "./rows.ts";

interface Revocation {
  readonly id: Id;
  readonly revokedAt: Date;
  readonly revokedBy: string;
}

interface NewSession {
  readonly session: Session;
  readonly refreshFingerprint: Uint8Array;
}

type Writes = ReturnType<typeof prepareWrites>;

type Commands = typeof commands;
export type CommandName = keyof Commands;
export type CommandInput<Name extends CommandName> = Parameters<Commands[Name]>[1];
export type CommandResult<Name extends CommandName> = ReturnType<Commands[Name]>;

/** The statements of the commands, prepared once. */
export function prepareWrites(connection: Database.Database) {
  const tokenColumns = TOKEN_COLUMNS.join(", ");
  return {
    isEmpty: connection.prepare<[], number>("SELECT NOT EXISTS (SELECT 1 FROM organizations)").pluck(),

    insertOrganization: connection.prepare<OrganizationRow>(`
      INSERT INTO organizations (id, name, profile, plan, created_at)
      VALUES (@id, @name, @profile, @plan, @created_at)
    `),

    insertUser: connection.prepare<UserRow>(`
      INSERT INTO users (id, email, password_hash, created_at)
      VALUES (@id, @email, @password_hash, @created_at)
    `),

    putMembership: connection.prepare<MembershipRow>(`
      INSERT INTO memberships (organization_id, user_id, role, created_at)
      VALUES (@organization_id, @user_id, @role, @created_at)
      ON CONFLICT (organization_id, user_id) DO UPDATE SET role = excluded.role
    `),

    nextRevision: connection.prepare<[], number>("UPDATE revision SET value = value + 1 RETURNING value").pluck(),

    insertToken: connection.prepare<TokenRow & { fingerprint: Uint8Array }>(`
      INSERT INTO tokens (fingerprint, ${tokenColumns})
      VALUES (@fingerprint, ${TOKEN_COLUMNS.map((column) => `@${column}`).join(", ")})
    `),

    getToken: connection.prepare<[id: string], TokenRow>(`SELECT ${tokenColumns} FROM tokens WHERE id = ?`),

    revokeToken: connection.prepare<{ id: string; revokedAt: number; revokedBy: string; revision: number }, TokenRow>(`
      UPDATE tokens SET revoked_at = @revokedAt, revoked_by = @revokedBy, revision = @revision
      WHERE id = @id
      RETURNING ${tokenColumns}
    `),

    recordUse: connection.prepare<{ id: string; usedAt: number }>(`
      UPDATE tokens SET last_used_at = @usedAt
      WHERE id = @id AND (last_used_at IS NULL OR last_used_at < @usedAt)
    `),

    insertSession: connection.prepare<SessionRow>(`
      INSERT INTO sessions (id, user_id, organization_id, created_at, expires_at, ended_at)
      VALUES (@id, @user_id, @organization_id, @created_at, @expires_at, @ended_at)
    `),

    endSession: connection.prepare<{ id: string; endedAt: number }, SessionRow>(`
      UPDATE sessions SET ended_at = coalesce(ended_at, @endedAt) WHERE id = @id RETURNING *
    `),

    insertRefreshToken: connection.prepare<[fingerprint: Uint8Array, sessionId: string]>(
      "INSERT INTO refresh_tokens (fingerprint, session_id) VALUES (?, ?)",
    ),

    findRefreshToken: connection.prepare<[fingerprint: Uint8Array], SessionRow & { used_at: number | null }>(`
      SELECT sessions.*, refresh_tokens.used_at
      FROM refresh_tokens JOIN sessions ON sessions.id = refresh_tokens.session_id
      WHERE refresh_tokens.fingerprint = ?
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
  };
}

const commands = {
  setUp(writes: Writes, { organizations, users, memberships, tokens }: SetUp): boolean {
    if (writes.isEmpty.get() === 0) return false;
    for (const organization of organizations) commands.createOrganization(writes, organization);
    for (const user of users) commands.createUser(writes, user);
    for (const membership of memberships) commands.putMembership(writes, membership);
    for (const token of tokens) commands.createToken(writes, token);
    return true;
  },

  createOrganization(writes: Writes, organization: Organization): void {
    writes.insertOrganization.run(organizationRow(organization));
  },

  createUser(writes: Writes, user: User): void {
    writes.insertUser.run(userRow(user));
  },

  putMembership(writes: Writes, membership: Membership): void {
    writes.putMembership.run(membershipRow(membership));
  },

  createToken(writes: Writes, { token, fingerprint }: NewToken): Token {
    const stored = { ...token, revision: nextRevision(writes) };
    writes.insertToken.run({ ...tokenRow(stored), fingerprint });
    return stored;
  },

  revokeToken(writes: Writes, { id, revokedAt, revokedBy }: Revocation): Token | undefined {
    const before = writes.getToken.get(id);
    if (before === undefined || before.revoked_at !== null) return before && toToken(before);
    const revision = nextRevision(writes);
    const after = writes.revokeToken.get({ id, revokedAt: toMillis(revokedAt), revokedBy, revision });
    return after && toToken(after);
  },

  recordUses(writes: Writes, uses: readonly TokenUse[]): void {
    for (const { tokenId, usedAt } of uses) writes.recordUse.run({ id: tokenId, usedAt: toMillis(usedAt) });
  },

  createSession(writes: Writes, { session, refreshFingerprint }: NewSession): void {
    writes.insertSession.run(sessionRow(session));
    writes.insertRefreshToken.run(refreshFingerprint, session.id);
  },

  rotateRefreshToken(writes: Writes, { presented, next, now }: RefreshTokenRotation): RefreshTokenOutcome {
    const found = writes.findRefreshToken.get(presented);
    if (found === undefined) return { kind: "refused" };
    const nowMs = toMillis(now);
    // A used one comes first: whoever presents it has a copy, also when the session is over already.
    if (found.used_at !== null) {
      const ended = writes.endSession.get({ id: found.id, endedAt: nowMs });
      return { kind: "reused", session: toSession(ended ?? found) };
    }
    if (found.ended_at !== null || found.expires_at <= nowMs) return { kind: "refused" };
    writes.useRefreshToken.run(nowMs, presented);
    writes.insertRefreshToken.run(next, found.id);
    return { kind: "rotated", session: toSession(found) };
  },

  ensureSigningKey(writes: Writes, key: SigningKey): readonly SigningKey[] {
    writes.insertFirstSigningKey.run(signingKeyRow(key));
    return writes.listSigningKeys.all().map(toSigningKey);
  },

  /** Changes nothing. That it ran means that a transaction that writes could begin. */
  ping(_writes: Writes, _input: undefined): void {},
};

/** Runs one command by its name. */
export function runCommand(writes: Writes, name: CommandName, input: unknown): unknown {
  // The sender's types tie name and input together; across the threads TypeScript can't see it.
  const command = commands[name] as (writes: Writes, input: unknown) => unknown;
  return command(writes, input);
}

function nextRevision(writes: Writes): number {
  const revision = writes.nextRevision.get();
  if (revision === undefined) throw new Error("the revision's row is missing");
  return revision;
}
