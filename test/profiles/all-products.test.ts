/** One running service asks each product's customers for the same things, and keeps them apart. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { IntrospectionService, Reason } from "../../gen/latchkey/v1/introspection_pb.ts";
import { createClient } from "../../src/client/index.ts";
import { generateSecret } from "../../src/domain/secret-format.ts";
import {
  type Answer,
  DAY,
  FACTS,
  field,
  type Headers,
  HOUR,
  iso,
  type Json,
  MINUTE,
  PRODUCTS,
  type Product,
  type ProductService,
  startProducts,
  type Tenant,
  textField,
} from "../helpers/products.ts";

const WALWARDEN_SCOPES =
  "databases:read, databases:write, destinations:read, destinations:write, backups:trigger, restores:read, " +
  "restores:write, evidence:read, evidence:export, audit:read, readiness:read";
const NO_CREDENTIAL = "A credential is missing: send `Authorization: Bearer <access token>` or `X-Api-Key: <token>`.";
const BAD_CREDENTIAL = "The credential is not valid.";

type Kind = "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "rate_limited";

const CODES: Readonly<Record<Exclude<Product, "plane">, Readonly<Record<Kind, string>>>> = {
  watchplane: {
    invalid_argument: "INVALID_ARGUMENT",
    unauthenticated: "UNAUTHENTICATED",
    permission_denied: "PERMISSION_DENIED",
    not_found: "NOT_FOUND",
    rate_limited: "RESOURCE_EXHAUSTED",
  },
  watchmantower: {
    invalid_argument: "INVALID_ARGUMENT",
    unauthenticated: "UNAUTHORIZED",
    permission_denied: "FORBIDDEN",
    not_found: "NOT_FOUND",
    rate_limited: "RATE_LIMITED",
  },
  walwarden: {
    invalid_argument: "bad_request",
    unauthenticated: "unauthorized",
    permission_denied: "forbidden",
    not_found: "not_found",
    rate_limited: "rate_limited",
  },
};

/** An error as the product shows it. */
function envelope(product: Product, kind: Kind, message: string): Json {
  if (product === "plane") return { detail: message };
  const error = { code: CODES[product][kind], message };
  return product === "watchmantower" ? { success: false, error } : { error };
}

const MISSING: Readonly<Record<Product, Json>> = {
  watchplane: envelope("watchplane", "unauthenticated", NO_CREDENTIAL),
  watchmantower: envelope("watchmantower", "unauthenticated", "Missing API key"),
  walwarden: envelope("walwarden", "unauthenticated", NO_CREDENTIAL),
  plane: envelope("plane", "unauthenticated", "Authentication credentials were not provided."),
};

const INVALID: Readonly<Record<Product, Json>> = {
  watchplane: envelope("watchplane", "unauthenticated", BAD_CREDENTIAL),
  watchmantower: envelope("watchmantower", "unauthenticated", "Invalid API key"),
  walwarden: envelope("walwarden", "unauthenticated", BAD_CREDENTIAL),
  plane: envelope("plane", "unauthenticated", "Given API token is not valid"),
};

let service: ProductService;
let tenants: Readonly<Record<Product, Tenant>>;

beforeAll(async () => {
  service = await startProducts();
  const [watchplane, watchmantower, walwarden, plane] = await Promise.all(
    PRODUCTS.map((product) => service.addTenant(product)),
  );
  tenants = { watchplane: watchplane!, watchmantower: watchmantower!, walwarden: walwarden!, plane: plane! };
});

afterAll(() => service[Symbol.asyncDispose]());

describe.each(PRODUCTS)("%s", (product) => {
  const { basePath, host, headers: carriers, listIn, secret: secretName } = FACTS[product];
  const nameField = product === "plane" ? "label" : "name";

  it("issues, judges, shows, lists and revokes a token, and then refuses it", async () => {
    const tenant = await service.addTenant(product);
    const { id, secret, headers, answer } = await tenant.issue({ [nameField]: "the same for all" });
    expect(answer.status).toBe(201);
    expect(answer.text.split(secret)).toHaveLength(2);
    const [profile] = service.test.app.deployment.profiles.offered.filter((one) => one.id === product);
    expect(service.test.app.deployment.profiles.ofSecret(secret)).toBe(profile);

    const judgement = await service.introspect({ token: secret });
    const owner = await tenant.person("admin");
    expect(judgement).toMatchObject({
      active: true,
      allowed: true,
      reason: Reason.UNSPECIFIED,
      organizationId: tenant.id,
      userId: owner.userId,
      profile: product,
      name: "the same for all",
      plan: profile?.plans[0]?.name,
    });
    expect(judgement.denial).toBeUndefined();

    for (const carry of carriers) {
      const self = await tenant.self(carry(secret));
      expect(self.status).toBe(200);
      expect(self.text).not.toContain(secret);
      const shown = field(FACTS[product].tokenIn(self.json), secretName);
      expect(shown).toBeNull();
      expect(FACTS[product].tokenIn(self.json)).toMatchObject({ id, [nameField]: "the same for all" });
    }

    const list = await tenant.call("GET", "/api-tokens", { headers: await tenant.as("member") });
    expect(list.status).toBe(200);
    expect(list.text).not.toContain(secret);
    expect(listIn(list.json)).toMatchObject([{ id, [nameField]: "the same for all" }]);

    const revoked = await tenant.revoke(id);
    expect(revoked.status).toBe(200);
    for (const carry of carriers) {
      const refused = await tenant.self(carry(secret));
      expect(refused.status).toBe(401);
      expect(refused.json).toEqual(INVALID[product]);
      expect(refused.headers["www-authenticate"]).toBe('Bearer realm="latchkey"');
    }
    expect((await tenant.self(headers)).status).toBe(401);
    expect(await service.introspect({ token: secret })).toMatchObject({
      active: false,
      allowed: false,
      reason: Reason.REVOKED,
      tokenId: "",
      organizationId: "",
      name: "",
      profile: "",
    });
  });

  it("takes its tokens in its own headers only", async () => {
    const tenant = tenants[product];
    const { secret } = await tenant.issue();
    const all = [
      (value: string) => ({ authorization: `Bearer ${value}` }),
      (value: string) => ({ "x-api-key": value }),
    ];
    const accepted = carriers.map((carry) => Object.keys(carry(secret))[0]);
    for (const carry of all) {
      const headers: Headers = carry(secret);
      const answer = await tenant.self(headers);
      const isAccepted = accepted.includes(Object.keys(headers)[0]);
      expect(answer.status).toBe(isAccepted ? 200 : 401);
      if (!isAccepted) expect(answer.json).toEqual(INVALID[product]);
    }
  });

  it("answers a missing credential in its own words, at its host and on every route", async () => {
    for (const [verb, path] of [
      ["GET", "/api-tokens"],
      ["POST", "/api-tokens"],
      ["GET", "/api-tokens/self"],
      ["GET", "/api-tokens/tok_x"],
      ["DELETE", "/api-tokens/tok_x"],
    ] as const) {
      const answer = await service.call(verb, basePath + path, { host });
      expect(answer.status).toBe(401);
      expect(answer.json).toEqual(MISSING[product]);
    }
  });
});

describe("denials are what the public port answers", () => {
  /** Compares what a gateway would send with what the public port sends. */
  async function expectSame(
    product: Product,
    secret: string,
    { status, json }: Pick<Answer, "status" | "json"> = { status: 401, json: INVALID[product] },
    clientIp = "",
  ): Promise<void> {
    const { allowed, denial } = await service.introspect({ token: secret, clientIp });
    const forwarded = clientIp === "" ? {} : { "x-forwarded-for": clientIp };
    const answer = await tenants[product].self(FACTS[product].headers[0]!(secret), { headers: forwarded });
    expect(allowed).toBe(false);
    expect(answer.status).toBe(status);
    expect(answer.json).toEqual(json);
    expect(denial?.status).toBe(status);
    expect(denial?.body).toBe(answer.text);
    for (const [name, value] of Object.entries(denial?.headers ?? {})) {
      expect([name, answer.headers[name.toLowerCase()]]).toEqual([name, value]);
    }
    const telling = answer.headerNames.filter((name) => /^(?:content-type|retry-after|x-ratelimit-|www-)/i.test(name));
    expect(Object.keys(denial?.headers ?? {})).toEqual(expect.arrayContaining(telling));
  }

  it.each(PRODUCTS)("for a token of %s that nobody issued", async (product) => {
    const { deployment } = service.test.app;
    const secret = generateSecret(deployment.profiles.get(product)!.secretFormat, deployment.entropy);
    expect(await service.introspect({ token: secret })).toMatchObject({ reason: Reason.UNKNOWN });
    await expectSame(product, secret);
  });

  it.each(PRODUCTS)("for one of %s that isn't well-formed", async (product) => {
    const { secret } = await tenants[product].issue();
    const mistyped = secret.slice(0, -1) + (secret.endsWith("0") ? "1" : "0");
    expect(await service.introspect({ token: mistyped })).toMatchObject({ reason: Reason.MALFORMED });
    await expectSame(product, mistyped);
  });

  it.each(PRODUCTS)("for one of %s that was revoked", async (product) => {
    const { id, secret } = await tenants[product].issue();
    await tenants[product].revoke(id);
    await expectSame(product, secret);
  });

  it.each(PRODUCTS)("for one of %s that is switched off", async (product) => {
    const secret = await tenants[product].disabledToken();
    expect(await service.introspect({ token: secret })).toMatchObject({ reason: Reason.DISABLED });
    await expectSame(product, secret);
  });

  it.each([
    ["watchmantower", "expiresAt"],
    ["walwarden", "expiresAt"],
    ["plane", "expired_at"],
  ] as const)("for one of %s that has expired", async (product, name) => {
    const { secret } = await tenants[product].issue({ [name]: iso(service.clock.nowMs + HOUR) });
    service.clock.advance(HOUR);
    expect(await service.introspect({ token: secret })).toMatchObject({ reason: Reason.EXPIRED });
    await expectSame(product, secret);
  });

  it.each(["watchmantower", "plane"] as const)("for one of %s that is over its limit", async (product) => {
    const { secret } = await tenants[product].issue();
    service.clock.startWindow(HOUR, 10 * MINUTE + 500);
    const { rateLimit } = await service.introspect({ token: secret });
    await service.introspect({ token: secret, cost: Number(rateLimit?.remaining) });
    expect(await service.introspect({ token: secret })).toMatchObject({ reason: Reason.RATE_LIMITED });
    const message = product === "plane" ? "The rate limit is exceeded." : "Rate limit exceeded";
    await expectSame(product, secret, { status: 429, json: envelope(product, "rate_limited", message) });
  });

  it("for one of watchmantower from an address that isn't on its list", async () => {
    const tenant = await service.addTenant("watchmantower", "enterprise");
    const { secret } = await tenant.issue({ ipWhitelist: ["192.0.2.0/24"] });
    const json = envelope("watchmantower", "permission_denied", "The API token can't be used from this address.");
    await expectSame("watchmantower", secret, { status: 403, json }, "198.51.100.7");
  });
});

describe("organizations of different products", () => {
  it("see nothing of each other", async () => {
    for (const product of PRODUCTS) {
      const tenant = tenants[product];
      const headers = await tenant.as("owner");
      for (const other of PRODUCTS.filter((one) => one !== product)) {
        const theirs = await tenants[other].issue();
        // A person's own product decides how the answer looks, also at the other's host.
        for (const call of [tenant, tenants[other]]) {
          const path = `${FACTS[product].basePath}/api-tokens/${theirs.id}`;
          const options = { host: FACTS[call.product].host, headers: { ...headers, "idempotency-key": "x" } };
          for (const verb of ["GET", "DELETE"]) {
            const refused = await service.call(verb, path, options);
            expect(refused.status).toBe(404);
            expect(refused.json).toEqual(envelope(product, "not_found", "No such token."));
          }
        }
        const list = await tenant.call("GET", `/api-tokens?organization_id=${tenants[other].id}`, { headers });
        expect(list.status).toBe(404);
        expect(list.json).toEqual(envelope(product, "not_found", "No such organization."));
        expect(JSON.stringify(await tenant.list("?page_size=1000", headers))).not.toContain(theirs.id);
        expect((await tenants[other].self(theirs.headers)).status).toBe(200);
      }
    }
  });

  it("can't issue in one another, with a session or with a token that manages tokens", async () => {
    const managers: [Product, Headers][] = [
      ["watchplane", (await tenants.watchplane.issue()).headers],
      ["watchmantower", (await tenants.watchmantower.issue()).headers],
      ["walwarden", await tenants.walwarden.as("owner")],
      ["plane", await tenants.plane.as("owner")],
    ];
    for (const [product, headers] of managers) {
      for (const other of PRODUCTS.filter((one) => one !== product)) {
        // Uses that are written down meanwhile would show in the list.
        await service.test.app.usage.flush();
        const before = await tenants[other].list("?page_size=1000");
        const refused = await tenants[product].tryIssue({ organizationId: tenants[other].id }, headers);
        expect(refused.status).toBe(404);
        expect(refused.json).toEqual(envelope(product, "not_found", "No such organization."));
        expect(await tenants[other].list("?page_size=1000")).toEqual(before);
      }
    }
  });

  it("have backends that know their own tokens only", async () => {
    for (const product of PRODUCTS) {
      const token = await service.test.addServiceKey(["introspect"], tenants[product].id);
      const backend = createClient(IntrospectionService, { address: service.test.app.grpcAddress, token });
      for (const other of PRODUCTS) {
        const { secret } = await tenants[other].issue();
        const judgement = await backend.introspect({ token: secret });
        expect(judgement.active).toBe(other === product);
        if (other !== product)
          expect(judgement).toMatchObject({ reason: Reason.UNKNOWN, organizationId: "", name: "" });
      }
      backend.close();
    }
  });
});

interface BadInput {
  readonly product: Product;
  readonly what: string;
  readonly plan?: string;
  readonly fields: Record<string, Json>;
  readonly status: 400 | 403;
  readonly message: string;
}

const notOffered = (product: Product, what: string, name: string, fields: Record<string, Json>): BadInput => ({
  product,
  what,
  fields,
  status: 400,
  message: `${name}: is not offered by the profile ${product}`,
});

const BAD_CIDR = "must be an IP address or a CIDR block";

const BAD_INPUT: readonly BadInput[] = [
  notOffered("watchplane", "a scope", "scopes", { scopes: ["monitors:read"] }),
  notOffered("watchplane", "a wildcard", "scopes", { scopes: ["*"] }),
  notOffered("watchplane", "a permission", "permission", { permission: "full" }),
  notOffered("watchplane", "a type", "type", { type: "robot" }),
  notOffered("watchplane", "an expiry", "expires_at", { expiresAt: "2100-01-01T00:00:00Z" }),
  notOffered("watchplane", "an expiry in the past", "expires_at", { expiresAt: "2020-01-01T00:00:00Z" }),
  notOffered("watchplane", "addresses", "ip_allowlist", { ipAllowlist: ["192.0.2.0/24"] }),
  {
    product: "watchmantower",
    what: "an unknown permission",
    fields: { permissions: "admin" },
    status: 400,
    message: "permissions: must be one of read-only, full",
  },
  {
    product: "watchmantower",
    what: "a wildcard for a permission",
    fields: { permissions: "*" },
    status: 400,
    message: "permissions: must be one of read-only, full",
  },
  {
    product: "watchmantower",
    what: "an expiry in the past",
    fields: { expiresAt: "2020-01-01T00:00:00Z" },
    status: 400,
    message: "expiresAt: must be in the future",
  },
  {
    product: "watchmantower",
    what: "addresses on another plan",
    plan: "stack",
    fields: { ipWhitelist: ["192.0.2.0/24"] },
    status: 403,
    message: "ipWhitelist: the plan stack doesn't offer it; it needs enterprise",
  },
  {
    product: "watchmantower",
    what: "bad CIDR blocks",
    plan: "enterprise",
    fields: { ipWhitelist: ["192.0.2.0/24", "192.0.2.0/33", "nonsense", "fe80::1%eth0"] },
    status: 400,
    message: [1, 2, 3].map((index) => `ipWhitelist[${index}]: ${BAD_CIDR}`).join("; "),
  },
  {
    product: "watchmantower",
    what: "several faults at once",
    plan: "enterprise",
    fields: { permissions: "admin", expiresAt: "2020-01-01T00:00:00Z", ipWhitelist: ["x"], scopes: ["y"] },
    status: 400,
    message:
      "permissions: must be one of read-only, full; scopes: is not offered by the profile watchmantower; " +
      `expiresAt: must be in the future; ipWhitelist[0]: ${BAD_CIDR}`,
  },
  notOffered("watchmantower", "a scope", "scopes", { scopes: ["monitors:read"] }),
  notOffered("watchmantower", "a type", "type", { type: "robot" }),
  {
    product: "walwarden",
    what: "a scope outside the catalog",
    fields: { scopes: ["audit:read", "audit:write"] },
    status: 400,
    message: `scopes: must be among ${WALWARDEN_SCOPES}`,
  },
  {
    product: "walwarden",
    what: "a wildcard",
    fields: { scopes: ["databases:*"] },
    status: 400,
    message: `scopes: must be among ${WALWARDEN_SCOPES}`,
  },
  {
    product: "walwarden",
    what: "an expiry in the past",
    fields: { expiresAt: "2020-01-01T00:00:00Z" },
    status: 400,
    message: "expiresAt: must be in the future",
  },
  {
    product: "walwarden",
    what: "a plan without tokens",
    plan: "free",
    fields: {},
    status: 403,
    message: "The plan free comes without API tokens; they need team or enterprise.",
  },
  notOffered("walwarden", "a permission", "permission", { permission: "full" }),
  notOffered("walwarden", "a type", "type", { type: "robot" }),
  notOffered("walwarden", "addresses", "ip_allowlist", { ipAllowlist: ["192.0.2.0/24"] }),
  {
    product: "plane",
    what: "an unknown type",
    fields: { token_type: "robot" },
    status: 400,
    message: "token_type: must be one of api_key, service",
  },
  {
    product: "plane",
    what: "an expiry in the past",
    fields: { expired_at: "2020-01-01T00:00:00Z" },
    status: 400,
    message: "expired_at: must be in the future",
  },
  notOffered("plane", "a scope", "scopes", { scopes: ["x:read"] }),
  notOffered("plane", "a wildcard", "scopes", { scopes: ["*"] }),
  notOffered("plane", "a permission", "permission", { permission: "full" }),
  notOffered("plane", "addresses", "ip_allowlist", { ipAllowlist: ["192.0.2.0/24"] }),
];

describe("bad input", () => {
  it.each(BAD_INPUT)(
    "$product refuses $what, and writes nothing",
    async ({ product, plan, fields, status, message }) => {
      const tenant = await service.addTenant(product, plan);
      const kind = status === 403 ? "permission_denied" : "invalid_argument";
      const answer = await tenant.tryIssue(fields);
      expect(answer.status).toBe(status);
      expect(answer.json).toEqual(envelope(product, kind, message));
      expect(await tenant.list("?page_size=1000")).toEqual([]);
      const states = ["ACTIVE", "DISABLED", "EXPIRED", "REVOKED"].map((state) => `states=TOKEN_STATE_${state}`);
      expect(await tenant.list(`?${states.join("&")}`)).toEqual([]);
    },
  );

  it("walwarden refuses what comes without an Idempotency-Key; the others don't need one", async () => {
    for (const product of PRODUCTS) {
      const tenant = await service.addTenant(product);
      const headers = await tenant.as("admin");
      const issue = await tenant.call("POST", "/api-tokens", { headers, body: FACTS[product].issue("no key") });
      const message = "idempotency_key: is required: send the header Idempotency-Key";
      const expectRefused = (answer: Answer): void => {
        expect(answer.status).toBe(400);
        expect(answer.json).toEqual(envelope(product, "invalid_argument", message));
      };
      if (product === "walwarden") {
        expectRefused(issue);
        expect(await tenant.list()).toEqual([]);
        const { id } = await tenant.issue();
        expectRefused(await tenant.call("DELETE", `/api-tokens/${id}`, { headers }));
        expect(await tenant.list()).toMatchObject([{ id, state: "active" }]);
      } else {
        expect(issue.status).toBe(201);
        const id = textField(FACTS[product].tokenIn(issue.json), "id");
        expect((await tenant.call("DELETE", `/api-tokens/${id}`, { headers })).status).toBe(200);
      }
    }
  });

  it("an unknown plan is refused with the profile's plans, and nothing is made or changed", async () => {
    const plans: Readonly<Record<Product, string>> = {
      watchplane: "standard",
      watchmantower: "free, solo, team, stack, enterprise",
      walwarden: "team, free, enterprise",
      plane: "standard",
    };
    for (const product of PRODUCTS) {
      const details = `plan: must be one of ${plans[product]} with the profile ${product}`;
      const before = await service.organizations.list({ pageSize: 1000 });
      const create = service.organizations.create({ name: "x", profile: product, plan: "platinum" });
      await expect(create).rejects.toMatchObject({ code: 3, details });
      const setPlan = service.organizations.setPlan({ organizationId: tenants[product].id, plan: "platinum" });
      await expect(setPlan).rejects.toMatchObject({ code: 3, details });
      expect(await service.organizations.list({ pageSize: 1000 })).toEqual(before);
    }
    await expect(service.organizations.create({ name: "x", profile: "nonesuch" })).rejects.toMatchObject({
      code: 3,
      details: "profile: must be one of plane, walwarden, watchmantower, watchplane",
    });
  });

  it("the names of one product are not those of another", async () => {
    for (const [product, name] of [
      ["watchplane", "label"],
      ["watchplane", "permissions"],
      ["watchmantower", "permission"],
      ["watchmantower", "ipAllowlist"],
      ["walwarden", "expired_at"],
      ["plane", "name"],
      ["plane", "expiresAt"],
      ["plane", "type"],
    ] as const) {
      const refused = await tenants[product].tryIssue({ [name]: "x" });
      expect(refused.status).toBe(400);
      expect(refused.json).toEqual(envelope(product, "invalid_argument", `${name}: is not a field of the request`));
    }
  });
});

describe("before the caller is known", () => {
  const at = (target: string, host: string, headers: Headers = {}): Promise<Answer> =>
    service.call("GET", target, { host, headers });

  it("the host decides, whatever its case and port", async () => {
    for (const product of PRODUCTS) {
      const { host, basePath } = FACTS[product];
      for (const spelling of [host, host.toUpperCase(), `${host}:8443`]) {
        const answer = await at(`${basePath}/api-tokens`, spelling);
        expect(answer.status).toBe(401);
        expect(answer.json).toEqual(MISSING[product]);
      }
      const junk = await at(`${basePath}/api-tokens`, host, { "x-api-key": "junk" });
      expect(junk.json).toEqual(INVALID[product]);
      const login = await service.call("POST", `${basePath}/auth/login`, { host, body: { email: "x", password: "y" } });
      expect(login.status).toBe(401);
      expect(login.json).toEqual(envelope(product, "unauthenticated", "The email or the password is wrong."));
    }
  });

  it("at any other host it is the default profile, and Watchman Tower below its own base path", async () => {
    for (const host of ["127.0.0.1", "api.plane.so.example.com", "localhost:8080"]) {
      expect((await at("/api/v1/api-tokens", host)).json).toEqual(MISSING.watchplane);
      expect((await at("/public/v1/api-tokens", host)).json).toEqual(MISSING.watchmantower);
      expect((await at("/public/v1/api-tokens", host, { "x-api-key": "junk" })).json).toEqual(INVALID.watchmantower);
    }
  });

  it("the prefix of a credential goes before the host, and tells the product of a malformed one", async () => {
    for (const product of PRODUCTS) {
      const { secret } = await tenants[product].issue();
      const [carry] = FACTS[product].headers;
      for (const { host } of Object.values(FACTS)) {
        const answer = await at(`${FACTS[product].basePath}/api-tokens`, host, carry!(`${secret.slice(0, 12)}!`));
        expect(answer.status).toBe(401);
        expect(answer.json).toEqual(INVALID[product]);
      }
    }
  });

  it("then the caller's organization goes before everything else", async () => {
    for (const product of PRODUCTS) {
      const tenant = tenants[product];
      const { id, headers } = await tenant.issue();
      for (const { host } of Object.values(FACTS)) {
        for (const credential of [headers, await tenant.as("admin")]) {
          const answer = await at(`${FACTS[product].basePath}/api-tokens/${id}`, host, credential);
          // Whoever may not manage tokens, may not read others by their id.
          if (answer.status === 403)
            expect(answer.json).toEqual(envelope(product, "permission_denied", expect.any(String) as string));
          else expect(FACTS[product].tokenIn(answer.json)).toMatchObject({ id });
        }
        const self = await at(`${FACTS[product].basePath}/api-tokens/self`, host, headers);
        expect(FACTS[product].tokenIn(self.json)).toMatchObject({ id });
      }
    }
  });

  it("a base path of another product has nothing for the caller", async () => {
    for (const product of ["watchplane", "walwarden", "plane"] as const) {
      const { headers } = await tenants[product].issue();
      const answer = await at("/public/v1/api-tokens/self", FACTS[product].host, headers);
      expect(answer.status).toBe(404);
      expect(answer.json).toEqual(envelope(product, "not_found", "There is nothing at this path."));
    }
  });

  it("users/me is there for Plane's tokens only", async () => {
    for (const product of PRODUCTS) {
      const { headers } = await tenants[product].issue();
      for (const path of ["/users/me", "/users/me/"]) {
        const answer = await tenants[product].call("GET", path, { headers });
        expect(answer.status).toBe(product === "plane" ? 200 : 404);
      }
    }
  });

  it("a path that isn't there looks like the host's product too", async () => {
    for (const product of PRODUCTS) {
      const answer = await at("/nothing/here", FACTS[product].host);
      expect(answer.status).toBe(404);
      expect(answer.json).toEqual(envelope(product, "not_found", "There is nothing at this path."));
    }
  });

  it.each(PRODUCTS)("%s as the default profile decides without any map of hosts", async (product) => {
    await using other = await startProducts({ env: { LATCHKEY_PROFILE: product, LATCHKEY_HOST_PROFILES: "" } });
    const path = "/api/v1/api-tokens";
    for (const host of [FACTS.watchplane.host, FACTS.plane.host, "127.0.0.1"]) {
      const missing = await other.call("GET", path, { host });
      expect(missing.status).toBe(401);
      expect(missing.json).toEqual(MISSING[product]);
      const junk = await other.call("GET", path, { host, headers: { "x-api-key": "junk" } });
      expect(junk.json).toEqual(INVALID[product]);
    }
    const hinted = await other.call("GET", "/public/v1/api-tokens");
    expect(hinted.json).toEqual(MISSING.watchmantower);
    // What nobody's token could be is denied in the default's words.
    const { denial, reason } = await other.introspect({ token: "junk" });
    expect(reason).toBe(Reason.MALFORMED);
    expect(JSON.parse(denial?.body ?? "")).toEqual(INVALID[product]);
    // The first organization is of that product.
    const email = other.test.credentials.adminEmail;
    const login = await other.call("POST", "/api/v1/auth/login", {
      body: { email, password: other.test.credentials.adminPassword },
    });
    expect(login.status).toBe(200);
    const { organization } = await other.organizations.get({ id: other.test.credentials.organizationId });
    expect(organization?.profile).toBe(product);
  });
});

describe("plans", () => {
  it("are those of each product, and a change is seen by the next call", async () => {
    const { watchmantower } = tenants;
    const { secret } = await watchmantower.issue();
    for (const plan of ["solo", "team", "stack", "enterprise", "free"]) {
      await watchmantower.setPlan(plan);
      expect(await service.introspect({ token: secret, dryRun: true })).toMatchObject({ plan });
    }
    const walwarden = await service.addTenant("walwarden");
    const token = await walwarden.issue();
    service.clock.advance(DAY);
    await walwarden.setPlan("free");
    const { reason, denial } = await service.introspect({ token: token.secret });
    expect(reason).toBe(Reason.DISABLED);
    expect(JSON.parse(denial?.body ?? "")).toEqual(INVALID.walwarden);
  });
});
