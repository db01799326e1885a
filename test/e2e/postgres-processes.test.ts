/** Several processes of the service on one PostgreSQL database, as on several machines. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, inject, it } from "vitest";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.ts";
import { IntrospectionService } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { type App, openDeployment, startApp } from "../../src/app.ts";
import { createClient } from "../../src/client/index.ts";
import { type Environment, loadConfig } from "../../src/config.ts";
import { StartError } from "../../src/domain/start-error.ts";
import { MIGRATIONS } from "../../src/storage/postgres/migrations.ts";
import { grpcClient } from "../helpers/grpc-client.ts";
import { temporaryDatabase } from "../helpers/postgres.ts";
import { runProgram, startServiceProcess, temporaryFolder } from "../helpers/service-process.ts";
import { stallingProxy } from "../helpers/stalling-proxy.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const STALENESS_MS = 500;

/** What a busy machine may add. */
const SLACK_MS = 250;

/** Another process on the database of a test app. */
async function startAnother({ config, database }: TestApp, env: Environment): Promise<AsyncDisposable & { app: App }> {
  await using resources = new AsyncDisposableStack();
  const folder = resources.use(await temporaryFolder());
  const settings = loadConfig(
    {
      ...database.env,
      LATCHKEY_DATA_DIR: folder.path,
      LATCHKEY_ROOT_KEY: (await readFile(join(config.dataDir, "root.key"), "utf8")).trim(),
      LATCHKEY_GRPC_ADDR: "127.0.0.1:0",
      LATCHKEY_HTTP_ADDR: "127.0.0.1:0",
      LATCHKEY_OPS_ADDR: "127.0.0.1:0",
      LATCHKEY_THREADS: "1",
      LATCHKEY_STALENESS: `${STALENESS_MS}ms`,
      LATCHKEY_LOG_LEVEL: "silent",
      ...env,
    },
    {},
  );
  const app = resources.use(await startApp(await openDeployment(settings, false)));
  const parts = resources.move();
  return { app, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

function clientsOf(test: TestApp, { grpcAddress: address }: App) {
  const connection = { address, token: test.credentials.serviceKey };
  const tokens = createClient(TokenService, connection);
  const backend = createClient(IntrospectionService, connection);
  /** Whether the token is active, or the code of the refusal. */
  const check = async (token: string, timeoutMs = 60_000): Promise<boolean | status> => {
    try {
      return (await backend.introspect({ token }, { timeoutMs })).active === true;
    } catch (error) {
      return (error as ServiceError).code;
    }
  };
  return {
    tokens,
    check,
    [Symbol.dispose]() {
      tokens.close();
      backend.close();
    },
  };
}

async function issue({ credentials }: TestApp, { tokens }: ReturnType<typeof clientsOf>) {
  const { token, secret } = await tokens.issue({ organizationId: credentials.organizationId, name: "shared" });
  return { id: token?.id ?? "", secret };
}

describe("a token that one process revokes", () => {
  it("is never active at another one after the bound, and mostly long before", async () => {
    await using test = await startTestApp();
    await using another = await startAnother(test, {});
    using here = clientsOf(test, test.app);
    using there = clientsOf(test, another.app);
    for (let round = 0; round < 5; round++) {
      const { id, secret } = await issue(test, here);
      expect(await there.check(secret)).toBe(true);
      await here.tokens.revoke({ id });
      const revokedAtMs = performance.now();
      while ((await there.check(secret)) === true) {
        expect(performance.now() - revokedAtMs).toBeLessThan(STALENESS_MS + SLACK_MS);
      }
      expect(await there.check(secret)).toBe(false);
    }
  });

  it("isn't active after the bound at one whose network stalls, which refuses until the network is back", async () => {
    await using test = await startTestApp();
    await using proxy = await stallingProxy(test.database.env["LATCHKEY_DATABASE_URL"] ?? "");
    await using another = await startAnother(test, { LATCHKEY_DATABASE_URL: proxy.url });
    using here = clientsOf(test, test.app);
    using there = clientsOf(test, another.app);
    const { id, secret } = await issue(test, here);
    expect(await there.check(secret)).toBe(true);

    proxy.stall();
    await here.tokens.revoke({ id });
    const revokedAtMs = performance.now();
    // Checks that start after the bound, of a process that still runs.
    await setTimeout(STALENESS_MS + SLACK_MS);
    const late = await Promise.all(Array.from({ length: 20 }, () => there.check(secret)));
    expect(performance.now() - revokedAtMs).toBeGreaterThan(STALENESS_MS);
    expect(new Set(late)).toEqual(new Set([status.UNAVAILABLE]));

    proxy.heal();
    let answer = await there.check(secret);
    while (answer === status.UNAVAILABLE) answer = await there.check(secret);
    expect(answer).toBe(false);
  });

  it("stays revoked at one that goes on without the database, as its operator chose, while others stay active", async () => {
    await using test = await startTestApp();
    await using proxy = await stallingProxy(test.database.env["LATCHKEY_DATABASE_URL"] ?? "");
    const env = { LATCHKEY_DATABASE_URL: proxy.url, LATCHKEY_FAIL_OPEN_SECONDS: "60" };
    await using another = await startAnother(test, env);
    using here = clientsOf(test, test.app);
    using there = clientsOf(test, another.app);
    const [kept, revoked] = [await issue(test, here), await issue(test, here)];
    expect(await there.check(kept.secret)).toBe(true);
    expect(await there.check(revoked.secret)).toBe(true);
    await there.tokens.revoke({ id: revoked.id });
    // Both are in memory again, as they are now.
    expect(await there.check(revoked.secret)).toBe(false);
    expect(await there.check(kept.secret)).toBe(true);

    proxy.stall();
    // The question that finds out that nobody answers takes as long as the bound.
    await setTimeout(3 * STALENESS_MS);
    expect(await there.check(revoked.secret)).toBe(false);
    expect(await there.check(kept.secret)).toBe(true);
    // What isn't in memory can't be answered.
    expect(await there.check((await issue(test, here)).secret)).toBe(status.UNAVAILABLE);
    proxy.heal();
  });

  it("leaves one ready that goes on without the database, for as long as it does", async () => {
    await using test = await startTestApp();
    await using proxy = await stallingProxy(test.database.env["LATCHKEY_DATABASE_URL"] ?? "");
    const env = { LATCHKEY_DATABASE_URL: proxy.url, LATCHKEY_FAIL_OPEN_SECONDS: "5" };
    await using another = await startAnother(test, env);
    const { opsAddress, grpcAddress } = another.app;
    using health = grpcClient(Health, grpcAddress);
    const state = async () => {
      const response = await fetch(`http://${opsAddress}/readyz`);
      const { status: said } = (await response.json()) as { readonly status: string };
      const { statuses } = await health.list({});
      const serving = Object.keys(statuses).filter((name) => statuses[name]?.status === ServingStatus.SERVING);
      return { code: response.status, said, serving: serving.toSorted() };
    };
    const all = (await state()).serving;
    expect(all).toContain(TokenService.typeName);
    proxy.stall();
    const patience = { timeout: 15_000 };
    const alone = { code: 200, said: "degraded", serving: ["", IntrospectionService.typeName] };
    await expect.poll(state, patience).toEqual(alone);
    await expect.poll(state, patience).toEqual({ code: 503, said: "not ready", serving: [] });
    proxy.heal();
    await expect.poll(state, patience).toEqual({ code: 200, said: "ready", serving: all });
  });
});

describe("the root key", () => {
  it("must be the one of the other processes, and nothing is made in its place", async () => {
    await using test = await startTestApp();
    await using folder = await temporaryFolder();
    const env = { ...test.database.env, LATCHKEY_DATA_DIR: folder.path };
    await expect(openDeployment(loadConfig(env, {}), true)).rejects.toThrow(
      /^The root key \S+ can't be read: put it back, set LATCHKEY_ROOT_KEY/,
    );
    const another = { ...env, LATCHKEY_ROOT_KEY: "A".repeat(43), LATCHKEY_LOG_LEVEL: "silent" };
    const deployment = await openDeployment(loadConfig(another, {}), true);
    await expect(startApp(deployment)).rejects.toThrow(
      /^The signing key in postgres:\/\/latchkey@127\.0\.0\.1:\d+\/\w+ doesn't open: put back the root key/,
    );
  });
});

describe("the program", () => {
  it("sets up, serves on several threads, verifies, purges and migrates a database, and shows its password nowhere", async () => {
    await using folder = await temporaryFolder();
    await using database = await temporaryDatabase(inject("postgresUrl"));
    const env = { LATCHKEY_DATA_DIR: folder.path, LATCHKEY_DATABASE_URL: database.url };
    const outputs: string[] = [];
    const run = async (...args: string[]) => {
      const outcome = await runProgram(args, env);
      outputs.push(outcome.stdout, outcome.stderr);
      return outcome;
    };
    const newest = MIGRATIONS.length;
    const planned = await run("migrate", "--dry-run");
    expect(planned).toMatchObject({ code: 0, stderr: `schema 0 would become ${newest}:\n` });
    expect(await run("migrate")).toMatchObject({ code: 0, stderr: `schema 0 has become ${newest}:\n` });
    expect(await run("migrate")).toMatchObject({ code: 0, stderr: `schema ${newest} is the newest\n` });
    expect((await run("serve")).stderr).toMatch(/The root key \S+ can't be read/);
    const { stdout } = await run("bootstrap", "--admin-email", "admin@example.com", "--json");
    const { serviceKey, organizationId } = JSON.parse(stdout) as Record<string, string>;
    outputs.pop();
    outputs.pop();

    await using service = await startServiceProcess([], { ...env, LATCHKEY_THREADS: "3", LATCHKEY_LOG_LEVEL: "debug" });
    const connection = { address: service.ready.grpc, token: serviceKey ?? "" };
    const tokens = createClient(TokenService, connection);
    const { token, secret } = await tokens.issue({ organizationId: organizationId ?? "", name: "first" });
    const backends = Array.from({ length: 12 }, () => createClient(IntrospectionService, connection));
    const check = async () =>
      Promise.all(backends.map(async (backend) => (await backend.introspect({ token: secret })).active));
    expect(new Set(await check())).toEqual(new Set([true]));
    await tokens.revoke({ id: token?.id ?? "" });
    // Whichever thread has a connection, it knows at once.
    expect(new Set(await check())).toEqual(new Set([false]));
    expect((await fetch(`http://${service.ready.ops}/readyz`)).status).toBe(200);

    expect(await run("audit", "verify")).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^\d+ events in 2 chains: nothing was edited\n$/) as string,
    });
    expect(await run("purge", "--older-than", "0d")).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^purged 1 token that ended before/) as string,
    });
    for (const [args, advice] of [
      [["backup", join(folder.path, "copy")], /this command is for SQLite files: back it up with pg_dump/],
      [["restore", join(folder.path, "copy")], /this command is for SQLite files: restore it with pg_restore/],
      [["check"], /this command is for SQLite files: verify its audit log/],
    ] as const) {
      const refused = await run(...args);
      expect(refused).toMatchObject({ code: 1, stdout: "" });
      expect(refused.stderr).toMatch(advice);
    }
    for (const client of [tokens, ...backends]) client.close();
    expect(await service.stop()).toBe(0);
    outputs.push(...service.stdout, ...service.stderr);
    const { password } = new URL(database.url);
    for (const form of [password, decodeURIComponent(password)]) expect(outputs.join("\n")).not.toContain(form);
  }, 180_000);

  it("refuses a password on the command line, and settings that can't be", () => {
    const refusal = (env: Environment, flags: Environment = {}): string => {
      try {
        loadConfig(env, flags);
        return "";
      } catch (error) {
        if (!(error instanceof StartError)) throw error;
        return error.message;
      }
    };
    const url = "postgres://latchkey:hunter2@db.example.com/latchkey";
    expect(refusal({}, { "database-url": url })).toBe(
      "--database-url holds a password, which every user of the machine could see: set LATCHKEY_DATABASE_URL",
    );
    expect(refusal({}, { "database-url": url.replace(":hunter2", "") })).toBe("");
    expect(refusal({ LATCHKEY_DATABASE_URL: `${url}?sslmode=prefer` })).toBe(
      "LATCHKEY_DATABASE_URL must have one of disable, require, verify-full as its sslmode",
    );
    for (const staleness of ["1", "10ms", "61s", "1m", "-1s"]) {
      expect(refusal({ LATCHKEY_STALENESS: staleness })).toBe(
        `LATCHKEY_STALENESS must be a time from 50ms to 60s, for example 500ms, not ${staleness}`,
      );
    }
    expect(refusal({ LATCHKEY_DATABASE_CONNECTIONS: "0" })).toMatch(/must be a whole number from 1 to 1000, not 0$/);
    expect(refusal({ LATCHKEY_DATABASE_URL: "mysql://x" })).toMatch(/must be sqlite: and a path, or postgres/);
  });
});
