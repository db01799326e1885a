/** What IntrospectionService promises, through every RPC protocol. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Reason } from "../../gen/latchkey/v1/introspection_pb.ts";
import { fromPublicId } from "../../src/domain/ids.ts";
import { generateSecret } from "../../src/domain/secret-format.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { loadProfiles } from "../../src/profiles/load-profiles.ts";
import { mintToken } from "../../src/usecases/issue-token.ts";
import { expectOk, openSurface, RPC_SURFACES, type RpcSurface } from "../helpers/surfaces.ts";
import { bySystem, startTestApp, type TestApp } from "../helpers/test-app.ts";

const profiles = loadProfiles(undefined);

const INACTIVE = {
  active: false,
  allowed: false,
  tokenId: "",
  organizationId: "",
  userId: "",
  profile: "",
  type: "",
  name: "",
  permission: "",
  scopes: [],
  plan: "",
  revision: 0n,
};

describe.each(RPC_SURFACES)("IntrospectionService through %s", (name) => {
  let nowMs = Date.parse("2026-03-04T05:06:07Z");
  let lookUps = 0;
  let test: TestApp;
  let surface: RpcSurface;
  let backend: { bearer: string };

  beforeAll(async () => {
    test = await startTestApp({
      surroundings: { clock: () => nowMs, aroundStorage: (storage) => countLookUps(storage, () => lookUps++) },
    });
    surface = openSurface(test.app, name);
    backend = { bearer: test.credentials.serviceKey };
  });

  afterAll(async () => {
    surface.close();
    await test[Symbol.asyncDispose]();
  });

  const issue = async (request: Parameters<RpcSurface["issue"]>[1] = { name: "x" }) =>
    expectOk(await surface.issue(backend, { organizationId: test.credentials.organizationId, ...request }));

  it("refuses callers without the scope introspect, people and API tokens included", async () => {
    const { secret } = await issue();
    const rest = openSurface(test.app, "rest");
    const { adminEmail, adminPassword } = test.credentials;
    const { accessToken } = expectOk(await rest.login({}, adminEmail, adminPassword));
    const message = "This call needs a service key with the scope introspect.";
    const refusal = { ok: false, code: "PERMISSION_DENIED", message };
    expect(await surface.introspect({ bearer: accessToken }, { token: secret })).toEqual(refusal);
    expect(await surface.introspect({ apiKey: secret }, { token: secret })).toEqual(refusal);
    const other = { bearer: await test.addServiceKey(["tokens:read"]) };
    expect(await surface.introspect(other, { token: secret })).toMatchObject({
      code: "PERMISSION_DENIED",
      message: "The service key lacks the scope introspect.",
    });
    expect(await surface.introspect({}, { token: secret })).toMatchObject({ code: "UNAUTHENTICATED" });
  });

  it("answers malformed for what can't be a token, without a look-up", async () => {
    const { secret } = await issue();
    const flipped = secret.slice(0, -1) + (secret.endsWith("0") ? "1" : "0");
    const otherPrefix = secret.replace("wp_", "pk_");
    const noise = [
      "",
      "x",
      "\u0000",
      `${secret}\u0000`,
      ` ${secret}`,
      "🔑".repeat(30),
      flipped,
      otherPrefix,
      secret.toUpperCase(),
    ];
    // From here on the caller's own key is in memory.
    await surface.introspect(backend, { token: secret });
    for (const token of [...noise, `wp_${"a".repeat(1024 * 1024)}`]) {
      const before = lookUps;
      expect(expectOk(await surface.introspect(backend, { token }))).toMatchObject({
        ...INACTIVE,
        reason: Reason.MALFORMED,
      });
      expect(lookUps - before).toBe(0);
    }
  });

  it("answers unknown for a well-formed token that nobody issued, and for service keys", async () => {
    for (const { secretFormat } of profiles.all) {
      const token = generateSecret(secretFormat, test.app.deployment.entropy);
      expect(expectOk(await surface.introspect(backend, { token }))).toMatchObject({
        ...INACTIVE,
        reason: Reason.UNKNOWN,
      });
    }
    expect(expectOk(await surface.introspect(backend, { token: backend.bearer }))).toMatchObject({
      ...INACTIVE,
      reason: Reason.UNKNOWN,
    });
  });

  it("says nothing of another organization's token to a service key of one organization", async () => {
    const elsewhere = await test.addOrganization();
    const { secret } = await issue();
    const theirs = { bearer: await test.addServiceKey(["introspect"], elsewhere) };
    expect(expectOk(await surface.introspect(theirs, { token: secret }))).toMatchObject({
      ...INACTIVE,
      reason: Reason.UNKNOWN,
    });
    const ours = { bearer: await test.addServiceKey(["introspect"], test.credentials.organizationId) };
    expect(expectOk(await surface.introspect(ours, { token: secret }))).toMatchObject({ active: true });
  });

  it("grants a Watchplane token every scope, since it has full admin access", async () => {
    const { secret } = await issue();
    const judgement = expectOk(await surface.introspect(backend, { token: secret, requiredScopes: ["any:thing"] }));
    expect(judgement).toMatchObject({ active: true, allowed: true });
  });

  it("holds a token to its scopes, expiry and state", async () => {
    const organizationId = await test.addOrganization("walwarden");
    const expiresAt = { seconds: BigInt(nowMs / 1000) + 60n, nanos: 500_000_000 };
    const { secret } = await issue({
      name: "scoped",
      organizationId,
      scopes: ["databases:read"],
      expiresAt,
      idempotencyKey: "k",
    });
    const ask = async (requiredScopes: string[]) =>
      expectOk(await surface.introspect(backend, { token: secret, requiredScopes }));
    expect(await ask(["databases:read"])).toMatchObject({
      active: true,
      allowed: true,
      scopes: ["databases:read"],
      expiresAt,
    });
    expect(await ask([])).toMatchObject({ active: true, allowed: true });
    expect(await ask(["databases:read", "databases:write"])).toMatchObject({
      active: true,
      allowed: false,
      reason: Reason.INSUFFICIENT_SCOPE,
    });
    nowMs += 60_499;
    expect(await ask([])).toMatchObject({ active: true });
    nowMs += 1;
    expect(await ask([])).toMatchObject({ ...INACTIVE, reason: Reason.EXPIRED });
  });

  it("answers disabled for a token that is switched off", async () => {
    const { deployment } = test.app;
    const profile = profiles.get("watchplane");
    const organizationId = fromPublicId("org", test.credentials.organizationId);
    if (profile === undefined || organizationId === undefined) throw new Error("no profile or organization");
    const wishes = {
      name: "off",
      type: "",
      permission: "",
      scopes: [],
      expiresAt: undefined,
      ipAllowlist: [],
      metadata: {},
    };
    const { secret, newToken } = mintToken(deployment, profile, organizationId, wishes, {
      createdBy: "x",
      userId: undefined,
    });
    await deployment.storage.createToken({ ...newToken, token: { ...newToken.token, enabled: false } }, bySystem());
    expect(expectOk(await surface.introspect(backend, { token: secret }))).toMatchObject({
      ...INACTIVE,
      reason: Reason.DISABLED,
    });
  });

  it("refuses a client address that isn't one", async () => {
    expect(await surface.introspect(backend, { token: "x", clientIp: "not an address" })).toEqual({
      ok: false,
      code: "INVALID_ARGUMENT",
      message: "client_ip: must be a valid IP address",
    });
  });

  it("marks a token as used, except in a dry run", async () => {
    const { id, secret } = await issue();
    expectOk(await surface.introspect(backend, { token: secret, dryRun: true }));
    await test.app.usage.flush();
    expect(expectOk(await surface.get(backend, id)).lastUsedAt).toBeUndefined();
    expectOk(await surface.introspect(backend, { token: secret }));
    await test.app.usage.flush();
    expect(expectOk(await surface.get(backend, id)).lastUsedAt).toEqual(new Date(Math.floor(nowMs / 1000) * 1000));
  });

  it("answers a batch in the order of its questions", async () => {
    const [one, two] = [await issue({ name: "one" }), await issue({ name: "two" })];
    expectOk(await surface.revoke(backend, two.id));
    const { responses } = expectOk(
      await surface.batchIntrospect(backend, [one.secret, "junk", two.secret, one.secret]),
    );
    expect(responses.map(({ active, reason, name: label }) => [active, reason, label])).toEqual([
      [true, Reason.UNSPECIFIED, "one"],
      [false, Reason.MALFORMED, ""],
      [false, Reason.REVOKED, ""],
      [true, Reason.UNSPECIFIED, "one"],
    ]);
  });

  it("takes a batch of 1,000, and no more or fewer than the limits", async () => {
    const { secret } = await issue();
    const { responses } = expectOk(await surface.batchIntrospect(backend, Array<string>(1000).fill(secret)));
    expect(responses).toHaveLength(1000);
    for (const [size, message] of [
      [0, "requests: must contain at least 1 item(s)"],
      [1001, "requests: must contain no more than 1000 item(s)"],
      [10_000, "requests: must contain no more than 1000 item(s)"],
    ] as const) {
      const before = lookUps;
      expect(await surface.batchIntrospect(backend, Array<string>(size).fill(secret))).toMatchObject({
        ok: false,
        code: "INVALID_ARGUMENT",
        message,
      });
      expect(lookUps - before).toBe(0);
    }
  });
});

function countLookUps(storage: Storage, count: () => void): Storage {
  return new Proxy(storage, {
    get(target, property, receiver) {
      const method = (Reflect.get(target, property, receiver) as (...args: unknown[]) => unknown).bind(target);
      if (property !== "findTokenByFingerprint") return method;
      return (...args: unknown[]) => {
        count();
        return method(...args);
      };
    },
  });
}
