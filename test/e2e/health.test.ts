/** What the service says of itself while the database can't be read or written, and that it goes on meanwhile. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.ts";
import { IntrospectionService } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import type { FirstCredentials } from "../../src/app.ts";
import { AppError } from "../../src/domain/errors.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { grpcClient } from "../helpers/grpc-client.ts";
import { startServiceProcess, temporaryFolder } from "../helpers/service-process.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const EVERY_SERVICE = ["", "Audit", "Auth", "Dashboard", "Introspection", "Organization", "Token", "User"];

/** What a probe every second, and one at once after a failed call, must be well below. */
const SOON = { timeout: 5_000 };

/** A storage that can be told which of its methods fail. */
function failingStorage(initially: readonly (keyof Storage)[] = []) {
  const failing = new Set<string | symbol>(initially);
  return {
    failing,
    aroundStorage: (storage: Storage): Storage =>
      new Proxy(storage, {
        get(target, property, receiver) {
          const method = (Reflect.get(target, property, receiver) as (...args: unknown[]) => unknown).bind(target);
          return (...args: unknown[]) =>
            failing.has(property) ? Promise.reject(new AppError("unavailable", "The disk is full.")) : method(...args);
        },
      }),
  };
}

async function readiness(ops: string): Promise<{ code: number; status: string; reads: string; writes: string }> {
  const response = await fetch(`http://${ops}/readyz`);
  return { code: response.status, ...((await response.json()) as { status: string; reads: string; writes: string }) };
}

/** Names of the services that serve, without what is the same in all of them. */
async function serving(address: string): Promise<readonly string[]> {
  using health = grpcClient(Health, address);
  const { statuses } = await health.list({});
  const all = Object.entries(statuses).map(([name, { status }]) => ({
    name: name.replace(/^latchkey\.v1\.(\w+)Service$/, "$1"),
    status,
  }));
  expect(all.map(({ name }) => name).toSorted()).toEqual(EVERY_SERVICE);
  return all.filter(({ status }) => status === ServingStatus.SERVING).map(({ name }) => name);
}

/** What the log says of the database's health, and nothing else. */
function told({ logLines }: TestApp): readonly string[] {
  return logLines
    .map((line) => JSON.parse(line) as { msg: string })
    .map(({ msg }) => msg)
    .filter((message) => /^(reads|writes) /.test(message));
}

describe("while the database can't be read", () => {
  it("nothing is ready or serving, until it can be read again", async () => {
    const { failing, aroundStorage } = failingStorage();
    await using test = await startTestApp({ surroundings: { aroundStorage } });
    const { opsAddress, grpcAddress } = test.app;
    expect(await readiness(opsAddress)).toEqual({ code: 200, status: "ready", reads: "ok", writes: "ok" });
    expect((await serving(grpcAddress)).toSorted()).toEqual(EVERY_SERVICE);

    failing.add("ping");
    await expect.poll(() => readiness(opsAddress), SOON).toMatchObject({ code: 503, status: "not ready" });
    expect((await readiness(opsAddress)).reads).toMatch(/^failing since \d{4}-\d\d-\d\dT/);
    expect(await serving(grpcAddress)).toEqual([]);
    expect((await fetch(`http://${opsAddress}/livez`)).status).toBe(200);

    failing.clear();
    await expect.poll(() => readiness(opsAddress), SOON).toMatchObject({ code: 200, status: "ready" });
    expect((await serving(grpcAddress)).toSorted()).toEqual(EVERY_SERVICE);
    expect(told(test)).toEqual(["reads of the database fail", "reads of the database work again"]);
  });
});

describe("while the database can't be written", () => {
  it("introspection goes on, and what needs writes says so soon after the first call that failed", async () => {
    const { failing, aroundStorage } = failingStorage();
    await using test = await startTestApp({ surroundings: { aroundStorage } });
    const { opsAddress, grpcAddress } = test.app;
    const headers = { authorization: `Bearer ${test.credentials.serviceKey}` };
    using tokens = grpcClient(TokenService, grpcAddress, { headers });
    using introspection = grpcClient(IntrospectionService, grpcAddress, { headers });
    const { organizationId } = test.credentials;
    const { secret } = await tokens.issue({ organizationId, name: "before" });

    failing.add("pingWrites").add("createToken");
    await expect(tokens.issue({ organizationId, name: "during" })).rejects.toMatchObject({
      details: "The disk is full.",
    });
    await expect.poll(() => readiness(opsAddress), SOON).toMatchObject({ code: 200, status: "degraded", reads: "ok" });
    expect((await readiness(opsAddress)).writes).toMatch(/^failing since \d{4}-\d\d-\d\dT/);
    expect((await serving(grpcAddress)).toSorted()).toEqual(["", "Audit", "Introspection", "User"]);
    expect(await introspection.introspect({ token: secret })).toMatchObject({ active: true, name: "before" });

    failing.clear();
    await expect.poll(() => readiness(opsAddress), SOON).toMatchObject({ code: 200, status: "ready", writes: "ok" });
    expect((await serving(grpcAddress)).toSorted()).toEqual(EVERY_SERVICE);
    expect(told(test)).toEqual(["writes to the database fail", "writes to the database work again"]);
  });

  it("the service starts all the same, and says so from its first answer on", async () => {
    const { failing, aroundStorage } = failingStorage(["pingWrites"]);
    await using test = await startTestApp({ surroundings: { aroundStorage } });
    const { opsAddress, grpcAddress } = test.app;
    expect(await readiness(opsAddress)).toMatchObject({ code: 200, status: "degraded" });
    expect((await serving(grpcAddress)).toSorted()).toEqual(["", "Audit", "Introspection", "User"]);
    failing.clear();
    await expect.poll(() => readiness(opsAddress), SOON).toMatchObject({ code: 200, status: "ready" });
  });

  it("because the disk is full, nothing else is different, and room is noticed", async () => {
    await using folder = await temporaryFolder();
    // A limit on the size of files, which the log of the database reaches first.
    const limited = ["sh", "-c", 'trap "" XFSZ; ulimit -f 4000; exec "$0" "$@"'];
    await using service = await startServiceProcess(["--dev"], { LATCHKEY_DATA_DIR: folder.path }, { under: limited });
    const { ops, grpc } = service.ready;
    const file = await readFile(join(folder.path, "dev-credentials.json"), "utf8");
    const { serviceKey, organizationId } = JSON.parse(file) as FirstCredentials;
    const headers = { authorization: `Bearer ${serviceKey}` };
    using tokens = grpcClient(TokenService, grpc, { headers });
    using introspection = grpcClient(IntrospectionService, grpc, { headers });

    const secrets: string[] = [];
    const issue = async (): Promise<string> => {
      const { secret } = await tokens.issue({ organizationId, name: "x".repeat(100) });
      secrets.push(secret);
      return secret;
    };
    // As long as somebody reads what is in the log, it can't be started over.
    const reader = new Database(join(folder.path, "latchkey.db"));
    reader.exec("BEGIN; SELECT count(*) FROM organizations");
    // Each call that fails leaves less room, at last too little for any write.
    await expect
      .poll(
        async () => {
          await issue().catch(() => {});
          return readiness(ops);
        },
        { timeout: 20_000, interval: 1 },
      )
      .toMatchObject({ code: 200, status: "degraded" });
    await expect(issue()).rejects.toThrow("The database can't be written at the moment.");
    for (const token of secrets) expect(await introspection.introspect({ token })).toMatchObject({ active: true });
    expect((await serving(grpc)).toSorted()).toEqual(["", "Audit", "Introspection", "User"]);

    reader.close();
    await expect.poll(() => readiness(ops), SOON).toMatchObject({ code: 200, status: "ready" });
    expect(await introspection.introspect({ token: await issue() })).toMatchObject({ active: true });
    expect(await service.stop()).toBe(0);
  });
});

describe("while the service stops", () => {
  it("it isn't ready, though it finishes what it began", async () => {
    const held = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const aroundStorage = (storage: Storage): Storage =>
      new Proxy(storage, {
        get(target, property: keyof Storage) {
          if (property !== "createToken") return target[property].bind(target);
          return async (...args: Parameters<Storage["createToken"]>) => {
            begun.resolve();
            await held.promise;
            return target.createToken(...args);
          };
        },
      });
    await using test = await startTestApp({ surroundings: { aroundStorage } });
    const headers = { authorization: `Bearer ${test.credentials.serviceKey}` };
    using tokens = grpcClient(TokenService, test.app.grpcAddress, { headers });
    const issued = tokens.issue({ organizationId: test.credentials.organizationId, name: "last" });
    await begun.promise;
    const stopped = test.app.stop();
    expect(await readiness(test.app.opsAddress)).toMatchObject({ code: 503, status: "stopping" });
    held.resolve();
    expect(await issued).toMatchObject({ token: { name: "last" } });
    await stopped;
  });
});
