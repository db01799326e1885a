/** Moving a whole database to another engine and back, as an operator does it: with the program. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { IntrospectionService } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { type FirstCredentials, openDeployment, startApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config.ts";
import { COPIED_TABLES, OWN_TABLES, UNFINISHED_TABLE } from "../../src/storage/copied-tables.ts";
import { TIMEOUTS } from "../../src/storage/postgres/connection.ts";
import { openPostgresSource } from "../../src/storage/postgres/copy-end.ts";
import { migrate } from "../../src/storage/postgres/migrations.ts";
import { buildSchema, MIGRATIONS } from "../../src/storage/sqlite/migrations.ts";
import { grpcClient } from "../helpers/grpc-client.ts";
import { connectTo, execute, postgresSettings, temporaryDatabase } from "../helpers/postgres.ts";
import { cleanEnv, MAIN, runProgram, temporaryFolder } from "../helpers/service-process.ts";

const server = inject("postgresUrl");

/** So many events that a copy takes several pages. */
const MANY = 20_000;

let template: Awaited<ReturnType<typeof temporaryFolder>>;
let credentials: FirstCredentials;
let secret: string;
let tokenId: string;

beforeAll(async () => {
  template = await temporaryFolder();
  await using app = await startApp(await openTestDeployment(template.path));
  credentials = await app.deployment.setUp({
    organizationName: "acme",
    profileId: "watchplane",
    adminEmail: "ops@example.com",
    adminPassword: "correct horse battery staple",
  });
  using tokens = grpcClient(TokenService, app.grpcAddress, {
    headers: { authorization: `Bearer ${credentials.serviceKey}` },
  });
  const issued = await tokens.issue({ organizationId: credentials.organizationId, name: "ci ✓" });
  secret = issued.secret;
  tokenId = issued.token?.id ?? "";
  await app.stop();
  const connection = new Database(join(template.path, "latchkey.db"));
  connection.exec(EVERYTHING);
  connection.close();
});

afterAll(() => template[Symbol.asyncDispose]());

/** Rows for the tables that a set-up and an issue leave empty. The last statement makes many. */
const EVERYTHING = `
  INSERT INTO identities (issuer, subject, user_id, linked_at) SELECT 'https://idp.example', 'ä' || char(0x1F600), id, 7 FROM users;
  INSERT INTO former_secrets (fingerprint, token_id, ends_at) SELECT randomblob(32), id, NULL FROM tokens;
  INSERT INTO token_uses (token_id, day, uses) SELECT id, 20000, 3 FROM tokens;
  INSERT INTO rate_windows (token_id, window_start, window_end, taken) SELECT id, 1, 2, 0 FROM tokens;
  INSERT INTO sessions (id, user_id, organization_id, created_at, expires_at)
    SELECT 'session', users.id, organizations.id, 1, 9007199254740991 FROM users, organizations LIMIT 1;
  INSERT INTO refresh_tokens (fingerprint, session_id) VALUES (zeroblob(32), 'session');
  INSERT INTO import_keys (id, sealed_key, created_at) VALUES ('key', x'00ff', 1);
  INSERT INTO digest_schemes (algorithm, key_id) VALUES ('hmac_sha256', 'key'), ('sha256', NULL);
  INSERT INTO invitations (id, fingerprint, organization_id, email, role, is_mailed, created_by, created_at, expires_at)
    SELECT 'i', randomblob(32), id, 'new@example.com', 'member', 1, 'system', 1, 2 FROM organizations LIMIT 1;
  INSERT INTO password_links (fingerprint, user_id, expires_at) SELECT randomblob(32), id, 5 FROM users;
  INSERT INTO recorded_calls (key_hash, request_hash, sealed_answer, expires_at)
    VALUES (randomblob(32), randomblob(32), x'', 5);
  WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${MANY})
  INSERT INTO rate_windows (token_id, window_start, window_end, taken)
    SELECT 'gone', n, n + 1, n % 7 FROM numbers;
`;

function openTestDeployment(data: string, url?: string) {
  const ports = ["GRPC", "HTTP", "OPS"].map((name) => [`LATCHKEY_${name}_ADDR`, "127.0.0.1:0"] as const);
  const place = url === undefined ? {} : { LATCHKEY_DATABASE_URL: url };
  const config = loadConfig({ LATCHKEY_DATA_DIR: data, ...place, ...Object.fromEntries(ports) }, {});
  return openDeployment(config, true, { logSink() {} });
}

/** Folders and databases of one test. */
async function scene() {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const target = stack.use(await temporaryDatabase(server));
  const data = join(folder.path, "data");
  await cp(template.path, data, { recursive: true });
  const env = { LATCHKEY_DATA_DIR: data, LATCHKEY_DATABASE_URL: target.url };
  const database = join(data, "latchkey.db");
  const opened = stack.move();
  return {
    folder: folder.path,
    data,
    database,
    url: target.url,
    env,
    run: (...args: readonly string[]) => runProgram(args, env),
    copy: (...args: readonly string[]) => runProgram(["copy", "--from", `sqlite:${database}`, ...args], env),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function dump(path: string): Record<string, unknown[]> {
  const connection = new Database(path, { readonly: true });
  try {
    return Object.fromEntries(
      COPIED_TABLES.map(({ name, key }) => [
        name,
        connection.prepare(`SELECT * FROM ${name} ORDER BY ${key.join(", ")}`).all(),
      ]),
    );
  } finally {
    connection.close();
  }
}

describe("the list of tables", () => {
  it("has every table that the migrations make, in both engines", async () => {
    const known = new Set([...COPIED_TABLES.map(({ name }) => name), ...OWN_TABLES]);
    const model = new Database(":memory:");
    buildSchema(model, MIGRATIONS.length);
    const tables = model.prepare<[], string>(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*'",
    );
    expect(new Set(tables.pluck().all())).toEqual(known);

    await using database = await temporaryDatabase(server);
    await migrate(postgresSettings(database.url));
    await using other = await connectTo(database.url);
    const { rows } = await other.client.query<{ tablename: string }>(
      "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
    );
    expect(new Set(rows.map(({ tablename }) => tablename))).toEqual(known);
  });
});

describe("latchkey copy", () => {
  it("moves everything to PostgreSQL, which serves it, and back", async () => {
    await using here = await scene();
    const before = dump(here.database);
    for (const [name, rows] of Object.entries(before)) expect(rows.length, name).toBeGreaterThan(0);
    const copied = await here.copy("--json");
    expect(copied.stderr + copied.stdout).not.toContain(new URL(here.url).password);
    expect(copied.code).toBe(0);
    expect(JSON.parse(copied.stdout)).toMatchObject({ resumed: 0 });

    const back = join(here.folder, "back.db");
    expect(await here.run("copy", "--to", `sqlite:${back}`)).toMatchObject({ code: 0 });
    expect(dump(back)).toEqual(before);
    expect(await here.run("check", back)).toMatchObject({ code: 0 });

    await using app = await startApp(await openTestDeployment(here.data, here.url));
    const headers = { authorization: `Bearer ${credentials.serviceKey}` };
    using introspection = grpcClient(IntrospectionService, app.grpcAddress, { headers });
    using tokens = grpcClient(TokenService, app.grpcAddress, { headers });
    expect(await introspection.introspect({ token: secret })).toMatchObject({ active: true });
    await tokens.revoke({ organizationId: credentials.organizationId, id: tokenId });
    expect(await introspection.introspect({ token: secret })).toMatchObject({ active: false });
    expect(await here.run("audit", "verify")).toMatchObject({ code: 0 });
  });

  it("goes on where it was killed, and nobody serves what is unfinished", async () => {
    await using here = await scene();
    const child = spawn(process.execPath, [MAIN, "copy", "--from", `sqlite:${here.database}`], {
      env: cleanEnv(here.env),
      stdio: "ignore",
    });
    const exited = once(child, "exit");
    await using other = await connectTo(here.url);
    while (child.exitCode === null) {
      const { rows } = await other.client.query<{ isThere: boolean }>(
        `SELECT to_regclass('rate_windows') IS NOT NULL AS "isThere"`,
      );
      if (rows[0]?.isThere !== true) continue;
      const found = await other.client.query("SELECT 1 FROM rate_windows LIMIT 1");
      if (found.rows.length > 0) break;
    }
    child.kill("SIGKILL");
    await exited;

    const served = await here.run("serve");
    expect(served.code).not.toBe(0);
    expect(served.stderr).toMatch(/is an unfinished copy of .*latchkey\.db: run the same `latchkey copy` again/);

    const resumed = await here.copy("--json");
    expect(resumed).toMatchObject({ code: 0 });
    const { resumed: rows } = JSON.parse(resumed.stdout) as { readonly resumed: number };
    expect(rows).toBeGreaterThan(0);
  });

  it.each(["postgres", "sqlite"] as const)("leaves a target in %s that nothing else takes", async (engine) => {
    await using here = await scene();
    const mark = `CREATE TABLE ${UNFINISHED_TABLE} (source TEXT, revision BIGINT, last_hash TEXT);
      INSERT INTO ${UNFINISHED_TABLE} VALUES ('the old one', 1, '')`;
    const commands = ["migrate", "audit verify", "purge --older-than 1d"];
    if (engine === "postgres") {
      await migrate(postgresSettings(here.url));
      await execute(here.url, mark);
    } else {
      const connection = new Database(here.database);
      connection.exec(mark);
      connection.close();
      commands.push("serve", "check", `backup ${join(here.folder, "backup.db")}`);
    }
    const env = { LATCHKEY_DATA_DIR: here.data, ...(engine === "postgres" && { LATCHKEY_DATABASE_URL: here.url }) };
    for (const command of commands) {
      const { code, stderr } = await runProgram(command.split(" "), env);
      expect(stderr, command).toMatch(/is an unfinished copy of the old one: run the same `latchkey copy` again/);
      expect(code, command).toBe(1);
    }
  });

  it("names the row that was changed behind its back, and stays unfinished", async () => {
    await using here = await scene();
    await here.copy();
    await execute(
      here.url,
      `CREATE TABLE ${UNFINISHED_TABLE} (source TEXT, revision BIGINT, last_hash TEXT);
       INSERT INTO ${UNFINISHED_TABLE} SELECT '${here.database}', revision, encode(hash, 'hex') FROM events
         ORDER BY revision DESC LIMIT 1;
       UPDATE rate_windows SET taken = 99 WHERE window_start = 12345`,
    );
    const again = await here.copy();
    expect(again.code).toBe(1);
    expect(again.stderr).toMatch(/rate_windows, row "gone", 12345: .* differ/);
    expect((await here.run("serve")).stderr).toMatch(/unfinished copy/);
  });

  it("refuses a target that holds anything, and a source that changed meanwhile", async () => {
    await using here = await scene();
    expect(await here.copy()).toMatchObject({ code: 0 });
    expect((await here.copy()).stderr).toMatch(/isn't empty/);

    await execute(
      here.url,
      `CREATE TABLE ${UNFINISHED_TABLE} (source TEXT, revision BIGINT, last_hash TEXT);
       INSERT INTO ${UNFINISHED_TABLE} VALUES ('${here.database}', 1, '')`,
    );
    expect((await here.copy()).stderr).toMatch(/was changed since its copy/);
  });

  it("refuses a source in PostgreSQL that is served", async () => {
    await using here = await scene();
    const app = await startApp(await openTestDeployment(join(here.folder, "new"), here.url));
    const back = await here.run("copy", "--to", `sqlite:${join(here.folder, "back.db")}`);
    await app.stop();
    expect(back.stderr).toMatch(/is in use, by \d+ connections? of Latchkey: stop all services before you copy/);
    expect(back.code).toBe(1);
  });

  it("keeps a source in PostgreSQL from being written, for as long as it reads it", async () => {
    await using here = await scene();
    const settings = postgresSettings(here.url);
    await migrate(settings);
    await using other = await connectTo(here.url);
    const write = "INSERT INTO import_keys (id, sealed_key, created_at) VALUES ('key', '', 1)";
    await other.client.query("SET lock_timeout = 100");
    await other.client.query(`BEGIN; ${write}`);
    await expect(openPostgresSource(settings, { ...TIMEOUTS, lockMs: 100 })).rejects.toThrow(/is being written/);
    await other.client.query("ROLLBACK");

    const source = await openPostgresSource(settings);
    for (const { name } of COPIED_TABLES) {
      await expect(other.client.query(`DELETE FROM ${name}`), name).rejects.toMatchObject({ code: "55P03" });
    }
    await source[Symbol.asyncDispose]();
    await other.client.query("SET lock_timeout = 0");
    await other.client.query("DELETE FROM import_keys");
  });

  it("refuses a source that is served, one with an older schema, and text that PostgreSQL can't hold", async () => {
    await using here = await scene();
    const app = await startApp(await openTestDeployment(here.data));
    expect((await here.copy()).stderr).toMatch(/is in use: stop the service before you copy/);
    await app.stop();

    const connection = new Database(here.database);
    connection.exec("UPDATE users SET first_name = 'a' || char(0) || 'b'");
    connection.close();
    expect((await here.copy()).stderr).toMatch(/users, row ".+", column first_name: the text holds U\+0000/);

    const old = new Database(here.database);
    old.exec(`DELETE FROM schema_migrations WHERE version = ${MIGRATIONS.length}`);
    old.close();
    expect((await here.copy()).stderr).toMatch(/older schema: run `latchkey migrate`/);
  });
});
