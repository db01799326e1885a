/** Tokens that ended long ago go: by the service's own doing, and by `latchkey purge` beside it. */
import { join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { AuditService } from "../../gen/latchkey/v1/audit_pb.ts";
import { Reason } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { type FirstCredentials, openDeployment, startApp } from "../../src/app.ts";
import { createClient } from "../../src/client/index.ts";
import { loadConfig } from "../../src/config.ts";
import { fromPublicId } from "../../src/domain/ids.ts";
import { DAY } from "../helpers/products.ts";
import { runProgram, temporaryFolder } from "../helpers/service-process.ts";
import { expectOk, openSurface } from "../helpers/surfaces.ts";
import { startTestApp } from "../helpers/test-app.ts";

it("the service purges at its start what ended longer ago than is set, and its events stay", async () => {
  await using folder = await temporaryFolder();
  const address = "127.0.0.1:0";
  const env = {
    LATCHKEY_DATA_DIR: folder.path,
    LATCHKEY_GRPC_ADDR: address,
    LATCHKEY_HTTP_ADDR: address,
    LATCHKEY_OPS_ADDR: address,
    LATCHKEY_LOG_LEVEL: "silent",
    LATCHKEY_TOKEN_RETENTION_DAYS: "30",
  };
  let nowMs = Date.parse("2026-03-04T05:06:07Z");
  let credentials: FirstCredentials | undefined;
  const start = async () => {
    const deployment = await openDeployment(loadConfig(env, {}), true, { clock: () => nowMs });
    const admin = { adminEmail: "admin@acme.example", adminPassword: "correct horse battery staple" };
    credentials ??= await deployment.setUp({ organizationName: "acme", profileId: "watchplane", ...admin });
    return startApp(deployment);
  };
  const first = await start();
  const { serviceKey = "", organizationId = "" } = credentials ?? {};
  const backend = { bearer: serviceKey };
  let grpc = openSurface(first, "grpc");
  const [old, kept, alive] = [
    expectOk(await grpc.issue(backend, { organizationId, name: "old" })),
    expectOk(await grpc.issue(backend, { organizationId, name: "kept" })),
    expectOk(await grpc.issue(backend, { organizationId, name: "alive" })),
  ];
  expectOk(await grpc.revoke(backend, old.id));
  nowMs += 1;
  expectOk(await grpc.revoke(backend, kept.id));
  expect(expectOk(await grpc.introspect(backend, { token: old.secret })).reason).toBe(Reason.REVOKED);
  grpc.close();
  await first.stop();

  nowMs += 30 * DAY;
  // What it purges is purged before it is ready: the writer takes things in order.
  await using second = await start();
  grpc = openSurface(second, "grpc");
  expect(await grpc.get(backend, old.id)).toMatchObject({ code: "NOT_FOUND" });
  expect(expectOk(await grpc.introspect(backend, { token: old.secret }))).toMatchObject({
    active: false,
    reason: Reason.UNKNOWN,
  });
  expect(expectOk(await grpc.introspect(backend, { token: kept.secret })).reason).toBe(Reason.REVOKED);
  expect(expectOk(await grpc.introspect(backend, { token: alive.secret })).active).toBe(true);
  const request = { target: old.id };
  const { events } = expectOk(await grpc.invoke(AuditService.method.listEvents, request, backend));
  expect(events.map(({ action }) => action)).toEqual(["token.issued", "token.revoked", "token.purged"]);
  expect(events.at(-1)).toMatchObject({ actor: { kind: "system", id: "system" }, address: "", targetName: "old" });
  grpc.close();
});

describe("latchkey purge", () => {
  it("works beside a service that is being used, and both write one whole log", async () => {
    await using test = await startTestApp();
    const { organizationId, serviceKey } = test.credentials;
    const { storage } = test.app.deployment;
    const tokens = createClient(TokenService, { address: test.app.grpcAddress, token: serviceKey });
    const issue = (name: string) => tokens.issue({ organizationId, name });
    const dead = await Promise.all(Array.from({ length: 300 }, (_, index) => issue(`dead ${index}`)));
    await tokens.revokeMany({ organizationId, namePrefix: "dead" });
    const { secret: alive } = await issue("alive");
    const { env } = test.database;

    expect(await runProgram(["purge"], env)).toMatchObject({
      code: 0,
      stdout: "",
      stderr: expect.stringMatching(/^purged 0 tokens that ended before 20\S+Z\n$/) as string,
    });
    const dry = await runProgram(["purge", "--older-than", "0d", "--dry-run", "--json"], env);
    expect(JSON.parse(dry.stdout)).toMatchObject({ count: 300, dryRun: true });
    expect((await tokens.get({ id: dead[0]?.token?.id ?? "" })).token?.id).toBe(dead[0]?.token?.id);

    let isDone = false;
    const purging = runProgram(["purge", "--older-than", "0d", "--json"], env).finally(() => {
      isDone = true;
    });
    const issued: string[] = [];
    while (!isDone) issued.push((await issue("meanwhile")).token?.id ?? "");
    const { code, stdout, stderr } = await purging;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({ count: 300, dryRun: false });
    for (const { token } of dead)
      expect(await storage.getToken(fromPublicId("tok", token?.id ?? "") ?? "")).toBeUndefined();
    for (const id of issued) expect(await storage.getToken(fromPublicId("tok", id) ?? "")).toBeDefined();
    expect(issued.length).toBeGreaterThan(0);

    const introspection = openSurface(test.app, "grpc");
    expect(expectOk(await introspection.introspect({ bearer: serviceKey }, { token: alive })).active).toBe(true);
    introspection.close();
    const verified = await runProgram(["audit", "verify", ...test.database.file], env);
    expect(verified).toMatchObject({ code: 0, stderr: expect.stringContaining("nothing was edited") as string });
    tokens.close();
  });

  it("never takes what works, whatever it is told", async () => {
    await using test = await startTestApp();
    const { organizationId, serviceKey } = test.credentials;
    const tokens = createClient(TokenService, { address: test.app.grpcAddress, token: serviceKey });
    const { token } = await tokens.issue({ organizationId, name: "alive" });
    const { env } = test.database;
    for (const olderThan of ["0d", "2999-01-01"]) {
      const purged = await runProgram(["purge", "--older-than", olderThan, "--json"], env);
      expect(JSON.parse(purged.stdout)).toMatchObject({ count: 0 });
    }
    expect((await tokens.get({ id: token?.id ?? "" })).token?.name).toBe("alive");
    tokens.close();
  });

  it("goes by the setting, also by one that keeps tokens forever", async () => {
    await using test = await startTestApp();
    const env = { ...test.database.env, LATCHKEY_TOKEN_RETENTION_DAYS: "0" };
    const refused = await runProgram(["purge"], env);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toMatch(/^latchkey purge: LATCHKEY_TOKEN_RETENTION_DAYS=0 keeps tokens forever/);
    expect((await runProgram(["purge", "--older-than", "1d"], env)).code).toBe(0);
    const flagged = await runProgram(["purge", "--token-retention-days", "10", "--json"], env);
    const { endedBefore } = JSON.parse(flagged.stdout) as { endedBefore: string };
    expect(Date.now() - Date.parse(endedBefore)).toBeGreaterThanOrEqual(10 * DAY);
  });

  it("leaves files alone that aren't of this version, and says so", async () => {
    await using folder = await temporaryFolder();
    const env = { LATCHKEY_DATA_DIR: folder.path };
    const path = join(folder.path, "latchkey.db");
    const nothing = await runProgram(["purge"], env);
    expect(nothing.code).toBe(1);
    expect(nothing.stderr).toMatch(/^latchkey: \S+latchkey\.db can't be opened/);

    const foreign = new Database(path);
    foreign.exec("CREATE TABLE tokens (id TEXT)");
    expect((await runProgram(["purge"], env)).stderr).toMatch(/is the database of another program/);
    expect(foreign.pragma("journal_mode", { simple: true })).toBe("delete");
    foreign.close();

    await using test = await startTestApp();
    await test.app.stop();
    for (const [edit, message] of [
      [
        "DELETE FROM schema_migrations WHERE version = (SELECT max(version) FROM schema_migrations)",
        /has another schema: start this version of the service on it first/,
      ],
      ["UPDATE schema_migrations SET checksum = 'another' WHERE version = 1", /has a schema that this Latchkey didn't/],
    ] as const) {
      await test.database.query(edit);
      const refused = await runProgram(["purge"], test.database.env);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toMatch(message);
    }
  });
});
