/** What Plane's page says, one test a sentence, on a service that hosts all products. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Reason } from "../../gen/latchkey/v1/introspection_pb.ts";
import { fromPublicId } from "../../src/domain/ids.ts";
import {
  DAY,
  field,
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

const MISSING = { detail: "Authentication credentials were not provided." };
const INVALID = { detail: "Given API token is not valid" };
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const SERVICE = { token_type: "service" };

let service: ProductService;
let tenant: Tenant;

beforeAll(async () => {
  service = await startProducts();
  tenant = await service.addTenant("plane");
});

afterAll(() => service[Symbol.asyncDispose]());

const newTenant = (): Promise<Tenant> => service.addTenant("plane");
const key = (secret: string): Headers => ({ "X-Api-Key": secret });
const me = (headers: Headers) => tenant.call("GET", "/users/me/", { headers });
const userUuid = async (role: "owner" | "admin" | "member"): Promise<string> =>
  fromPublicId("usr", (await tenant.person(role)).userId) ?? "";

/** A key without what changes on every issue. */
const shown = ({ answer }: IssuedToken): Json => answer.json;

/** Sees that the answer is the page's sentence for a key that isn't valid, whatever is asked for. */
async function expectInvalid(secret: string): Promise<void> {
  for (const path of ["/users/me/", "/users/me", "/api-tokens/", "/api-tokens/self"]) {
    const refused = await tenant.call("GET", path, { headers: key(secret) });
    expect(refused.status).toBe(401);
    expect(refused.text).toBe('{"detail":"Given API token is not valid"}');
    expect(refused.headers["content-type"]).toBe("application/json");
  }
  const { active, denial } = await service.introspect({ token: secret });
  expect(active).toBe(false);
  expect(denial).toMatchObject({ status: 401, body: '{"detail":"Given API token is not valid"}' });
}

describe("requests", () => {
  it("[plane-01] every route asks for a valid key", async () => {
    for (const [verb, path] of [
      ["GET", "/users/me/"],
      ["GET", "/api-tokens"],
      ["GET", "/api-tokens/self"],
      ["POST", "/api-tokens"],
      ["DELETE", "/api-tokens/00000000-0000-7000-8000-000000000000"],
    ] as const) {
      const missing = await tenant.call(verb, path);
      expect(missing.status).toBe(401);
      expect(missing.json).toEqual(MISSING);
      const invalid = await tenant.call(verb, path, { headers: key("pk_1234567890abcdef") });
      expect(invalid.status).toBe(401);
      expect(invalid.json).toEqual(INVALID);
    }
  });

  it("[plane-02] a key works in X-Api-Key, and not as a bearer token", async () => {
    const { secret } = await tenant.issue();
    expect(secret).toMatch(/^pk_[0-9a-f]{48}$/);
    expect((await me({ "X-Api-Key": secret })).status).toBe(200);
    const refused = await me({ Authorization: `Bearer ${secret}` });
    expect(refused.status).toBe(401);
    expect(refused.json).toEqual(INVALID);
  });

  it("[plane-07] GET /api/v1/users/me/ with X-Api-Key and a content type", async () => {
    const { secret } = await tenant.issue();
    const headers = { "X-Api-Key": secret, "Content-Type": "application/json" };
    const answer = await service.call("GET", "/api/v1/users/me/", { host: "api.plane.so", headers });
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ id: await userUuid("admin") });
  });

  it("[plane-08] GET /api/v1/users/me/ with X-Api-Key and nothing else, also without the final slash", async () => {
    const { secret } = await tenant.issue();
    const answers = [];
    for (const target of ["/api/v1/users/me/", "/api/v1/users/me"]) {
      answers.push(await service.call("GET", target, { headers: key(secret) }));
    }
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(answers[0]?.json).toEqual(answers[1]?.json);
  });
});

describe("generating a key", () => {
  it("[plane-04] the label is what the token is called, and has to be there", async () => {
    const { id, answer } = await tenant.issue({ label: "Nightly export" });
    expect(answer.json).toMatchObject({ label: "Nightly export" });
    expect(await tenant.listed(id)).toMatchObject({ label: "Nightly export" });
    for (const label of ["", null]) {
      const refused = await tenant.tryIssue({ label });
      expect(refused.status).toBe(400);
      expect(refused.json).toEqual({ detail: "label: is required" });
    }
    const ours = await tenant.tryIssue({ name: "not Plane's word" });
    expect(ours.status).toBe(400);
    expect(ours.json).toEqual({ detail: "name: is not a field of the request" });
  });

  it("[plane-05] expired_at may be set, may be null, and may be left out", async () => {
    const expiresAt = iso(service.clock.nowMs + 30 * DAY);
    expect(shown(await tenant.issue({ expired_at: expiresAt }))).toMatchObject({ expired_at: expiresAt });
    expect(shown(await tenant.issue({ expired_at: null }))).toMatchObject({ expired_at: null });
    expect(shown(await tenant.issue())).toMatchObject({ expired_at: null });
  });

  it("[plane-06] nothing shows the token again", async () => {
    const { id, secret, headers } = await tenant.issue();
    const admin = await tenant.as("admin");
    const answers = [
      await tenant.call("GET", `/api-tokens/${id}`, { headers: admin }),
      await tenant.call("GET", "/api-tokens?page_size=1000", { headers: admin }),
      await tenant.self(headers),
      await tenant.revoke(id),
    ];
    for (const { status, text } of answers) {
      expect(status).toBe(200);
      expect(text).not.toContain(secret.slice("pk_".length));
      expect(text).not.toContain('"token":');
    }
  });
});

describe("types", () => {
  /** Uses a token up but for two calls, and sees that no more than that is admitted before the next minute. */
  async function expectPerMinute(type: string, limit: number): Promise<void> {
    const { secret, headers } = await tenant.issue({ token_type: type });
    service.clock.startWindow(MINUTE, 20 * SECOND);
    const reset = windowEnd(service.clock.nowMs, MINUTE);
    expect(await service.introspect({ token: secret, cost: limit - 2 })).toMatchObject({
      allowed: true,
      type,
      rateLimit: { limit: BigInt(limit), remaining: 2n, reset: BigInt(reset) },
    });
    const answers = await Promise.all(Array.from({ length: 7 }, () => me(headers)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(2);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(5);
    const refused = await me(headers);
    expect(refused.json).toEqual({ detail: "The rate limit is exceeded." });
    expect(rateHeaders(refused)).toEqual({ remaining: "0", reset: String(reset) });
    expect(refused.headers["retry-after"]).toBe("40");
    service.clock.nowMs = reset * SECOND - 1;
    expect((await me(headers)).status).toBe(429);
    service.clock.nowMs = reset * SECOND;
    expect((await me(headers)).status).toBe(200);
  }

  it("[plane-09] there are two types, and a third is refused with both names", async () => {
    for (const type of ["api_key", "service"]) {
      const { secret, answer } = await tenant.issue({ token_type: type });
      expect(answer.json).toMatchObject({ token_type: type });
      expect(await service.introspect({ token: secret })).toMatchObject({ type });
    }
    const refused = await tenant.tryIssue({ token_type: "robot" });
    expect(refused.status).toBe(400);
    expect(refused.json).toEqual({ detail: "token_type: must be one of api_key, service" });
  });

  it("[plane-10] an API key has 60 requests a minute", () => expectPerMinute("api_key", 60));

  it("[plane-11] an API key is its user's: that is whom it acts as", async () => {
    for (const role of ["owner", "admin", "member"] as const) {
      const { secret, headers } = await tenant.issue({}, role);
      const { userId, email } = await tenant.person(role);
      expect(await service.introspect({ token: secret })).toMatchObject({ type: "api_key", userId });
      expect((await me(headers)).json).toMatchObject({ id: await userUuid(role), email });
    }
  });

  it("[plane-12] every member has API keys of their own, and only an admin touches others'", async () => {
    const ours = await newTenant();
    const mine = await ours.issue({ label: "mine" }, "member");
    expect(shown(mine)).toMatchObject({ token_type: "api_key" });
    const theirs = await ours.issue({ label: "theirs" }, "admin");
    const refused = await ours.revoke(theirs.id, "member");
    expect(refused.status).toBe(403);
    expect(refused.json).toEqual({
      detail: "Only an owner or an admin of the organization can manage API tokens of the type api_key of others.",
    });
    expect((await ours.self(theirs.headers)).status).toBe(200);
    expect((await ours.revoke(mine.id, "member")).status).toBe(200);
    const again = await ours.issue({}, "member");
    expect((await ours.revoke(again.id, "admin")).status).toBe(200);
  });

  it("[plane-13] a service token has 300 requests a minute", () => expectPerMinute("service", 300));

  it("[plane-14] a service token is the workspace's: an admin's, and for everybody who administers it", async () => {
    const { id, secret, answer } = await tenant.issue(SERVICE, "admin");
    expect(answer.json).toMatchObject({ workspace: tenant.uuid, token_type: "service" });
    expect(await service.introspect({ token: secret })).toMatchObject({ type: "service", organizationId: tenant.id });
    expect((await tenant.revoke(id, "owner")).status).toBe(200);
  });

  it("[plane-15] service tokens are made by owners and admins only", async () => {
    const refused = await tenant.tryIssue(SERVICE, "member");
    expect(refused.status).toBe(403);
    expect(refused.json).toEqual({
      detail: "Only an owner or an admin of the organization can manage API tokens of the type service.",
    });
    for (const role of ["owner", "admin"] as const) {
      const { id } = await tenant.issue(SERVICE, role);
      expect((await tenant.revoke(id, "member")).status).toBe(403);
    }
    const { headers } = await tenant.issue(SERVICE);
    const byToken = await tenant.tryIssue({}, headers);
    expect(byToken.status).toBe(403);
    expect(byToken.json).toEqual({ detail: "An API token can't manage API tokens; sign in instead." });
  });
});

describe("properties", () => {
  it("[plane-16] token is in the answer to the creation, with all other properties", async () => {
    const answer = await tenant.tryIssue({ label: "all of them" });
    expect(answer.status).toBe(201);
    expect(answer.json).toEqual({
      id: expect.stringMatching(UUID) as string,
      label: "all of them",
      token_type: "api_key",
      user: await userUuid("admin"),
      workspace: tenant.uuid,
      is_active: true,
      expired_at: null,
      last_used: null,
      created_at: service.clock.iso,
      token: expect.stringMatching(/^pk_[0-9a-f]{48}$/) as string,
    });
  });

  it("[plane-17] label is a string of up to 200 characters", async () => {
    const label = `Ключ 🔑 ${"x".repeat(193)}`;
    expect(shown(await tenant.issue({ label }))).toMatchObject({ label });
    for (const wrong of [7, ["x"], { x: 1 }]) {
      const refused = await tenant.tryIssue({ label: wrong });
      expect(refused.status).toBe(400);
      expect(refused.json).toEqual({ detail: "label: must be a string of valid Unicode" });
    }
    const long = await tenant.tryIssue({ label: "x".repeat(201) });
    expect(long.json).toEqual({ detail: "label: must be at most 200 characters" });
  });

  it("[plane-18] user is the UUID of whoever created the token", async () => {
    for (const role of ["owner", "admin", "member"] as const) {
      const { answer } = await tenant.issue({}, role);
      const user = field(answer.json, "user");
      expect(user).toMatch(UUID);
      expect(user).toBe(await userUuid(role));
    }
  });

  it("[plane-19] workspace is the UUID of the organization", async () => {
    expect(tenant.uuid).toMatch(UUID);
    const { headers, answer } = await tenant.issue();
    expect(answer.json).toMatchObject({ workspace: tenant.uuid });
    expect((await tenant.self(headers)).json).toMatchObject({ workspace: tenant.uuid });
  });

  it("[plane-20] is_active is true until the token is revoked, expired or switched off", async () => {
    const ours = await newTenant();
    const revoked = await ours.issue();
    const expired = await ours.issue({ expired_at: iso(service.clock.nowMs + HOUR) });
    await ours.disabledToken();
    const activity = async (): Promise<Json[]> => ((await ours.list()) as Json[]).map((one) => field(one, "is_active"));
    expect((await activity()).filter((isActive) => isActive === true)).toHaveLength(2);
    expect((await ours.revoke(revoked.id)).json).toMatchObject({ id: revoked.id, is_active: false });
    service.clock.advance(HOUR);
    expect(await activity()).toEqual([false, false, false]);
    // Revoked ones stay, and say so.
    expect(await ours.listed(revoked.id)).toMatchObject({ is_active: false });
    expect(await ours.listed(expired.id)).toMatchObject({ is_active: false });
  });

  it("[plane-21] expired_at is a time, or null for a token that never expires", async () => {
    const forever = await tenant.issue({ expired_at: null });
    const at = service.clock.nowMs + 90 * DAY + 123;
    const limited = await tenant.issue({ expired_at: iso(at) });
    expect(await tenant.listed(limited.id)).toMatchObject({ expired_at: iso(at), is_active: true });
    service.clock.advance(10 * 365 * DAY);
    expect(await tenant.listed(forever.id)).toMatchObject({ expired_at: null, is_active: true });
    expect((await me(forever.headers)).status).toBe(200);
    for (const wrong of ["tomorrow", 1_700_000_000, "2026-13-01T00:00:00Z"]) {
      const refused = await tenant.tryIssue({ expired_at: wrong });
      expect(refused.status).toBe(400);
      expect(refused.json).toEqual({ detail: "expired_at: must be a time like 2025-01-15T10:00:00Z" });
    }
  });

  it("[plane-22] last_used is the time of the last request with the token", async () => {
    const { id, secret, headers } = await tenant.issue();
    expect(await tenant.listed(id)).toMatchObject({ last_used: null });
    const uses = [() => me(headers), () => tenant.self(headers), () => service.introspect({ token: secret })];
    for (const use of uses) {
      service.clock.advance(HOUR);
      await use();
      const usedAt = service.clock.iso;
      service.clock.advance(MINUTE);
      await service.flushUses();
      expect(await tenant.listed(id)).toMatchObject({ last_used: usedAt });
    }
    await service.introspect({ token: secret, dryRun: true });
    await service.flushUses();
    expect(await tenant.listed(id)).not.toMatchObject({ last_used: service.clock.iso });
  });

  it("[plane-23] created_at is when the token was created, and stays", async () => {
    const { id, headers } = await tenant.issue();
    const createdAt = service.clock.iso;
    service.clock.advance(DAY);
    await me(headers);
    await service.flushUses();
    await tenant.revoke(id);
    expect(await tenant.listed(id)).toMatchObject({ created_at: createdAt });
  });
});

describe("good practice", () => {
  it("[plane-24] a key for 90 days is over after 90 days, and its successor works before that", async () => {
    const ours = await newTenant();
    const expiresMs = service.clock.nowMs + 90 * DAY;
    const old = await ours.issue({ label: "rotating", expired_at: iso(expiresMs) });
    service.clock.nowMs = expiresMs - DAY;
    const next = await ours.issue({ label: "rotating", expired_at: iso(expiresMs + 89 * DAY) });
    expect((await ours.self(old.headers)).status).toBe(200);
    expect((await ours.self(next.headers)).status).toBe(200);
    service.clock.nowMs = expiresMs;
    expect((await ours.self(old.headers)).status).toBe(401);
    expect((await ours.self(next.headers)).status).toBe(200);
  });

  it("[plane-25] DELETE ends a token at once, and twice is as good as once", async () => {
    const { id, secret, headers } = await tenant.issue();
    for (let time = 0; time < 2; time++) {
      const answer = await tenant.revoke(id);
      expect(answer.status).toBe(200);
      expect(answer.json).toMatchObject({ id, is_active: false });
      expect((await me(headers)).status).toBe(401);
      expect(await service.introspect({ token: secret })).toMatchObject({ active: false, reason: Reason.REVOKED });
    }
    const unknown = await tenant.revoke("550e8400-e29b-41d4-a716-446655440000");
    expect(unknown.status).toBe(404);
    expect(unknown.json).toEqual({ detail: "No such token." });
  });

  it("[plane-26] tokens for different environments are told apart and ended apart", async () => {
    const ours = await newTenant();
    const [staging, production] = [await ours.issue({ label: "staging" }), await ours.issue({ label: "production" })];
    await ours.revoke(staging.id);
    expect((await ours.self(production.headers)).json).toMatchObject({ label: "production" });
    expect((await ours.self(staging.headers)).status).toBe(401);
  });

  it("[plane-27] who asks for nothing gets the type that can do less", async () => {
    for (const wish of [{}, { token_type: "" }, { token_type: null }]) {
      expect(shown(await tenant.issue(wish))).toMatchObject({ token_type: "api_key" });
    }
    const refused = await tenant.tryIssue({ scopes: ["anything"] });
    expect(refused.status).toBe(400);
    expect(refused.json).toEqual({ detail: "scopes: is not offered by the profile plane" });
  });

  it("[plane-28] a token sees nothing of another workspace, not even with a service token", async () => {
    const other = await newTenant();
    const { headers } = await other.issue(SERVICE);
    const { id } = await tenant.issue();
    expect((await other.self(headers)).json).toMatchObject({ workspace: other.uuid });
    const admin = await other.as("admin");
    for (const verb of ["GET", "DELETE"]) {
      const refused = await other.call(verb, `/api-tokens/${id}`, { headers: admin });
      expect(refused.status).toBe(404);
      expect(refused.json).toEqual({ detail: "No such token." });
    }
    expect(JSON.stringify(await other.list())).not.toContain(id);
  });

  it("[plane-29] the list shows which tokens are used and which aren't", async () => {
    const ours = await newTenant();
    const [used, unused] = [await ours.issue({ label: "used" }), await ours.issue({ label: "unused" })];
    await ours.self(used.headers);
    await service.flushUses();
    const answer = await ours.call("GET", "/api-tokens", { headers: await ours.as("admin") });
    const createdBy = fromPublicId("usr", (await ours.person("admin")).userId);
    const common = { token_type: "api_key", user: createdBy, workspace: ours.uuid, is_active: true, expired_at: null };
    expect(answer.json).toEqual({
      results: [
        { ...common, id: unused.id, label: "unused", last_used: null, created_at: field(shown(unused), "created_at") },
        {
          ...common,
          id: used.id,
          label: "used",
          last_used: service.clock.iso,
          created_at: field(shown(used), "created_at"),
        },
      ],
    });
  });
});

describe("errors", () => {
  it("[plane-30] a missing key, to the letter", async () => {
    for (const headers of [{}, { "Content-Type": "application/json" }]) {
      const answer = await me(headers);
      expect(answer.status).toBe(401);
      expect(answer.text).toBe('{"detail":"Authentication credentials were not provided."}');
      expect(answer.headers["content-type"]).toBe("application/json");
    }
  });

  it("[plane-31] an invalid key, to the letter, whatever is wrong with it", async () => {
    const { secret } = await tenant.issue();
    for (const wrong of ["pk_1234567890abcdef", "your_api_key", "x", secret.toUpperCase(), `${secret}0`]) {
      const answer = await me(key(wrong));
      expect(answer.status).toBe(401);
      expect(answer.text).toBe('{"detail":"Given API token is not valid"}');
    }
  });

  it("[plane-32] a key that doesn't exist", async () => {
    const { secret } = await (await newTenant()).issue();
    await expectInvalid(secret.slice(0, -1) + (secret.endsWith("0") ? "1" : "0"));
    // Well-formed, but never issued here.
    const elsewhere = await startProducts();
    const theirs = await (await elsewhere.addTenant("plane")).issue();
    await elsewhere[Symbol.asyncDispose]();
    expect(await service.introspect({ token: theirs.secret })).toMatchObject({ reason: Reason.UNKNOWN });
    await expectInvalid(theirs.secret);
  });

  it("[plane-33] a revoked key", async () => {
    const { id, secret } = await tenant.issue();
    await tenant.revoke(id);
    expect(await service.introspect({ token: secret })).toMatchObject({ reason: Reason.REVOKED });
    await expectInvalid(secret);
  });

  it("[plane-34] an expired key", async () => {
    const { secret } = await tenant.issue({ expired_at: iso(service.clock.nowMs + HOUR) });
    service.clock.advance(HOUR);
    expect(await service.introspect({ token: secret })).toMatchObject({ reason: Reason.EXPIRED });
    await expectInvalid(secret);
  });

  it("[plane-35] an inactive key", async () => {
    const secret = await tenant.disabledToken();
    expect(await service.introspect({ token: secret })).toMatchObject({ reason: Reason.DISABLED });
    await expectInvalid(secret);
  });

  it("[plane-36] an expired key is answered byte for byte like one that never was", async () => {
    const { secret } = await tenant.issue({ expired_at: iso(service.clock.nowMs + HOUR) });
    service.clock.advance(2 * HOUR);
    const [expired, unknown] = [await me(key(secret)), await me(key("pk_nothing"))];
    expect(expired.status).toBe(401);
    expect(expired.text).toBe(unknown.text);
    const telling = ({ headers }: typeof expired) =>
      Object.keys(headers).filter((name) => !["x-request-id", "date"].includes(name));
    expect(telling(expired)).toEqual(telling(unknown));
  });

  it("[plane-37] a key is rejected from its expired_at on, to the millisecond; one in the past can't be made", async () => {
    const expiresMs = service.clock.nowMs + HOUR + 3;
    const { secret, headers } = await tenant.issue({ expired_at: iso(expiresMs) });
    service.clock.nowMs = expiresMs - 1;
    expect((await me(headers)).status).toBe(200);
    expect(await service.introspect({ token: secret })).toMatchObject({ active: true });
    service.clock.nowMs = expiresMs;
    const refused = await me(headers);
    expect(refused.status).toBe(401);
    expect(refused.json).toEqual(INVALID);
    expect(await service.introspect({ token: secret })).toMatchObject({ active: false, reason: Reason.EXPIRED });
    const past = await tenant.tryIssue({ expired_at: iso(service.clock.nowMs - DAY) });
    expect(past.status).toBe(400);
    expect(past.json).toEqual({ detail: "expired_at: must be in the future" });
  });
});

describe("testing a key", () => {
  it("[plane-38] /users/me/ answers 200 for a key that works, and 401 once it doesn't", async () => {
    const { id, headers } = await tenant.issue();
    expect((await me(headers)).status).toBe(200);
    await tenant.revoke(id);
    expect((await me(headers)).status).toBe(401);
    // Other products have no such route.
    const watchplane = await (await service.addTenant("watchplane")).issue();
    expect((await service.call("GET", "/api/v1/users/me/", { headers: watchplane.headers })).status).toBe(404);
  });

  it("[plane-39] the answer is the user with the page's seven fields", async () => {
    const ours = await newTenant();
    const names = {
      firstName: "John",
      lastName: "Doe",
      displayName: "John Doe",
      avatarUrl: "https://example.com/avatar.jpg",
    };
    const person = await service.addPerson(ours.id, names);
    const signedIn = { authorization: `Bearer ${await service.test.signIn(person)}` };
    const { headers } = await ours.issue({}, signedIn);
    const answer = await ours.call("GET", "/users/me/", { headers });
    expect(answer.json).toEqual({
      id: fromPublicId("usr", person.userId),
      first_name: "John",
      last_name: "Doe",
      email: person.email,
      display_name: "John Doe",
      avatar: "https://example.com/avatar.jpg",
      avatar_url: "https://example.com/avatar.jpg",
    });
    // A person without any of it has the fields too.
    const plain = await ours.issue();
    const { email, userId } = await ours.person("admin");
    expect((await ours.call("GET", "/users/me/", { headers: plain.headers })).json).toEqual({
      id: fromPublicId("usr", userId),
      first_name: "",
      last_name: "",
      email,
      display_name: email,
      avatar: null,
      avatar_url: null,
    });
  });
});

describe("rate limit headers", () => {
  it("[plane-40] X-RateLimit-Remaining counts down with each request, on errors too", async () => {
    const { secret, headers } = await tenant.issue();
    service.clock.startWindow(MINUTE);
    const remaining = async (path: string): Promise<string | undefined> =>
      rateHeaders(await tenant.call("GET", path, { headers })).remaining;
    expect(await remaining("/users/me/")).toBe("59");
    expect(await remaining("/users/me/")).toBe("58");
    expect(await remaining("/api-tokens/self")).toBe("57");
    expect(await remaining("/api-tokens")).toBe("56");
    expect(await remaining("/api-tokens/nothing")).toBe("55");
    expect((await service.introspect({ token: secret, cost: 5 })).rateLimit?.remaining).toBe(50n);
    const answer = await me(headers);
    expect(rateHeaders(answer)).toMatchObject({ remaining: "49" });
    expect(answer.headerNames).toEqual(expect.arrayContaining(["X-RateLimit-Remaining", "X-RateLimit-Reset"]));
    // The page has no header for the limit itself.
    expect(rateHeaders(answer).limit).toBeUndefined();
    expect(rateHeaders(await me({}))).toEqual({});
    expect(rateHeaders(await me(key("pk_nothing")))).toEqual({});
  });

  it("[plane-41] X-RateLimit-Reset is the next full minute, in whole seconds since the epoch", async () => {
    const { headers } = await tenant.issue();
    for (const offset of [0, 1, 30_500, MINUTE - 1]) {
      service.clock.startWindow(MINUTE, offset);
      const { reset } = rateHeaders(await me(headers));
      expect(reset).toMatch(/^\d{10}$/);
      expect(Number(reset)).toBe(Math.floor(service.clock.nowMs / MINUTE) * 60 + 60);
    }
  });
});
