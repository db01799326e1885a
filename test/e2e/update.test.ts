/** What TokenService.Update promises: exactly what was named changes, for those who may, at once. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Reason } from "../../gen/latchkey/v1/introspection_pb.ts";
import { type Token, TokenService, TokenState } from "../../gen/latchkey/v1/token_pb.ts";
import { fromPublicId, toPublicId } from "../../src/domain/ids.ts";
import type { Role } from "../../src/domain/roles.ts";
import { everyEvent } from "../contract/samples.ts";
import {
  type Answer,
  FACTS,
  field,
  HOUR,
  iso,
  type Json,
  PRODUCTS,
  type Product,
  type ProductService,
  SECOND,
  startProducts,
  type Tenant,
} from "../helpers/products.ts";
import { temporaryFolder } from "../helpers/service-process.ts";
import { type Credential, expectOk, openSurface, RPC_SURFACES, type RpcSurface } from "../helpers/surfaces.ts";

const { issue, get, list, update, revoke } = TokenService.method;

type Issue = Omit<MessageInitShape<typeof issue.input>, "$typeName" | "organizationId">;
type Update = Omit<MessageInitShape<typeof update.input>, "$typeName" | "id">;

/** A product whose members narrow tokens that hold scopes. */
const ACME = {
  id: "acme",
  secret: { prefix: "acme_", alphabet: "base62", random: 40 },
  credentials: ["bearer"],
  base_paths: ["/api/v1"],
  access: "scopes",
  scopes: { a: "A", b: "B", c: "C", d: "D" },
  managers: { any: ["owner", "admin", "member"] },
  expiry: "optional",
  plans: { standard: {} },
  token: "{id}",
  responses: {
    issue: { body: "{secret}" },
    token: { body: "{token}" },
    list: { body: "{tokens}" },
    revoke: { body: "{token}" },
    login: { body: "{access_token}" },
    refresh: { body: "{access_token}" },
  },
  errors: { body: "{message}" },
};

const parts = new AsyncDisposableStack();
let service: ProductService;

beforeAll(async () => {
  const folder = parts.use(await temporaryFolder());
  await writeFile(join(folder.path, "acme.json"), JSON.stringify(ACME));
  service = parts.use(await startProducts({ env: { LATCHKEY_PROFILES_DIR: folder.path } }));
});

afterAll(() => parts.disposeAsync());

const refused = (code: string, message: string) => ({ ok: false, code, message });
const denied = (message: string) => refused("PERMISSION_DENIED", message);
const invalid = (message: string) => refused("INVALID_ARGUMENT", message);

async function signedIn(tenant: Tenant, role: Role): Promise<Credential> {
  return { bearer: await service.test.signIn(await tenant.person(role)) };
}

/** The events of a token but its first, as action and details. */
async function changesOf({ id = "", organizationId = "" }: Partial<Token>): Promise<readonly object[]> {
  const organization = fromPublicId("org", organizationId);
  const events = await service.test.app.deployment.storage.listEvents(
    everyEvent({ organizationId: organization, target: id }),
  );
  return events.slice(1).map(({ action, details }) => ({ action, details }));
}

describe.each(RPC_SURFACES)("through %s", (name) => {
  let surface: RpcSurface;
  let backend: Credential;

  beforeAll(() => {
    surface = openSurface(service.test.app, name);
    backend = { bearer: service.test.credentials.serviceKey };
  });

  afterAll(() => surface.close());

  const add = async (tenant: Tenant, fields: Partial<Issue> = {}) => {
    const permission = tenant.product === "watchmantower" ? "full" : "";
    const request = { organizationId: tenant.id, name: "as issued", permission, ...fields };
    const { token, secret } = expectOk(
      await surface.invoke(issue, { ...request, idempotencyKey: crypto.randomUUID() }, backend),
    );
    if (token === undefined) throw new Error("no token was issued");
    return { ...token, secret };
  };

  const change = (id: string, fields: Update, by: Credential = backend) =>
    surface.invoke(update, { id, idempotencyKey: crypto.randomUUID(), ...fields }, by);

  const changed = async (id: string, fields: Update, by?: Credential): Promise<Token> => {
    const { token } = expectOk(await change(id, fields, by));
    if (token === undefined) throw new Error("no token was answered");
    const stored = expectOk(await surface.invoke(get, { id }, backend)).token;
    // The last use of a token that changes itself is written at any moment.
    expect({ ...stored, lastUsedAt: undefined }).toEqual({ ...token, lastUsedAt: undefined });
    return token;
  };

  const mask = (...paths: string[]) => ({ updateMask: { paths } });

  const someFields = () => ({
    permission: "full",
    ipAllowlist: ["10.0.0.0/8"],
    expiresAt: timestampFromMs(service.clock.nowMs + HOUR),
    metadata: { team: "blue" },
  });

  it("changes exactly the fields that the mask names", async () => {
    const tenant = await service.addTenant("watchmantower", "enterprise");
    const { secret: _, ...token } = await add(tenant, someFields());
    const all = {
      name: "new",
      enabled: false,
      permission: "read-only",
      ipAllowlist: ["192.0.2.1"],
      expiresAt: timestampFromMs(service.clock.nowMs + 2 * HOUR),
      metadata: { stage: "test" },
    };
    let expected: Token = token;
    for (const [path, after] of [
      ["name", { name: "new" }],
      ["permission", { permission: "read-only" }],
      ["ip_allowlist", { ipAllowlist: ["192.0.2.1"] }],
      ["expires_at", { expiresAt: all.expiresAt }],
      ["metadata", { metadata: { stage: "test" } }],
      ["enabled", { state: TokenState.DISABLED }],
    ] as const) {
      const { revision, ...others } = await changed(token.id, { ...all, ...mask(path) });
      expect(revision, path).toBeGreaterThan(expected.revision);
      expected = { ...expected, ...(after as Partial<Token>), revision };
      expect({ ...others, revision }, path).toEqual(expected);
    }
    const back = await changed(token.id, { ...someFields(), name: "as issued", enabled: true });
    expect({ ...back, revision: 0n }).toEqual({ ...token, revision: 0n });
  });

  it("clears what the mask names and the request doesn't set", async () => {
    const tenant = await service.addTenant("watchmantower", "enterprise");
    const token = await add(tenant, someFields());
    const limited = await changed(token.id, mask("expires_at"));
    expect(limited.expiresAt).toBeUndefined();
    expect(limited).toMatchObject({ ipAllowlist: ["10.0.0.0/8"], metadata: { team: "blue" } });
    const cleared = await changed(token.id, mask("ip_allowlist", "metadata", "ip_allowlist"));
    expect(cleared).toMatchObject({ ipAllowlist: [], metadata: {}, permission: "full", name: "as issued" });
    service.clock.advance(2 * HOUR);
    expect(await service.introspect({ token: token.secret })).toMatchObject({ active: true });

    const scoped = await add(await service.addTenant("walwarden"), { scopes: ["audit:read"] });
    expect((await changed(scoped.id, mask("scopes"))).scopes).toEqual([]);
    for (const scalar of ["name", "enabled", "permission"]) {
      expect(await change(token.id, mask(scalar, "metadata"))).toEqual(invalid(`${scalar}: can't be cleared`));
    }
    expect(await change(token.id, mask("permission", "enabled"))).toEqual(
      invalid("enabled: can't be cleared; permission: can't be cleared"),
    );
  });

  it("changes every field that is set when there is no mask", async () => {
    const tenant = await service.addTenant("walwarden");
    const token = await add(tenant, { scopes: ["audit:read"], metadata: { team: "blue" } });
    const scopes = ["readiness:read", "databases:read"];
    const updated = await changed(token.id, { scopes, enabled: false, updateMask: { paths: [] } });
    expect(updated).toMatchObject({
      name: "as issued",
      state: TokenState.DISABLED,
      scopes: scopes.toSorted(),
      metadata: { team: "blue" },
    });
    expect(await change(token.id, {})).toEqual(invalid("The request names nothing to change."));
    expect(await change(token.id, { scopes: [], metadata: {}, organizationId: tenant.id })).toEqual(
      invalid("The request names nothing to change."),
    );
  });

  it.each(["type", "id", "organization_id", "update_mask", "revision", "metadata.team", "no_such_field"])(
    "refuses the path %s, and says which there are",
    async (path) => {
      const token = await add(await service.addTenant("plane"));
      const answer = await change(token.id, { name: "new", ...mask("name", path) });
      const allowed = "name, enabled, permission, scopes, ip_allowlist, expires_at, metadata";
      expect(answer).toEqual(invalid(`update_mask: must be among ${allowed}`));
    },
  );

  it("holds each field to what holds when a token is issued", async () => {
    const tower = await add(await service.addTenant("watchmantower", "team"));
    const walwarden = await add(await service.addTenant("walwarden"), { scopes: ["audit:read"] });
    const watchplane = await add(await service.addTenant("watchplane"));
    const past = timestampFromMs(service.clock.nowMs);
    const future = timestampFromMs(service.clock.nowMs + HOUR);
    const control = "keys and values must not hold control characters";
    for (const [{ id }, fields, refusal] of [
      [tower, { name: " " }, invalid("name: must not hold control characters or be blank")],
      [tower, { name: "a\u0000b" }, invalid("name: must not hold control characters or be blank")],
      [tower, { permission: "root" }, invalid("permission: must be one of read-only, full")],
      [tower, { permission: "" }, invalid("permission: must be one of read-only, full")],
      [tower, { scopes: ["team:write"] }, invalid("scopes: is not offered by the profile watchmantower")],
      [tower, { expiresAt: past }, invalid("expires_at: must be in the future")],
      [tower, { metadata: { a: "\u0000" } }, invalid(`metadata: ${control}`)],
      [tower, { metadata: { "\u0000": "a" } }, invalid(`metadata: ${control}`)],
      [
        tower,
        { ipAllowlist: ["10.0.0.1"] },
        denied("ip_allowlist: the plan team doesn't offer it; it needs enterprise"),
      ],
      [walwarden, { permission: "full" }, invalid("permission: is not offered by the profile walwarden")],
      [walwarden, { ipAllowlist: ["10.0.0.1"] }, invalid("ip_allowlist: is not offered by the profile walwarden")],
      [watchplane, { expiresAt: future }, invalid("expires_at: is not offered by the profile watchplane")],
    ] as const) {
      const before = expectOk(await surface.invoke(get, { id }, backend)).token;
      expect(await change(id, fields as Update), JSON.stringify(fields, String)).toEqual(refusal);
      expect(expectOk(await surface.invoke(get, { id }, backend)).token).toEqual(before);
    }
    const unknown = await change(walwarden.id, { scopes: ["audit:read", "root"] });
    expect(unknown).toMatchObject({ code: "INVALID_ARGUMENT", message: /^scopes: must be among databases:read, / });
    const addressed = await add(await service.addTenant("watchmantower", "enterprise"));
    expect(await change(addressed.id, { ipAllowlist: ["10.0.0.1", "nonsense"] })).toEqual(
      invalid("ip_allowlist[1]: must be an IP address or a CIDR block"),
    );
  });

  it("leaves what the plan or the profile doesn't offer any more as it is, unless it is named", async () => {
    const tenant = await service.addTenant("watchmantower", "enterprise");
    const { id } = await add(tenant, { ipAllowlist: ["10.0.0.0/8"] });
    await tenant.setPlan("team");
    expect(await changed(id, { name: "new" })).toMatchObject({ name: "new", ipAllowlist: ["10.0.0.0/8"] });
    expect(await change(id, { ipAllowlist: ["10.0.0.0/8"] })).toMatchObject({ code: "PERMISSION_DENIED" });
    expect((await changed(id, mask("ip_allowlist"))).ipAllowlist).toEqual([]);
  });

  it("answers the token as it is when nothing changes, without an event or a revision", async () => {
    const tenant = await service.addTenant("watchmantower", "enterprise");
    const { secret: _, ...token } = await add(tenant, someFields());
    const same = { ...someFields(), name: "as issued", enabled: true, metadata: { team: "blue" } };
    expect(await changed(token.id, same)).toEqual(token);
    expect(await changed(token.id, { ...same, ...mask("metadata", "expires_at") })).toEqual(token);
    expect(await changesOf(token)).toEqual([]);
  });

  it("tells the audit log what changed", async () => {
    const tenant = await service.addTenant("watchmantower", "enterprise");
    const token = await add(tenant);
    const kind = { profile: "watchmantower" };
    await changed(token.id, { enabled: false });
    await changed(token.id, { enabled: false });
    await changed(token.id, { enabled: true });
    await changed(token.id, { name: "new", permission: "read-only", metadata: { key: "canary-value" } });
    await changed(token.id, { enabled: false, ...mask("enabled", "metadata") });
    const events = await changesOf(token);
    expect(events).toEqual([
      { action: "token.disabled", details: kind },
      { action: "token.enabled", details: kind },
      {
        action: "token.updated",
        details: {
          ...kind,
          name_before: "as issued",
          name: "new",
          permission_before: "full",
          permission: "read-only",
          metadata: "changed",
        },
      },
      {
        action: "token.updated",
        details: { ...kind, enabled_before: "true", enabled: "false", metadata: "changed" },
      },
    ]);
    expect(JSON.stringify(events)).not.toContain("canary");
  });

  it("takes effect on the next introspection", async () => {
    const tenant = await service.addTenant("watchmantower", "enterprise");
    const { id, secret } = await add(tenant);
    const ask = async () => {
      const question = { token: secret, requiredScopes: ["team:write"], clientIp: "192.0.2.1" };
      const { active, allowed, reason } = expectOk(await surface.introspect(backend, question));
      return { active, allowed, reason };
    };
    const good = { active: true, allowed: true, reason: Reason.UNSPECIFIED };
    expect(await ask()).toEqual(good);
    await changed(id, { enabled: false });
    expect(await ask()).toEqual({ active: false, allowed: false, reason: Reason.DISABLED });
    await changed(id, { enabled: true });
    expect(await ask()).toEqual(good);
    await changed(id, { permission: "read-only" });
    expect(await ask()).toEqual({ active: true, allowed: false, reason: Reason.INSUFFICIENT_SCOPE });
    await changed(id, { permission: "full", ipAllowlist: ["192.0.2.0/31"] });
    expect(await ask()).toEqual(good);
    await changed(id, { ipAllowlist: ["192.0.2.2"] });
    expect(await ask()).toEqual({ active: true, allowed: false, reason: Reason.IP_NOT_ALLOWED });
    await changed(id, {
      expiresAt: timestampFromMs(service.clock.nowMs + SECOND),
      ...mask("expires_at", "ip_allowlist"),
    });
    expect(await ask()).toEqual(good);
    service.clock.advance(SECOND);
    expect(await ask()).toEqual({ active: false, allowed: false, reason: Reason.EXPIRED });
  });

  it("changes no token that is revoked or has expired", async () => {
    const tenant = await service.addTenant("walwarden");
    const gone = await add(tenant);
    expectOk(await surface.invoke(revoke, { id: gone.id, idempotencyKey: crypto.randomUUID() }, backend));
    const old = await add(tenant, { expiresAt: timestampFromMs(service.clock.nowMs + SECOND) });
    service.clock.advance(SECOND);
    for (const fields of [{ name: "new" }, { name: "as issued" }, { enabled: true }, mask("expires_at")]) {
      expect(await change(gone.id, fields)).toEqual(
        refused("FAILED_PRECONDITION", "A revoked token can't be changed."),
      );
      expect(await change(old.id, fields)).toEqual(
        refused("FAILED_PRECONDITION", "An expired token can't be changed."),
      );
    }
    expect(await changesOf(old)).toEqual([]);
  });

  it("is answered the same when it is sent again, also after the token expired", async () => {
    const tenant = await service.addTenant("walwarden");
    const { id } = await add(tenant, { expiresAt: timestampFromMs(service.clock.nowMs + HOUR) });
    const request = { name: "once", idempotencyKey: crypto.randomUUID() };
    const first = expectOk(await change(id, request));
    expect(first.token?.state).toBe(TokenState.ACTIVE);
    service.clock.advance(HOUR);
    expect(expectOk(await change(id, request))).toEqual(first);
    expect(await change(id, { name: "once" })).toMatchObject({ code: "FAILED_PRECONDITION" });
    // Without a key the product takes no change.
    const keyless = await surface.invoke(update, { id, name: "x" }, backend);
    expect(keyless).toEqual(invalid("idempotency_key: is required: send the header Idempotency-Key"));
  });

  it("lets whoever manages tokens narrow what they may do, and an admin or a service key widen it", async () => {
    const tenant = await service.addTenant("watchmantower");
    const { id } = await add(tenant);
    const { secret } = await add(tenant, { name: "manager" });
    const looking = await add(tenant, { permission: "read-only" });
    const [owner, admin, member] = await Promise.all(
      (["owner", "admin", "member"] as const).map((role) => signedIn(tenant, role)),
    );
    const more =
      "Only an owner or an admin of the organization can let an API token do more: " +
      "monitors:write, resources:delete, alerts:write, integrations:write, team:write, account:write.";
    for (const by of [member!, { bearer: secret }]) {
      expect((await changed(id, { permission: "read-only", name: "narrowed" }, by)).permission).toBe("read-only");
      expect((await changed(id, { name: "still narrow" }, by)).permission).toBe("read-only");
      for (const fields of [{ permission: "full" }, { permission: "full", name: "no", enabled: false }]) {
        expect(await change(id, fields, by)).toEqual(denied(more));
      }
      expect(expectOk(await surface.invoke(get, { id }, by)).token).toMatchObject({ name: "still narrow" });
      for (const widener of [owner!, admin!, backend]) {
        expect((await changed(id, { permission: "full" }, widener)).permission).toBe("full");
        // Named, and not wider.
        await changed(id, { permission: "full", name: "as it was" }, by);
        await changed(id, { permission: "read-only" }, widener);
      }
      await changed(id, { permission: "full" });
    }
    const needed = denied("Managing API tokens needs a token with the permission full.");
    expect(await change(id, { permission: "read-only" }, { bearer: looking.secret })).toEqual(needed);
    // A token that narrows itself has nothing to widen itself with.
    await changed(id, { permission: "full" });
    const self = await add(tenant);
    await changed(self.id, { permission: "read-only" }, { bearer: self.secret });
    expect(await change(self.id, { permission: "full" }, { bearer: self.secret })).toEqual(needed);
  });

  it("compares scopes, not their number", async () => {
    const organizationId = await service.test.addOrganization("acme");
    const as = async (role: Role): Promise<Credential> => ({
      bearer: await service.test.signIn(await service.test.addMember(role, organizationId)),
    });
    const member = await as("member");
    const issued = { organizationId, name: "x", scopes: ["a", "b"] };
    const { token } = expectOk(await surface.invoke(issue, issued, backend));
    const { id = "" } = token ?? {};
    const more = (scopes: string) =>
      denied(`Only an owner or an admin of the organization can let an API token do more: ${scopes}.`);
    expect(await change(id, { scopes: ["c"] }, member)).toEqual(more("c"));
    expect(await change(id, { scopes: ["a", "b", "c", "d"] }, member)).toEqual(more("c, d"));
    expect((await changed(id, { scopes: ["b", "a"] }, member)).scopes).toEqual(["a", "b"]);
    expect((await changed(id, { scopes: ["b"] }, member)).scopes).toEqual(["b"]);
    expect(await change(id, { scopes: ["a"] }, member)).toEqual(more("a"));
    expect((await changed(id, { scopes: ["d", "a"] }, await as("admin"))).scopes).toEqual(["a", "d"]);
    expect((await changed(id, mask("scopes"), member)).scopes).toEqual([]);
    expect(await change(id, { scopes: ["a"] }, member)).toEqual(more("a"));
  });

  it("lets people who manage their own tokens change those only", async () => {
    const tenant = await service.addTenant("plane");
    const member = await signedIn(tenant, "member");
    const { userId } = await tenant.person("member");
    const own = await add(tenant, { type: "api_key", userId });
    const other = await add(tenant, { type: "api_key" });
    const production = await add(tenant, { type: "service", userId });
    expect((await changed(own.id, { name: "mine" }, member)).name).toBe("mine");
    const who = "Only an owner or an admin of the organization can manage API tokens of the type";
    expect(await change(other.id, { name: "no" }, member)).toEqual(denied(`${who} api_key of others.`));
    expect(await change(production.id, { name: "no" }, member)).toEqual(denied(`${who} service.`));
    expect(await change(own.id, { name: "no" }, { apiKey: own.secret })).toEqual(
      denied("An API token can't manage API tokens; sign in instead."),
    );
  });

  it("shows and changes nothing of another organization", async () => {
    const [tenant, neighbour] = [await service.addTenant("watchplane"), await service.addTenant("watchplane")];
    const { id, secret } = await add(tenant);
    const { secret: foreign } = await add(neighbour);
    const nothing = refused("NOT_FOUND", "No such token.");
    const key = await service.test.addServiceKey(["tokens:write"], neighbour.id);
    for (const by of [await signedIn(neighbour, "owner"), { apiKey: foreign }, { bearer: key }]) {
      expect(await change(id, { name: "mine" }, by)).toEqual(nothing);
      expect(await change(id, { name: "mine", organizationId: tenant.id }, by)).toEqual(nothing);
    }
    expect(await change(id, { name: "mine", organizationId: neighbour.id })).toEqual(nothing);
    expect((await changed(id, { name: "ours", organizationId: tenant.id }, { apiKey: secret })).name).toBe("ours");
    const reader = { bearer: await service.test.addServiceKey(["tokens:read"], tenant.id) };
    expect(await change(id, { name: "no" }, reader)).toEqual(denied("The service key lacks the scope tokens:write."));
  });

  it("lets service keys change service keys, and give them no scope that they lack", async () => {
    const tenant = await service.addTenant("plane");
    const writer = { bearer: await service.test.addServiceKey(["tokens:write", "tokens:read"], tenant.id) };
    const key = await add(tenant, { type: "service_key", scopes: ["introspect", "tokens:read", "audit:read"] });
    for (const by of [await signedIn(tenant, "owner"), { apiKey: (await add(tenant)).secret }]) {
      expect(await change(key.id, { enabled: false }, by)).toMatchObject({ ok: false });
    }
    expect((await changed(key.id, { scopes: ["introspect"] }, writer)).scopes).toEqual(["introspect"]);
    const lacks = (scopes: string) => denied(`A service key can't grant scopes that it lacks: ${scopes}.`);
    expect(await change(key.id, { scopes: ["introspect", "audit:read"] }, writer)).toEqual(lacks("audit:read"));
    expect(await change(key.id, { scopes: ["audit:read", "auth"] }, writer)).toEqual(lacks("audit:read, auth"));
    const widened = await changed(key.id, { scopes: ["introspect", "tokens:read", "tokens:write"] }, writer);
    expect(widened.scopes).toEqual(["introspect", "tokens:read", "tokens:write"]);
    expect(await change(key.id, { scopes: ["audit:read"] }, { bearer: key.secret })).toEqual(lacks("audit:read"));
    expect((await changed(key.id, { scopes: ["audit:read"] })).scopes).toEqual(["audit:read"]);
    expect(await change(key.id, { scopes: ["root"] })).toMatchObject({ code: "INVALID_ARGUMENT" });
    const { tokens } = expectOk(await surface.invoke(list, { organizationId: tenant.id }, writer));
    expect(tokens.find(({ id }) => id === key.id)?.scopes).toEqual(["audit:read"]);
  });
});

/** What each product calls the name and the expiry of a token. */
const NAMES: Readonly<Record<Product, { readonly name: string; readonly expiry: string }>> = {
  watchplane: { name: "name", expiry: "expiresAt" },
  watchmantower: { name: "name", expiry: "expiresAt" },
  walwarden: { name: "name", expiry: "expiresAt" },
  plane: { name: "label", expiry: "expired_at" },
};

async function patch(tenant: Tenant, id: string, body?: Json, headers: Record<string, string> = {}): Promise<Answer> {
  const key = { "idempotency-key": crypto.randomUUID() };
  const options = { headers: { ...(await tenant.as("admin")), ...key, ...headers } };
  return tenant.call("PATCH", `/api-tokens/${id}`, body === undefined ? options : { ...options, body });
}

describe.each(PRODUCTS)("PATCH of %s", (product) => {
  const { name, expiry } = NAMES[product];
  const { tokenIn } = FACTS[product];
  let tenant: Tenant;

  beforeAll(async () => {
    tenant = await service.addTenant(product);
  });

  it("answers the token as the product shows it", async () => {
    const { id } = await tenant.issue({ [name]: "before" });
    const { status, json } = await patch(tenant, id, { [name]: "after" });
    expect(status).toBe(200);
    const got = await tenant.call("GET", `/api-tokens/${id}`, { headers: await tenant.as("admin") });
    expect(json).toEqual(got.json);
    expect(field(tokenIn(json), name)).toBe("after");
  });

  it("takes the fields of the body for the mask", async () => {
    const { id } = await tenant.issue({ [name]: "before" });
    const message = (answer: Answer) => [answer.status, JSON.stringify(answer.json)];
    for (const body of [undefined, {}, { organizationId: tenant.id }, { id: "tok_other" }]) {
      expect(message(await patch(tenant, id, body))).toEqual([
        400,
        expect.stringContaining('"The request names nothing to change."') as string,
      ]);
    }
    expect(message(await patch(tenant, id, { [name]: null }))).toEqual([
      400,
      expect.stringContaining(`"${name}: can't be cleared"`) as string,
    ]);
    if (product === "watchplane") return;
    const limited = await patch(tenant, id, { [expiry]: iso(service.clock.nowMs + HOUR) });
    expect(field(tokenIn(limited.json), expiry)).toBe(iso(service.clock.nowMs + HOUR));
    const renamed = await patch(tenant, id, { [name]: "after" });
    expect(tokenIn(renamed.json)).toMatchObject({ [name]: "after", [expiry]: iso(service.clock.nowMs + HOUR) });
    const forever = await patch(tenant, id, { [expiry]: null });
    expect(tokenIn(forever.json)).toMatchObject({ [name]: "after", [expiry]: null });
  });

  it("takes a mask in the product's words", async () => {
    const { id } = await tenant.issue({ [name]: "before" });
    const named = await patch(tenant, id, { [name]: "after", metadata: { a: "b" }, updateMask: name });
    expect([named.status, field(tokenIn(named.json), name)]).toEqual([200, "after"]);
    const { token } = await service.tokens.get({ id: toPublicToken(id) });
    expect(token?.metadata).toEqual({});
    for (const empty of ["", null]) {
      const derived = await patch(tenant, id, { [name]: `again ${empty}`, update_mask: empty });
      expect([derived.status, field(tokenIn(derived.json), name)]).toEqual([200, `again ${empty}`]);
    }
    const cleared = await patch(tenant, id, { updateMask: `${expiry},metadata` });
    expect(cleared.status, cleared.text).toBe(200);
    const refusal = await patch(tenant, id, { [name]: "no", updateMask: `${name},hint` });
    expect(refusal.status).toBe(400);
    expect(refusal.text).toContain(`updateMask: must be among ${name}, enabled, `);
    expect(refusal.text).toContain(`, ${expiry}, metadata`);
    expect(refusal.text).not.toContain("hint");
    const twice = await patch(tenant, id, { [name]: "no", updateMask: name, update_mask: name });
    expect([twice.status, twice.text]).toEqual([400, expect.stringContaining("is given twice") as string]);
    const number = await patch(tenant, id, { [name]: "no", updateMask: 1 });
    expect(number.text).toContain("updateMask: must be a list of fields like name,ipAllowlist");
  });

  it("shows errors as the product does, and takes no query", async () => {
    const { id } = await tenant.issue();
    const unknown = await patch(tenant, "tok_nothing", { [name]: "x" });
    expect([unknown.status, unknown.text]).toEqual([404, expect.stringContaining("No such token.") as string]);
    const stranger = await patch(tenant, id, { colour: "red" });
    expect([stranger.status, stranger.text]).toEqual([
      400,
      expect.stringContaining("colour: is not a field of the request") as string,
    ]);
    const query = await patch(tenant, `${id}?enabled=false`, { [name]: "x" });
    expect([query.status, query.text]).toEqual([
      400,
      expect.stringContaining("enabled: is not a parameter here") as string,
    ]);
    const revoked = await tenant.issue();
    await tenant.revoke(revoked.id);
    const late = await patch(tenant, revoked.id, { [name]: "x" });
    expect([late.status, late.text]).toEqual([
      400,
      expect.stringContaining("A revoked token can't be changed.") as string,
    ]);
    const put = await tenant.call("PUT", `/api-tokens/${id}`, { headers: await tenant.as("admin") });
    expect([put.status, put.headers["allow"]]).toEqual([405, "DELETE, GET, HEAD, PATCH"]);
  });

  it("switches a token off and on again", async () => {
    const { id, headers } = await tenant.issue();
    expect((await tenant.self(headers)).status).toBe(200);
    expect((await patch(tenant, id, { enabled: false })).status).toBe(200);
    expect((await tenant.self(headers)).status).toBe(401);
    expect((await patch(tenant, id, { enabled: true })).status).toBe(200);
    expect((await tenant.self(headers)).status).toBe(200);
  });
});

describe("PATCH", () => {
  it("of plane doesn't know our names where it has its own", async () => {
    const tenant = await service.addTenant("plane");
    const { id } = await tenant.issue();
    for (const our of ["name", "expiresAt", "expires_at"]) {
      const body = await patch(tenant, id, { [our]: null });
      expect([body.status, body.json]).toEqual([400, { detail: `${our}: is not a field of the request` }]);
      const mask = await patch(tenant, id, { label: "x", updateMask: our });
      expect(field(mask.json, "detail")).toMatch(/^updateMask: must be among label, /);
    }
  });

  it("of watchmantower clears addresses, by its own name for them", async () => {
    const tenant = await service.addTenant("watchmantower", "enterprise");
    const { id } = await tenant.issue({ ipWhitelist: ["10.0.0.0/8"] });
    for (const nothing of [[], null]) {
      await patch(tenant, id, { ipWhitelist: ["10.0.0.0/8"] });
      const { json } = await patch(tenant, id, { ipWhitelist: nothing });
      expect(field(FACTS.watchmantower.tokenIn(json), "ipWhitelist")).toEqual([]);
    }
    const wrong = await patch(tenant, id, { ipWhitelist: ["10.0.0.1", "here"] });
    expect(wrong.text).toContain("ipWhitelist[1]: must be an IP address or a CIDR block");
  });

  it("of walwarden clears scopes, and wants its key", async () => {
    const tenant = await service.addTenant("walwarden");
    const { id } = await tenant.issue({ scopes: ["audit:read"] });
    const keyless = await tenant.call("PATCH", `/api-tokens/${id}`, {
      headers: await tenant.as("admin"),
      body: { scopes: [] },
    });
    expect([keyless.status, keyless.json]).toEqual([
      400,
      { error: { code: "bad_request", message: "idempotency_key: is required: send the header Idempotency-Key" } },
    ]);
    expect(FACTS.walwarden.tokenIn((await patch(tenant, id, { scopes: [] })).json)).toMatchObject({ scopes: [] });
  });

  it("is another thing than Connect's JSON, where the mask is protobuf's own", async () => {
    const tenant = await service.addTenant("walwarden");
    const { id } = await tenant.issue({ expiresAt: iso(service.clock.nowMs + HOUR) });
    const headers = await tenant.as("admin");
    const post = async (body: Record<string, Json>): Promise<readonly Json[]> => {
      const target = "/latchkey.v1.TokenService/Update";
      const keyed = { ...body, id, idempotencyKey: crypto.randomUUID() };
      const { status, json } = await service.call("POST", target, { headers, body: keyed });
      return [status, field(json, "message")];
    };
    expect(await post({ expiresAt: null })).toEqual([400, "The request names nothing to change."]);
    const lists = "updateMask: must be a list of fields like name,ipAllowlist";
    expect(await post({ updateMask: "expires_at" })).toEqual([400, lists]);
    expect(await tenant.listed(id)).toMatchObject({ expiresAt: expect.any(String) as string });
    expect(await post({ updateMask: "expiresAt" })).toEqual([200, null]);
    expect(await tenant.listed(id)).toMatchObject({ expiresAt: null });
  });

  it("is the same call with its fields in another order, and over gRPC", async () => {
    const tenant = await service.addTenant("watchplane");
    const { id } = await tenant.issue();
    const key = { "idempotency-key": crypto.randomUUID() };
    const first = await patch(tenant, id, { name: "new", enabled: false }, key);
    const again = await patch(tenant, id, { enabled: false, name: "new" }, key);
    expect([again.status, again.text]).toEqual([first.status, first.text]);
    const surface = openSurface(service.test.app, "grpc");
    const request = { id, name: "new", enabled: false, idempotencyKey: key["idempotency-key"] };
    expectOk(await surface.invoke(update, request, await signedIn(tenant, "admin")));
    surface.close();
    expect((await patch(tenant, id, { name: "new" }, key)).status).toBe(409);
  });
});

/** The public id of a token that a product may show as a UUID. */
function toPublicToken(id: string): string {
  return id.startsWith("tok_") ? id : toPublicId("tok", id);
}
