/** A row in every table of every schema that there was: it is all there when the newest schema serves it. */
import { join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { ChainVerifier, EMPTY_CHAIN, nextEvent } from "../../src/domain/audit.ts";
import { planSet } from "../../src/domain/occurrences.ts";
import { invitationRow } from "../../src/storage/invitation-rows.ts";
import {
  eventRow,
  membershipRow,
  organizationRow,
  sessionRow,
  signingKeyRow,
  tokenRow,
  userRow,
} from "../../src/storage/rows.ts";
import { createDatabaseFile } from "../../src/storage/sqlite/files.ts";
import { MIGRATIONS, migrate } from "../../src/storage/sqlite/migrations.ts";
import { openSqliteStorage } from "../../src/storage/sqlite/sqlite-storage.ts";
import { silentLogger, temporaryDirectory } from "../helpers/sqlite.ts";
import {
  everyEvent,
  knownRecord,
  NOW,
  someChange,
  someFingerprint,
  someInvitation,
  someLeaseRequest,
  someMembership,
  someOrganization,
  someRecord,
  someSession,
  someSigningKey,
  someToken,
  someUser,
} from "./samples.ts";

const organization = someOrganization();
const ada = someUser();
const membership = someMembership({ organizationId: organization.id, userId: ada.id, role: "owner" });
const created = someToken({ organizationId: organization.id, createdBy: "usr_ada", scopes: ["read"] });
const session = someSession({ organizationId: organization.id, userId: ada.id });
const signingKey = someSigningKey();
const record = someRecord();
const invited = someInvitation(organization.id);
const lease = someLeaseRequest({ tokenId: created.token.id });
const event = nextEvent(EMPTY_CHAIN, 7, someChange(), planSet(organization, { ...organization, plan: "pro" }));

/** A row of every table, as the newest schema has it. */
const CONTENTS: readonly (readonly [table: string, row: object])[] = [
  ["organizations", organizationRow(organization)],
  ["users", userRow(ada)],
  ["memberships", membershipRow(membership)],
  ["tokens", { ...tokenRow({ ...created.token, revision: 7 }), fingerprint: created.fingerprint }],
  ["sessions", sessionRow(session)],
  ["refresh_tokens", { fingerprint: someFingerprint(), session_id: session.id, used_at: null }],
  ["signing_keys", signingKeyRow(signingKey)],
  [
    "rate_windows",
    {
      token_id: lease.tokenId,
      window_start: lease.windowStart.getTime(),
      window_end: lease.windowEnd.getTime(),
      taken: 3,
    },
  ],
  [
    "recorded_calls",
    {
      key_hash: record.keyHash,
      request_hash: record.requestHash,
      sealed_answer: someFingerprint(),
      expires_at: record.expiresAt.getTime(),
    },
  ],
  ["events", eventRow(event)],
  ["former_secrets", { fingerprint: someFingerprint(), token_id: created.token.id, ends_at: null }],
  ["last_uses", { token_id: created.token.id, at: 0, address: "192.0.2.1" }],
  ["token_uses", { token_id: created.token.id, day: 20_778, uses: 5 }],
  ["import_keys", { id: "key", sealed_key: someFingerprint(), created_at: NOW.getTime() }],
  ["invitations", { ...invitationRow(invited.invitation), fingerprint: invited.fingerprint }],
  ["password_links", { fingerprint: someFingerprint(), user_id: ada.id, expires_at: NOW.getTime() }],
  ["identities", { issuer: "https://id.example.com", subject: "ada", user_id: ada.id, linked_at: NOW.getTime() }],
  ["digest_schemes", { algorithm: "hmac_sha256", key_id: "key" }],
];

describe.each(MIGRATIONS.map(({ name }, index) => [index + 1, name] as const))(
  "a database of schema %i (%s)",
  (version) => {
    it("keeps all that is in it, and goes on", async () => {
      await using directory = await temporaryDirectory();
      const path = createDatabaseFile(join(directory.path, "latchkey.db"));
      migrate({ path, busyTimeoutMs: 50 }, MIGRATIONS.slice(0, version));
      const filled = fill(path);

      const storage = await openSqliteStorage({ path, logger: silentLogger });
      expect(readBack(path, filled)).toEqual(filled);

      // At first people had no names.
      const nameless = { firstName: "", lastName: "", displayName: "", avatarUrl: "" };
      const user = { ...ada, ...(filled.get("users")?.["first_name"] === undefined ? nameless : {}) };
      const token = { ...created.token, revision: 7 };
      expect(await storage.isEmpty()).toBe(false);
      expect(await storage.findUserByEmail(ada.email)).toEqual(user);
      expect(await storage.listOrganizations(undefined, 10)).toEqual([organization]);
      expect(await storage.listMembers(organization.id, undefined, 10)).toEqual([{ membership, user }]);
      expect(await storage.findTokenByFingerprint(created.fingerprint)).toEqual(
        knownRecord(token, organization, { kind: "current" }),
      );
      const used = filled.has("last_uses") ? { lastUsedAt: new Date(0), lastUsedAddress: "192.0.2.1" } : {};
      expect(await storage.getToken(token.id)).toEqual({ ...token, ...used });
      expect(await storage.getSession(session.id)).toEqual(session);
      expect(await storage.listSigningKeys()).toEqual([signingKey]);

      // Rate limits, records and chains go on where there were any, and start where there were none.
      expect(await storage.takeLease(lease)).toEqual({ granted: 1, taken: filled.has("rate_windows") ? 4 : 1 });
      expect((await storage.findRecordedCall(record.keyHash, NOW)) !== undefined).toBe(filled.has("recorded_calls"));
      await storage.revokeToken(created.token.id, someChange(), someRecord());
      const events = await storage.listEvents(everyEvent());
      expect(events.map(({ sequence, revision, action }) => [sequence, revision, action])).toEqual([
        ...(filled.has("events") ? [[1, 7, "organization.plan_set"]] : []),
        [filled.has("events") ? 2 : 1, 8, "token.revoked"],
      ]);
      const verifier = new ChainVerifier();
      for (const one of events) verifier.add(one);
      expect(verifier.broken).toBeUndefined();
      await storage.close();
    });
  },
);

it("the samples fill every table of the newest schema", async () => {
  await using directory = await temporaryDirectory();
  const path = createDatabaseFile(join(directory.path, "latchkey.db"));
  migrate({ path, busyTimeoutMs: 50 });
  expect(tablesOf(path).difference(new Set(CONTENTS.map(([table]) => table)))).toEqual(
    new Set(["schema_migrations", "revision"]),
  );
});

/** Values by column; bytes as text, to be compared. */
type Row = Readonly<Record<string, unknown>>;

/** Puts a row into each table that there is, with the columns that it has; answers what was put in. */
function fill(path: string): ReadonlyMap<string, Row> {
  const tables = tablesOf(path);
  const connection = new Database(path);
  connection.exec("UPDATE revision SET value = 7");
  const rows = new Map<string, Row>();
  for (const [table, newest] of CONTENTS.filter(([name]) => tables.has(name))) {
    const columns = connection.prepare<[string], string>("SELECT name FROM pragma_table_info(?)").pluck().all(table);
    const row = Object.fromEntries(Object.entries(newest).filter(([name]) => columns.includes(name)));
    const values = Object.keys(row).map((name) => `@${name}`);
    connection.prepare(`INSERT INTO ${table} (${Object.keys(row).join(", ")}) VALUES (${values.join(", ")})`).run(row);
    rows.set(table, comparable(row));
  }
  connection.close();
  return rows;
}

/** What the only row of each table has in the columns that were filled. */
function readBack(path: string, filled: ReadonlyMap<string, Row>): ReadonlyMap<string, Row> {
  const connection = new Database(path, { readonly: true });
  const rows = Array.from(filled, ([table, row]) => {
    const [found, ...more] = connection.prepare<[], Row>(`SELECT ${Object.keys(row).join(", ")} FROM ${table}`).all();
    expect([table, more]).toEqual([table, []]);
    return [table, comparable(found ?? {})] as const;
  });
  connection.close();
  return new Map(rows);
}

function comparable(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value,
    ]),
  );
}

function tablesOf(path: string): Set<string> {
  const connection = new Database(path, { readonly: true });
  const names = connection.prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all();
  connection.close();
  return new Set(names);
}
