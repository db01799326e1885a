/** Backing up, checking, restoring and migrating, as an operator does it: with the program, beside the service. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import Database from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AuditService } from "../../gen/latchkey/v1/audit_pb.ts";
import { IntrospectionService } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { type App, type FirstCredentials, openDeployment, startApp } from "../../src/app.ts";
import { showProgress } from "../../src/cli/progress.ts";
import { loadConfig } from "../../src/config.ts";
import { createDatabaseFile } from "../../src/storage/sqlite/files.ts";
import { initialSchema } from "../../src/storage/sqlite/migrations/0001-initial-schema.ts";
import { migrate } from "../../src/storage/sqlite/migrations.ts";
import { openSqliteStorage } from "../../src/storage/sqlite/sqlite-storage.ts";
import { someChange, someOrganization } from "../contract/samples.ts";
import { grpcClient } from "../helpers/grpc-client.ts";
import { cleanEnv, MAIN, runProgram, temporaryFolder } from "../helpers/service-process.ts";
import { silentLogger } from "../helpers/sqlite.ts";

interface Deployment extends AsyncDisposable {
  readonly folder: string;
  readonly data: string;
  readonly database: string;
  run(...args: readonly string[]): ReturnType<typeof runProgram>;
  serve(): Promise<App>;
}

let template: Awaited<ReturnType<typeof temporaryFolder>>;
let credentials: FirstCredentials;

beforeAll(async () => {
  template = await temporaryFolder();
  const deployment = await openTestDeployment(template.path);
  credentials = await deployment.setUp({
    organizationName: "acme",
    profileId: "watchplane",
    adminEmail: "ops@example.com",
    adminPassword: "correct horse battery staple",
  });
  // The first start seals a signing key.
  await (await startApp(deployment)).stop();
});

afterAll(() => template[Symbol.asyncDispose]());

function openTestDeployment(data: string) {
  const ports = ["GRPC", "HTTP", "OPS"].map((name) => [`LATCHKEY_${name}_ADDR`, "127.0.0.1:0"] as const);
  const config = loadConfig({ LATCHKEY_DATA_DIR: data, ...Object.fromEntries(ports) }, {});
  return openDeployment(config, true, { logSink() {} });
}

/** A deployment that was set up and served before, in a folder of its own. */
async function copyDeployment(): Promise<Deployment> {
  const folder = await temporaryFolder();
  const data = join(folder.path, "data");
  await cp(template.path, data, { recursive: true });
  return {
    folder: folder.path,
    data,
    database: join(data, "latchkey.db"),
    run: (...args) => runProgram(args, { LATCHKEY_DATA_DIR: data }),
    serve: async () => startApp(await openTestDeployment(data)),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

/** What a backend and an admin do with a running service. */
function useService({ grpcAddress }: App) {
  const { serviceKey, organizationId } = credentials;
  const options = { headers: { authorization: `Bearer ${serviceKey}` } };
  const tokens = grpcClient(TokenService, grpcAddress, options);
  const introspection = grpcClient(IntrospectionService, grpcAddress, options);
  return {
    async issue(name: string) {
      const { token, secret } = await tokens.issue({ organizationId, name });
      return { id: token?.id ?? "", secret };
    },
    revoke: (id: string) => tokens.revoke({ id }),
    isActive: async (token: string) => (await introspection.introspect({ token })).active,
    [Symbol.dispose]() {
      tokens[Symbol.dispose]();
      introspection[Symbol.dispose]();
    },
  };
}

const columns = (path: string, sql: string): readonly unknown[] => {
  const connection = new Database(path, { readonly: true });
  const values = connection.prepare<[]>(sql).pluck().all();
  connection.close();
  return values;
};

describe("a backup", () => {
  it("ends under constant writes, holds all that was acknowledged before it began, and holds nothing up", async () => {
    await using deployment = await copyDeployment();
    const { database, folder } = deployment;
    // Several steps of copying, between any two of which there are commits.
    const storage = await openSqliteStorage({ path: database, logger: silentLogger });
    const large = Array.from({ length: 100 }, () => someOrganization({ name: "x".repeat(100_000) }));
    await Promise.all(large.map((organization) => storage.createOrganization(organization, someChange())));
    await storage.close();

    await using service = await deployment.serve();
    using client = useService(service);
    const acknowledged: string[] = [];
    const enough = Promise.withResolvers<void>();
    let isOver = false;
    const writers = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        acknowledged.push((await client.issue("under load")).id);
        if (acknowledged.length === 50) enough.resolve();
      }
    });
    await enough.promise;
    const before = [...acknowledged];
    const file = join(folder, "backup.db");
    const made = await deployment.run("backup", file);
    const during = acknowledged.length - before.length;
    isOver = true;
    await Promise.all(writers);

    expect(made).toMatchObject({ code: 0, stdout: "" });
    expect(during).toBeGreaterThan(0);
    const held = new Set(columns(file, "SELECT target FROM events"));
    expect(before.filter((id) => !held.has(id))).toEqual([]);
    const { size, mode } = await stat(file);
    expect(size).toBeGreaterThan(10_000_000);
    expect(mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(["backup.db", "data"]);
    expect(await deployment.run("check", file)).toMatchObject({ code: 0, stderr: "" });
  });

  it("says what it wrote, and where the root key is that it doesn't hold", async () => {
    await using deployment = await copyDeployment();
    const file = join(deployment.folder, "backup.db");
    const made = await deployment.run("backup", file);
    expect(made).toMatchObject({ code: 0, stdout: "" });
    const { size } = await stat(file);
    // Nothing of a progress in a pipe.
    expect(made.stderr).toBe(
      `wrote ${file}: revision 5, ${size} bytes, checked\n` +
        `It is of no use without the root key, which is not in it: ${deployment.data}/root.key. Keep a copy of\n` +
        "that too, and not beside the backup.\n",
    );
    expect((await readFile(file)).includes((await readFile(join(deployment.data, "root.key"), "utf8")).trim())).toBe(
      false,
    );

    const again = await deployment.run("backup", file);
    expect(again).toMatchObject({ code: 1, stdout: "" });
    expect(again.stderr).toBe(`latchkey: ${file} is there already: choose another name, or replace it with --force\n`);
    const rootKey = (await readFile(join(deployment.data, "root.key"), "utf8")).trim();
    const forced = await runProgram(["backup", file, "--force", "--data-dir", deployment.data], {
      LATCHKEY_ROOT_KEY: rootKey,
    });
    expect(forced.code).toBe(0);
    expect(forced.stderr).toContain("which is not in it: LATCHKEY_ROOT_KEY. Keep");
    expect(forced.stderr).not.toContain(rootKey);
  });

  it("leaves nothing when somebody gives it up", async () => {
    await using deployment = await copyDeployment();
    const { folder, data } = deployment;
    // So large that there is time to give it up.
    new Database(deployment.database)
      .exec("CREATE TABLE ballast (bytes BLOB); INSERT INTO ballast VALUES (zeroblob(150000000))")
      .close();
    const args = ["backup", join(folder, "backup.db"), "--data-dir", data];
    const child = spawn(process.execPath, [MAIN, ...args], { env: cleanEnv({}), stdio: "pipe" });
    const said = text(child.stderr);
    const exited = once(child, "exit") as Promise<[number | null]>;
    // There is something that could be left.
    await expect.poll(async () => (await readdir(folder)).length, { timeout: 20_000, interval: 1 }).toBe(2);
    child.kill("SIGINT");
    expect(await exited).toEqual([1, null]);
    expect(await said).toBe("latchkey: given up, and nothing was changed\n");
    expect(await readdir(folder)).toEqual(["data"]);
  });

  it("isn't written when the database isn't sound", async () => {
    await using deployment = await copyDeployment();
    const { database, folder } = deployment;
    new Database(database).exec("DROP TRIGGER events_are_not_changed; UPDATE events SET address = '192.0.2.9'").close();
    const file = join(folder, "backup.db");
    const made = await deployment.run("backup", file);
    expect(made).toMatchObject({ code: 1, stdout: "" });
    expect(made.stderr.split("\n")).toEqual([
      `latchkey: ${database} isn't sound, so it was not backed up:`,
      "latchkey: schema: the trigger events_are_not_changed is missing",
      expect.stringMatching(/^latchkey: audit: event 1 of org_\w+ .*its content isn't what was hashed$/) as string,
      "",
    ]);
    expect(await readdir(folder)).toEqual(["data"]);
  });
});

describe("the progress of a backup", () => {
  const written: string[] = [];
  const write = (line: string) => written.push(line);

  it("is shown at a terminal, and nowhere else", () => {
    for (const terminal of [{ write }, { write, isTTY: false }]) showProgress("copying", terminal)(1, 1);
    expect(written).toEqual([]);
    const show = showProgress("copying", { write, isTTY: true });
    for (const done of [0, 4, 5, 500, 999, 1000]) show(done, 1000);
    expect(written).toEqual(["\rcopying 0 %", "\rcopying 50 %", "\rcopying 99 %", "\rcopying 100 %\n"]);
  });
});

describe("a check", () => {
  it("finds an old database that was put back, and a cut end, by the checkpoints that were kept", async () => {
    await using deployment = await copyDeployment();
    const old = join(deployment.folder, "old.db");
    expect(await deployment.run("backup", old)).toMatchObject({ code: 0 });
    const service = await deployment.serve();
    using client = useService(service);
    await client.issue("after the backup");
    await service.stop();
    const kept = ["--checkpoints", join(deployment.data, "checkpoints")];
    const good = await deployment.run("check", ...kept);
    expect(good.stdout).toMatch(/^audit {7}ok {6}6 events in 2 chains, none edited, \d checkpoints$/m);
    expect(good.code).toBe(0);
    const found = await deployment.run("check", old, ...kept);
    expect(found.code).toBe(1);
    expect(found.stdout).toMatch(/^audit {7}FAULT {3}5 events/m);
    expect(found.stderr).toMatch(/^latchkey: audit: \S.*$/m);
    expect(await deployment.run("check", "--key", "x")).toMatchObject({ code: 2 });
  });

  it("prints a table, or JSON, and exits with 1 when something is wrong", async () => {
    await using deployment = await copyDeployment();
    await using _service = await deployment.serve();
    const good = await deployment.run("check");
    expect(good).toMatchObject({ code: 0, stderr: "" });
    expect(good.stdout.trimEnd().split("\n")).toEqual([
      "CHECK       RESULT  FOUND",
      expect.stringMatching(/^schema {6}ok {6}version \d+$/) as string,
      expect.stringMatching(/^pages {7}ok {6}\d+ pages with their indexes$/) as string,
      "references  ok      between all tables",
      "tokens      ok      1, each as its events left it",
      "audit       ok      5 events in 2 chains, none edited",
    ]);

    new Database(deployment.database)
      .exec("UPDATE tokens SET revision = 99; DROP TRIGGER events_are_not_deleted")
      .close();
    const bad = await deployment.run("check", deployment.database);
    expect(bad.code).toBe(1);
    expect(bad.stdout).toMatch(/^schema {6}FAULT {3}version \d+$/m);
    expect(bad.stderr).toMatch(
      /^latchkey: schema: the trigger .* is missing\nlatchkey: tokens: tok_\w+: has revision 99, and its last event 5\n$/,
    );
    const json = await deployment.run("check", "--json");
    expect(json).toMatchObject({ code: 1, stderr: "" });
    expect(JSON.parse(json.stdout)).toMatchObject({
      file: deployment.database,
      ok: false,
      revision: 5,
      checks: [
        { name: "schema", ok: false, faults: ["the trigger events_are_not_deleted is missing"] },
        { name: "pages", ok: true, faults: [] },
        { name: "references", ok: true },
        { name: "tokens", ok: false },
        { name: "audit", ok: true, found: "5 events in 2 chains, none edited" },
      ],
    });
  });
});

describe("a restore", () => {
  it("undoes what came after the backup, says so first, and names the tokens to revoke again", async () => {
    await using deployment = await copyDeployment();
    const { database, data, folder } = deployment;
    const file = join(folder, "backup.db");
    const service = await deployment.serve();
    using client = useService(service);
    const leaked = await client.issue("leaked");
    expect(await deployment.run("backup", file)).toMatchObject({ code: 0 });
    await client.revoke(leaked.id);
    const late = await client.issue("late");

    const busy = await deployment.run("restore", file, "--force");
    expect(busy).toMatchObject({ code: 1, stdout: "" });
    expect(busy.stderr).toBe(`latchkey: ${database} is in use: stop the service before you restore\n`);
    expect(await client.isActive(leaked.secret)).toBe(false);
    await service.stop();

    const refused = await deployment.run("restore", file);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toBe(
      `latchkey: ${database} holds 2 changes that ${file} doesn't hold, which would be lost, ` +
        "and 1 revoked token would work again\n" +
        "latchkey: Nothing was restored. With --force it is restored all the same.\n",
    );
    expect((await readdir(data)).filter((name) => name.includes("restore"))).toEqual([]);

    const forced = await deployment.run("restore", file, "--force");
    expect(forced).toMatchObject({ code: 0, stdout: `${leaked.id}\n` });
    expect(forced.stderr).toContain(`restored ${database} from ${file}, which ends with revision 6\n`);
    const [, kept = ""] = /The database that was there is (.*)\n/.exec(forced.stderr) ?? [];
    expect(columns(kept, "SELECT count(*) FROM tokens WHERE revoked_at IS NOT NULL")).toEqual([1]);

    // Else the start would refuse a database that is older than they are.
    expect(forced.stderr).toMatch(/^Put aside \d+ checkpoints? of what was lost$/m);
    await using restored = await deployment.serve();
    using restoredClient = useService(restored);
    expect(await restoredClient.isActive(leaked.secret)).toBe(true);
    expect(await restoredClient.isActive(late.secret)).toBe(false);
    await restoredClient.revoke(leaked.id);
    expect(await restoredClient.isActive(leaked.secret)).toBe(false);
    using audit = grpcClient(AuditService, restored.grpcAddress, {
      headers: { authorization: `Bearer ${credentials.serviceKey}` },
    });
    expect(await audit.listEvents({ actions: ["deployment.restored"] })).toMatchObject({
      events: [{ details: { backup_revision: "6" }, actor: { id: "system" } }],
    });
    expect(await deployment.run("check")).toMatchObject({ code: 0 });
  });

  it("needs no force where there is nothing to lose", async () => {
    await using deployment = await copyDeployment();
    const file = join(deployment.folder, "backup.db");
    await deployment.run("backup", file);
    expect(await deployment.run("restore", file)).toMatchObject({ code: 0, stdout: "" });

    const elsewhere = join(deployment.folder, "elsewhere");
    await mkdir(elsewhere);
    await writeFile(join(elsewhere, "root.key"), await readFile(join(deployment.data, "root.key")), { mode: 0o600 });
    const moved = await runProgram(["restore", file, "--data-dir", elsewhere]);
    expect(moved).toMatchObject({ code: 0, stdout: "" });
    await using service = await startApp(await openTestDeployment(elsewhere));
    using client = useService(service);
    expect(await client.isActive((await client.issue("moved")).secret)).toBe(true);
  });

  it("is refused for a backup that isn't sound, whatever is said", async () => {
    await using deployment = await copyDeployment();
    const file = join(deployment.folder, "backup.db");
    await deployment.run("backup", file);
    new Database(file).exec("UPDATE tokens SET revision = 3").close();
    const before = await readFile(deployment.database);
    const refused = await deployment.run("restore", file, "--force");
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toMatch(
      /^latchkey: .*backup\.db isn't sound, so nothing was restored:\nlatchkey: tokens: tok_\w+: has revision 3, .*\n$/,
    );
    expect(await readFile(deployment.database)).toEqual(before);
  });

  it("says so when the root key is missing, or is another one", async () => {
    await using deployment = await copyDeployment();
    const file = join(deployment.folder, "backup.db");
    await deployment.run("backup", file);
    const elsewhere = { LATCHKEY_DATA_DIR: join(deployment.folder, "elsewhere") };
    const missing = await runProgram(["restore", file], elsewhere);
    expect(missing).toMatchObject({ code: 1, stdout: "" });
    expect(missing.stderr).toMatch(
      /^latchkey: The root key .*elsewhere\/root\.key can't be read: .*\nlatchkey: Nothing was restored\. With --force/,
    );
    const other = { ...elsewhere, LATCHKEY_ROOT_KEY: Buffer.alloc(32, 7).toString("base64url") };
    const wrong = await runProgram(["restore", file], other);
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toMatch(/^latchkey: The root key in LATCHKEY_ROOT_KEY isn't the one that the backup was made/);
    expect(wrong.stderr).not.toContain(other.LATCHKEY_ROOT_KEY);
    expect((await readdir(elsewhere.LATCHKEY_DATA_DIR)).filter((name) => name === "latchkey.db")).toEqual([]);

    const forced = await runProgram(["restore", file, "--force"], other);
    expect(forced).toMatchObject({ code: 0 });
    expect(forced.stderr).toContain("isn't the one that the backup was made with");
  });

  it("in the place of a database that can't be read is for somebody who insists", async () => {
    await using deployment = await copyDeployment();
    const file = join(deployment.folder, "backup.db");
    await deployment.run("backup", file);
    await writeFile(deployment.database, "These are notes, and quite a lot of them. ".repeat(100));
    const refused = await deployment.run("restore", file);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toMatch(
      /^latchkey: .*latchkey\.db is not a SQLite database.*; nobody can tell what it holds that .*backup\.db doesn't hold/,
    );
    expect(await deployment.run("restore", file, "--force")).toMatchObject({ code: 0, stdout: "" });
    expect(await deployment.run("check")).toMatchObject({ code: 0 });
  });
});

describe("a migration", () => {
  it("is shown, and made, while no service runs", async () => {
    await using folder = await temporaryFolder();
    const path = createDatabaseFile(join(folder.path, "latchkey.db"));
    migrate({ path, busyTimeoutMs: 50 }, [initialSchema]);
    const before = await readFile(path);
    const run = (...args: readonly string[]) => runProgram(["migrate", ...args, "--data-dir", folder.path]);

    const planned = await run("--dry-run");
    expect(planned).toMatchObject({ code: 0 });
    expect(planned.stderr).toMatch(/^schema 1 would become \d+:\n$/);
    expect(planned.stdout).toMatch(/^2 {2}members and rate windows\n3 {2}recorded calls\n4 {2}events\n/);
    expect(await readFile(path)).toEqual(before);

    const made = await run();
    expect(made).toMatchObject({ code: 0, stdout: planned.stdout });
    expect(made.stderr).toMatch(/^schema 1 has become \d+:\n$/);
    const done = await run();
    expect(done).toMatchObject({ code: 0, stdout: "" });
    expect(done.stderr).toMatch(/^schema \d+ is the newest\n$/);
    expect(await runProgram(["check", "--data-dir", folder.path])).toMatchObject({ code: 0, stderr: "" });
  });

  it("is refused beside a service, and where there is nothing, of which nothing comes", async () => {
    await using deployment = await copyDeployment();
    await using _service = await deployment.serve();
    const refused = await deployment.run("migrate");
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toMatch(
      /^latchkey: .* is in use: stop the service first; it also brings the schema up to date/,
    );
    expect(await deployment.run("migrate", "--dry-run")).toMatchObject({ code: 0, stdout: "" });

    const empty = join(deployment.folder, "empty");
    await mkdir(empty);
    const nothing = await runProgram(["migrate", "--data-dir", empty]);
    expect(nothing).toMatchObject({ code: 1, stdout: "" });
    expect(nothing.stderr).toMatch(/^latchkey: .*latchkey\.db can't be read \(SQLITE_CANTOPEN\): /);
    expect(await readdir(empty)).toEqual([]);
  });
});
