/** What `checkDatabase` finds in a file that somebody or something has changed. */
import { open, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { toPublicId } from "../../src/domain/ids.ts";
import { checkDatabase } from "../../src/storage/sqlite/check.ts";
import { createDatabaseFile } from "../../src/storage/sqlite/files.ts";
import { initialSchema } from "../../src/storage/sqlite/migrations/0001-initial-schema.ts";
import { migrate } from "../../src/storage/sqlite/migrations.ts";
import { openSqliteStorage } from "../../src/storage/sqlite/sqlite-storage.ts";
import { openSqliteSubject, silentLogger, temporaryDirectory } from "../helpers/sqlite.ts";
import {
  after,
  someChange,
  someMembership,
  someOrganization,
  someRotation,
  someSelection,
  someToken,
  someUser,
} from "./samples.ts";

/** A database with one organization and three tokens, the second of which is revoked. */
async function openDeployment() {
  const subject = await openSqliteSubject();
  const { storage } = subject;
  const { id: organizationId } = await storage.createOrganization(someOrganization(), someChange());
  const user = someUser();
  await storage.addMember(someMembership({ organizationId, userId: user.id, role: "owner" }), user, someChange());
  const tokens: string[] = [];
  for (let index = 0; index < 3; index++) {
    const { id } = await storage.createToken(someToken({ organizationId }), someChange());
    tokens.push(id);
  }
  const [first = "", second = "", third = ""] = tokens;
  await storage.revokeToken(second, someChange({ at: after(5) }));
  return {
    path: subject.path,
    storage,
    organizationId,
    first,
    second,
    third,
    /** Runs SQL by the database's own means, and answers what the check finds. */
    faultsAfter(sql: string): readonly string[] {
      new Database(subject.path).exec(`PRAGMA foreign_keys = OFF; ${sql}`).close();
      return faultsOf(subject.path);
    },
    close: () => storage.close(),
    [Symbol.asyncDispose]: () => subject[Symbol.asyncDispose](),
  };
}

function faultsOf(path: string): readonly string[] {
  return checkDatabase(path).checks.flatMap(({ name, faults }) => faults.map((fault) => `${name}: ${fault}`));
}

describe("a check", () => {
  it("finds nothing wrong with a database in service, and says what it looked at", async () => {
    await using deployment = await openDeployment();
    const report = checkDatabase(deployment.path);
    expect(report).toEqual({
      revision: 6,
      hasAuditLog: true,
      checks: [
        { name: "schema", found: expect.stringMatching(/^version \d+$/) as string, faults: [] },
        { name: "pages", found: expect.stringMatching(/^\d+ pages with their indexes$/) as string, faults: [] },
        { name: "references", found: "between all tables", faults: [] },
        { name: "tokens", found: "3, each as its events left it", faults: [] },
      ],
    });
  });

  it("takes tokens from before the audit log as they are", async () => {
    await using directory = await temporaryDirectory();
    const path = createDatabaseFile(join(directory.path, "latchkey.db"));
    migrate({ path, busyTimeoutMs: 50 }, [initialSchema]);
    const connection = new Database(path);
    connection.exec(`
      UPDATE revision SET value = 2;
      INSERT INTO organizations VALUES ('00000000-0000-7000-8000-000000000001', 'Acme', 'watchplane', 'free', 0);
    `);
    const insert = connection.prepare(`
      INSERT INTO tokens VALUES (
        ?, '00000000-0000-7000-8000-000000000001', randomblob(32), 'watchplane', '', 'old', '', '', '[]', '[]', '{}', 1,
        'usr_x', NULL, 0, NULL, NULL, ?, ?, ?
      )
    `);
    const [revoked, good] = ["00000000-0000-7000-8000-00000000000a", "00000000-0000-7000-8000-00000000000b"];
    insert.run(revoked, 5, "usr_x", 1);
    insert.run(good, null, null, 2);
    connection.close();
    expect(checkDatabase(path)).toMatchObject({
      hasAuditLog: false,
      checks: [
        { found: expect.stringMatching(/^version 1, \d+ is the newest$/) as string },
        {},
        {},
        { found: "2, from before the audit log" },
      ],
    });
    expect(faultsOf(path)).toEqual([]);

    const storage = await openSqliteStorage({ path, logger: silentLogger });
    expect(faultsOf(path)).toEqual([]);
    const organizationId = "00000000-0000-7000-8000-000000000001";
    await storage.createToken(someToken({ organizationId }), someChange());
    await storage.revokeToken(good ?? "", someChange());
    expect(faultsOf(path)).toEqual([]);
    await storage.close();
  });

  it("finds nothing wrong with what a token's life does: imports, rotations, many revokes, a purge", async () => {
    await using deployment = await openDeployment();
    const { storage, organizationId, first } = deployment;
    const { revision = 0 } = (await storage.getToken(first)) ?? {};
    const rotation = someRotation({ revision }, { overlapEndsAt: after(100) });
    await storage.rotateToken(first, rotation, someChange());
    const imported = someToken({ organizationId, expiresAt: after(7) });
    await storage.importTokens([imported], [{ algorithm: "sha256", key: undefined }], someChange());
    await storage.revokeTokens(someSelection(organizationId), someChange({ at: after(6) }));
    expect(faultsOf(deployment.path)).toEqual([]);
    expect(await storage.purgeTokens(after(7), 10, someChange({ at: after(8) }))).toBe(4);
    expect(faultsOf(deployment.path)).toEqual([]);
  });

  it("passes over tables and indexes that somebody added, and names them", async () => {
    await using deployment = await openDeployment();
    const sql = "CREATE TABLE _litestream_seq (id INTEGER); CREATE INDEX mine ON tokens (name)";
    expect(deployment.faultsAfter(sql)).toEqual([]);
    expect(checkDatabase(deployment.path).checks[0]?.found).toMatch(
      /^version \d+; not Latchkey's: table _litestream_seq, index mine$/,
    );
  });

  it("says so when there are very many faults", async () => {
    await using deployment = await openDeployment();
    const faults = deployment.faultsAfter(`
      WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 50)
      INSERT INTO refresh_tokens SELECT randomblob(32), 'no session', NULL FROM numbers
    `);
    expect(faults).toHaveLength(21);
    expect(faults.at(-1)).toBe("references: and more");
  });
});

describe("a check finds", () => {
  for (const [what, sql, fault] of [
    ["a trigger that is gone", "DROP TRIGGER events_are_not_changed", "the trigger events_are_not_changed is missing"],
    ["an index that is gone", "DROP INDEX tokens_by_age", "the index tokens_by_age is missing"],
    ["a table that is gone", "DROP TABLE rate_windows", "the table rate_windows is missing"],
    ["a table that was changed", "ALTER TABLE users ADD COLUMN is_admin INTEGER", "the table users was changed"],
    [
      "a trigger that was added",
      "CREATE TRIGGER undo AFTER UPDATE ON tokens BEGIN UPDATE tokens SET revoked_at = NULL, revoked_by = NULL; END",
      "the trigger undo isn't Latchkey's",
    ],
    [
      "a trigger that was weakened",
      `DROP TRIGGER events_are_not_deleted;
       CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events WHEN old.revision = 1
       BEGIN SELECT RAISE(ABORT, 'events are not deleted'); END`,
      "the trigger events_are_not_deleted was changed",
    ],
  ] as const) {
    it(what, async () => {
      await using deployment = await openDeployment();
      expect(deployment.faultsAfter(sql)).toContain(`schema: ${fault}`);
    });
  }

  it("a reference to nothing", async () => {
    await using deployment = await openDeployment();
    expect(deployment.faultsAfter("DELETE FROM users")).toEqual(["references: memberships: refers to no row of users"]);
  });

  it("a token that differs from its last event", async () => {
    await using deployment = await openDeployment();
    const { first, second, third, organizationId } = deployment;
    const named = (id: string): string => `tokens: ${toPublicId("tok", id)}`;
    expect(deployment.faultsAfter(`UPDATE tokens SET revision = revision + 1 WHERE id = '${first}'`)).toEqual([
      `${named(first)}: has revision 4, and its last event 3`,
    ]);
    expect(deployment.faultsAfter(`UPDATE tokens SET revision = revision - 1 WHERE id = '${first}'`)).toEqual([]);

    const revive = `UPDATE tokens SET revoked_at = NULL, revoked_by = NULL WHERE id = '${second}'`;
    expect(deployment.faultsAfter(revive)).toEqual([`${named(second)}: was revoked, and is not`]);
    const revokeLater = `UPDATE tokens SET revoked_at = ${after(6).getTime()}, revoked_by = 'x' WHERE id = '${second}'`;
    expect(deployment.faultsAfter(revokeLater)).toHaveLength(1);
    const revoke = `UPDATE tokens SET revoked_at = ${after(5).getTime()}, revoked_by = 'x' WHERE id = `;
    expect(deployment.faultsAfter(`${revoke} '${second}'`)).toEqual([]);

    expect(deployment.faultsAfter(`${revoke} '${third}'`)).toEqual([
      `${named(third)}: is revoked, and its events say otherwise`,
    ]);
    expect(deployment.faultsAfter(`DELETE FROM tokens WHERE id = '${third}'`)).toEqual([
      `${named(third)}: was issued, and is gone`,
    ]);

    const forged = "00000000-0000-7000-8000-0000000000ff";
    const forge = `
      INSERT INTO tokens (
        id, organization_id, fingerprint, profile, type, name, hint, permission, scopes, ip_allowlist, metadata, enabled,
        created_by, user_id, created_at, expires_at, last_used_at, revoked_at, revoked_by, revision
      )
      SELECT '${forged}', '${organizationId}', randomblob(32), profile, type, 'forged', hint, permission, scopes,
        ip_allowlist, metadata, enabled, created_by, user_id, created_at, expires_at, last_used_at, NULL, NULL, 7
      FROM tokens WHERE id = '${first}'
    `;
    expect(deployment.faultsAfter(forge)).toContain(`${named(forged)}: has revision 7, and its last event none`);
  });

  it("damage to a page, wherever it is", async () => {
    await using deployment = await openDeployment();
    await deployment.close();
    const { path } = deployment;
    const { size } = await stat(path);
    for (let page = 1; page < size / 4096; page++) {
      await using file = await open(path, "r+");
      const { buffer } = await file.read(Buffer.alloc(64), 0, 64, page * 4096);
      await file.write(Buffer.alloc(64, 0xa5), 0, 64, page * 4096);
      await file.sync();
      expect(faultsOf(path), `page ${page}`).not.toEqual([]);
      await file.write(buffer, 0, 64, page * 4096);
    }
    expect(faultsOf(path)).toEqual([]);
  });

  it("a file that was cut off", async () => {
    await using deployment = await openDeployment();
    await deployment.close();
    const { size } = await stat(deployment.path);
    await truncate(deployment.path, size - 4096);
    expect(faultsOf(deployment.path)).not.toEqual([]);
    await truncate(deployment.path, size / 2);
    expect(faultsOf(deployment.path)).not.toEqual([]);
  });

  it("that it isn't Latchkey's, or not this one's", async () => {
    await using deployment = await openDeployment();
    await deployment.close();
    const { path } = deployment;
    expect(deployment.faultsAfter("UPDATE schema_migrations SET checksum = '' WHERE version = 2")).toEqual([
      expect.stringContaining("schema: ") as string,
    ]);
    expect(deployment.faultsAfter("INSERT INTO schema_migrations VALUES (99, 'later', 0, '')")).toEqual([
      expect.stringMatching(/^schema: .* was written by a newer Latchkey/) as string,
    ]);

    await using directory = await temporaryDirectory();
    const other = join(directory.path, "other.db");
    await writeFile(other, "");
    expect(faultsOf(other)).toEqual([`schema: ${other} is empty`]);
    new Database(other).exec("CREATE TABLE a (b)").close();
    expect(faultsOf(other)).toEqual([`schema: ${other} is the database of another program: choose another file`]);
    await writeFile(other, "These are notes, and quite a lot of them. ".repeat(100));
    expect(faultsOf(other)).toEqual([`schema: ${other} is not a SQLite database: choose another file`]);
    expect(() => checkDatabase(join(directory.path, "nothing"))).toThrow(/nothing can't be read \(SQLITE_CANTOPEN\)/);
    expect(checkDatabase(path, "the backup").checks[0]?.faults[0]).toMatch(/^the backup was written by a newer/);
  });
});
