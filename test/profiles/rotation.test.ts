/** How a rotated token looks to each product's customers, and that its two secrets are one token to its limits. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Answer,
  FACTS,
  field,
  type Headers,
  iso,
  type Json,
  MINUTE,
  PRODUCTS,
  type ProductService,
  rateHeaders,
  SECOND,
  startProducts,
  type Tenant,
  textField,
} from "../helpers/products.ts";
import { startTestApp } from "../helpers/test-app.ts";

const NO_OVERLAP = "No overlap is running, so there is no rotation to cancel.";

describe.each(PRODUCTS)("a token of %s that is rotated", (product) => {
  const { tokenIn, secret: secretName, headers: carriers } = FACTS[product];
  let service: ProductService;
  let tenant: Tenant;

  beforeAll(async () => {
    service = await startProducts();
    tenant = await service.addTenant(product, product === "watchmantower" ? "enterprise" : "");
  });

  afterAll(() => service[Symbol.asyncDispose]());

  const call = async (path: string, { key = crypto.randomUUID(), body }: { key?: string; body?: Json } = {}) =>
    tenant.call("POST", path, {
      headers: { ...(await tenant.as("admin")), "idempotency-key": key },
      ...(body === undefined ? {} : { body }),
    });
  const carry = (secret: string): Headers => carriers[0]?.(secret) ?? {};
  const status = async (secret: string) => (await tenant.self(carry(secret))).status;

  it("is answered as an issued one, once, and as any other from then on", async () => {
    const { id, secret: old, answer: issued } = await tenant.issue();
    const key = crypto.randomUUID();
    const rotated = await call(`/api-tokens/${id}/rotate`, { key, body: { overlap: "60s" } });
    expect(rotated.status, rotated.text).toBe(200);
    const secret = textField(tokenIn(rotated.json), secretName);
    expect(secret).not.toBe(old);
    // What the product's page shows of an issued token, and nothing more.
    expect(rotated.json).toEqual(withSecret(issued, old, secret));
    const again = await call(`/api-tokens/${id}/rotate`, { key, body: { overlap: "60s" } });
    expect([again.status, again.text]).toEqual([200, rotated.text]);
    expect(await Promise.all([old, secret].map(status))).toEqual([200, 200]);

    const { status: read, json } = await tenant.call("GET", `/api-tokens/${id}`, { headers: await tenant.as("admin") });
    expect(read).toBe(200);
    for (const answer of [await call(`/api-tokens/${id}/rotation/finish`), await finishTwice(id)]) {
      expect([answer.status, answer.json]).toEqual([200, json]);
      expect(answer.text).not.toContain(secret);
    }
    expect(await Promise.all([old, secret].map(status))).toEqual([401, 200]);
    expect(JSON.stringify(await tenant.listed(id))).not.toMatch(/rotat|overlap|previous/i);
  });

  it("is what it was when that is cancelled", async () => {
    const { id, secret: old } = await tenant.issue();
    const rotated = await call(`/api-tokens/${id}/rotate`, { body: { overlap: "60s" } });
    const secret = textField(tokenIn(rotated.json), secretName);
    const cancelled = await call(`/api-tokens/${id}/rotation/cancel`, { body: {} });
    expect(cancelled.status, cancelled.text).toBe(200);
    expect(field(tokenIn(cancelled.json), "id")).toBe(id);
    expect(await Promise.all([old, secret].map(status))).toEqual([200, 401]);
    const tooLate = await call(`/api-tokens/${id}/rotation/cancel`);
    expect([tooLate.status, tooLate.json]).toEqual([400, REFUSALS[product]]);
  });

  it("has no old secret without an overlap, and is refused one that is none", async () => {
    const { id, secret: old } = await tenant.issue();
    for (const overlap of ["soon", "-1s", "2592001s", 60]) {
      const refused = await call(`/api-tokens/${id}/rotate`, { body: { overlap } });
      expect(refused.status, refused.text).toBe(400);
    }
    expect(await status(old)).toBe(200);
    const rotated = await call(`/api-tokens/${id}/rotate`);
    expect(rotated.status, rotated.text).toBe(200);
    expect(await status(old)).toBe(401);
    expect(await status(textField(tokenIn(rotated.json), secretName))).toBe(200);
  });

  const finishTwice = async (id: string): Promise<Answer> => {
    await call(`/api-tokens/${id}/rotation/finish`);
    return call(`/api-tokens/${id}/rotation/finish`);
  };
});

const REFUSALS: Readonly<Record<(typeof PRODUCTS)[number], Json>> = {
  watchplane: { error: { code: "FAILED_PRECONDITION", message: NO_OVERLAP } },
  watchmantower: { success: false, error: { code: "FAILED_PRECONDITION", message: NO_OVERLAP } },
  walwarden: { error: { code: "bad_request", message: NO_OVERLAP } },
  plane: { detail: NO_OVERLAP },
};

/** The answer to the issue, with another secret in it. */
function withSecret({ text }: Answer, old: string, secret: string): Json {
  return JSON.parse(text.replace(old, secret)) as Json;
}

it("walwarden demands an idempotency key of each step", async () => {
  await using service = await startProducts();
  const tenant = await service.addTenant("walwarden");
  const { id } = await tenant.issue();
  const headers = await tenant.as("admin");
  const message = "idempotency_key: is required: send the header Idempotency-Key";
  for (const step of ["rotate", "rotation/finish", "rotation/cancel"]) {
    const { status, json } = await tenant.call("POST", `/api-tokens/${id}/${step}`, { headers });
    expect([status, json]).toEqual([400, { error: { code: "bad_request", message } }]);
  }
});

it("plane lets a member rotate their own keys, and nobody else's", async () => {
  await using service = await startProducts();
  const tenant = await service.addTenant("plane");
  const [own, other] = [await tenant.issue({}, "member"), await tenant.issue({}, "admin")];
  const headers = await tenant.as("member");
  for (const [{ id }, expected] of [
    [own, [200, 200]],
    [other, [403, 403]],
  ] as const) {
    const rotated = await tenant.call("POST", `/api-tokens/${id}/rotate`, { headers, body: { overlap: "60s" } });
    const cancelled = await tenant.call("POST", `/api-tokens/${id}/rotation/cancel`, { headers });
    expect([rotated.status, cancelled.status]).toEqual(expected);
  }
});

it("both secrets take from one rate limit", async () => {
  await using service = await startProducts();
  const tenant = await service.addTenant("plane");
  const { id, secret: old } = await tenant.issue();
  const headers = await tenant.as("admin");
  service.clock.startWindow(MINUTE);
  const { json } = await tenant.call("POST", `/api-tokens/${id}/rotate`, { headers, body: { overlap: "3600s" } });
  const secrets = [old, textField(json, "token")];
  const admitted: string[] = [];
  for (let index = 0; index < 62; index++) {
    const answer = await tenant.self({ "x-api-key": secrets[index % 2] ?? "" });
    if (answer.status === 200) admitted.push(rateHeaders(answer).remaining ?? "");
    else expect(answer.status).toBe(429);
  }
  expect(admitted).toEqual(Array.from({ length: 60 }, (_, index) => String(59 - index)));
});

it("a profile of one's own can show the rotation", async () => {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-profiles-"));
  const shown = { id: "{id}", "rotated?": "{rotated_at}", ends: "{overlap_ends_at}", used: "{previous_last_used_at}" };
  const same = { body: "{token}" };
  const acme = {
    id: "acme",
    secret: { prefix: "acme_", alphabet: "base62", random: 40 },
    credentials: ["x-api-key"],
    base_paths: ["/v2"],
    access: "full",
    expiry: "never",
    managers: { any: ["owner", "admin"] },
    plans: { standard: {} },
    token: shown,
    responses: {
      issue: { status: 201, body: { ...shown, key: "{secret}" } },
      token: same,
      list: { body: { tokens: "{tokens}" } },
      revoke: same,
      login: { body: { access: "{access_token}", refresh: "{refresh_token}" } },
      refresh: { body: { access: "{access_token}", refresh: "{refresh_token}" } },
    },
    errors: { body: { text: "{message}" } },
  };
  await writeFile(join(folder, "acme.json"), JSON.stringify(acme));
  let nowMs = Date.parse("2026-03-04T05:06:07Z");
  await using test = await startTestApp({
    env: { LATCHKEY_PROFILES_DIR: folder, LATCHKEY_PROFILE: "acme" },
    surroundings: { clock: () => nowMs },
  });
  await rm(folder, { recursive: true });
  const { adminEmail: email, adminPassword: password } = test.credentials;
  const authorization = `Bearer ${await test.signIn({ email, password })}`;
  const call = async (verb: string, path: string, headers: Headers = { authorization }, body?: Json) => {
    const response = await fetch(`http://${test.app.httpAddress}/v2/api-tokens${path}`, {
      method: verb,
      headers: { ...headers, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return (await response.json()) as Json;
  };
  const issued = await call("POST", "", { authorization }, { name: "x" });
  const id = textField(issued, "id");
  const old = textField(issued, "key");
  expect(issued).toEqual({ id, ends: null, used: null, key: old });
  const times = { rotated: iso(nowMs), ends: iso(nowMs + MINUTE) };
  const rotated = await call("POST", `/${id}/rotate`, { authorization }, { overlap: "60s" });
  expect(rotated).toEqual({ id, ...times, used: null, key: expect.stringMatching(/^acme_/) as string });
  nowMs += SECOND;
  await call("GET", "/self", { "x-api-key": old });
  await test.app.usage.flush();
  expect(await call("GET", `/${id}`)).toEqual({ id, ...times, used: iso(nowMs) });
  expect(await call("POST", `/${id}/rotation/cancel`)).toEqual({ id, ends: null, used: null });
});
