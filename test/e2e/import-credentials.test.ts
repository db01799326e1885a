/** Imported keys as the credentials of the products' public routes, and what they may do there. */
import { createHash } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Reason } from "../../gen/latchkey/v1/introspection_pb.ts";
import {
  DigestAlgorithm,
  DigestEncoding,
  type ImportedToken,
  type ImportedTokenSchema,
  ImportStatus,
  TokenState,
} from "../../gen/latchkey/v1/token_pb.ts";
import { foreignKeys } from "../helpers/import-call.ts";
import {
  FACTS,
  field,
  type Headers,
  HOUR,
  type Json,
  PRODUCTS,
  type Product,
  type ProductService,
  startProducts,
  type Tenant,
} from "../helpers/products.ts";

type Row = Exclude<MessageInitShape<typeof ImportedTokenSchema>, ImportedToken>;

/** What a token of the product can't do without. */
const NEEDS: Readonly<Record<Product, Partial<Row>>> = {
  watchplane: {},
  watchmantower: { permission: "full" },
  walwarden: { scopes: ["databases:read"] },
  plane: { type: "service" },
};

const PLANS: Readonly<Partial<Record<Product, string>>> = { watchmantower: "enterprise" };

const bearer = (key: string): Headers => ({ authorization: `Bearer ${key}` });
const apiKey = (key: string): Headers => ({ "x-api-key": key });

let service: ProductService;
const tenants = new Map<Product, Tenant>();

beforeAll(async () => {
  service = await startProducts();
  for (const product of PRODUCTS) tenants.set(product, await service.addTenant(product, PLANS[product]));
});

afterAll(() => service[Symbol.asyncDispose]());

function tenantOf(product: Product): Tenant {
  const tenant = tenants.get(product);
  if (tenant === undefined) throw new Error(`nobody has ${product}`);
  return tenant;
}

/** Imports one key as a service key does, and answers the token's id. */
async function bring(product: Product, row: Row): Promise<string> {
  const { results } = await service.tokens.import({
    organizationId: tenantOf(product).id,
    tokens: [{ name: "an old key", ...NEEDS[product], ...row }],
    idempotencyKey: crypto.randomUUID(),
  });
  const [result] = results;
  expect(result).toMatchObject({ status: ImportStatus.IMPORTED });
  return result?.token?.id ?? "";
}

const sha512 = (text: string) => ({
  digest: createHash("sha512").update(text).digest("base64"),
  digestAlgorithm: DigestAlgorithm.SHA512,
  digestEncoding: DigestEncoding.BASE64,
});

describe.each(PRODUCTS)("an imported key of %s", (product) => {
  it("works in the headers of its product, and in no other, whatever it looks like", async () => {
    const tenant = tenantOf(product);
    const allowed = FACTS[product].headers;
    for (const [index, key] of foreignKeys().entries()) {
      await bring(product, index % 2 === 0 ? { plaintext: key } : sha512(key));
      for (const header of [bearer, apiKey]) {
        const answer = await tenant.self(header(key));
        const isAllowed = allowed.some((one) => JSON.stringify(one(key)) === JSON.stringify(header(key)));
        expect([key, answer.status]).toEqual([key, isAllowed ? 200 : 401]);
        if (isAllowed) expect(answer.text).toContain("an old key");
        expect((await tenant.self(header(`${key}x`))).status).toBe(401);
      }
      expect((await tenant.self({ ...bearer(key), ...apiKey(key) })).status).toBe(401);
    }
    // A person's access token is still a person's, and only in its own header.
    const person = await tenant.as("admin");
    expect((await tenant.call("GET", "/api-tokens", { headers: person })).status).toBe(200);
    const accessToken = (person["authorization"] ?? "").replace("Bearer ", "");
    expect((await tenant.call("GET", "/api-tokens", { headers: apiKey(accessToken) })).status).toBe(401);
  });

  it("takes nobody's access token from them, also where it has been seen as a key", async () => {
    const tenant = tenantOf(product);
    const { authorization = "" } = await tenant.as("admin");
    const accessToken = authorization.replace("Bearer ", "");
    await bring(product, { plaintext: accessToken });
    for (let time = 0; time < 2; time++) {
      const seen = await service.introspect({ token: accessToken });
      expect(seen).toMatchObject({ active: true, name: "an old key" });
      await tenant.self(apiKey(accessToken));
      const after = await tenant.call("GET", "/api-tokens", { headers: { authorization } });
      expect(after.status).toBe(200);
    }
  });

  it("is refused in the product's own words when it is wrong, and ends when it is revoked", async () => {
    const tenant = tenantOf(product);
    const [key = "", wrong = ""] = foreignKeys();
    const id = await bring(product, { plaintext: key });
    const headers = FACTS[product].headers[0]!;
    const refusal = await tenant.self(headers(wrong));
    await tenant.revoke(id, product === "watchplane" ? "owner" : "admin");
    const revoked = await tenant.self(headers(key));
    expect([revoked.status, revoked.json]).toEqual([401, refusal.json]);
    const { active, reason, denial } = await service.introspect({ token: key });
    expect({ active, reason }).toEqual({ active: false, reason: Reason.REVOKED });
    expect([denial?.status, JSON.parse(denial?.body ?? "") as Json]).toEqual([401, refusal.json]);
  });

  it("keeps its age, and shows no more than its hint, where a person imports it over REST", async () => {
    const tenant = tenantOf(product);
    const key = `acme_live_${crypto.randomUUID()}`;
    const created = "2020-05-06T07:08:09Z";
    const answer = await tenant.call("POST", "/api-tokens/import", {
      headers: { ...(await tenant.as("admin")), "idempotency-key": crypto.randomUUID() },
      body: { tokens: [{ name: "by a person", plaintext: key, createdAt: created, ...(NEEDS[product] as object) }] },
    });
    expect([answer.status, field(answer.json, "importedCount")]).toEqual([200, 1]);
    const list = (await tenant.list("?pageSize=1000")) as Json[];
    const listed = list.find((one) => field(one, product === "plane" ? "label" : "name") === "by a person");
    expect(field(listed, product === "plane" ? "created_at" : "createdAt")).toBe(created);
    expect(answer.text).not.toContain(key);
    expect(answer.text).toContain(`acme_…${key.slice(-4)}`);
  });
});

describe("an imported key", () => {
  it("is held to its product's scopes, permissions, addresses and limits", async () => {
    const [scoped = "", readOnly = "", bound = ""] = foreignKeys();
    await bring("walwarden", { plaintext: scoped });
    expect(await service.introspect({ token: scoped, requiredScopes: ["databases:read"] })).toMatchObject({
      allowed: true,
    });
    const denied = await service.introspect({ token: scoped, requiredScopes: ["databases:write"] });
    expect(denied).toMatchObject({ active: true, allowed: false, reason: Reason.INSUFFICIENT_SCOPE });
    expect(JSON.parse(denied.denial?.body ?? "")).toMatchObject({ error: { code: "forbidden" } });

    await bring("watchmantower", { ...sha512(readOnly), permission: "read-only" });
    const ask = (scope: string) => service.introspect({ token: readOnly, requiredScopes: [scope], dryRun: true });
    expect(await ask("monitors:read")).toMatchObject({ allowed: true, permission: "read-only" });
    expect(await ask("monitors:write")).toMatchObject({ allowed: false, reason: Reason.INSUFFICIENT_SCOPE });

    await bring("watchmantower", { plaintext: bound, ipAllowlist: ["192.0.2.0/24"] });
    const from = (clientIp: string) => service.introspect({ token: bound, clientIp, dryRun: true });
    expect(await from("192.0.2.7")).toMatchObject({ allowed: true });
    expect(await from("198.51.100.7")).toMatchObject({ allowed: false, reason: Reason.IP_NOT_ALLOWED });

    const [limited = ""] = foreignKeys();
    await bring("plane", { plaintext: limited, type: "api_key" });
    service.clock.startWindow(HOUR);
    const used = await service.introspect({ token: limited, cost: 59 });
    expect(used).toMatchObject({ allowed: true, rateLimit: { limit: 60n, remaining: 1n } });
    const tenant = tenantOf("plane");
    expect((await tenant.self(apiKey(limited))).status).toBe(200);
    const over = await tenant.self(apiKey(limited));
    expect([over.status, over.headers["x-ratelimit-remaining"]]).toEqual([429, "0"]);
    expect(await service.introspect({ token: limited })).toMatchObject({ active: true, reason: Reason.RATE_LIMITED });
  });

  it("is marked as used", async () => {
    const [key = ""] = foreignKeys();
    const id = await bring("watchplane", { plaintext: key });
    await tenantOf("watchplane").self(apiKey(key));
    await service.flushUses();
    const { token } = await service.tokens.get({ id });
    expect(Number(token?.lastUsedAt?.seconds)).toBe(Math.floor(service.clock.nowMs / 1000));
  });

  it("expires when the import said, and a repeat of that is still answered as it was", async () => {
    const [key = ""] = foreignKeys();
    const at = Math.floor(service.clock.nowMs / 1000) + 60;
    const row = { name: "x", plaintext: key, expiresAt: { seconds: BigInt(at), nanos: 0 } };
    const request = { organizationId: tenantOf("plane").id, tokens: [row], idempotencyKey: crypto.randomUUID() };
    const first = await service.tokens.import(request);
    expect(first.results).toMatchObject([{ token: { state: TokenState.ACTIVE } }]);
    expect(await service.introspect({ token: key })).toMatchObject({ active: true });
    service.clock.nowMs = at * 1000;
    expect(await service.introspect({ token: key })).toMatchObject({ active: false, reason: Reason.EXPIRED });
    expect(await service.tokens.import(request)).toEqual(first);
    const late = await service.tokens.import({ ...request, idempotencyKey: crypto.randomUUID() });
    expect(late.results).toMatchObject([
      {
        status: ImportStatus.INVALID_ARGUMENT,
        faults: [{ field: "tokens[0].expires_at", description: "must be in the future" }],
      },
    ]);
  });
});

describe("a row", () => {
  const importInto = async (tenant: Tenant, rows: readonly Row[]) =>
    service.tokens.import({ organizationId: tenant.id, tokens: [...rows], idempotencyKey: crypto.randomUUID() });

  it("is held to what its organization's product and plan offer, each by itself", async () => {
    const tower = await service.addTenant("watchmantower");
    const keys = foreignKeys();
    const { results } = await importInto(tower, [
      { name: "a", plaintext: keys[0]!, permission: "full", ipAllowlist: ["192.0.2.1"] },
      { name: "b", plaintext: keys[1]!, permission: "some" },
      { name: "c", plaintext: keys[2]!, permission: "full" },
      { name: "d", plaintext: keys[3]!, permission: "full", scopes: ["monitors:read"] },
    ]);
    expect(
      results.map(({ status, faults }) => [status, faults.map((one) => `${one.field}: ${one.description}`)]),
    ).toEqual([
      [ImportStatus.PERMISSION_DENIED, ["tokens[0].ip_allowlist: the plan free doesn't offer it; it needs enterprise"]],
      [ImportStatus.INVALID_ARGUMENT, ["tokens[1].permission: must be one of read-only, full"]],
      [ImportStatus.IMPORTED, []],
      [ImportStatus.INVALID_ARGUMENT, ["tokens[3].scopes: is not offered by the profile watchmantower"]],
    ]);
  });

  it("isn't looked at where the plan comes without tokens, or the product wants an idempotency key", async () => {
    const free = await service.addTenant("walwarden", "free");
    const row = { name: "x", plaintext: foreignKeys()[0]!, scopes: ["databases:read"] };
    await expect(importInto(free, [row])).rejects.toThrow("The plan free comes without API tokens; they need team");
    const { id: organizationId } = tenantOf("walwarden");
    const answer = await tenantOf("walwarden").call("POST", "/api-tokens/import", {
      headers: await tenantOf("walwarden").as("owner"),
      body: { tokens: [row] },
    });
    expect([answer.status, field(field(answer.json, "error"), "code")]).toEqual([400, "bad_request"]);
    await expect(service.tokens.import({ organizationId, tokens: [row] })).rejects.toThrow(
      "idempotency_key: is required: send the header Idempotency-Key",
    );
    expect(await service.introspect({ token: row.plaintext })).toMatchObject({ active: false });
  });
});
