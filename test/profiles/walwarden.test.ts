/** What walwarden's page says, one test a sentence, on a service that hosts all products. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AuditService } from "../../gen/latchkey/v1/audit_pb.ts";
import { Reason } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { createClient } from "../../src/client/index.ts";
import { AppError, type ErrorKind } from "../../src/domain/errors.ts";
import type { Storage } from "../../src/domain/storage.ts";
import {
  DAY,
  type Headers,
  HOUR,
  iso,
  MINUTE,
  type ProductService,
  SECOND,
  startProducts,
  type Tenant,
} from "../helpers/products.ts";

const error = (code: string, message: string) => ({ error: { code, message } });
const INVALID = error("unauthorized", "The credential is not valid.");
const SCOPES = [
  "databases:read",
  "databases:write",
  "destinations:read",
  "destinations:write",
  "backups:trigger",
  "restores:read",
  "restores:write",
  "evidence:read",
  "evidence:export",
  "audit:read",
  "readiness:read",
];
const SCOPE_FAULT = error("bad_request", `scopes: must be among ${SCOPES.join(", ")}`);

/** What the store refuses the next new token with; undefined for nothing. */
let storeRefuses: ErrorKind | undefined;
let service: ProductService;
let tenant: Tenant;

beforeAll(async () => {
  service = await startProducts({ surroundings: { aroundStorage: refuseTokens } });
  tenant = await service.addTenant("walwarden");
});

afterAll(() => service[Symbol.asyncDispose]());

/** Everything that the log has of an organization, and what its chain proves. */
async function auditOf({ id: organizationId }: Tenant) {
  const { grpcAddress: address } = service.test.app;
  const audit = createClient(AuditService, { address, token: service.test.credentials.serviceKey });
  try {
    const { events } = await audit.listEvents({ organizationId, pageSize: 1000 });
    return { events, chain: await audit.verifyChain({ organizationId }) };
  } finally {
    audit.close();
  }
}

function refuseTokens(storage: Storage): Storage {
  return new Proxy(storage, {
    get(target, property, receiver) {
      const method = (Reflect.get(target, property, receiver) as (...args: unknown[]) => unknown).bind(target);
      if (property !== "createToken") return method;
      return (...args: unknown[]) =>
        storeRefuses === undefined
          ? method(...args)
          : Promise.reject(new AppError(storeRefuses, "Something else was there first."));
    },
  });
}

const newTenant = (plan = "team"): Promise<Tenant> => service.addTenant("walwarden", plan);
const bearer = (secret: string): Headers => ({ Authorization: `Bearer ${secret}` });

describe("the token model", () => {
  it("[walwarden-01] tokens are issued, scoped, listed and revoked", async () => {
    const ours = await newTenant();
    const { id, secret, answer } = await ours.issue({ name: "terraform-ci", scopes: ["databases:read"] });
    expect(answer.json).toEqual({
      data: {
        id: expect.stringMatching(/^tok_/) as string,
        name: "terraform-ci",
        scopes: ["databases:read"],
        state: "active",
        createdAt: service.clock.iso,
        expiresAt: null,
        lastUsedAt: null,
        revokedAt: null,
        token: secret,
      },
    });
    expect(await ours.list()).toMatchObject([{ id, state: "active" }]);
    expect((await ours.revoke(id)).status).toBe(200);
    expect(await ours.list()).toMatchObject([{ id, state: "revoked" }]);
  });

  it("[walwarden-02] a bearer token opens version 1 of the REST API", async () => {
    const { id, secret } = await tenant.issue();
    const answer = await service.call("GET", "/api/v1/api-tokens/self", { headers: bearer(secret) });
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ data: { id } });
    for (const path of ["/api/v2/api-tokens/self", "/public/v1/api-tokens/self", "/api-tokens/self"]) {
      const elsewhere = await service.call("GET", path, { headers: bearer(secret) });
      expect(elsewhere.status).toBe(404);
      expect(elsewhere.json).toEqual(error("not_found", "There is nothing at this path."));
    }
  });

  it("[walwarden-03] tokens need the Team plan, or what is above it; a plan without takes them away at once", async () => {
    const free = await newTenant("free");
    const refused = await free.tryIssue();
    expect(refused.status).toBe(403);
    expect(refused.json).toEqual(
      error("forbidden", "The plan free comes without API tokens; they need team or enterprise."),
    );
    expect(await free.list()).toEqual([]);
    expect((await (await newTenant("enterprise")).tryIssue()).status).toBe(201);

    const team = await newTenant("team");
    const { secret, headers } = await team.issue();
    expect((await team.self(headers)).status).toBe(200);
    await team.setPlan("free");
    const off = await team.self(headers);
    expect(off.status).toBe(401);
    expect(off.json).toEqual(INVALID);
    expect(await service.introspect({ token: secret })).toMatchObject({ active: false, reason: Reason.DISABLED });
    await team.setPlan("team");
    expect((await team.self(headers)).status).toBe(200);
  });

  it("[walwarden-04] owner and admin manage tokens, a member and a token don't", async () => {
    const ours = await newTenant();
    for (const role of ["owner", "admin"] as const) {
      const { id } = await ours.issue({}, role);
      expect((await ours.revoke(id, role)).status).toBe(200);
    }
    const token = await ours.issue({ scopes: SCOPES });
    const peopleOnly = error("forbidden", "Only an owner or an admin of the organization can manage API tokens.");
    const signIn = error("forbidden", "An API token can't manage API tokens; sign in instead.");
    for (const [by, message] of [
      ["member", peopleOnly],
      [token.headers, signIn],
    ] as const) {
      for (const refused of [await ours.tryIssue({}, by), await ours.revoke(token.id, by)]) {
        expect(refused.status).toBe(403);
        expect(refused.json).toEqual(message);
      }
    }
    expect((await ours.self(token.headers)).status).toBe(200);
    expect(await ours.list()).toHaveLength(3);
  });

  it("[walwarden-06] a token is wal_ and 64 hex digits", async () => {
    expect((await tenant.issue()).secret).toMatch(/^wal_[0-9a-f]{64}$/);
  });

  it("[walwarden-07] what starts with wal_ is walwarden's, also where another product is at home", async () => {
    for (const token of ["wal_", "wal_nonsense", `wal_${"0".repeat(64)}`]) {
      const { active, denial } = await service.introspect({ token });
      expect(active).toBe(false);
      expect(JSON.parse(denial?.body ?? "")).toEqual(INVALID);
      for (const host of ["api.plane.so", "api.watchmantower.com", "127.0.0.1"]) {
        const refused = await service.call("GET", "/api/v1/api-tokens", { host, headers: bearer(token) });
        expect(refused.status).toBe(401);
        expect(refused.json).toEqual(INVALID);
      }
    }
  });

  it("[walwarden-08] the plaintext is in the answer to the issue, and in no other", async () => {
    const { id, secret, headers, answer } = await tenant.issue();
    expect(answer.text.split(secret)).toHaveLength(2);
    const admin = await tenant.as("admin");
    const later = [
      await tenant.call("GET", `/api-tokens/${id}`, { headers: admin }),
      await tenant.call("GET", "/api-tokens?page_size=1000", { headers: admin }),
      await tenant.self(headers),
      await tenant.revoke(id),
      await tenant.revoke(id),
      await tenant.self(headers),
    ];
    expect(later.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 401]);
    for (const { text } of later) expect(text).not.toContain(secret.slice("wal_".length));
  });

  it("[walwarden-09] the SHA-256 fingerprint is in the database, the plaintext is nowhere", async () => {
    const { secret, headers } = await tenant.issue();
    await tenant.self(headers);
    await service.flushUses();
    const entries = await readdir(service.test.config.dataDir, { recursive: true, withFileTypes: true });
    const names = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
    const files = await Promise.all(names.map((name) => readFile(name)));
    const whole = Buffer.concat([...files, await service.test.database.contents()]);
    expect(whole.includes(createHash("sha256").update(secret).digest())).toBe(true);
    const random = secret.slice("wal_".length);
    for (const trace of [
      random,
      random.slice(0, 20),
      Buffer.from(random, "hex"),
      Buffer.from(secret).toString("base64"),
    ]) {
      expect(whole.includes(trace)).toBe(false);
    }
    expect(service.test.logLines.join("")).not.toContain(random);
  });

  it("[walwarden-10] a token works in Authorization: Bearer, and not in X-Api-Key", async () => {
    const { secret } = await tenant.issue();
    for (const scheme of ["Bearer", "bearer", "BEARER"]) {
      expect((await tenant.self({ Authorization: `${scheme} ${secret}` })).status).toBe(200);
    }
    const refused = await tenant.self({ "X-Api-Key": secret });
    expect(refused.status).toBe(401);
    expect(refused.json).toEqual(INVALID);
  });

  it("[walwarden-11] a scope outside the catalog is refused, with the catalog, and nothing is made", async () => {
    const ours = await newTenant();
    for (const scope of ["databases:delete", "databases", "Databases:read", " databases:read", "audit:write"]) {
      const refused = await ours.tryIssue({ scopes: ["audit:read", scope] });
      expect(refused.status).toBe(400);
      expect(refused.json).toEqual(SCOPE_FAULT);
    }
    const permission = await ours.tryIssue({ permission: "full" });
    expect(permission.json).toEqual(error("bad_request", "permission: is not offered by the profile walwarden"));
    expect(await ours.list()).toEqual([]);
    const { id } = await ours.issue({ scopes: SCOPES });
    expect(await ours.listed(id)).toMatchObject({ scopes: SCOPES.toSorted() });
    // Nor does a change let one in.
    const headers = { ...(await ours.as("admin")), "idempotency-key": "k" };
    const changed = await ours.call("PATCH", `/api-tokens/${id}`, { headers, body: { scopes: ["databases:delete"] } });
    expect([changed.status, changed.json]).toEqual([400, SCOPE_FAULT]);
    for (const verb of ["PUT", "POST"]) {
      expect((await ours.call(verb, `/api-tokens/${id}`, { headers, body: { scopes: [] } })).status).toBe(405);
    }
    expect(await ours.listed(id)).toMatchObject({ scopes: SCOPES.toSorted() });
  });

  it("[walwarden-12] no wildcard is a scope, or passes for one", async () => {
    for (const scope of ["*", "*:*", "databases:*", "*:read", "**", "databases:read*"]) {
      const refused = await tenant.tryIssue({ scopes: [scope] });
      expect(refused.status).toBe(400);
      expect(refused.json).toEqual(SCOPE_FAULT);
    }
    const { secret } = await tenant.issue({ scopes: SCOPES });
    for (const scope of ["*", "databases:*"]) {
      expect(await service.introspect({ token: secret, requiredScopes: [scope] })).toMatchObject({ allowed: false });
    }
  });

  it("[walwarden-13] a token without an expiry works for years, one with an expiry until then", async () => {
    const forever = await tenant.issue();
    const expiresAt = iso(service.clock.nowMs + DAY);
    const short = await tenant.issue({ expiresAt });
    expect(short.answer.json).toMatchObject({ data: { expiresAt } });
    service.clock.advance(3650 * DAY);
    expect((await tenant.self(forever.headers)).status).toBe(200);
    expect((await tenant.self(short.headers)).status).toBe(401);
    expect(await tenant.listed(short.id)).toMatchObject({ state: "expired", revokedAt: null });
    expect(await tenant.listed(forever.id)).toMatchObject({ state: "active", expiresAt: null });
  });

  it("[walwarden-14] a token can be revoked while it works, and after it has expired", async () => {
    const works = await tenant.issue();
    const expired = await tenant.issue({ expiresAt: iso(service.clock.nowMs + MINUTE) });
    service.clock.advance(MINUTE);
    for (const { id } of [works, expired]) {
      const answer = await tenant.revoke(id);
      expect(answer.status).toBe(200);
      expect(answer.json).toMatchObject({ data: { id, state: "revoked", revokedAt: service.clock.iso } });
    }
  });

  it("[walwarden-15] revoked tokens stay in the list, with their state and time", async () => {
    const ours = await newTenant();
    const [one, two] = [await ours.issue({ name: "one" }), await ours.issue({ name: "two" })];
    service.clock.advance(HOUR);
    await ours.revoke(one.id);
    const revokedAt = service.clock.iso;
    service.clock.advance(400 * DAY);
    expect(await ours.list()).toMatchObject([
      { id: two.id, state: "active", revokedAt: null },
      { id: one.id, name: "one", state: "revoked", revokedAt },
    ]);
    expect(await ours.list("?states=TOKEN_STATE_ACTIVE")).toMatchObject([{ id: two.id }]);
  });

  it("[walwarden-16] every issue and revoke is in the chain, with who did it, the token's name and its scopes", async () => {
    const ours = await newTenant();
    const { id } = await ours.issue({ name: "terraform-ci", scopes: ["databases:read", "backups:trigger"] }, "owner");
    await ours.revoke(id, "admin");
    const { events, chain } = await auditOf(ours);
    const about = { target: id, targetName: "terraform-ci", scopes: ["backups:trigger", "databases:read"] };
    const ofToken = events.filter(({ target }) => target === id);
    expect(ofToken).toMatchObject([
      { action: "token.issued", actor: { kind: "user" }, ...about },
      { action: "token.revoked", actor: { kind: "user" }, ...about },
    ]);
    // The owner issued it, and somebody else revoked it.
    expect(new Set(ofToken.map(({ actor }) => actor?.id)).size).toBe(2);
    expect(chain).toMatchObject({ count: BigInt(events.length) });
    expect(chain.fault).toBeUndefined();
  });

  it("[walwarden-17] the plaintext is never in the chain", async () => {
    const ours = await newTenant();
    const { id, secret } = await ours.issue({ name: "kept out" });
    await ours.revoke(id);
    const { events } = await auditOf(ours);
    const text = JSON.stringify(events, (_, value: unknown) =>
      typeof value === "bigint"
        ? String(value)
        : value instanceof Uint8Array
          ? Buffer.from(value).toString("latin1")
          : value,
    );
    expect(text).toContain("kept out");
    expect(text).not.toContain(secret);
    expect(text).not.toContain(secret.slice("wal_".length));
  });
});

describe("the list", () => {
  it("[walwarden-19] an entry has name, scopes, creation, last use and revocation", async () => {
    const ours = await newTenant();
    const { id, headers } = await ours.issue({ name: "backup-monitor", scopes: ["readiness:read", "audit:read"] });
    const createdAt = service.clock.iso;
    service.clock.advance(HOUR);
    await ours.self(headers);
    await service.flushUses();
    const lastUsedAt = service.clock.iso;
    service.clock.advance(HOUR);
    await ours.revoke(id);
    const answer = await ours.call("GET", "/api-tokens", { headers: await ours.as("admin") });
    expect(answer.json).toEqual({
      data: [
        {
          id,
          name: "backup-monitor",
          scopes: ["audit:read", "readiness:read"],
          state: "revoked",
          createdAt,
          expiresAt: null,
          lastUsedAt,
          revokedAt: service.clock.iso,
        },
      ],
    });
  });

  it("[walwarden-22] names that say where a token runs come back as they were given", async () => {
    for (const name of ["terraform-ci", "backup-monitor", "Ключ 🔑"]) {
      const { id } = await tenant.issue({ name });
      expect(await tenant.listed(id)).toMatchObject({ name });
    }
  });

  it("[walwarden-23] no refusal shows a token's name, and nobody of another organization sees it", async () => {
    const name = "a telling name";
    const { id, secret, headers } = await tenant.issue({ name, expiresAt: iso(service.clock.nowMs + HOUR) });
    const other = await newTenant();
    const stranger = await other.issue();
    const admin = await other.as("admin");
    const scope = await service.introspect({ token: secret, requiredScopes: ["audit:read"] });
    const answers = [
      await tenant.tryIssue({}, headers),
      await other.call("GET", `/api-tokens/${id}`, { headers: admin }),
      await other.call("GET", "/api-tokens", { headers: admin }),
      await other.call("GET", `/api-tokens/${id}`, { headers: stranger.headers }),
    ];
    service.clock.advance(HOUR);
    const expired = await service.introspect({ token: secret });
    answers.push(await tenant.self(headers));
    expect(answers.map(({ status }) => status)).toEqual([403, 404, 200, 404, 401]);
    expect(expired.name).toBe("");
    const texts = [...answers.map(({ text }) => text), JSON.stringify(scope.denial), JSON.stringify(expired.denial)];
    for (const text of texts) expect(text).not.toContain(name);
  });
});

describe("scopes", () => {
  /** Sees that a token with this scope may do what needs it, and nothing that needs another. */
  async function expectGrants(scope: string): Promise<void> {
    const { secret, answer } = await tenant.issue({ scopes: [scope] });
    expect(answer.json).toMatchObject({ data: { scopes: [scope] } });
    const ask = (requiredScopes: string[]) => service.introspect({ token: secret, requiredScopes });
    expect(await ask([scope])).toMatchObject({ allowed: true, scopes: [scope], reason: Reason.UNSPECIFIED });
    for (const other of SCOPES.filter((one) => one !== scope)) {
      expect(await ask([other])).toMatchObject({ active: true, allowed: false, reason: Reason.INSUFFICIENT_SCOPE });
    }
  }

  it("[walwarden-24] a missing scope is 403 forbidden, one of several suffices for that", async () => {
    const { secret } = await tenant.issue({ scopes: ["databases:read", "databases:write"] });
    const requiredScopes = ["databases:read", "restores:write"];
    const { allowed, reason, denial } = await service.introspect({ token: secret, requiredScopes });
    expect({ allowed, reason }).toEqual({ allowed: false, reason: Reason.INSUFFICIENT_SCOPE });
    expect(denial?.status).toBe(403);
    expect(denial?.headers["Content-Type"]).toBe("application/json");
    expect(JSON.parse(denial?.body ?? "")).toEqual(
      error("forbidden", "The API token's scopes don't allow this operation."),
    );
  });

  it("[walwarden-25] an expiry holds to the millisecond, and lies in the future", async () => {
    const expiresMs = service.clock.nowMs + HOUR + 7;
    const { secret, headers } = await tenant.issue({ expiresAt: iso(expiresMs) });
    service.clock.nowMs = expiresMs - 1;
    expect((await tenant.self(headers)).status).toBe(200);
    expect(await service.introspect({ token: secret })).toMatchObject({ active: true });
    service.clock.nowMs = expiresMs;
    const refused = await tenant.self(headers);
    expect(refused.status).toBe(401);
    expect(refused.json).toEqual(INVALID);
    expect(await service.introspect({ token: secret })).toMatchObject({ active: false, reason: Reason.EXPIRED });
    for (const past of [iso(service.clock.nowMs), "2020-01-01T00:00:00Z"]) {
      const late = await tenant.tryIssue({ expiresAt: past });
      expect(late.status).toBe(400);
      expect(late.json).toEqual(error("bad_request", "expiresAt: must be in the future"));
    }
  });

  it("[walwarden-27] who loses a token revokes it and issues a new one, of the same name", async () => {
    const ours = await newTenant();
    const lost = await ours.issue({ name: "nightly", scopes: ["backups:trigger"] });
    await ours.revoke(lost.id);
    const found = await ours.issue({ name: "nightly", scopes: ["backups:trigger"] });
    expect(found.secret).not.toBe(lost.secret);
    expect((await ours.self(lost.headers)).status).toBe(401);
    expect((await ours.self(found.headers)).status).toBe(200);
    // No route brings the old one back, or shows it.
    for (const path of ["/secret", "/reveal", "/token"]) {
      const { status } = await ours.call("GET", `/api-tokens/${lost.id}${path}`, { headers: await ours.as("owner") });
      expect(status).toBe(404);
    }
  });

  it("[walwarden-28] a scope holds in the token's organization, and there for everything", async () => {
    const { secret } = await tenant.issue({ scopes: ["databases:read"] });
    const judgement = await service.introspect({ token: secret, requiredScopes: ["databases:read"] });
    expect(judgement).toMatchObject({ allowed: true, organizationId: tenant.id });
    const other = await newTenant();
    const key = await service.test.addServiceKey(["introspect"], other.id);
    const elsewhere = await service.introspection.introspect(
      { token: secret, requiredScopes: ["databases:read"] },
      { headers: { authorization: `Bearer ${key}` } },
    );
    expect(elsewhere).toMatchObject({ active: false, reason: Reason.UNKNOWN, scopes: [] });
  });

  it("[walwarden-29] writing doesn't bring reading along, and no scope comes by itself", async () => {
    const scopes = ["databases:write", "restores:write", "destinations:write"];
    const { secret, headers, answer } = await tenant.issue({ scopes });
    const sorted = scopes.toSorted();
    expect(answer.json).toMatchObject({ data: { scopes: sorted } });
    expect((await tenant.self(headers)).json).toMatchObject({ data: { scopes: sorted } });
    for (const scope of SCOPES) {
      const { allowed } = await service.introspect({ token: secret, requiredScopes: [scope] });
      expect(allowed, scope).toBe(scopes.includes(scope));
    }
  });

  it("[walwarden-30] databases:read", () => expectGrants("databases:read"));
  it("[walwarden-31] databases:write", () => expectGrants("databases:write"));
  it("[walwarden-32] destinations:read", () => expectGrants("destinations:read"));
  it("[walwarden-33] destinations:write", () => expectGrants("destinations:write"));
  it("[walwarden-34] backups:trigger", () => expectGrants("backups:trigger"));
  it("[walwarden-35] restores:read", () => expectGrants("restores:read"));
  it("[walwarden-36] restores:write", () => expectGrants("restores:write"));
  it("[walwarden-37] evidence:read", () => expectGrants("evidence:read"));
  it("[walwarden-38] evidence:export", () => expectGrants("evidence:export"));
  it("[walwarden-39] audit:read", () => expectGrants("audit:read"));
  it("[walwarden-40] readiness:read", () => expectGrants("readiness:read"));

  it("[walwarden-41] a token without scopes passes what needs none, and nothing else", async () => {
    for (const wish of [{}, { scopes: [] }]) {
      const { secret, headers } = await tenant.issue(wish);
      expect(await service.introspect({ token: secret })).toMatchObject({ allowed: true, scopes: [] });
      expect((await tenant.self(headers)).json).toMatchObject({ data: { scopes: [] } });
      for (const scope of SCOPES) {
        const judgement = await service.introspect({ token: secret, requiredScopes: [scope] });
        expect(judgement).toMatchObject({ active: true, allowed: false });
      }
    }
  });

  it("[walwarden-42] 401 unauthorized, 403 forbidden, 409 conflict", async () => {
    const missing = await tenant.self({});
    expect(missing.status).toBe(401);
    expect(missing.json).toEqual(
      error(
        "unauthorized",
        "A credential is missing: send `Authorization: Bearer <access token>` or `X-Api-Key: <token>`.",
      ),
    );
    const { headers } = await tenant.issue();
    const forbidden = await tenant.tryIssue({}, headers);
    expect(forbidden.status).toBe(403);
    expect(forbidden.json).toEqual(error("forbidden", expect.any(String) as string));
    storeRefuses = "already_exists";
    const conflict = await tenant.tryIssue();
    storeRefuses = undefined;
    expect(conflict.status).toBe(409);
    expect(conflict.json).toEqual(error("conflict", "Something else was there first."));
    // Only what is answered 409 is called so.
    storeRefuses = "failed_precondition";
    const precondition = await tenant.tryIssue();
    storeRefuses = undefined;
    expect(precondition.status).toBe(400);
    expect(precondition.json).toEqual(error("bad_request", "Something else was there first."));
  });
});

describe("using and revoking", () => {
  it("[walwarden-43] a backend that gets the token asks, with what the call needs", async () => {
    const { id, secret } = await tenant.issue({ scopes: ["databases:read"] });
    const requiredScopes = ["databases:read"];
    expect(await service.introspect({ token: secret, requiredScopes, clientIp: "192.0.2.1" })).toMatchObject({
      active: true,
      allowed: true,
      tokenId: id,
      profile: "walwarden",
      plan: "team",
      scopes: ["databases:read"],
    });
  });

  it("[walwarden-44] one token works over REST, Connect and gRPC at the same time", async () => {
    const { id, secret } = await tenant.issue();
    const grpc = createClient(TokenService, { address: service.test.app.grpcAddress, token: secret });
    const [rest, connect, rpc] = await Promise.all([
      tenant.self(bearer(secret)),
      service.call("POST", "/latchkey.v1.TokenService/GetSelf", { headers: bearer(secret), body: {} }),
      grpc.getSelf({}),
    ]);
    grpc.close();
    expect(rest.json).toMatchObject({ data: { id } });
    expect(connect.json).toMatchObject({ token: { id } });
    expect(rpc).toMatchObject({ token: { id } });
  });

  it("[walwarden-46] a mutation that is sent again with its key isn't done again", async () => {
    const ours = await newTenant();
    const headers = { ...(await ours.as("admin")), "Idempotency-Key": crypto.randomUUID() };
    const body = { name: "sent twice", scopes: ["databases:read"] };
    const first = await ours.call("POST", "/api-tokens", { headers, body });
    const again = await ours.call("POST", "/api-tokens", { headers, body });
    expect(first.status).toBe(201);
    expect([again.status, again.text]).toEqual([201, first.text]);
    expect(await ours.list()).toHaveLength(1);
    const other = await ours.call("POST", "/api-tokens", { headers, body: { name: "something else" } });
    expect(other.status).toBe(409);
    expect(other.json).toMatchObject({ error: { code: "conflict" } });
    expect(await ours.list()).toHaveLength(1);
  });

  it("[walwarden-45] POST and DELETE without an Idempotency-Key are refused, and change nothing", async () => {
    const ours = await newTenant();
    const { id, headers: token } = await ours.issue();
    const headers = await ours.as("admin");
    const missing = error("bad_request", "idempotency_key: is required: send the header Idempotency-Key");
    for (const refused of [
      await ours.call("POST", "/api-tokens", { headers, body: { name: "x" } }),
      await ours.call("POST", "/api-tokens", { headers: { ...headers, "Idempotency-Key": "" }, body: { name: "x" } }),
      await ours.call("DELETE", `/api-tokens/${id}`, { headers }),
    ]) {
      expect(refused.status).toBe(400);
      expect(refused.json).toEqual(missing);
    }
    const long = await ours.call("DELETE", `/api-tokens/${id}`, {
      headers: { ...headers, "Idempotency-Key": "x".repeat(256) },
    });
    expect(long.status).toBe(400);
    expect(await ours.list()).toMatchObject([{ id, state: "active" }]);
    expect((await ours.self(token)).status).toBe(200);
    // What only reads needs none.
    expect((await ours.call("GET", `/api-tokens/${id}`, { headers })).status).toBe(200);
    const withKey = { ...headers, "Idempotency-Key": crypto.randomUUID() };
    expect((await ours.call("POST", "/api-tokens", { headers: withKey, body: { name: "x" } })).status).toBe(201);
    // Over gRPC it is a field.
    const rpc = service.tokens.issue({ organizationId: ours.id, name: "over gRPC" });
    await expect(rpc).rejects.toMatchObject({ details: expect.stringContaining("idempotency_key") as string });
    const { token: made } = await service.tokens.issue({ organizationId: ours.id, name: "y", idempotencyKey: "one" });
    expect(made?.name).toBe("y");
  });

  it("[walwarden-48] a second revoke succeeds and changes nothing", async () => {
    const { id } = await tenant.issue();
    const first = await tenant.revoke(id);
    service.clock.advance(HOUR);
    const second = await tenant.revoke(id, "owner");
    expect(first.status).toBe(200);
    expect(second.status).toBe(200);
    expect(second.json).toEqual(first.json);
  });

  it("[walwarden-49] the answer to the revoke is the end of the token", async () => {
    const { id, secret } = await tenant.issue({ scopes: ["audit:read"] });
    expect(await service.introspect({ token: secret })).toMatchObject({ active: true });
    await tenant.revoke(id);
    const answers = await Promise.all(Array.from({ length: 50 }, () => service.introspect({ token: secret })));
    for (const answer of answers) {
      expect(answer).toMatchObject({ active: false, allowed: false, reason: Reason.REVOKED, name: "", scopes: [] });
    }
  });

  it("[walwarden-50] then every request with it is 401 unauthorized", async () => {
    const { id, secret, headers } = await tenant.issue();
    await tenant.revoke(id);
    for (const path of ["/api-tokens/self", "/api-tokens", `/api-tokens/${id}`]) {
      const refused = await tenant.call("GET", path, { headers });
      expect(refused.status).toBe(401);
      expect(refused.text).toBe('{"error":{"code":"unauthorized","message":"The credential is not valid."}}');
    }
    const { denial } = await service.introspect({ token: secret, requiredScopes: ["audit:read"] });
    expect(denial?.status).toBe(401);
    expect(JSON.parse(denial?.body ?? "")).toEqual(INVALID);
  });

  it("[walwarden-51] the revoked token can still be read, page by page with the others", async () => {
    const ours = await newTenant();
    const ids: string[] = [];
    for (const name of ["a", "b", "c"]) ids.unshift((await ours.issue({ name })).id);
    service.clock.advance(SECOND);
    for (const id of ids) await ours.revoke(id);
    const headers = await ours.as("member");
    const seen: string[] = [];
    let query = "?page_size=2";
    while (query !== "") {
      const { json } = await ours.call("GET", `/api-tokens${query}`, { headers });
      const { data, nextPageToken } = json as { data: { id: string; state: string }[]; nextPageToken?: string };
      for (const { id, state } of data) {
        seen.push(id);
        expect(state).toBe("revoked");
      }
      query = nextPageToken === undefined ? "" : `?page_size=2&page_token=${nextPageToken}`;
    }
    expect(seen).toEqual(ids);
    const one = await ours.call("GET", `/api-tokens/${ids[0]}`, { headers });
    expect(one.json).toMatchObject({ data: { name: "c", state: "revoked" } });
  });
});
