/** What TokenService.RevokeMany promises: all that is meant, at once, and nothing else; through every door. */
import { randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AuditService } from "../../gen/latchkey/v1/audit_pb.ts";
import { Reason } from "../../gen/latchkey/v1/introspection_pb.ts";
import { OrganizationService } from "../../gen/latchkey/v1/organization_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { fromPublicId, toPublicId } from "../../src/domain/ids.ts";
import {
  type Answer,
  DAY,
  FACTS,
  field,
  type Headers,
  HOUR,
  iso,
  type Json,
  PRODUCTS,
  type ProductService,
  startProducts,
  type Tenant,
} from "../helpers/products.ts";
import { type Credential, expectOk, openSurface, RPC_SURFACES, type RpcSurface } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const { revokeMany } = TokenService.method;
type Request = MessageInitShape<typeof revokeMany.input>;

const invalid = (message: string) => ({ ok: false, code: "INVALID_ARGUMENT", message });
const NO_ORGANIZATION = { ok: false, code: "NOT_FOUND", message: "No such organization." };

describe.each(RPC_SURFACES)("RevokeMany through %s", (name) => {
  let test: TestApp;
  let surface: RpcSurface;
  /** A service key of all organizations. */
  let backend: Credential;

  beforeAll(async () => {
    test = await startTestApp();
    surface = openSurface(test.app, name);
    backend = { bearer: test.credentials.serviceKey };
  });

  afterAll(async () => {
    surface.close();
    await test[Symbol.asyncDispose]();
  });

  const issue = async (organizationId: string, fields: MessageInitShape<typeof TokenService.method.issue.input> = {}) =>
    expectOk(await surface.issue(backend, { organizationId, name: "key", ...fields }));

  /** How many tokens a call revoked, or would. */
  const count = async (request: Request, credential = backend) =>
    expectOk(await surface.invoke(revokeMany, request, credential)).count;

  const isActive = async (secret: string) => expectOk(await surface.introspect(backend, { token: secret })).active;

  it("revokes what matches all that is given, and leaves all else", async () => {
    const organizationId = await test.addOrganization();
    const elsewhere = await test.addOrganization();
    const [ada, bob] = [await test.addMember("admin", organizationId), await test.addMember("admin", organizationId)];
    const bearer = await test.signIn(bob);
    const tokens = {
      ciOfAda: await issue(organizationId, { name: "ci-1", userId: ada.userId }),
      ofAda: await issue(organizationId, { name: "backup", userId: ada.userId }),
      ciOfBob: expectOk(await surface.issue({ bearer }, { name: "ci-2" })),
      ciOfNobody: await issue(organizationId, { name: "ci-3" }),
      upper: await issue(organizationId, { name: "CI-4" }),
      elsewhere: await issue(elsewhere, { name: "ci-5" }),
    };
    const active = async () => {
      const found: string[] = [];
      for (const [which, { secret }] of Object.entries(tokens)) if (await isActive(secret)) found.push(which);
      return found;
    };
    const of = (fields: Request): Request => ({ organizationId, ...fields });
    expect(await count(of({ namePrefix: "ci-", userId: ada.userId }))).toBe(1);
    expect(await active()).toEqual(["ofAda", "ciOfBob", "ciOfNobody", "upper", "elsewhere"]);
    expect(await count(of({ namePrefix: "ci-", createdBy: bob.userId }))).toBe(1);
    expect(await active()).toEqual(["ofAda", "ciOfNobody", "upper", "elsewhere"]);
    expect(await count(of({ namePrefix: "ci-" }))).toBe(1);
    expect(await count(of({ userId: fromPublicId("usr", ada.userId) ?? "" }))).toBe(1);
    expect(await active()).toEqual(["upper", "elsewhere"]);
    expect(await count(of({ all: true }))).toBe(1);
    expect(await active()).toEqual(["elsewhere"]);
    expect(await count(of({ all: true }))).toBe(0);
  });

  it("counts what it would revoke, and changes nothing, when it runs dry", async () => {
    const organizationId = await test.addOrganization();
    const tokens = [await issue(organizationId, { name: "a" }), await issue(organizationId, { name: "b" })];
    const events = async () => {
      const request = { organizationId, pageSize: 1000 };
      return expectOk(await surface.invoke(AuditService.method.listEvents, request, backend)).events;
    };
    const before = await events();
    for (const [request, expected] of [
      [{ namePrefix: "a" }, 1],
      [{ all: true }, 2],
      [{ namePrefix: "c" }, 0],
    ] as const) {
      expect(await count({ organizationId, ...request, dryRun: true })).toBe(expected);
    }
    expect(await events()).toEqual(before);
    for (const { secret } of tokens) expect(await isActive(secret)).toBe(true);
    expect(await count({ organizationId, all: true })).toBe(2);
    expect(await count({ organizationId, all: true, dryRun: true })).toBe(0);
  });

  it("revokes nothing where nothing says which tokens are meant, or two things say different", async () => {
    const organizationId = await test.addOrganization();
    const { secret } = await issue(organizationId);
    const nothing = invalid("all: must be true to mean every token, or give a filter");
    const both = invalid("all: must be false beside a filter, which says which tokens are meant");
    for (const dryRun of [true, false]) {
      const call = (request: Request) => surface.invoke(revokeMany, { organizationId, dryRun, ...request }, backend);
      expect(await call({})).toEqual(nothing);
      expect(await call({ namePrefix: "", userId: "", type: "", createdBy: "" })).toEqual(nothing);
      expect(await call({ all: true, namePrefix: "k" })).toEqual(both);
      expect(await call({ all: true, unusedSince: timestampFromDate(new Date(0)) })).toEqual(both);
    }
    expect(await isActive(secret)).toBe(true);
  });

  it.each([
    ["a user's id that is none", { userId: "ada" }, "user_id: must be the id of a user, such as usr_…"],
    ["a token's id for a user's", { userId: `tok_0${"1".repeat(25)}` }, "user_id: must be the id of a user"],
    ["an author's id that is none", { createdBy: "ada" }, "created_by: must be the public id of a user or a token"],
    ["a type that isn't offered", { type: "robot" }, "type: is not offered by the profile watchplane"],
    ["service keys", { type: "service_key" }, "type: is not offered by the profile watchplane"],
    [
      "a time to come",
      { unusedSince: timestampFromDate(new Date(Date.now() + 3_600_000)) },
      "unused_since: must not be",
    ],
    ["a time before time", { unusedSince: { seconds: -1n } }, "unused_since: "],
    ["a long prefix", { namePrefix: "x".repeat(201) }, "name_prefix: must be at most 200 characters"],
    ["several faults", { userId: "x", createdBy: "y" }, /^user_id: .*; created_by: /],
  ] as const)("refuses %s by field, and revokes nothing", async (_, request, message) => {
    const organizationId = await test.addOrganization();
    const { secret } = await issue(organizationId);
    const refused = await surface.invoke(revokeMany, { organizationId, ...request }, backend);
    expect(refused).toMatchObject({ ok: false, code: "INVALID_ARGUMENT" });
    expect(refused.ok ? "" : refused.message).toMatch(message);
    expect(await isActive(secret)).toBe(true);
  });

  it("tells nobody whether somebody exists: who has no token here has none", async () => {
    const organizationId = await test.addOrganization();
    const stranger = await test.addMember("member", await test.addOrganization());
    const admin = { bearer: await test.signIn(await test.addMember("admin", organizationId)) };
    for (const userId of [stranger.userId, `usr_0${"1".repeat(25)}`, randomUUID()]) {
      expect(await count({ userId }, admin)).toBe(0);
    }
    expect(await count({ createdBy: stranger.userId }, admin)).toBe(0);
  });

  it("never reaches service keys, nor another organization", async () => {
    const organizationId = await test.addOrganization();
    const elsewhere = await test.addOrganization();
    const key = await test.addServiceKey(["tokens:write", "tokens:read"], organizationId);
    const theirs = await issue(elsewhere);
    await issue(organizationId);
    const admin = { bearer: await test.signIn(await test.addMember("admin", organizationId)) };
    for (const credential of [admin, { bearer: key }]) {
      for (const foreign of [elsewhere, toPublicId("org", randomUUID()), "nonsense"]) {
        expect(await surface.invoke(revokeMany, { organizationId: foreign, all: true }, credential)).toEqual(
          NO_ORGANIZATION,
        );
      }
    }
    expect(await count({ all: true }, admin)).toBe(1);
    expect(await count({ all: true }, { bearer: key })).toBe(0);
    expect(await isActive(theirs.secret)).toBe(true);
    const system = toPublicId("org", "00000000-0000-0000-0000-000000000000");
    expect(await surface.invoke(revokeMany, { organizationId: system, all: true }, backend)).toEqual({
      ok: false,
      code: "FAILED_PRECONDITION",
      message: "Service keys are revoked one by one.",
    });
    expect(await surface.invoke(revokeMany, { all: true }, backend)).toEqual(
      invalid("organization_id: is required with a service key of all organizations"),
    );
  });

  it("is for whoever may manage tokens, and an API token that may is among what it revokes", async () => {
    const organizationId = await test.addOrganization();
    const refused = async (credential: Credential, code: string, message: RegExp) => {
      const answer = await surface.invoke(revokeMany, { organizationId, all: true }, credential);
      expect(answer).toMatchObject({ ok: false, code });
      expect(answer.ok ? "" : answer.message).toMatch(message);
    };
    const { secret } = await issue(organizationId);
    const member = { bearer: await test.signIn(await test.addMember("member", organizationId)) };
    const reader = { bearer: await test.addServiceKey(["tokens:read"], organizationId) };
    await refused(member, "PERMISSION_DENIED", /^Only an owner or an admin of the organization can manage API tokens/);
    await refused(reader, "PERMISSION_DENIED", /^The service key lacks the scope tokens:write\.$/);
    await refused({}, "UNAUTHENTICATED", /^A credential is missing/);
    const owner = { bearer: await test.signIn(await test.addMember("owner", organizationId)) };
    expect(await count({ all: true, dryRun: true }, owner)).toBe(1);
    await issue(organizationId);
    expect(await count({ all: true }, { apiKey: secret })).toBe(2);
    await refused({ apiKey: secret }, "UNAUTHENTICATED", /^The credential is not valid\.$/);
  });

  it("changes something once for a key, however often it is sent", async () => {
    const organizationId = await test.addOrganization();
    await issue(organizationId, { name: "one" });
    const request = { organizationId, all: true, idempotencyKey: randomUUID() };
    // A dry run leaves no trace under the key either.
    expect(await count({ ...request, dryRun: true })).toBe(1);
    expect(await count(request)).toBe(1);
    const late = await issue(organizationId, { name: "late" });
    expect(await count(request)).toBe(1);
    expect(await isActive(late.secret)).toBe(true);
    const another = { organizationId, namePrefix: "l", idempotencyKey: request.idempotencyKey };
    expect(await surface.invoke(revokeMany, another, backend)).toMatchObject({ code: "ALREADY_EXISTS" });

    const empty = { organizationId, namePrefix: "nothing", idempotencyKey: randomUUID() };
    expect(await count(empty)).toBe(0);
    const matching = await issue(organizationId, { name: "nothing of note" });
    expect(await count(empty)).toBe(0);
    expect(await isActive(matching.secret)).toBe(true);
  });

  it("leaves an event for the whole, and one for each token", async () => {
    const organizationId = await test.addOrganization();
    const person = await test.addMember("admin", organizationId);
    const bearer = await test.signIn(person);
    const tokens = [await issue(organizationId, { name: "ci" }), await issue(organizationId, { name: "ci" })];
    expect(await count({ namePrefix: "c" }, { bearer })).toBe(2);
    const listed = { organizationId, pageSize: 1000 };
    const { events } = expectOk(await surface.invoke(AuditService.method.listEvents, listed, backend));
    const [whole, ...single] = events.slice(-3);
    const actor = { kind: "user", id: person.userId };
    expect(whole).toMatchObject({ action: "tokens.revoked_many", actor, target: organizationId });
    expect(whole?.details).toEqual({ count: "2", profile: "watchplane", name_prefix: "c" });
    expect(single.map(({ target }) => target)).toEqual(tokens.map(({ id }) => id));
    for (const { action, details, target, revision, requestId } of single) {
      expect(action).toBe("token.revoked");
      expect(details).toEqual({ profile: "watchplane", bulk: "true" });
      expect(requestId).toBe(whole?.requestId);
      const { token } = expectOk(await surface.invoke(TokenService.method.get, { id: target }, { bearer }));
      expect(token).toMatchObject({ revision, revokedBy: person.userId });
    }
    const verified = expectOk(await surface.invoke(AuditService.method.verifyChain, { organizationId }, backend));
    expect(verified.fault).toBeUndefined();
  });

  it("is one moment to whoever introspects meanwhile", async () => {
    const organizationId = await test.addOrganization();
    const secrets = await Promise.all(
      Array.from({ length: 60 }, async (_, index) => (await issue(organizationId, { name: `key ${index}` })).secret),
    );
    let isDone = false;
    const revoked = count({ organizationId, all: true }).finally(() => {
      isDone = true;
    });
    const batches: number[] = [];
    while (!isDone) {
      const { responses } = expectOk(await surface.batchIntrospect(backend, secrets));
      batches.push(responses.filter(({ active }) => active).length);
    }
    expect(await revoked).toBe(60);
    // A batch asks the store for one token after the other, so one of them can be on both sides.
    expect(batches.filter((active) => active !== 0 && active !== 60).length).toBeLessThanOrEqual(1);
    const { responses } = expectOk(await surface.batchIntrospect(backend, secrets));
    for (const { active, reason } of responses) {
      expect({ active, reason }).toEqual({ active: false, reason: Reason.REVOKED });
    }
  });
});

describe("POST /api-tokens/revoke-many", () => {
  let service: ProductService;
  beforeAll(async () => {
    service = await startProducts();
  });
  afterAll(() => service[Symbol.asyncDispose]());

  const send = async (tenant: Tenant, body: Json, headers: Headers = {}): Promise<Answer> =>
    tenant.call("POST", "/api-tokens/revoke-many", { headers: { ...(await tenant.as("admin")), ...headers }, body });

  it.each(PRODUCTS)("answers customers of %s with the count, and in their own words what is wrong", async (product) => {
    const tenant = await service.addTenant(product, product === "watchmantower" ? "enterprise" : "");
    const [one] = [await tenant.issue(), await tenant.issue()];
    const key = { "idempotency-key": randomUUID() };
    const counted = await send(tenant, { all: true, dryRun: true });
    expect([counted.status, counted.json]).toEqual([200, { count: 2 }]);
    const keyless = await send(tenant, { all: true });
    if (product === "walwarden") {
      expect([keyless.status, keyless.json]).toEqual([
        400,
        { error: { code: "bad_request", message: "idempotency_key: is required: send the header Idempotency-Key" } },
      ]);
      expect((await tenant.self(one.headers)).status).toBe(200);
      const keyed = await send(tenant, { all: true }, key);
      expect([keyed.status, keyed.json]).toEqual([200, { count: 2 }]);
      const again = await send(tenant, { all: true }, key);
      expect(again.text).toBe(keyed.text);
    } else {
      expect([keyless.status, keyless.json]).toEqual([200, { count: 2 }]);
    }
    expect((await tenant.self(one.headers)).status).toBe(401);
    const nothing = await send(tenant, { all: true }, { "idempotency-key": randomUUID() });
    expect([nothing.status, nothing.json]).toEqual([200, { count: 0 }]);

    const refused = await send(tenant, {});
    const message = "all: must be true to mean every token, or give a filter";
    expect(refused.status).toBe(400);
    expect(refused.json).toEqual(
      {
        watchplane: { error: { code: "INVALID_ARGUMENT", message } },
        watchmantower: { success: false, error: { code: "INVALID_ARGUMENT", message } },
        walwarden: { error: { code: "bad_request", message } },
        plane: { detail: message },
      }[product],
    );
    expect((await send(tenant, { everything: true })).status).toBe(400);
    expect((await tenant.call("GET", "/api-tokens/revoke-many", { headers: await tenant.as("admin") })).status).toBe(
      404,
    );
  });

  it("takes a product's own names of the fields", async () => {
    const tenant = await service.addTenant("plane");
    const bot = await tenant.issue({ token_type: "service", label: "bot" });
    const key = await tenant.issue({ token_type: "api_key", label: "key" });
    const unknown = await send(tenant, { type: "service" });
    expect([unknown.status, unknown.json]).toEqual([400, { detail: "type: is not a field of the request" }]);
    const wrong = await send(tenant, { token_type: "robot" });
    expect(wrong.json).toEqual({ detail: "token_type: must be one of api_key, service" });
    expect((await send(tenant, { token_type: "service" })).json).toEqual({ count: 1 });
    expect((await tenant.self(bot.headers)).status).toBe(401);
    expect((await tenant.self(key.headers)).status).toBe(200);
    const { userId } = await tenant.person("admin");
    expect((await send(tenant, { user_id: fromPublicId("usr", userId) ?? "" })).json).toEqual({ count: 1 });
  });

  it("lets whoever looks after their own revoke their own, and no more", async () => {
    const tenant = await service.addTenant("plane");
    const member = await tenant.as("member");
    const { userId } = await tenant.person("member");
    const { userId: admin } = await tenant.person("admin");
    const own = await tenant.issue({ token_type: "api_key" }, "member");
    const others = await tenant.issue({ token_type: "api_key" });
    const bot = await tenant.issue({ token_type: "service" });
    const asMember = (body: Json) => tenant.call("POST", "/api-tokens/revoke-many", { headers: member, body });
    const only = "Only an owner or an admin of the organization can manage API tokens of the type";
    for (const [body, detail] of [
      [{ all: true }, `${only} api_key of others.`],
      [{ token_type: "api_key" }, `${only} api_key of others.`],
      [{ token_type: "api_key", user_id: admin }, `${only} api_key of others.`],
      [{ token_type: "api_key", created_by: userId }, `${only} api_key of others.`],
      [{ token_type: "api_key", user_id: "nonsense" }, `${only} api_key of others.`],
      [{ user_id: userId }, `${only} service.`],
      [{ token_type: "service", user_id: userId }, `${only} service.`],
    ] as const) {
      const refused = await asMember(body);
      expect([refused.status, refused.json]).toEqual([403, { detail }]);
    }
    expect((await asMember({ token_type: "api_key", user_id: userId })).json).toEqual({ count: 1 });
    expect((await tenant.self(own.headers)).status).toBe(401);
    for (const { headers } of [others, bot]) expect((await tenant.self(headers)).status).toBe(200);
  });

  it("goes by the last use, also by one of a moment ago, and without any by the creation", async () => {
    const tenant = await service.addTenant("watchplane");
    const used = await tenant.issue({ name: "used" });
    const justUsed = await tenant.issue({ name: "just used" });
    const unused = await tenant.issue({ name: "unused" });
    await service.introspect({ token: used.secret });
    await service.flushUses();
    service.clock.advance(100 * DAY);
    const fresh = await tenant.issue({ name: "fresh" });
    await service.introspect({ token: justUsed.secret });
    const ninetyDays = iso(service.clock.nowMs - 90 * DAY);
    expect((await send(tenant, { unusedSince: ninetyDays, dryRun: true })).json).toEqual({ count: 2 });
    expect((await send(tenant, { unusedSince: ninetyDays })).json).toEqual({ count: 2 });
    for (const [{ headers }, status] of [
      [used, 401],
      [unused, 401],
      [justUsed, 200],
      [fresh, 200],
    ] as const) {
      expect((await tenant.self(headers)).status).toBe(status);
    }
    const future = await send(tenant, { unusedSince: iso(service.clock.nowMs + 1000) });
    expect([future.status, field(field(future.json, "error"), "message")]).toEqual([
      400,
      "unused_since: must not be in the future",
    ]);
  });

  it("passes over what has ended already, and takes what is switched off", async () => {
    const tenant = await service.addTenant("plane");
    const expiring = await tenant.issue({ expired_at: iso(service.clock.nowMs + HOUR) });
    const revoked = await tenant.issue();
    await tenant.revoke(revoked.id);
    const before = await tenant.listed(revoked.id);
    await tenant.disabledToken();
    service.clock.advance(2 * HOUR);
    expect((await send(tenant, { all: true })).json).toEqual({ count: 1 });
    expect(await tenant.listed(revoked.id)).toEqual(before);
    expect((await service.introspect({ token: expiring.secret })).reason).toBe(Reason.EXPIRED);
  });
});

describe("RemoveMember", () => {
  let service: ProductService;
  beforeAll(async () => {
    service = await startProducts();
  });
  afterAll(() => service[Symbol.asyncDispose]());

  it("ends personal tokens with the membership, and leaves those of the organization", async () => {
    const tenant = await service.addTenant("plane");
    const elsewhere = await service.addTenant("plane");
    const { userId } = await tenant.person("admin");
    const personal = [await tenant.issue({ token_type: "api_key" }), await tenant.issue({ token_type: "api_key" })];
    const bot = await tenant.issue({ token_type: "service" });
    const others = await tenant.issue({ token_type: "api_key" }, "owner");
    const theirs = await elsewhere.issue({ token_type: "api_key" });
    const removed = await service.organizations.removeMember({ organizationId: tenant.id, userId });
    expect(removed.revokedTokens).toBe(2);
    for (const { headers } of personal) expect((await tenant.self(headers)).status).toBe(401);
    for (const { headers } of [bot, others, theirs]) expect((await tenant.self(headers)).status).toBe(200);
  });

  it("ends all of the person's tokens where that is asked for, but no service key", async () => {
    const tenant = await service.addTenant("watchmantower");
    const { userId } = await tenant.person("admin");
    const own = await tenant.issue();
    const others = await tenant.issue({}, "owner");
    const { secret } = await service.tokens.issue({
      organizationId: tenant.id,
      name: "backend",
      type: "service_key",
      scopes: ["tokens:read"],
      userId,
    });
    const request = { organizationId: tenant.id, userId, revokeTokens: true, idempotencyKey: randomUUID() };
    expect((await service.organizations.removeMember(request)).revokedTokens).toBe(1);
    expect((await service.organizations.removeMember(request)).revokedTokens).toBe(1);
    expect((await tenant.self(own.headers)).status).toBe(401);
    expect((await tenant.self(others.headers)).status).toBe(200);
    const byKey = { headers: { authorization: `Bearer ${secret}` } };
    expect((await tenant.call("GET", "/api-tokens", byKey)).status).toBe(200);
  });

  it("lets nobody who leaves take the organization's tokens along", async () => {
    const tenant = await service.addTenant("plane");
    const { userId } = await tenant.person("admin");
    const bot = await tenant.issue({ token_type: "service" });
    const own = await tenant.issue({ token_type: "api_key" });
    const grpc = openSurface(service.test.app, "grpc");
    const bearer = (await tenant.as("admin"))["authorization"]?.slice("Bearer ".length) ?? "";
    const { setMemberRole, removeMember } = OrganizationService.method;
    const vendor = { bearer: service.test.credentials.serviceKey };
    expectOk(await grpc.invoke(setMemberRole, { organizationId: tenant.id, userId, role: 3 }, vendor));
    expect(await grpc.invoke(removeMember, { userId, revokeTokens: true }, { bearer })).toEqual({
      ok: false,
      code: "PERMISSION_DENIED",
      message: "Only an owner or an admin of the organization can manage API tokens of the type service.",
    });
    const organizer = { bearer: await service.test.addServiceKey(["organizations:write"]) };
    const all = { organizationId: tenant.id, userId, revokeTokens: true };
    expect(await grpc.invoke(removeMember, all, organizer)).toMatchObject({
      message: "The service key lacks the scope tokens:write.",
    });
    expect(expectOk(await grpc.invoke(removeMember, { userId }, { bearer })).revokedTokens).toBe(1);
    expect((await tenant.self(bot.headers)).status).toBe(200);
    expect((await tenant.self(own.headers)).status).toBe(401);
    grpc.close();
  });

  it("leaves no session that a return would revive", async () => {
    const { test } = service;
    const tenant = await service.addTenant("watchplane");
    const person = await service.addPerson(tenant.id, { firstName: "", lastName: "", displayName: "", avatarUrl: "" });
    const rest = openSurface(test.app, "rest");
    const session = expectOk(await rest.login({}, person.email, person.password));
    const ids = { organizationId: tenant.id, userId: person.userId };
    await service.organizations.removeMember(ids);
    await service.organizations.addMember({ organizationId: tenant.id, email: person.email, role: 2 });
    const refusal = { ok: false, code: "UNAUTHENTICATED" };
    expect(await rest.list({ bearer: session.accessToken })).toMatchObject(refusal);
    expect(await rest.refresh({}, session.refreshToken)).toMatchObject(refusal);
    const anew = expectOk(await rest.login({}, person.email, person.password));
    expectOk(await rest.list({ bearer: anew.accessToken }));
  });

  it("is told from the issue of a personal token at the same moment: none is left that works", async () => {
    for (let round = 0; round < 10; round++) {
      const tenant = await service.addTenant("plane");
      const member = await tenant.as("member");
      const { userId } = await tenant.person("member");
      const body = { label: "key", token_type: "api_key" };
      const issue = () => tenant.call("POST", "/api-tokens", { headers: member, body });
      const remove = () => service.organizations.removeMember({ organizationId: tenant.id, userId });
      const [answers] = await Promise.all([Promise.all([issue(), issue()]), remove()]);
      for (const { status, json } of answers) {
        expect([201, 400, 401]).toContain(status);
        if (status !== 201) continue;
        const secret = field(FACTS.plane.tokenIn(json), "token") as string;
        expect((await service.introspect({ token: secret })).active).toBe(false);
      }
    }
  });
});
