/** Databases with data that older schemas wrote, served after they became the newest. */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { createDatabaseFile } from "../../src/storage/sqlite/files.ts";
import { initialSchema } from "../../src/storage/sqlite/migrations/0001-initial-schema.ts";
import { membersAndRateWindows } from "../../src/storage/sqlite/migrations/0002-members-and-rate-windows.ts";
import { recordedCalls } from "../../src/storage/sqlite/migrations/0003-recorded-calls.ts";
import { events } from "../../src/storage/sqlite/migrations/0004-events.ts";
import { migrate } from "../../src/storage/sqlite/migrations.ts";
import { openSqliteStorage } from "../../src/storage/sqlite/sqlite-storage.ts";
import { silentLogger, temporaryDirectory } from "../helpers/sqlite.ts";
import {
  after,
  everyEvent,
  everyToken,
  NOW,
  someChange,
  someFingerprint,
  someLeaseRequest,
  someMembership,
  someOrganization,
  someRecord,
  someRotation,
  someToken,
  someUse,
  someUser,
} from "./samples.ts";

describe("a database of schema 1", () => {
  it("keeps its people, who have no names yet, and counts rate limits from then on", async () => {
    await using directory = await temporaryDirectory();
    const path = createDatabaseFile(join(directory.path, "latchkey.db"));
    migrate({ path, busyTimeoutMs: 50 }, [initialSchema]);
    const createdAt = NOW.getTime();
    const connection = new Database(path);
    connection.prepare("INSERT INTO organizations VALUES ('a0', 'Acme', 'watchplane', 'free', ?)").run(createdAt);
    connection.prepare("INSERT INTO users VALUES ('b0', 'ada@example.com', 'hash', ?)").run(createdAt);
    connection.prepare("INSERT INTO memberships VALUES ('a0', 'b0', 'owner', ?)").run(createdAt);
    connection.close();

    const storage = await openSqliteStorage({ path, logger: silentLogger });
    const nameless = { firstName: "", lastName: "", displayName: "", avatarUrl: "" };
    const user = someUser({ id: "b0", email: "ada@example.com", passwordHash: "hash", ...nameless });
    const membership = someMembership({ organizationId: "a0", userId: "b0", role: "owner" });
    expect(await storage.findUserByEmail("ada@example.com")).toEqual(user);
    expect(await storage.listOrganizations(undefined, 10)).toEqual([someOrganization({ id: "a0" })]);
    expect(await storage.listMembers("a0", undefined, 10)).toEqual([{ membership, user }]);
    expect(await storage.takeLease(someLeaseRequest())).toEqual({ granted: 1, taken: 1 });
    expect(await storage.listDigestSchemes()).toEqual([]);
    // What was there before has no events: its chain starts with the first change.
    expect(await storage.listEvents(everyEvent())).toEqual([]);
    const record = someRecord();
    await storage.setPlan("a0", "pro", someChange(), record);
    expect(await storage.findRecordedCall(record.keyHash, NOW)).toBeDefined();
    expect(await storage.listEvents(everyEvent())).toMatchObject([{ sequence: 1, action: "organization.plan_set" }]);
    await storage.close();
  });

  it("forgets what ended before there was a way to find it", async () => {
    await using directory = await temporaryDirectory();
    const path = createDatabaseFile(join(directory.path, "latchkey.db"));
    migrate({ path, busyTimeoutMs: 50 }, [initialSchema]);
    const connection = new Database(path);
    connection.exec(`
      INSERT INTO organizations VALUES ('a0', 'Acme', 'watchplane', 'free', 0);
      INSERT INTO users VALUES ('b0', 'ada@example.com', 'hash', 0);
      INSERT INTO sessions VALUES ('s1', 'b0', 'a0', 0, 50, 10), ('s2', 'b0', 'a0', 0, 50, NULL);
      INSERT INTO refresh_tokens VALUES (zeroblob(32), 's1', NULL);
    `);
    const insert = connection.prepare(`
      INSERT INTO tokens (id, organization_id, fingerprint, profile, type, name, hint, permission, scopes, ip_allowlist,
        metadata, enabled, created_by, created_at, expires_at, revoked_at, revoked_by, revision)
      VALUES (?, 'a0', randomblob(32), 'watchplane', '', '', '', '', '[]', '[]', '{}', 1, '', 0, ?, ?, ?, 1)
    `);
    const [expired, revoked, alive] = [randomUUID(), randomUUID(), randomUUID()];
    insert.run(expired, 10, null, null);
    insert.run(revoked, 50, 10, "usr_someone");
    insert.run(alive, 50, null, null);
    connection.close();

    const storage = await openSqliteStorage({ path, logger: silentLogger });
    const at = new Date(20);
    expect(await storage.purgeTokens(at, 10, someChange({ at }))).toBe(2);
    expect(await storage.listTokens(everyToken("a0"))).toMatchObject([{ id: alive }]);
    expect(await storage.sweepSessions(at, 10)).toBe(1);
    expect([await storage.getSession("s1"), (await storage.getSession("s2"))?.id]).toEqual([undefined, "s2"]);
    await storage.close();
  });
});

describe("a database of schema 4", () => {
  it("keeps its tokens with their secrets, and rotates them from then on", async () => {
    await using directory = await temporaryDirectory();
    const path = createDatabaseFile(join(directory.path, "latchkey.db"));
    migrate({ path, busyTimeoutMs: 50 }, [initialSchema, membersAndRateWindows, recordedCalls, events]);
    const createdAt = NOW.getTime();
    const fingerprint = someFingerprint();
    const connection = new Database(path);
    connection.prepare("INSERT INTO organizations VALUES ('a0', 'Acme', 'watchplane', 'free', ?)").run(createdAt);
    connection
      .prepare(`
        INSERT INTO tokens VALUES ('c0', 'a0', ?, 'watchplane', '', 'deploy', 'wp_…beef', '', '[]', '[]', '{}', 1,
          'usr_someone', NULL, ?, NULL, ?, NULL, NULL, 7)
      `)
      .run(fingerprint, createdAt, createdAt + 1);
    connection.exec("UPDATE revision SET value = 7");
    connection.close();

    const storage = await openSqliteStorage({ path, logger: silentLogger });
    const old = someToken({ id: "c0", organizationId: "a0", lastUsedAt: after(1) }).token;
    expect(await storage.getToken("c0")).toEqual({ ...old, revision: 7 });
    const secretOf = async (one: Uint8Array) => (await storage.findTokenByFingerprint(one))?.secret;
    expect(await secretOf(fingerprint)).toEqual({ kind: "current" });
    await storage.recordUses([someUse("c0", after(1), { daily: [{ day: 1, uses: 2 }] })]);
    expect(await storage.readUses("c0", 0, 9)).toEqual([{ day: 1, uses: 2 }]);
    const rotation = someRotation({ revision: 7 }, { overlapEndsAt: after(9) });
    const rotated = await storage.rotateToken("c0", rotation, someChange());
    expect(rotated).toMatchObject({ revision: 8, rotation: { previousHint: "wp_…beef" }, lastUsedAt: after(1) });
    expect(await secretOf(fingerprint)).toEqual({ kind: "former", endsAt: after(9) });
    expect(await secretOf(rotation.fingerprint)).toEqual({ kind: "current" });
    await storage.close();
  });
});
