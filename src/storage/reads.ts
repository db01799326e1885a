/** The reads of every engine, as statements. */
import type { DailyUse } from "../domain/daily-uses.ts";
import type { InvitationRow } from "./invitation-rows.ts";
import {
  type ChangeNoticeRow,
  type DigestSchemeRow,
  type EventHashRow,
  type EventRow,
  type ImportKeyRow,
  KNOWN_TOKEN_COLUMNS,
  type KnownRecordRow,
  MEMBER_COLUMNS,
  type MemberRow,
  type MembershipRow,
  type OrganizationRow,
  type RecordedCallRow,
  type SessionRow,
  type SigningKeyRow,
  TOKEN_ROW,
  type TokenRow,
  type UserRow,
} from "./rows.ts";
import type { Dialect } from "./statement.ts";
import { matchesFilter, type TokenFilterParameters } from "./token-filter.ts";

interface ListOrganizationsParameters {
  readonly beforeCreatedAt: number;
  readonly beforeId: string;
  readonly limit: number;
}

interface ListMembersParameters {
  readonly organizationId: string;
  readonly afterCreatedAt: number;
  readonly afterUserId: string;
  readonly limit: number;
}

interface ListTokensParameters extends TokenFilterParameters {
  readonly organizationId: string;
  readonly profile: string | null;
  readonly beforeCreatedAt: number;
  readonly beforeId: string;
  readonly now: number;
  readonly active: number;
  readonly disabled: number;
  readonly expired: number;
  readonly revoked: number;
  readonly limit: number;
}

interface ListEventsParameters {
  readonly organizationId: string | null;
  /** As a JSON array. */
  readonly actions: string | null;
  readonly actor: string | null;
  readonly target: string | null;
  readonly from: number | null;
  readonly until: number | null;
  /** Lowest revision; the highest where the newest come first. */
  readonly start: number | bigint;
  readonly limit: number;
}

const KNOWN_RECORD_COLUMNS = `
  ${KNOWN_TOKEN_COLUMNS.map((column) => `tokens.${column}`).join(", ")}, organizations.plan AS organization_plan
`;

/** Also a write's, which must see what was written before it. */
export const FIND_USER_BY_IDENTITY = `
  SELECT users.* FROM identities JOIN users ON users.id = identities.user_id WHERE issuer = ? AND subject = ?
`;

export type Reads = ReturnType<typeof prepareReads>;

/** The reads' statements, prepared once. As in `prepareWrites`, a plus hides what is bound from SQLite's planner. */
export function prepareReads(connection: Dialect) {
  return {
    isEmpty: connection.prepare<[], number>("SELECT NOT EXISTS (SELECT 1 FROM organizations)").pluck(),

    getOrganization: connection.prepare<[id: string], OrganizationRow>("SELECT * FROM organizations WHERE id = ?"),

    listOrganizations: connection.prepare<ListOrganizationsParameters, OrganizationRow>(`
      SELECT *
      FROM organizations
      WHERE (created_at, id) < (@beforeCreatedAt, @beforeId)
      ORDER BY created_at DESC, id DESC
      LIMIT +@limit
    `),

    getUser: connection.prepare<[id: string], UserRow>("SELECT * FROM users WHERE id = ?"),

    findUserByEmail: connection.prepare<[email: string], UserRow>("SELECT * FROM users WHERE email = ?"),

    findUserByIdentity: connection.prepare<[issuer: string, subject: string], UserRow>(FIND_USER_BY_IDENTITY),

    getMembership: connection.prepare<[organizationId: string, userId: string], MembershipRow>(
      "SELECT * FROM memberships WHERE organization_id = ? AND user_id = ?",
    ),

    listMembershipsOfUser: connection.prepare<[userId: string], MembershipRow>(
      "SELECT * FROM memberships WHERE user_id = +? ORDER BY created_at, organization_id",
    ),

    listMembers: connection.prepare<ListMembersParameters, MemberRow>(`
      SELECT ${MEMBER_COLUMNS}
      FROM memberships JOIN users ON users.id = memberships.user_id
      WHERE organization_id = +@organizationId
        AND (memberships.created_at, user_id) > (@afterCreatedAt, @afterUserId)
      ORDER BY memberships.created_at, user_id
      LIMIT +@limit
    `),

    getToken: connection.prepare<[id: string], TokenRow>(`SELECT ${TOKEN_ROW} FROM tokens WHERE id = ?`),

    // Former secrets are looked at only when no current one was found. It is one statement, for one sees one
    // state: between two a former secret could become the current one.
    findTokenByFingerprint: connection.prepare<{ fingerprint: Uint8Array }, KnownRecordRow>(`
      SELECT ${KNOWN_RECORD_COLUMNS}, 'current' AS secret_kind, NULL AS secret_ends_at
      FROM tokens JOIN organizations ON organizations.id = tokens.organization_id
      WHERE tokens.fingerprint = +@fingerprint
      UNION ALL
      SELECT ${KNOWN_RECORD_COLUMNS}, 'former', former_secrets.ends_at
      FROM former_secrets
        JOIN tokens ON tokens.id = former_secrets.token_id
        JOIN organizations ON organizations.id = tokens.organization_id
      WHERE former_secrets.fingerprint = +@fingerprint
    `),

    // The states are those of tokenState() in the domain, in its order.
    listTokens: connection.prepare<ListTokensParameters, TokenRow>(`
      SELECT ${TOKEN_ROW}
      FROM tokens
      WHERE organization_id = +@organizationId
        AND (created_at, id) < (@beforeCreatedAt, @beforeId)
        AND (CAST(@profile AS TEXT) IS NULL OR profile = @profile)
        AND ${matchesFilter(connection)}
        AND CASE
          WHEN revoked_at IS NOT NULL THEN CAST(@revoked AS INTEGER)
          WHEN expires_at <= @now THEN @expired
          WHEN enabled = 1 THEN @active
          ELSE @disabled
        END = 1
      ORDER BY created_at DESC, id DESC
      LIMIT +@limit
    `),

    readUses: connection.prepare<[tokenId: string, first: number, last: number], DailyUse>(
      "SELECT day, uses FROM token_uses WHERE token_id = +? AND day BETWEEN ? AND ? ORDER BY day",
    ),

    readUsesOfTokens: connection.prepare<
      { tokenIds: string; first: number; last: number },
      DailyUse & { token_id: string }
    >(`
      SELECT token_id, day, uses
      FROM token_uses
      WHERE token_id IN (${connection.elementsOf("@tokenIds")}) AND day BETWEEN @first AND @last
      ORDER BY token_id, day
    `),

    listDigestSchemes: connection.prepare<[], DigestSchemeRow>(
      "SELECT algorithm, key_id FROM digest_schemes ORDER BY algorithm = 'sha256' DESC, algorithm, key_id",
    ),

    getImportKey: connection.prepare<[id: string], ImportKeyRow>("SELECT * FROM import_keys WHERE id = ?"),

    listEvents: connection.prepare<ListEventsParameters, EventRow>(
      listEvents(connection, "CAST(@organizationId AS TEXT) IS NULL"),
    ),

    listEventsOfOrganization: connection.prepare<ListEventsParameters, EventRow>(
      listEvents(connection, "organization_id = +@organizationId"),
    ),

    listNewestEvents: connection.prepare<ListEventsParameters, EventRow>(
      listEvents(connection, "CAST(@organizationId AS TEXT) IS NULL", true),
    ),

    listNewestEventsOfOrganization: connection.prepare<ListEventsParameters, EventRow>(
      listEvents(connection, "organization_id = +@organizationId", true),
    ),

    listChanges: connection.prepare<[after: number, limit: number], ChangeNoticeRow>(
      "SELECT revision, organization_id, action, target FROM events WHERE revision > ? ORDER BY revision LIMIT +?",
    ),

    latestRevision: connection
      .prepare<[], number>("SELECT revision FROM events ORDER BY revision DESC LIMIT 1")
      .pluck(),

    listEventHashes: connection.prepare<[start: number | bigint, limit: number], EventHashRow>(
      "SELECT revision, hash FROM events WHERE revision >= ? ORDER BY revision LIMIT +?",
    ),

    readWindow: connection
      .prepare<[tokenId: string, windowStart: number], number>(
        "SELECT taken FROM rate_windows WHERE token_id = ? AND window_start = ?",
      )
      .pluck(),

    findRecordedCall: connection.prepare<[keyHash: Uint8Array, now: number], RecordedCallRow>(
      "SELECT request_hash, sealed_answer FROM recorded_calls WHERE key_hash = ? AND expires_at > ?",
    ),

    getSession: connection.prepare<[id: string], SessionRow>("SELECT * FROM sessions WHERE id = ?"),

    listInvitations: connection.prepare<[organizationId: string, now: number], InvitationRow>(
      "SELECT * FROM invitations WHERE organization_id = ? AND expires_at > ? ORDER BY created_at, id",
    ),

    findInvitation: connection.prepare<[fingerprint: Uint8Array, now: number], InvitationRow>(
      "SELECT * FROM invitations WHERE fingerprint = ? AND expires_at > ?",
    ),

    findPasswordLink: connection.prepare<[fingerprint: Uint8Array, now: number], UserRow>(`
      SELECT users.*
      FROM password_links JOIN users ON users.id = password_links.user_id
      WHERE password_links.fingerprint = ? AND password_links.expires_at > ?
    `),

    findSession: connection.prepare<[fingerprint: Uint8Array], SessionRow>(`
      SELECT sessions.*
      FROM refresh_tokens JOIN sessions ON sessions.id = refresh_tokens.session_id
      WHERE refresh_tokens.fingerprint = ?
    `),

    listSigningKeys: connection.prepare<[], SigningKeyRow>("SELECT * FROM signing_keys ORDER BY created_at, id"),

    probe: connection.prepare<[], number>("SELECT value FROM revision").pluck(),
  };
}

// Two statements, for no index serves both an organization's events and everybody's.
function listEvents({ elementsOf }: Dialect, ofWhom: string, newestFirst = false): string {
  return `
    SELECT *
    FROM events
    WHERE ${ofWhom}
      AND revision ${newestFirst ? "<=" : ">="} @start
      AND (CAST(@actions AS TEXT) IS NULL OR action IN (${elementsOf("@actions")}))
      AND (CAST(@actor AS TEXT) IS NULL OR actor_id = @actor)
      AND (CAST(@target AS TEXT) IS NULL OR target = @target)
      AND (CAST(@from AS BIGINT) IS NULL OR at >= @from)
      AND (CAST(@until AS BIGINT) IS NULL OR at < @until)
    ORDER BY revision ${newestFirst ? "DESC" : ""}
    LIMIT +@limit
  `;
}
