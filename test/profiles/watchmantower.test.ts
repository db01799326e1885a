/** What Watchman Tower's page says, one test a sentence, on a service that hosts all products. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Reason } from "../../gen/latchkey/v1/introspection_pb.ts";
import {
  type Answer,
  DAY,
  type Headers,
  HOUR,
  type IssuedToken,
  iso,
  type Json,
  MINUTE,
  type ProductService,
  rateHeaders,
  SECOND,
  startProducts,
  type Tenant,
  windowEnd,
} from "../helpers/products.ts";

const error = (code: string, message: string) => ({ success: false, error: { code, message } });
const INVALID = error("UNAUTHORIZED", "Invalid API key");
const READ_ONLY = { permissions: "read-only" };
const FULL = { permissions: "full" };

const READS = ["monitors:read", "metrics:read", "incidents:read", "uptime:read"];
const CHANGES = [
  "monitors:write",
  "resources:delete",
  "alerts:write",
  "integrations:write",
  "team:write",
  "account:write",
];

let service: ProductService;
let tenant: Tenant;
let readOnly: IssuedToken;
let full: IssuedToken;

beforeAll(async () => {
  service = await startProducts();
  tenant = await service.addTenant("watchmantower", "stack");
  readOnly = await tenant.issue(READ_ONLY);
  full = await tenant.issue(FULL);
});

afterAll(() => service[Symbol.asyncDispose]());

const newTenant = (plan = "free"): Promise<Tenant> => service.addTenant("watchmantower", plan);

/** Whether a key may do what needs these scopes; a refusal is for that and nothing else. */
async function may({ secret }: IssuedToken, ...requiredScopes: string[]): Promise<boolean> {
  const judgement = await service.introspect({ token: secret, requiredScopes, dryRun: true });
  expect(judgement.active).toBe(true);
  expect(judgement.reason).toBe(judgement.allowed ? Reason.UNSPECIFIED : Reason.INSUFFICIENT_SCOPE);
  if (judgement.allowed === false) {
    expect(judgement.denial?.status).toBe(403);
    expect(JSON.parse(judgement.denial?.body ?? "")).toEqual(
      error("FORBIDDEN", "The API token's scopes don't allow this operation."),
    );
  }
  return judgement.allowed ?? false;
}

describe("keys", () => {
  it("[watchmantower-01] a key opens the account that it belongs to", async () => {
    expect(await service.introspect({ token: full.secret })).toMatchObject({
      active: true,
      allowed: true,
      tokenId: full.id,
      organizationId: tenant.id,
      profile: "watchmantower",
      plan: "stack",
    });
  });

  it("[watchmantower-02] what a key may do is asked for when it is made, and told", async () => {
    for (const permissions of ["read-only", "full"]) {
      const { id, headers, secret } = await tenant.issue({ permissions });
      expect(await tenant.listed(id)).toMatchObject({ permissions });
      expect((await tenant.self(headers)).json).toMatchObject({ success: true, data: { permissions } });
      expect(await service.introspect({ token: secret })).toMatchObject({ permission: permissions });
    }
  });

  it("[watchmantower-03] a key without an expiration date stays active for years, until it is revoked", async () => {
    const { id, secret } = await tenant.issue();
    service.clock.advance(5 * 365 * DAY);
    expect(await service.introspect({ token: secret })).toMatchObject({ active: true, allowed: true });
    await tenant.revoke(id);
    expect(await service.introspect({ token: secret })).toMatchObject({ active: false, reason: Reason.REVOKED });
  });

  it("[watchmantower-04] a key can be revoked whenever, at once, and twice", async () => {
    const fresh = await tenant.issue();
    const expired = await tenant.issue({ expiresAt: iso(service.clock.nowMs + MINUTE) });
    service.clock.advance(HOUR);
    for (const { id, headers } of [fresh, expired]) {
      for (let time = 0; time < 2; time++) {
        const answer = await tenant.revoke(id);
        expect(answer.status).toBe(200);
        expect(answer.json).toEqual({ success: true, message: "API key revoked" });
      }
      const refused = await tenant.self(headers);
      expect(refused.status).toBe(401);
      expect(refused.json).toEqual(INVALID);
      // As with Watchplane, it is left out of the list, unless somebody asks for it.
      expect(await tenant.listed(id)).toBeUndefined();
      expect(await tenant.listed(id, "?states=TOKEN_STATE_REVOKED")).toMatchObject({ id });
    }
  });

  it("[watchmantower-05] every route lies below /public/v1, at whatever host, and below /api/v1 too", async () => {
    for (const basePath of ["/public/v1", "/api/v1"]) {
      for (const host of ["api.watchmantower.com", "127.0.0.1"]) {
        const call = (verb: string, path: string, headers: Headers, body?: Json): Promise<Answer> =>
          service.call(verb, basePath + path, { host, headers, ...(body === undefined ? {} : { body }) });
        const made = await call("POST", "/api-tokens", full.headers, { name: "base", ...FULL });
        expect(made.status).toBe(201);
        const { id } = (made.json as { data: { id: string } }).data;
        expect((await call("GET", "/api-tokens", full.headers)).status).toBe(200);
        expect((await call("GET", `/api-tokens/${id}`, full.headers)).status).toBe(200);
        expect((await call("GET", "/api-tokens/self", full.headers)).status).toBe(200);
        expect((await call("DELETE", `/api-tokens/${id}`, full.headers)).status).toBe(200);
      }
    }
    const { email, password } = await tenant.person("member");
    const session = await service.call("POST", "/public/v1/auth/login", { body: { email, password } });
    expect(session.json).toEqual({
      success: true,
      data: {
        accessToken: expect.any(String) as string,
        refreshToken: expect.any(String) as string,
        user: { id: expect.stringMatching(/^usr_/) as string, email },
      },
    });
  });

  it("[watchmantower-06] a key works in Authorization: Bearer", async () => {
    const headers = { Authorization: `Bearer ${readOnly.secret}` };
    const answer = await service.call("GET", "/public/v1/api-tokens/self", { headers });
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ success: true, data: { id: readOnly.id } });
  });

  it("[watchmantower-07] a key works in x-api-key", async () => {
    const headers = { "x-api-key": readOnly.secret };
    const answer = await service.call("GET", "/public/v1/api-tokens/self", { headers });
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ success: true, data: { id: readOnly.id } });
    const both = await tenant.self({ ...readOnly.headers, ...headers });
    expect(both.status).toBe(401);
    expect(both.json).toEqual(INVALID);
  });

  it("[watchmantower-08] a key is wmt_api_ and exactly 48 letters and digits", async () => {
    expect(full.secret).toMatch(/^wmt_api_[0-9A-Za-z]{48}$/);
    for (const wrong of [full.secret.slice(0, -1), `${full.secret}0`, full.secret.replace("wmt_api_", "wmt_")]) {
      expect(await service.introspect({ token: wrong })).toMatchObject({ active: false, reason: Reason.MALFORMED });
    }
  });

  it("[watchmantower-09] the page's example of a key is refused like any that isn't one", async () => {
    const example = "wmt_api_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r8s9t0u1v2";
    expect(example.slice("wmt_api_".length)).toHaveLength(44);
    const judgement = await service.introspect({ token: example });
    expect(judgement).toMatchObject({ active: false, reason: Reason.MALFORMED });
    expect(JSON.parse(judgement.denial?.body ?? "")).toEqual(INVALID);
    const refused = await tenant.self({ Authorization: `Bearer ${example}` });
    expect(refused.status).toBe(401);
    expect(refused.json).toEqual(INVALID);
  });
});

describe("making keys", () => {
  it("[watchmantower-11] a full key makes, lists and revokes keys; nobody without a key does, nor a read-only one", async () => {
    const ours = await newTenant();
    const [manager, reader] = [await ours.issue(FULL), await ours.issue(READ_ONLY)];
    const made = await ours.issue({ name: "made by a key", ...READ_ONLY }, manager.headers);
    expect(made.answer.json).toEqual({
      success: true,
      data: {
        id: expect.stringMatching(/^tok_/) as string,
        name: "made by a key",
        permissions: "read-only",
        expiresAt: null,
        ipWhitelist: [],
        lastUsedAt: null,
        createdAt: service.clock.iso,
        key: expect.stringMatching(/^wmt_api_/) as string,
      },
    });
    expect(await ours.list("", manager.headers)).toHaveLength(3);
    const nobody = await ours.tryIssue({}, {});
    expect(nobody.status).toBe(401);
    expect(nobody.json).toEqual(error("UNAUTHORIZED", "Missing API key"));
    const forbidden = error("FORBIDDEN", "Managing API tokens needs a token with the permission full.");
    for (const refused of [
      await ours.tryIssue({}, reader.headers),
      await ours.revoke(made.id, reader.headers),
      await ours.call("GET", "/api-tokens", { headers: reader.headers }),
    ]) {
      expect(refused.status).toBe(403);
      expect(refused.json).toEqual(forbidden);
    }
    expect((await ours.revoke(made.id, manager.headers)).status).toBe(200);
    // In the dashboard anybody who signs in makes keys.
    for (const role of ["owner", "admin", "member"] as const) {
      const { id } = await ours.issue({}, role);
      expect((await ours.revoke(id, role)).status).toBe(200);
    }
  });

  it("[watchmantower-12] a name comes back as it was given, and has to be given", async () => {
    for (const name of ["CI/CD Pipeline", "Production"]) {
      const { id, secret } = await tenant.issue({ name });
      expect(await tenant.listed(id)).toMatchObject({ name });
      expect(await service.introspect({ token: secret })).toMatchObject({ name });
    }
    const refused = await tenant.tryIssue({ name: "" });
    expect(refused.status).toBe(400);
    expect(refused.json).toEqual(error("INVALID_ARGUMENT", "name: is required"));
  });

  it("[watchmantower-13] there are two permissions, and one has to be chosen", async () => {
    for (const permissions of ["", "write", "Full", "*", "read-only,full"]) {
      const refused = await tenant.tryIssue({ permissions });
      expect(refused.status).toBe(400);
      expect(refused.json).toEqual(error("INVALID_ARGUMENT", "permissions: must be one of read-only, full"));
    }
    const scoped = await tenant.tryIssue({ scopes: ["monitors:read"] });
    expect(scoped.status).toBe(400);
    expect(scoped.json).toEqual(error("INVALID_ARGUMENT", "scopes: is not offered by the profile watchmantower"));
  });

  it("[watchmantower-14] a key with an expiration date works until then, to the millisecond", async () => {
    const expiresAt = service.clock.nowMs + DAY + 250;
    const { id, secret, headers, answer } = await tenant.issue({ expiresAt: iso(expiresAt) });
    expect(answer.json).toMatchObject({ data: { expiresAt: iso(expiresAt) } });
    service.clock.nowMs = expiresAt - 1;
    expect((await tenant.self(headers)).status).toBe(200);
    expect(await service.introspect({ token: secret })).toMatchObject({ active: true });
    service.clock.nowMs = expiresAt;
    const refused = await tenant.self(headers);
    expect(refused.status).toBe(401);
    expect(refused.json).toEqual(INVALID);
    expect(await service.introspect({ token: secret })).toMatchObject({ active: false, reason: Reason.EXPIRED });
    expect(await tenant.listed(id)).toMatchObject({ expiresAt: iso(expiresAt) });
    expect((await tenant.issue({ expiresAt: null })).answer.json).toMatchObject({ data: { expiresAt: null } });
  });

  it("[watchmantower-15] a restricted key works from its addresses only", async () => {
    const ours = await newTenant("enterprise");
    const ipWhitelist = ["192.0.2.7", "10.0.0.0/8", "2001:db8::/32"];
    const { id, secret, headers, answer } = await ours.issue({ ipWhitelist });
    expect(answer.json).toMatchObject({ data: { ipWhitelist } });
    expect(await ours.listed(id)).toMatchObject({ ipWhitelist });
    for (const clientIp of ["192.0.2.7", "::ffff:192.0.2.7", "10.255.0.1", "2001:db8::1"]) {
      expect(await service.introspect({ token: secret, clientIp })).toMatchObject({ active: true, allowed: true });
      expect((await ours.self(headers, { headers: { "x-forwarded-for": clientIp } })).status).toBe(200);
    }
    for (const clientIp of ["192.0.2.8", "11.0.0.1", "2001:db9::1", ""]) {
      const judgement = await service.introspect({ token: secret, clientIp });
      expect(judgement).toMatchObject({ active: true, allowed: false, reason: Reason.IP_NOT_ALLOWED });
      const forwarded = clientIp === "" ? {} : { "x-forwarded-for": clientIp };
      const refused = await ours.self(headers, { headers: forwarded });
      expect(refused.status).toBe(judgement.denial?.status);
      expect(refused.text).toBe(judgement.denial?.body);
    }
  });

  it("[watchmantower-16] an address restriction on any other plan is refused, and nothing is made", async () => {
    for (const plan of ["free", "solo", "team", "stack"]) {
      const ours = await newTenant(plan);
      const refused = await ours.tryIssue({ ipWhitelist: ["192.0.2.7"] });
      expect(refused.status).toBe(403);
      expect(refused.json).toEqual(
        error("FORBIDDEN", `ipWhitelist: the plan ${plan} doesn't offer it; it needs enterprise`),
      );
      expect(await ours.list()).toEqual([]);
      expect((await ours.tryIssue({ ipWhitelist: [] })).status).toBe(201);
    }
  });
});

describe("permissions", () => {
  it("[watchmantower-17] read-only: list and view monitors", async () => {
    expect(await may(readOnly, "monitors:read")).toBe(true);
  });

  it("[watchmantower-18] read-only: status and metrics", async () => {
    expect(await may(readOnly, "metrics:read")).toBe(true);
  });

  it("[watchmantower-19] read-only: incidents and history", async () => {
    expect(await may(readOnly, "incidents:read")).toBe(true);
  });

  it("[watchmantower-20] read-only: uptime", async () => {
    expect(await may(readOnly, "uptime:read")).toBe(true);
  });

  it("[watchmantower-21] read-only: no creating or modifying of monitors", async () => {
    expect(await may(readOnly, "monitors:write")).toBe(false);
  });

  it("[watchmantower-22] read-only: no change of alert settings", async () => {
    expect(await may(readOnly, "alerts:write")).toBe(false);
  });

  it("[watchmantower-23] read-only: no managing of the team", async () => {
    expect(await may(readOnly, "team:write")).toBe(false);
  });

  it("[watchmantower-24] read-only: no deleting", async () => {
    expect(await may(readOnly, "resources:delete")).toBe(false);
  });

  it("[watchmantower-25] full: everything that read-only may", async () => {
    expect(await may(full, ...READS)).toBe(true);
  });

  it("[watchmantower-26] full: create, update and delete monitors", async () => {
    expect(await may(full, "monitors:write", "resources:delete")).toBe(true);
  });

  it("[watchmantower-27] full: alerts and integrations", async () => {
    expect(await may(full, "alerts:write", "integrations:write")).toBe(true);
  });

  it("[watchmantower-28] full: account settings", async () => {
    expect(await may(full, "account:write")).toBe(true);
    // What isn't on the page's lists nobody may.
    expect(await may(full, "monitors:*")).toBe(false);
    expect(await may(full, "billing:write")).toBe(false);
  });
});

describe("good practice", () => {
  it("[watchmantower-29] each service's key has its own use, limit and end", async () => {
    const ours = await newTenant();
    const [staging, production] = [await ours.issue({ name: "staging" }), await ours.issue({ name: "production" })];
    service.clock.startWindow(HOUR);
    await service.introspect({ token: staging.secret, cost: 60 });
    expect(rateHeaders(await ours.self(staging.headers)).remaining).toBe("39");
    expect(rateHeaders(await ours.self(production.headers)).remaining).toBe("99");
    await ours.revoke(staging.id);
    expect((await ours.self(production.headers)).status).toBe(200);
  });

  it("[watchmantower-30] a read-only key passes what reads, and nothing that changes", async () => {
    expect(await may(readOnly, ...READS)).toBe(true);
    for (const scope of CHANGES) {
      expect(await may(readOnly, scope)).toBe(false);
      expect(await may(readOnly, ...READS, scope)).toBe(false);
    }
    expect(await may(full, ...READS, ...CHANGES)).toBe(true);
  });

  it("[watchmantower-31] a key can end after 90 days, and be replaced when somebody leaves", async () => {
    const ours = await newTenant();
    const expiresAt = iso(service.clock.nowMs + 90 * DAY);
    const old = await ours.issue({ name: "deploy", expiresAt }, "member");
    const { userId } = await ours.person("member");
    await service.organizations.removeMember({ organizationId: ours.id, userId });
    // Deploys go on until somebody has put the new key in.
    const replacement = await ours.issue({ name: "deploy" }, "admin");
    expect((await ours.self(old.headers)).status).toBe(200);
    expect((await ours.revoke(old.id, "admin")).status).toBe(200);
    expect((await ours.self(old.headers)).status).toBe(401);
    expect((await ours.self(replacement.headers)).status).toBe(200);
  });

  it("[watchmantower-32] the list shows the last use of each key", async () => {
    const ours = await newTenant();
    const [used, unused] = [await ours.issue({ name: "used" }), await ours.issue({ name: "unused" })];
    await service.introspect({ token: used.secret });
    await service.flushUses();
    expect(await ours.listed(used.id)).toMatchObject({ lastUsedAt: service.clock.iso });
    expect(await ours.listed(unused.id)).toMatchObject({ lastUsedAt: null });
    expect((await ours.revoke(unused.id)).status).toBe(200);
    expect(await ours.list()).toMatchObject([{ id: used.id }]);
  });
});

describe("rate limits", () => {
  /** Uses a key up but for one call, and sees that the one after that is refused. */
  async function expectLimit(plan: string, limit: number): Promise<void> {
    const ours = await newTenant(plan);
    const { secret, headers } = await ours.issue();
    service.clock.startWindow(HOUR, 20 * MINUTE);
    const reset = windowEnd(service.clock.nowMs, HOUR);
    const spent = await service.introspect({ token: secret, cost: limit - 2 });
    expect(spent).toMatchObject({
      allowed: true,
      rateLimit: { limit: BigInt(limit), remaining: 2n, reset: BigInt(reset) },
    });
    for (const remaining of ["1", "0"]) {
      const answer = await ours.self(headers);
      expect(answer.status).toBe(200);
      expect(rateHeaders(answer)).toEqual({ limit: String(limit), remaining, reset: String(reset) });
    }
    const refused = await ours.self(headers);
    expect(refused.status).toBe(429);
    expect(refused.json).toEqual(error("RATE_LIMITED", "Rate limit exceeded"));
    expect(rateHeaders(refused)).toEqual({ limit: String(limit), remaining: "0", reset: String(reset) });
    service.clock.nowMs = reset * SECOND - 1;
    expect((await ours.self(headers)).status).toBe(429);
    service.clock.nowMs = reset * SECOND;
    const next = await ours.self(headers);
    expect(next.status).toBe(200);
    expect(rateHeaders(next)).toEqual({
      limit: String(limit),
      remaining: String(limit - 1),
      reset: String(reset + 3600),
    });
  }

  it("[watchmantower-33] a change of the plan changes the limit at once, and what was used stays used", async () => {
    const ours = await newTenant("free");
    const { secret, headers } = await ours.issue();
    service.clock.startWindow(HOUR);
    await service.introspect({ token: secret, cost: 100 });
    expect((await ours.self(headers)).status).toBe(429);
    for (const [plan, limit, remaining] of [
      ["solo", "500", "399"],
      ["team", "2000", "1898"],
      ["stack", "10000", "9897"],
      ["enterprise", "50000", "49896"],
    ] as const) {
      await ours.setPlan(plan);
      expect(rateHeaders(await ours.self(headers))).toMatchObject({ limit, remaining });
    }
    await ours.setPlan("free");
    const refused = await ours.self(headers);
    expect(refused.status).toBe(429);
    expect(rateHeaders(refused)).toMatchObject({ limit: "100", remaining: "0" });
  });

  it("[watchmantower-34] Free: 100 an hour", () => expectLimit("free", 100));

  it("[watchmantower-34] Free: exactly 100 of 130 calls", async () => {
    const ours = await newTenant("free");
    const { headers } = await ours.issue();
    service.clock.startWindow(HOUR, 1);
    const answers = await Promise.all(Array.from({ length: 130 }, () => ours.self(headers)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(100);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(30);
  });

  it("[watchmantower-35] Solo: 500 an hour", () => expectLimit("solo", 500));

  it("[watchmantower-36] Team: 2,000 an hour", () => expectLimit("team", 2000));

  it("[watchmantower-37] Stack: 10,000 an hour", () => expectLimit("stack", 10_000));

  it("the page names no limit for Enterprise; the profile's is five times that of Stack", () =>
    expectLimit("enterprise", 50_000));

  it("[watchmantower-38] X-RateLimit-Limit is on every answer to a key, errors included", async () => {
    const ours = await newTenant("solo");
    const [manager, reader] = [await ours.issue(FULL), await ours.issue(READ_ONLY)];
    const answers = [
      await ours.self(manager.headers),
      await ours.call("GET", "/api-tokens", { headers: manager.headers }),
      await ours.tryIssue({}, manager.headers),
      await ours.tryIssue({ name: "" }, manager.headers),
      await ours.call("GET", "/api-tokens/tok_nothing", { headers: manager.headers }),
      await ours.tryIssue({}, reader.headers),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 201, 400, 404, 403]);
    for (const answer of answers) {
      expect(answer.headerNames).toEqual(
        expect.arrayContaining(["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"]),
      );
      expect(rateHeaders(answer).limit).toBe("500");
    }
    // Nobody's calls have no limit to tell of, and people's neither.
    for (const headers of [{}, await ours.as("admin"), { authorization: "Bearer wmt_api_x" }]) {
      expect(rateHeaders(await ours.call("GET", "/api-tokens", { headers }))).toEqual({});
    }
  });

  it("[watchmantower-39] X-RateLimit-Remaining counts down with each call, and by cost with a backend's", async () => {
    const ours = await newTenant("free");
    const { secret, headers } = await ours.issue();
    service.clock.startWindow(HOUR);
    expect(rateHeaders(await ours.self(headers)).remaining).toBe("99");
    expect(rateHeaders(await ours.self(headers)).remaining).toBe("98");
    expect((await service.introspect({ token: secret })).rateLimit?.remaining).toBe(97n);
    expect((await service.introspect({ token: secret, cost: 7 })).rateLimit?.remaining).toBe(90n);
    expect((await service.introspect({ token: secret, cost: 50, dryRun: true })).rateLimit?.remaining).toBe(90n);
    // More than what is left is refused whole, and so takes nothing.
    const tooMuch = await service.introspect({ token: secret, cost: 91 });
    expect(tooMuch).toMatchObject({ active: true, allowed: false, reason: Reason.RATE_LIMITED });
    expect(tooMuch.rateLimit?.remaining).toBe(90n);
    // Nor does a call that is refused for another reason.
    const { secret: reader } = await ours.issue(READ_ONLY);
    await service.introspect({ token: reader, requiredScopes: ["team:write"], cost: 30 });
    expect((await service.introspect({ token: reader })).rateLimit?.remaining).toBe(99n);
    expect(rateHeaders(await ours.self(headers)).remaining).toBe("89");
  });

  it("[watchmantower-40] X-RateLimit-Reset is the next full hour, in whole seconds since the epoch", async () => {
    const { headers } = full;
    for (const offset of [0, 1, 30 * MINUTE + 1, HOUR - 1]) {
      service.clock.startWindow(HOUR, offset);
      const { reset } = rateHeaders(await tenant.self(headers));
      expect(reset).toMatch(/^\d{10}$/);
      expect(Number(reset) % 3600).toBe(0);
      expect(Number(reset)).toBe(Math.floor(service.clock.nowMs / HOUR) * 3600 + 3600);
    }
  });
});

describe("errors", () => {
  it("[watchmantower-41] statuses are those of HTTP, and every body is the envelope", async () => {
    const admin = await tenant.as("admin");
    const answers = [
      [400, "INVALID_ARGUMENT", await tenant.tryIssue({ name: "" })],
      [401, "UNAUTHORIZED", await tenant.self({})],
      [403, "FORBIDDEN", await tenant.tryIssue({}, readOnly.headers)],
      [404, "NOT_FOUND", await tenant.revoke("tok_nothing")],
      [404, "NOT_FOUND", await tenant.call("GET", "/sites", { headers: admin })],
      [405, "UNIMPLEMENTED", await tenant.call("PATCH", "/api-tokens", { headers: admin })],
    ] as const;
    for (const [status, code, answer] of answers) {
      expect(answer.status).toBe(status);
      expect(answer.json).toEqual(error(code, expect.any(String) as string));
    }
  });

  it("[watchmantower-42] 401 UNAUTHORIZED for a missing key, and one for every key that doesn't work", async () => {
    const missing = await tenant.self({});
    expect(missing.status).toBe(401);
    expect(missing.json).toEqual(error("UNAUTHORIZED", "Missing API key"));
    const revoked = await tenant.issue();
    await tenant.revoke(revoked.id);
    const expired = await tenant.issue({ expiresAt: iso(service.clock.nowMs + 2 * SECOND) });
    service.clock.advance(2 * SECOND);
    const disabled = await tenant.disabledToken();
    const mistyped = full.secret.slice(0, -1) + (full.secret.endsWith("0") ? "1" : "0");
    for (const secret of [revoked.secret, expired.secret, disabled, mistyped, "wmt_api_nonsense"]) {
      const refused = await tenant.self({ "x-api-key": secret });
      expect(refused.status).toBe(401);
      expect(refused.json).toEqual(INVALID);
    }
  });

  it("[watchmantower-43] 403 FORBIDDEN, as the denial that a gateway sends and on the public port", async () => {
    const { denial } = await service.introspect({ token: readOnly.secret, requiredScopes: ["team:write"] });
    expect(denial?.status).toBe(403);
    expect(JSON.parse(denial?.body ?? "")).toEqual(
      error("FORBIDDEN", "The API token's scopes don't allow this operation."),
    );
    const refused = await tenant.tryIssue({}, readOnly.headers);
    expect(refused.status).toBe(403);
    expect(refused.json).toEqual(error("FORBIDDEN", "Managing API tokens needs a token with the permission full."));
  });

  it("[watchmantower-44] 429 RATE_LIMITED, with the seconds to wait", async () => {
    const ours = await newTenant("free");
    const { secret, headers } = await ours.issue();
    service.clock.startWindow(HOUR);
    await service.introspect({ token: secret, cost: 100 });
    for (const [offset, seconds] of [
      [0, "3600"],
      [1, "3600"],
      [SECOND, "3599"],
      [HOUR - SECOND, "1"],
      [HOUR - 1, "1"],
    ] as const) {
      const windowStart = service.clock.nowMs - (service.clock.nowMs % HOUR);
      service.clock.nowMs = windowStart + offset;
      const refused = await ours.self(headers);
      expect(refused.status).toBe(429);
      expect(refused.headers["retry-after"]).toBe(seconds);
      expect(refused.json).toEqual(error("RATE_LIMITED", "Rate limit exceeded"));
      const { denial } = await service.introspect({ token: secret });
      expect(denial).toMatchObject({ status: 429, body: refused.text });
      expect(denial?.headers["Retry-After"]).toBe(seconds);
    }
  });

  it("[watchmantower-45] the error for an invalid key is the page's example, to the letter", async () => {
    const { text } = await tenant.self({ authorization: `Bearer ${"x".repeat(56)}` });
    expect(text).toBe('{"success":false,"error":{"code":"UNAUTHORIZED","message":"Invalid API key"}}');
  });
});
