/** A call that is sent again with its idempotency key changes nothing, and is answered the same. */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OrganizationService, Role } from "../../gen/latchkey/v1/organization_pb.ts";
import { TokenService, TokenState } from "../../gen/latchkey/v1/token_pb.ts";
import { createClient } from "../../src/client/index.ts";
import { AppError } from "../../src/domain/errors.ts";
import { openAnswer } from "../../src/domain/idempotency.ts";
import { fromPublicId } from "../../src/domain/ids.ts";
import { parseRootKey } from "../../src/domain/root-key.ts";
import { createSealer } from "../../src/security/sealer.ts";
import { identityOf } from "../../src/usecases/idempotency.ts";
import { faults } from "../contract/broken-storages.ts";
import { everyEvent } from "../contract/samples.ts";
import {
  type Answer,
  DAY,
  FACTS,
  field,
  type Headers,
  type Json,
  PRODUCTS,
  type ProductService,
  startProducts,
  type Tenant,
} from "../helpers/products.ts";
import { countTokens, RETRIES, secretsByKey, storm } from "../helpers/retry-storm.ts";
import { startServiceProcess, temporaryFolder } from "../helpers/service-process.ts";
import { expectOk, openSurface, RPC_SURFACES, type RpcSurface } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const REUSED = "The idempotency key was used for another request. Use a new key.";
const REFUSAL = { ok: false, code: "ALREADY_EXISTS", message: REUSED };

const { issue, update, revoke, rotate, finishRotation, cancelRotation } = TokenService.method;
const { create, setPlan, setProfile, addMember, setMemberRole, removeMember } = OrganizationService.method;

describe.each(RPC_SURFACES)("a repeated call through %s", (name) => {
  let test: TestApp;
  let surface: RpcSurface;
  let backend: { bearer: string };

  beforeAll(async () => {
    test = await startTestApp();
    surface = openSurface(test.app, name);
    backend = { bearer: test.credentials.serviceKey };
  });

  afterAll(async () => {
    surface.close();
    await test[Symbol.asyncDispose]();
  });

  const call = async <M extends DescMethodUnary>(method: M, request: MessageInitShape<M["input"]>) =>
    expectOk(await surface.invoke(method, request, backend));

  /** Calls three times with one key, and once with another request; in between, `meanwhile`. */
  const repeat = async <M extends DescMethodUnary>(
    method: M,
    request: MessageInitShape<M["input"]>,
    another: MessageInitShape<M["input"]>,
    meanwhile: () => Promise<unknown> = async () => undefined,
  ) => {
    const idempotencyKey = randomUUID();
    const first = await call(method, { ...request, idempotencyKey });
    expect(await call(method, { ...request, idempotencyKey })).toEqual(first);
    await meanwhile();
    expect(await call(method, { ...request, idempotencyKey })).toEqual(first);
    expect(await surface.invoke(method, { ...another, idempotencyKey }, backend)).toEqual(REFUSAL);
    return first;
  };

  it("issues one token, and answers its secret again, whatever became of it", async () => {
    const organizationId = await test.addOrganization();
    const request = { organizationId, name: "once", metadata: { b: "2", a: "1" } };
    const idempotencyKey = randomUUID();
    const first = await call(issue, { ...request, idempotencyKey });
    expect(first.secret).toMatch(/^wp_/);
    expect(first.token?.revision).toBeGreaterThan(0n);
    await call(revoke, { id: first.token?.id ?? "" });
    const shuffled = { ...request, metadata: { a: "1", b: "2" }, idempotencyKey };
    expect(await call(issue, shuffled)).toEqual(first);
    for (const another of [{ name: "twice" }, { metadata: { a: "2", b: "1" } }, { userId: "usr_x" }]) {
      expect(await surface.invoke(issue, { ...request, ...another, idempotencyKey }, backend)).toEqual(REFUSAL);
    }
    const states = [TokenState.ACTIVE, TokenState.REVOKED];
    expect((await call(TokenService.method.list, { organizationId, states })).tokens).toHaveLength(1);
  });

  it("leaves exactly one event, however often it is sent", async () => {
    const organizationId = await test.addOrganization();
    const { token } = await repeat(issue, { organizationId, name: "once" }, { organizationId, name: "other" });
    const events = await test.app.deployment.storage.listEvents(
      everyEvent({ organizationId: fromPublicId("org", organizationId) ?? "", actions: ["token.issued"] }),
    );
    expect(events).toMatchObject([{ target: token?.id, targetName: "once", actor: { kind: "service" } }]);
    expect(BigInt(events[0]?.revision ?? 0)).toBe(token?.revision);
  });

  it("changes a token once, also when somebody has changed or revoked it since", async () => {
    const organizationId = await test.addOrganization();
    const { token } = await call(issue, { organizationId, name: "x" });
    const id = token?.id ?? "";
    const since = () => call(update, { id, name: "since" });
    const metadata = { b: "2", a: "1" };
    const first = await repeat(update, { id, name: "once", metadata }, { id, name: "twice", metadata }, since);
    expect(first.token).toMatchObject({ name: "once", metadata });
    expect((await call(TokenService.method.get, { id })).token?.name).toBe("since");
    // Nothing changes, and is remembered.
    const idle = await repeat(update, { id, enabled: true }, { id, enabled: false }, () => call(revoke, { id }));
    expect(idle.token?.state).toBe(TokenState.ACTIVE);
    const events = await test.app.deployment.storage.listEvents(
      everyEvent({ organizationId: fromPublicId("org", organizationId), target: id }),
    );
    expect(events.map(({ action, targetName }) => `${action} ${targetName}`)).toEqual([
      "token.issued x",
      "token.updated once",
      "token.updated since",
      "token.revoked since",
    ]);
  });

  it("revokes one token, and refuses the key for another one", async () => {
    const organizationId = await test.addOrganization();
    const [one, other] = [
      await call(issue, { organizationId, name: "one" }),
      await call(issue, { organizationId, name: "other" }),
    ];
    await repeat(revoke, { id: one.token?.id ?? "" }, { id: other.token?.id ?? "" });
    expect((await call(TokenService.method.get, { id: other.token?.id ?? "" })).token?.revokedBy).toBe("");
  });

  it("rotates one token once, and answers the new secret again", async () => {
    const organizationId = await test.addOrganization();
    const [one, other] = [
      await call(issue, { organizationId, name: "one" }),
      await call(issue, { organizationId, name: "other" }),
    ];
    const id = one.token?.id ?? "";
    const overlap = { seconds: 60n };
    const rotated = await repeat(rotate, { id, overlap }, { id, overlap: { seconds: 61n } });
    expect(rotated.secret).toMatch(/^wp_/);
    await repeat(finishRotation, { id }, { id: other.token?.id ?? "" }, () => call(rotate, { id, overlap }));
    await repeat(cancelRotation, { id }, { id: other.token?.id ?? "" }, () => call(rotate, { id }));
    expect((await call(TokenService.method.get, { id })).token?.hint).not.toBe(rotated.token?.hint);
  });

  it("makes one organization", async () => {
    const { organization } = await repeat(create, { name: "one" }, { name: "other" });
    expect(organization?.id).toMatch(/^org_/);
  });

  it("sets a plan and a profile once, also when somebody has set another since", async () => {
    const organizationId = await test.addOrganization("walwarden");
    const later = (plan: string) => () => call(setPlan, { organizationId, plan });
    await repeat(setPlan, { organizationId, plan: "team" }, { organizationId, plan: "free" }, later("enterprise"));
    const plans = async () => (await call(OrganizationService.method.get, { id: organizationId })).organization?.plan;
    expect(await plans()).toBe("enterprise");
    await repeat(setProfile, { organizationId, profile: "plane" }, { organizationId, profile: "watchplane" });
  });

  it("adds one member, and answers the initial password again", async () => {
    const organizationId = await test.addOrganization();
    const request = { organizationId, email: `${randomUUID()}@example.com`, role: Role.MEMBER };
    const { member, initialPassword } = await repeat(addMember, request, { ...request, role: Role.ADMIN });
    expect(initialPassword).not.toBe("");
    // Who has an account gets no password, again and again.
    const elsewhere = { ...request, organizationId: await test.addOrganization() };
    expect((await repeat(addMember, elsewhere, request)).initialPassword).toBe("");

    const ids = { organizationId, userId: member?.user?.id ?? "" };
    await repeat(setMemberRole, { ...ids, role: Role.ADMIN }, { ...ids, role: Role.MEMBER }, () =>
      call(setMemberRole, { ...ids, role: Role.MEMBER }),
    );
    await repeat(removeMember, ids, { ...ids, userId: `usr_0${"1".repeat(25)}` });
    expect(await surface.invoke(removeMember, ids, backend)).toMatchObject({ code: "NOT_FOUND" });
    const keyed = { ...ids, role: Role.ADMIN, idempotencyKey: randomUUID() };
    expect(await surface.invoke(setMemberRole, keyed, backend)).toMatchObject({ code: "NOT_FOUND" });
  });

  it("knows one key for each method", async () => {
    const organizationId = await test.addOrganization();
    const idempotencyKey = randomUUID();
    const { token } = await call(issue, { organizationId, name: "x", idempotencyKey });
    await call(update, { id: token?.id ?? "", name: "y", idempotencyKey });
    await call(revoke, { id: token?.id ?? "", idempotencyKey });
    await call(setPlan, { organizationId, plan: "standard", idempotencyKey });
  });

  it("takes keys of up to 255 visible ASCII characters", async () => {
    const organizationId = await test.addOrganization();
    const longest = `"${"~!".repeat(126)}"k`;
    expect(longest).toHaveLength(255);
    const first = await call(issue, { organizationId, name: "x", idempotencyKey: longest });
    expect(await call(issue, { organizationId, name: "x", idempotencyKey: longest })).toEqual(first);
    for (const [idempotencyKey, fault] of [
      [`${longest}k`, "must be at most 255 characters"],
      ["two words", "must hold visible ASCII characters only"],
      ["schlüssel", "must hold visible ASCII characters only"],
      ["line\nbreak", "must hold visible ASCII characters only"],
    ] as const) {
      expect(await surface.invoke(issue, { organizationId, name: "x", idempotencyKey }, backend)).toEqual({
        ok: false,
        code: "INVALID_ARGUMENT",
        message: `idempotency_key: ${fault}`,
      });
    }
  });
});

describe("a repeated call of a product", () => {
  let service: ProductService;

  beforeAll(async () => {
    service = await startProducts();
  });

  afterAll(() => service[Symbol.asyncDispose]());

  const send = (tenant: Tenant, headers: Headers, key: string, name = "once"): Promise<Answer> =>
    tenant.call("POST", "/api-tokens", {
      headers: { ...headers, "idempotency-key": key },
      body: FACTS[tenant.product].issue(name),
    });

  it.each(PRODUCTS)("%s is answered the same, and refused for another request", async (product) => {
    const tenant = await service.addTenant(product, product === "watchmantower" ? "enterprise" : "");
    const admin = await tenant.as("admin");
    const key = randomUUID();
    const first = await send(tenant, admin, key);
    expect(first.status, first.text).toBe(201);
    const again = await send(tenant, admin, key);
    expect([again.status, again.text]).toEqual([201, first.text]);

    const refused = await send(tenant, admin, key, "another");
    expect(refused.status).toBe(409);
    expect(refused.json).toEqual(CONFLICTS[product]);
    expect(await tenant.list()).toHaveLength(1);

    const id = field(FACTS[product].tokenIn(first.json), "id") as string;
    const rename = (name: string) => {
      const body = { [product === "plane" ? "label" : "name"]: name };
      return tenant.call("PATCH", `/api-tokens/${id}`, { headers: { ...admin, "idempotency-key": key }, body });
    };
    const renamed = await rename("another name");
    expect([renamed.status, field(FACTS[product].tokenIn(renamed.json), "id")]).toEqual([200, id]);
    expect((await rename("another name")).text).toBe(renamed.text);
    expect((await rename("a third name")).json).toEqual(CONFLICTS[product]);

    const end = (which: string) =>
      tenant.call("DELETE", `/api-tokens/${which}`, { headers: { ...admin, "idempotency-key": key } });
    const revoked = await end(id);
    const revokedAgain = await end(id);
    expect([revokedAgain.status, revokedAgain.text]).toEqual([revoked.status, revoked.text]);
    const other = await tenant.issue();
    expect((await end(other.id)).status).toBe(409);
  });

  it("gets over gRPC what it got over REST", async () => {
    const tenant = await service.addTenant("watchplane");
    const admin = await tenant.as("admin");
    const first = await send(tenant, admin, "one-key");
    const address = service.test.app.grpcAddress;
    const tokens = createClient(TokenService, {
      address,
      token: admin["authorization"]?.slice("Bearer ".length) ?? "",
    });
    const { token, secret } = await tokens.issue({ name: "once", idempotencyKey: "one-key" });
    tokens.close();
    expect(field(FACTS.watchplane.tokenIn(first.json), "token")).toBe(secret);
    expect(field(FACTS.watchplane.tokenIn(first.json), "id")).toBe(token?.id);
  });

  it("is another call when another caller or organization makes it", async () => {
    const [one, two] = [await service.addTenant("watchplane"), await service.addTenant("watchplane")];
    const apiToken = await one.issue();
    const callers: [Tenant, Headers][] = [
      [one, await one.as("admin")],
      [one, await one.as("owner")],
      [one, apiToken.headers],
      [two, await two.as("admin")],
    ];
    const secrets = new Set<Json>();
    for (const [tenant, headers] of callers) {
      const answer = await send(tenant, headers, "k");
      expect(answer.status, answer.text).toBe(201);
      secrets.add(field(FACTS.watchplane.tokenIn(answer.json), "token"));
      expect((await send(tenant, headers, "k")).text).toBe(answer.text);
    }
    expect(secrets.size).toBe(callers.length);
  });

  it("is refused, and told no secret, when the caller may not make it any more", async () => {
    const tenant = await service.addTenant("watchplane");
    const admin = await tenant.as("admin");
    const { userId } = await tenant.person("admin");
    expect((await send(tenant, admin, "k")).status).toBe(201);
    await service.organizations.setMemberRole({ organizationId: tenant.id, userId, role: Role.MEMBER });
    const demoted = await send(tenant, admin, "k");
    expect(demoted.status).toBe(403);
    expect(demoted.text).not.toContain("wp_");
    // Nor does it learn whether there is a record.
    expect((await send(tenant, admin, "k", "another")).text).toBe(demoted.text);
    await service.organizations.removeMember({ organizationId: tenant.id, userId });
    expect((await send(tenant, admin, "k")).status).toBe(401);
  });

  it("makes a new token after 24 h, and not before", async () => {
    const tenant = await service.addTenant("watchplane");
    const { secret: token } = await tenant.issue();
    const script = { "x-api-key": token };
    const first = await send(tenant, script, "k");
    service.clock.advance(DAY - 1);
    expect((await send(tenant, script, "k")).text).toBe(first.text);
    service.clock.advance(1);
    const next = await send(tenant, script, "k");
    expect(next.status).toBe(201);
    expect(next.text).not.toBe(first.text);
    expect((await send(tenant, script, "k")).text).toBe(next.text);
    expect(await tenant.list()).toHaveLength(3);
  });

  it("may succeed when the call before failed, also with another request", async () => {
    const tenant = await service.addTenant("walwarden");
    const admin = await tenant.as("admin");
    const issueWith = (fields: Record<string, Json>) =>
      tenant.call("POST", "/api-tokens", { headers: { ...admin, "idempotency-key": "k" }, body: fields });
    expect((await issueWith({ name: "x", scopes: ["no:such"] })).status).toBe(400);
    expect((await issueWith({ name: "x", scopes: ["databases:read"] })).status).toBe(201);
    expect((await issueWith({ name: "x", scopes: ["no:such"] })).status).toBe(409);
  });
});

const CONFLICTS: Readonly<Record<(typeof PRODUCTS)[number], Json>> = {
  watchplane: { error: { code: "ALREADY_EXISTS", message: REUSED } },
  watchmantower: { success: false, error: { code: "ALREADY_EXISTS", message: REUSED } },
  walwarden: { error: { code: "conflict", message: REUSED } },
  plane: { detail: REUSED },
};

it("records nothing of a call whose write failed", async () => {
  let failures = 1;
  await using test = await startTestApp({
    surroundings: {
      aroundStorage: (storage) =>
        new Proxy(storage, {
          get(target, property, receiver) {
            const method = (Reflect.get(target, property, receiver) as (...args: unknown[]) => unknown).bind(target);
            if (property !== "createToken") return method;
            return (...args: unknown[]) =>
              failures-- > 0 ? Promise.reject(new AppError("unavailable", "The disk is full.")) : method(...args);
          },
        }),
    },
  });
  const tokens = createClient(TokenService, { address: test.app.grpcAddress, token: test.credentials.serviceKey });
  const request = { organizationId: test.credentials.organizationId, name: "x", idempotencyKey: "k" };
  await expect(tokens.issue(request)).rejects.toMatchObject({ details: "The disk is full." });
  const { secret } = await tokens.issue(request);
  expect(await tokens.issue(request)).toMatchObject({ secret });
  tokens.close();
});

const KEYS = 50;

const someKeys = (): readonly string[] => Array.from({ length: KEYS }, () => randomUUID());

it("would make more tokens than keys if the record were looked for before the write only", async () => {
  await using test = await startTestApp({ surroundings: { aroundStorage: faults.recordsWithoutLock } });
  const { app, credentials } = test;
  const admin = await test.signIn({ email: credentials.adminEmail, password: credentials.adminPassword });
  const keys = someKeys();
  await storm({ grpc: app.grpcAddress, http: app.httpAddress }, admin, keys);
  expect(await countNamed(test, keys)).toBeGreaterThan(KEYS);
});

it(`makes ${KEYS} tokens of ${KEYS} keys with ${RETRIES} retries each at once, over gRPC and REST`, async () => {
  await using test = await startTestApp();
  const { app, credentials } = test;
  const admin = await test.signIn({ email: credentials.adminEmail, password: credentials.adminPassword });
  const keys = someKeys();
  const outcomes = await storm({ grpc: app.grpcAddress, http: app.httpAddress }, admin, keys);
  expect(outcomes.filter(({ status }) => status === "rejected")).toEqual([]);
  const secrets = secretsByKey(outcomes);
  expect([...secrets.keys()].toSorted()).toEqual(keys.toSorted());
  expect([...secrets.values()].every(({ size }) => size === 1)).toBe(true);
  expect(new Set([...secrets.values()].flatMap((each) => [...each])).size).toBe(KEYS);
  expect(await countNamed(test, keys)).toBe(KEYS);
});

it("does so when the process is killed in the middle, and the calls are sent again to the next one", async () => {
  await using folder = await temporaryFolder();
  const env = { LATCHKEY_DATA_DIR: folder.path, LATCHKEY_LOG_LEVEL: "info" };
  const databasePath = join(folder.path, "latchkey.db");
  const keys = someKeys();
  let token: string;
  let acknowledged: Map<string, Set<string>>;
  {
    await using first = await startServiceProcess(["--dev"], env);
    const credentials = JSON.parse(await readFile(join(folder.path, "dev-credentials.json"), "utf8")) as {
      adminEmail: string;
      adminPassword: string;
    };
    const login = await fetch(`http://${first.ready.http}/api/v1/auth/login`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ email: credentials.adminEmail, password: credentials.adminPassword }),
    });
    token = ((await login.json()) as { data: { accessToken: string } }).data.accessToken;
    const answers = storm(first.ready, token, keys);
    // Some are stored, and few or none of their retries are answered.
    while (countTokens(databasePath, keys) < KEYS / 5) await setTimeout(1);
    await first.stop("SIGKILL");
    const outcomes = await answers;
    expect(outcomes.some(({ status }) => status === "rejected")).toBe(true);
    acknowledged = secretsByKey(outcomes);
  }
  const stored = countTokens(databasePath, keys);
  expect(stored).toBeGreaterThanOrEqual(Math.max(KEYS / 5, acknowledged.size));

  await using second = await startServiceProcess([], env);
  const outcomes = await storm(second.ready, token, keys);
  expect(outcomes.filter(({ status }) => status === "rejected")).toEqual([]);
  const secrets = secretsByKey(outcomes);
  expect(secrets.size).toBe(KEYS);
  expect([...secrets.values()].every(({ size }) => size === 1)).toBe(true);
  for (const [key, before] of acknowledged) expect(secrets.get(key)).toEqual(before);
  expect(countTokens(databasePath, keys)).toBe(KEYS);
});

it("keeps neither the secret nor the key where the database alone, or with the root key, reveals them", async () => {
  await using test = await startTestApp();
  const { config, credentials, app } = test;
  const connection = { address: app.grpcAddress, token: credentials.serviceKey };
  const tokens = createClient(TokenService, connection);
  const organizations = createClient(OrganizationService, connection);
  const { organizationId } = credentials;
  const key = `canary-key-${randomUUID()}`;
  const { token, secret } = await tokens.issue({ organizationId, name: "canary", idempotencyKey: key });
  const { initialPassword } = await organizations.addMember({
    organizationId,
    email: "canary@example.com",
    role: Role.MEMBER,
    idempotencyKey: key,
  });
  await organizations.removeMember({ organizationId, userId: "usr_x", idempotencyKey: "refused" }).catch(() => {});
  tokens.close();
  organizations.close();

  const places = [(await test.database.contents()).toString("latin1"), test.logLines.join("")];
  // The search is able to find things.
  expect(places.some((text) => text.includes("canary@example.com"))).toBe(true);
  for (const canary of [secret, key, initialPassword]) {
    const forms = [canary, Buffer.from(canary, "utf16le").toString("latin1"), Buffer.from(canary).toString("base64")];
    for (const form of forms) expect(places.some((text) => text.includes(form))).toBe(false);
  }

  // A thief who has the root key as well, and knows who called what.
  const calls = await test.database.query("SELECT sealed_answer FROM recorded_calls");
  const sealed = calls.map(({ sealed_answer: answer }) => answer as Buffer);
  expect(sealed).toHaveLength(2);
  const rootKey = parseRootKey(await readFile(join(config.dataDir, "root.key"), "utf8"));
  if (rootKey === undefined || token === undefined) throw new Error("no root key or token");
  const serviceKey = await app.deployment.storage.getToken(fromPublicId("tok", token.createdBy) ?? "");
  if (serviceKey === undefined) throw new Error("no service key");
  const opened = (guess: string, root = rootKey): unknown[] => {
    const method = "latchkey.v1.TokenService/Issue";
    const identity = identityOf({ kind: "service", service: serviceKey }, { method, key: guess });
    const sealingKey = createSealer(root, app.deployment.entropy).deriveKey("recorded answer", identity);
    return sealed.flatMap((answer) => {
      try {
        return [openAnswer<unknown, unknown>(sealingKey, answer).confidential];
      } catch {
        return [];
      }
    });
  };
  expect(opened(key)).toEqual([secret]);
  for (const guess of ["", "canary", `${key} `, key.slice(1)]) expect(opened(guess)).toEqual([]);
  expect(opened(key, rootKey.with(0, (rootKey[0] ?? 0) ^ 1))).toEqual([]);
});

/** Tokens with these names. */
async function countNamed({ database }: TestApp, names: readonly string[]): Promise<number> {
  const list = names.map((name) => `'${name}'`).join(", ");
  const [counted] = await database.query(`SELECT count(*) AS tokens FROM tokens WHERE name IN (${list})`);
  return Number(counted?.["tokens"]);
}
