/** Opening a PostgreSQL database: the schema, and the servers and databases that are refused. */
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, inject, it } from "vitest";
import { StartError } from "../../src/domain/start-error.ts";
import { MIGRATIONS, migrate } from "../../src/storage/postgres/migrations.ts";
import { openPostgresStorage } from "../../src/storage/postgres/postgres-storage.ts";
import { MIGRATIONS as SQLITE_MIGRATIONS } from "../../src/storage/sqlite/migrations.ts";
import { connectTo, execute, openPostgresSubject, postgresSettings, temporaryDatabase } from "../helpers/postgres.ts";
import { silentLogger } from "../helpers/sqlite.ts";

const run = promisify(execFile);
const server = inject("postgresUrl");

describe("migrations", () => {
  it("have the same steps in every engine", () => {
    const names = (engine: string) => readdirSync(new URL(`../../src/storage/${engine}/migrations`, import.meta.url));
    expect(names("postgres")).toEqual(names("sqlite"));
    expect(MIGRATIONS.map(({ name }) => name)).toEqual(SQLITE_MIGRATIONS.map(({ name }) => name));
  });

  it("run once when ten processes start at once", async () => {
    await using database = await temporaryDatabase(server);
    const child = fileURLToPath(new URL("./migrating-child.ts", import.meta.url));
    await Promise.all(Array.from({ length: 10 }, () => run(process.execPath, [child, database.url])));
    const versions = await query(database.url, "SELECT version::int FROM schema_migrations ORDER BY version");
    expect(versions).toEqual(MIGRATIONS.map((_, index) => ({ version: index + 1 })));
  });

  it("leave nothing of a step that fails, nor of those before it", async () => {
    await using database = await temporaryDatabase(server);
    const broken = [...MIGRATIONS, { name: "broken", sql: "CREATE TABLE half (id BIGINT); SELECT 1 / 0" }];
    await expect(migrate(postgresSettings(database.url), undefined, broken)).rejects.toThrow("division by zero");
    expect(await query(database.url, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'")).toEqual([]);
  });

  it("refuse another program's database, and write nothing to it", async () => {
    await using database = await temporaryDatabase(server);
    await execute(database.url, "CREATE TABLE schema_migrations (version TEXT); CREATE TABLE users (id BIGINT)");
    expect(await refusal(database.url)).toMatch(
      /is the database of another program: choose another database or schema$/,
    );
    expect(await query(database.url, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'")).toHaveLength(2);
  });

  it("refuse a newer schema, and one that was changed after its release", async () => {
    await using subject = await openPostgresSubject(server);
    await subject.storage.close();
    await execute(subject.location, "UPDATE schema_migrations SET checksum = 'another' WHERE version = 1");
    expect(await refusal(subject.location)).toMatch(
      /has a schema that this Latchkey didn't write \(step 1, initial schema, differs\)/,
    );
    await execute(subject.location, "INSERT INTO schema_migrations VALUES (99, 'later', 0, 'x')");
    expect(await refusal(subject.location)).toMatch(
      /was written by a newer Latchkey \(schema 99, this one knows \d+\)/,
    );
  });
});

describe("a server that is refused, in one line and without its password", () => {
  it.each([
    ["loses what it acknowledged", "ALTER DATABASE $ SET synchronous_commit = off", /has synchronous_commit off/],
  ])("because it %s", async (_, statement, message) => {
    await using database = await temporaryDatabase(server);
    await execute(database.url, statement.replace("$", new URL(database.url).pathname.slice(1)));
    expect(await refusal(database.url)).toMatch(message);
  });

  it("because its database has another encoding", async () => {
    await using database = await temporaryDatabase(
      server,
      "ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0",
    );
    expect(await refusal(database.url)).toMatch(/has the encoding SQL_ASCII: make one with ENCODING 'UTF8'$/);
  });

  it("because it doesn't let anybody in, has no such database, or isn't there", async () => {
    const url = new URL(`${server}/nowhere`);
    expect(await refusal(url.href)).toMatch(/can't be served: database "nowhere" does not exist$/);
    url.password = "wrong";
    expect(await refusal(url.href)).toMatch(/can't be served: password authentication failed for user "latchkey"$/);
    url.port = "1";
    expect(await refusal(url.href)).toMatch(/can't be served: .*ECONNREFUSED/);
    const { password } = new URL(server);
    expect(await refusal(`${server}/nowhere?sslmode=verify-full`)).not.toContain(decodeURIComponent(password));
  });

  it("because it speaks no TLS where that is asked for", async () => {
    await using database = await temporaryDatabase(server);
    for (const mode of ["require", "verify-full"]) {
      expect(await refusal(`${database.url}?sslmode=${mode}`)).toMatch(/The server does not support SSL connections$/);
    }
  });

  it("because a certificate's file isn't there", async () => {
    expect(await refusal(`${server}/postgres?sslmode=verify-full&sslrootcert=/nowhere.pem`)).toBe(
      "The certificate or key /nowhere.pem can't be read: check the path and its permissions",
    );
  });
});

/** What the operator reads when the database is opened; one line, or the test fails. */
async function refusal(url: string): Promise<string> {
  const options = { settings: postgresSettings(url), logger: silentLogger };
  const outcome = await openPostgresStorage(options).catch((error: unknown) => error);
  if (!(outcome instanceof StartError)) throw new Error(`not refused: ${String(outcome)}`);
  expect(outcome.message).not.toContain("\n");
  const { password } = new URL(server);
  expect(outcome.message).not.toContain(decodeURIComponent(password));
  return outcome.message;
}

async function query(url: string, sql: string): Promise<readonly Record<string, unknown>[]> {
  await using other = await connectTo(url);
  const { rows } = await other.client.query<Record<string, unknown>>(sql);
  return rows;
}
