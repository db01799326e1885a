/** Opening a SQLite file: who may, which files are refused, and how an older schema becomes the newest. */
import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, rename, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { StartError } from "../../src/domain/start-error.ts";
import type { Migration } from "../../src/storage/schema-state.ts";
import { createDatabaseFile } from "../../src/storage/sqlite/files.ts";
import { MIGRATIONS, migrate } from "../../src/storage/sqlite/migrations.ts";
import { openSqliteStorage } from "../../src/storage/sqlite/sqlite-storage.ts";
import { openSqliteSubject, silentLogger, temporaryDirectory } from "../helpers/sqlite.ts";
import { startWritingProcess } from "./durability.ts";
import { someChange, someOrganization } from "./samples.ts";

const limits = { timeout: 20_000, killSignal: "SIGKILL" } as const;
const runNode = (...args: readonly string[]) => promisify(execFile)(process.execPath, args, limits);

describe("one process serves a SQLite file", () => {
  const inUse =
    /latchkey\.db is in use: one process serves .* to use more cores set LATCHKEY_THREADS, .* machines use PostgreSQL$/;

  it("a second one is refused", async () => {
    await using subject = await openSqliteSubject();
    await using writing = startWritingProcess(subject.location);
    await expect(writing.acknowledged(1)).rejects.toThrow(/latchkey\.db is in use: one process/);
    await subject.storage.pingWrites();
  });

  it("a second open in the same process is refused, and leaves the first one its lock", async () => {
    await using subject = await openSqliteSubject();
    expect(await refusal(subject.path)).toMatch(inUse);
    expect(await refusal(subject.path)).toMatch(inUse);
    await using writing = startWritingProcess(subject.location);
    await expect(writing.acknowledged(1)).rejects.toThrow(/latchkey\.db is in use/);
  });

  it("by whatever name the file is opened", async () => {
    await using subject = await openSqliteSubject();
    const alias = `${subject.path}-alias`;
    await symlink(subject.path, alias);
    expect(await refusal(alias)).toMatch(inUse);
  });

  it("until it is killed", async () => {
    await using subject = await openSqliteSubject();
    await subject.storage.close();
    await using writing = startWritingProcess(subject.location);
    await writing.acknowledged(1);
    expect(await refusal(subject.path)).toMatch(inUse);
    await writing.kill();
    const reopened = await subject.reopen();
    await reopened.pingWrites();
  });

  it("until it closes", async () => {
    await using subject = await openSqliteSubject();
    await subject.storage.close();
    await using writing = startWritingProcess(subject.location);
    await writing.acknowledged(1);
  });

  it("and lets go of a file that it could not serve", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "latchkey.db");
    await writeFile(path, "hello");
    expect(await refusal(path)).toMatch(/not a SQLite database/);
    await truncate(path);
    const storage = await openSqliteStorage({ path, logger: silentLogger });
    await storage.close();
  });
});

describe("a file that can't be served is refused with a line that says what to do", () => {
  it("a file of text", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "notes.txt");
    await writeFile(path, "These are notes, and quite a lot of them. ".repeat(100));
    expect(await refusal(path)).toBe(`${path} is not a SQLite database: choose another file`);
  });

  for (const [title, content] of [
    ["a database that says whose it is", "PRAGMA application_id = 1; CREATE TABLE a (b)"],
    ["an empty database that says whose it is", "PRAGMA application_id = 1"],
    ["a database with tables", "CREATE TABLE schema_migrations (version)"],
    ["a database in WAL mode", "PRAGMA journal_mode = wal; CREATE TABLE a (b)"],
  ] as const) {
    it(`${title}, of another program, which stays as it is`, async () => {
      await using directory = await temporaryDirectory();
      const path = join(directory.path, "other.db");
      new Database(path).exec(content).close();
      const before = await readFile(path);
      expect(await refusal(path)).toBe(`${path} is the database of another program: choose another file`);
      expect(await readFile(path)).toEqual(before);
    });
  }

  it("a damaged one", async () => {
    await using subject = await openSqliteSubject();
    await subject.storage.close();
    const whole = await readFile(subject.path);
    const damage = {
      overwritten: Buffer.concat([whole.subarray(0, 100), Buffer.alloc(4000, 0xff), whole.subarray(4100)]),
      cut: whole.subarray(0, whole.length / 2),
    };
    for (const [how, content] of Object.entries(damage)) {
      await writeFile(subject.path, content);
      expect(await refusal(subject.path), how).toBe(`${subject.path} is damaged: restore it from a backup`);
    }
  });

  it("a directory", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "latchkey.db");
    await mkdir(path);
    expect(await refusal(path)).toMatch(/latchkey\.db can't be opened for writing \(SQLITE_CANTOPEN\w*\): check/);
  });

  it("one below a file", async () => {
    await using directory = await temporaryDirectory();
    const file = join(directory.path, "file");
    await writeFile(file, "");
    expect(await refusal(join(file, "latchkey.db"))).toMatch(/can't be opened for writing \((EEXIST|ENOTDIR)\): check/);
  });

  it("one where nothing can be made", async () => {
    expect(await refusal("/proc/latchkey/latchkey.db")).toMatch(/can't be opened for writing \(E[A-Z]+\): check/);
  });

  it("one that this user may not write", async () => {
    await using subject = await openSqliteSubject();
    await subject.storage.close();
    // Not its owner either, when the tests run as root.
    await chmod(join(subject.path, ".."), 0o777);
    await chmod(`${subject.path}.lock`, 0o666);
    await chmod(subject.path, 0o444);
    expect(await refusalAsNobody(subject.location)).toMatch(/latchkey\.db can't be opened for writing \(SQLITE_/);

    await chmod(subject.path, 0o666);
    await chmod(`${subject.path}.lock`, 0o444);
    expect(await refusalAsNobody(subject.location)).toMatch(/latchkey\.db\.lock can't be opened for writing \(SQLITE_/);

    await rename(`${subject.path}.lock`, `${subject.path}.gone`);
    await chmod(join(subject.path, ".."), 0o555);
    expect(await refusalAsNobody(subject.location)).toMatch(
      /latchkey\.db\.lock can't be opened for writing \(EACCES\)/,
    );
    await chmod(join(subject.path, ".."), 0o700);
  });

  it("one that another program keeps locked", async () => {
    await using subject = await openSqliteSubject();
    await subject.storage.close();
    const other = new Database(subject.path);
    other.pragma("locking_mode = EXCLUSIVE");
    other.exec("BEGIN IMMEDIATE");
    expect(await refusal(subject.path)).toMatch(/is locked by another program: end that one, then start again$/);
    other.close();
    await subject.reopen();
  });
});

describe("migrations", () => {
  it("make the schema and are recorded", async () => {
    await using subject = await openSqliteSubject();
    const recorded = query(subject.path, "SELECT * FROM schema_migrations");
    expect(recorded).toMatchObject([
      { version: 1, name: "initial schema" },
      { version: 2, name: "members and rate windows" },
      { version: 3, name: "recorded calls" },
      { version: 4, name: "events" },
      { version: 5, name: "rotations" },
      { version: 6, name: "imports" },
      { version: 7, name: "ends" },
      { version: 8, name: "uses" },
      { version: 9, name: "accounts" },
      { version: 10, name: "browser sessions" },
      { version: 11, name: "identities" },
      { version: 12, name: "last uses" },
    ]);
    expect(recorded[0]?.["checksum"]).toMatch(/^[0-9a-f]{64}$/);
    expect(Math.abs(Number(recorded[0]?.["applied_at"]) - Date.now())).toBeLessThan(60_000);
    expect(query(subject.path, "PRAGMA application_id")).toEqual([{ application_id: 0x4c544348 }]);
  });

  it("change nothing that is up to date", async () => {
    await using subject = await openSqliteSubject();
    await subject.storage.close();
    const before = query(subject.path, "SELECT * FROM schema_migrations");
    const organization = someOrganization();
    await (await subject.reopen()).createOrganization(organization, someChange());
    expect(await (await subject.reopen()).getOrganization(organization.id)).toEqual(organization);
    expect(query(subject.path, "SELECT * FROM schema_migrations")).toEqual(before);
  });

  const one: Migration = { name: "one", sql: "CREATE TABLE one (a); INSERT INTO one VALUES (1)" };
  const two: Migration = { name: "two", sql: "ALTER TABLE one ADD COLUMN b DEFAULT 2; CREATE TABLE two (c)" };

  it("add what is missing to an older schema, and keep what it holds", async () => {
    await using directory = await temporaryDirectory();
    const options = { path: createDatabaseFile(join(directory.path, "older.db")), busyTimeoutMs: 50 };
    migrate(options, [one]);
    migrate(options, [one, two]);
    migrate(options, [one, two]);
    expect(query(options.path, "SELECT * FROM one")).toEqual([{ a: 1, b: 2 }]);
    expect(query(options.path, "SELECT version, name FROM schema_migrations")).toEqual([
      { version: 1, name: "one" },
      { version: 2, name: "two" },
    ]);
  });

  it("leave nothing of a run that failed", async () => {
    await using directory = await temporaryDirectory();
    const options = { path: createDatabaseFile(join(directory.path, "older.db")), busyTimeoutMs: 50 };
    migrate(options, [one]);
    const broken: Migration = { name: "broken", sql: "CREATE TABLE three (d); CREATE TABLE one (a)" };
    expect(() => migrate(options, [one, two, broken])).toThrow(/already exists/);
    expect(query(options.path, "SELECT version FROM schema_migrations")).toEqual([{ version: 1 }]);
    expect(query(options.path, "SELECT name FROM sqlite_schema WHERE name IN ('two', 'three')")).toEqual([]);
  });

  it("refuse a schema that is newer", async () => {
    await using subject = await openSqliteSubject();
    await subject.storage.close();
    execute(subject.path, "INSERT INTO schema_migrations VALUES (99, 'later', 0, '')");
    expect(await refusal(subject.path)).toBe(
      `${subject.path} was written by a newer Latchkey (schema 99, this one knows ${MIGRATIONS.length}): install that version or newer`,
    );
  });

  it("refuse a schema that was changed after its release", async () => {
    await using subject = await openSqliteSubject();
    await subject.storage.close();
    execute(subject.path, "UPDATE schema_migrations SET checksum = 'another'");
    expect(await refusal(subject.path)).toMatch(
      /has a schema that this Latchkey didn't write \(step 1, initial schema,/,
    );
  });

  it("run once when several processes start at once", async () => {
    await using directory = await temporaryDirectory();
    const path = createDatabaseFile(join(directory.path, "latchkey.db"));
    const child = fileURLToPath(new URL("./migrating-child.ts", import.meta.url));
    await Promise.all(Array.from({ length: 4 }, () => runNode(child, path)));
    const versions = query(path, "SELECT version FROM schema_migrations");
    expect(versions).toEqual(MIGRATIONS.map((_, index) => ({ version: index + 1 })));
  });
});

/** What the operator reads when the file is opened; one line, or the test fails. */
async function refusal(path: string): Promise<string> {
  const outcome = await openSqliteStorage({ path, logger: silentLogger, busyTimeoutMs: 50 }).catch(
    (error: unknown) => error,
  );
  if (!(outcome instanceof StartError)) throw new Error(`not refused: ${String(outcome)}`);
  expect(outcome.message).not.toContain("\n");
  return outcome.message;
}

async function refusalAsNobody(location: string): Promise<string> {
  const child = fileURLToPath(new URL("./unprivileged-child.ts", import.meta.url));
  const { stdout } = await runNode(child, location);
  return stdout;
}

function query(path: string, sql: string): Record<string, unknown>[] {
  const connection = new Database(path, { readonly: true });
  try {
    return connection.prepare<[], Record<string, unknown>>(sql).all();
  } finally {
    connection.close();
  }
}

function execute(path: string, sql: string): void {
  new Database(path).exec(sql).close();
}
