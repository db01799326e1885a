/** What is particular to SQLite: settings, files, query plans, and what the files hold. */
import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { fingerprint } from "../../src/domain/fingerprint.ts";
import { WriteMeter } from "../../src/domain/write-meter.ts";
import { checkpoint } from "../../src/storage/sqlite/checkpoint.ts";
import { prepareWrites } from "../../src/storage/sqlite/commands.ts";
import { openReadConnection, openWriteConnection, setPragma } from "../../src/storage/sqlite/connection.ts";
import { createDatabaseFile } from "../../src/storage/sqlite/files.ts";
import { migrate } from "../../src/storage/sqlite/migrations.ts";
import { prepareReads } from "../../src/storage/sqlite/reads.ts";
import { joinSqliteStorage, openSqliteStorage } from "../../src/storage/sqlite/sqlite-storage.ts";
import { filterParameters } from "../../src/storage/token-filter.ts";
import { openSqliteSubject, silentLogger, temporaryDirectory } from "../helpers/sqlite.ts";
import { logIdentity } from "../helpers/sqlite-wal.ts";
import { everyToken, NO_FILTER, someChange, someFingerprint, someOrganization, someToken } from "./samples.ts";

describe("the SQLite engine's connections", () => {
  const durable = {
    journal_mode: "wal",
    synchronous: 2,
    fullfsync: 1,
    foreign_keys: 1,
    trusted_schema: 0,
    cell_size_check: 1,
    busy_timeout: 50,
    journal_size_limit: 64 * 1024 * 1024,
  };

  for (const [title, open, settings] of [
    ["writes", openWriteConnection, { ...durable, query_only: 0 }],
    ["reads", openReadConnection, { ...durable, query_only: 1 }],
  ] as const) {
    it(`have the settings of one that ${title}`, async () => {
      await using subject = await openSqliteSubject();
      const connection = open({ path: subject.path, busyTimeoutMs: 50 });
      const actual = Object.keys(settings).map((name) => [name, connection.pragma(name, { simple: true })]);
      connection.close();
      expect(Object.fromEntries(actual)).toEqual(settings);
    });
  }

  it("read a token as every thread's acknowledged changes left it, whatever they have read a moment before", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "latchkey.db");
    const storage = await openSqliteStorage({ path, logger: silentLogger });
    const other = await joinSqliteStorage(storage.share(), new WriteMeter());
    const organization = someOrganization();
    await storage.createOrganization(organization, someChange());
    for (let round = 0; round < 20; round++) {
      const made = someToken({ organizationId: organization.id });
      await storage.createToken(made, someChange());
      const [changing, asked] = round % 2 === 0 ? [storage, other] : [other, storage];
      const revokedAt = async () => (await asked.findTokenByFingerprint(made.fingerprint))?.token.revokedAt;
      expect(await revokedAt()).toBeUndefined();
      await changing.revokeToken(made.token.id, someChange());
      expect(await revokedAt()).toBeInstanceOf(Date);
    }
    await other.close();
    await storage.close();
  });

  it("are refused when SQLite keeps another setting", () => {
    // A database in memory can't have a WAL, and a name that SQLite doesn't know is passed over.
    using database = disposable(new Database(":memory:"));
    expect(() => setPragma(database.connection, "journal_mode", "wal")).toThrow(/journal_mode at memory/);
    expect(() => setPragma(database.connection, "synchronos", 2)).toThrow(/synchronos at undefined/);
  });

  it("can't write when they are there to read", async () => {
    await using subject = await openSqliteSubject();
    using database = disposable(openReadConnection({ path: subject.path, busyTimeoutMs: 50 }));
    expect(() => database.connection.exec("UPDATE revision SET value = 9")).toThrow(/readonly/);
  });
});

describe("the SQLite engine's files", () => {
  it("are for their owner only, and so is a directory that is made for them", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "new", "data", "latchkey.db");
    const storage = await openSqliteStorage({ path, logger: silentLogger });
    await storage.createOrganization(someOrganization(), someChange());
    const modes = await Promise.all(
      ["", "-wal", "-shm", ".lock"].map(async (suffix) => (await stat(path + suffix)).mode & 0o777),
    );
    expect(modes).toEqual([0o600, 0o600, 0o600, 0o600]);
    expect((await stat(dirname(path))).mode & 0o777).toBe(0o700);
    await storage.close();
  });

  it("hold the fingerprint of a secret, not the secret, and no answer holds the fingerprint", async () => {
    await using subject = await openSqliteSubject();
    const { storage, path } = subject;
    const secret = "wp_a-secret-that-nobody-stores";
    const organization = someOrganization();
    await storage.createOrganization(organization, someChange());
    const { token } = someToken({ organizationId: organization.id });
    const created = await storage.createToken({ token, fingerprint: fingerprint(secret) }, someChange());
    const answers = [
      created,
      await storage.getToken(token.id),
      await storage.findTokenByFingerprint(fingerprint(secret)),
      await storage.listTokens(everyToken(organization.id)),
      await storage.revokeToken(token.id, someChange()),
    ];
    expect(JSON.stringify(answers)).not.toMatch(/fingerprint/);

    const log = await readFile(`${path}-wal`);
    await storage.close();
    for (const content of [log, await readFile(path)]) {
      expect(content.includes(Buffer.from(fingerprint(secret)))).toBe(true);
      expect(content.includes(secret)).toBe(false);
    }
  });

  it("hold no token with an invalid expiry, which would never expire", async () => {
    await using subject = await openSqliteSubject();
    const organization = someOrganization();
    await subject.storage.createOrganization(organization, someChange());
    const created = someToken({ organizationId: organization.id, expiresAt: new Date(Number.NaN) });
    await expect(subject.storage.createToken(created, someChange())).rejects.toMatchObject({ kind: "unavailable" });
    expect(await subject.storage.getToken(created.token.id)).toBeUndefined();
  });

  it("are one file after it was closed", async () => {
    await using subject = await openSqliteSubject();
    await subject.storage.createOrganization(someOrganization(), someChange());
    expect((await stat(`${subject.path}-wal`)).size).toBeGreaterThan(0);
    await subject.storage.close();
    await expect(stat(`${subject.path}-wal`)).rejects.toThrow("ENOENT");
  });

  it("have a log that is started over from time to time", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "latchkey.db");
    const storage = await openSqliteStorage({ path, logger: silentLogger, checkpointIntervalMs: 1 });
    const logs = new Set<string>();
    // Far fewer pages than those that make SQLite itself start a checkpoint.
    for (let write = 0; write < 100; write++) {
      await storage.createOrganization(someOrganization(), someChange());
      logs.add(logIdentity(path));
    }
    await storage.close();
    expect(logs.size).toBeGreaterThan(1);
  });

  it("have a log that is used again, and cut back when it is too long", async () => {
    await using directory = await temporaryDirectory();
    const options = { path: join(directory.path, "log.db"), busyTimeoutMs: 50 };
    new Database(options.path).exec("CREATE TABLE filling (text)").close();
    using database = disposable(openWriteConnection(options));
    const fill = database.connection.prepare("INSERT INTO filling VALUES (hex(randomblob(?)))");
    const logBytes = async () => (await stat(`${options.path}-wal`)).size;

    fill.run(20_000);
    const long = await logBytes();
    checkpoint(database.connection, long);
    expect(await logBytes()).toBe(long);
    fill.run(5_000);
    expect(await logBytes()).toBe(long);
    checkpoint(database.connection, long - 1);
    expect(await logBytes()).toBe(0);
  });
});

describe("a checkpoint of a log that is too long", () => {
  it("doesn't hold up writes for a reader that takes its time", async () => {
    await using subject = await openSqliteSubject();
    await subject.storage.createOrganization(someOrganization(), someChange());
    using reader = disposable(openReadConnection({ path: subject.path, busyTimeoutMs: 50 }));
    reader.connection.exec("BEGIN");
    reader.connection.prepare("SELECT * FROM revision").get();
    await subject.storage.createOrganization(someOrganization(), someChange());

    // Longer than a test may take.
    const busyTimeoutMs = 120_000;
    using writer = disposable(openWriteConnection({ path: subject.path, busyTimeoutMs }));
    checkpoint(writer.connection, 0);
    expect((await stat(`${subject.path}-wal`)).size).toBeGreaterThan(0);
    expect(writer.connection.pragma("busy_timeout", { simple: true })).toBe(busyTimeoutMs);

    reader.connection.exec("COMMIT");
    checkpoint(writer.connection, 0);
    expect((await stat(`${subject.path}-wal`)).size).toBe(0);
  });
});

describe("the SQLite engine's queries", () => {
  it("find and list tokens by index alone", async () => {
    await using directory = await temporaryDirectory();
    const options = { path: createDatabaseFile(join(directory.path, "latchkey.db")), busyTimeoutMs: 50 };
    migrate(options);
    using database = disposable(openWriteConnection(options));
    const { connection } = database;
    const plan = (sql: string, ...parameters: readonly unknown[]): string =>
      connection
        .prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`)
        .all(...parameters)
        .map(({ detail }) => detail)
        .join("\n");
    const listParameters = {
      ...filterParameters(NO_FILTER),
      organizationId: "",
      profile: null,
      beforeCreatedAt: 0,
      beforeId: "",
      now: 0,
      active: 1,
      disabled: 1,
      expired: 1,
      revoked: 1,
      limit: 1,
    };
    const reads = prepareReads(connection);
    const slow = /SCAN|TEMP B-TREE/;
    const find = plan(reads.findTokenByFingerprint.source, { fingerprint: someFingerprint() });
    expect(find).not.toMatch(slow);
    expect(find).toContain("SEARCH former_secrets USING PRIMARY KEY (fingerprint=?)");
    const { getFormerSecret, isTaken } = prepareWrites(connection);
    expect(plan(getFormerSecret.source, "")).toContain("former_secrets_that_work (token_id=?)");
    expect(plan(isTaken.source, { fingerprint: someFingerprint() })).not.toMatch(/SCAN (?!CONSTANT ROW)/);
    expect(plan(reads.getToken.source, "")).not.toMatch(slow);
    expect(plan(reads.findUserByEmail.source, "")).not.toMatch(slow);
    expect(plan(reads.listMembershipsOfUser.source, "")).not.toMatch(slow);
    const organizations = { beforeCreatedAt: 0, beforeId: "", limit: 1 };
    expect(plan(reads.listOrganizations.source, organizations)).not.toMatch(slow);
    const members = { organizationId: "", afterCreatedAt: 0, afterUserId: "", limit: 1 };
    expect(plan(reads.listMembers.source, members)).not.toMatch(slow);
    expect(plan(reads.readWindow.source, "", 0)).not.toMatch(slow);
    const sweep = plan(prepareWrites(connection).sweepWindows.source, { endedBefore: 0, limit: 1 });
    expect(sweep).toContain("SEARCH rate_windows USING PRIMARY KEY");
    expect(sweep).toContain("SEARCH rate_windows USING COVERING INDEX rate_windows_by_end (window_end<?)");
    const list = plan(reads.listTokens.source, listParameters);
    expect(list).not.toMatch(slow);
    expect(list).toContain("tokens_by_age (organization_id=? AND (created_at,id)<(?,?))");

    connection.exec("DROP INDEX tokens_by_age");
    expect(plan(reads.listTokens.source, listParameters)).toMatch(slow);
  });
});

function disposable(connection: Database.Database): Disposable & { readonly connection: Database.Database } {
  return { connection, [Symbol.dispose]: () => void connection.close() };
}
