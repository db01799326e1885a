/** How often people who aren't signed in may try things. */
import { describe, expect, it } from "vitest";
import { AuthService } from "../../gen/latchkey/v1/auth_pb.ts";
import { openDeployment, startApp } from "../../src/app.ts";
import { FACTS, field, MINUTE, PRODUCTS, type ProductService, startProducts } from "../helpers/products.ts";
import { expectOk, openSurface, RPC_SURFACES } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

/** The documented limits. */
const LIMITS = { LATCHKEY_LOGIN_LIMIT: "", LATCHKEY_REGISTER_LIMIT: "", LATCHKEY_RESTORE_PASSWORD_LIMIT: "" };

const behindProxy = { ...LIMITS, LATCHKEY_TRUSTED_PROXIES: "127.0.0.1" };

/** Tries to sign in over REST, and answers the status. */
async function login(test: Pick<TestApp, "app">, forwardedFor: string, body: object): Promise<Response> {
  return fetch(`http://${test.app.httpAddress}/api/v1/auth/login`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(forwardedFor && { "x-forwarded-for": forwardedFor }) },
    body: JSON.stringify(body),
  });
}

async function attempt(test: Pick<TestApp, "app">, forwardedFor = "", email = "nobody@example.com"): Promise<number> {
  return (await login(test, forwardedFor, { email, password: "wrong" })).status;
}

async function attempts(test: Pick<TestApp, "app">, count: number, forwardedFor = ""): Promise<readonly number[]> {
  const statuses: number[] = [];
  for (let done = 0; done < count; done++) statuses.push(await attempt(test, forwardedFor));
  return statuses;
}

const TEN_REFUSED = Array.from({ length: 10 }, () => 401);

describe("the limit of sign-ins", () => {
  it("lets a client address try ten times in fifteen minutes, the good ones included", async () => {
    let nowMs = Date.parse("2026-03-04T05:01:00Z");
    await using test = await startTestApp({ env: LIMITS, surroundings: { clock: () => nowMs } });
    const { adminEmail: email, adminPassword: password } = test.credentials;
    for (let done = 0; done < 10; done++) expect((await login(test, "", { email, password })).status).toBe(200);
    for (const body of [
      { email, password },
      { email, password: "wrong" },
    ]) {
      const refused = await login(test, "", body);
      expect(refused.status).toBe(429);
      expect(refused.headers.get("retry-after")).toBe("840");
    }
    nowMs += 14 * MINUTE;
    expect((await login(test, "", { email, password })).status).toBe(200);
  });

  it("refuses without looking: neither a password is tried nor an event written", async () => {
    await using test = await startTestApp({ env: LIMITS });
    expect(await attempts(test, 12)).toEqual([...TEN_REFUSED, 429, 429]);
    const { storage } = test.app.deployment;
    const query = { actor: undefined, target: undefined, from: undefined, until: undefined, after: undefined };
    const events = await storage.listEvents({
      ...query,
      organizationId: undefined,
      actions: ["user.sign_in_failed"],
      limit: 100,
    });
    expect(events).toHaveLength(10);
  });

  it("is of the address, and never of the account: nobody can lock somebody else out", async () => {
    await using test = await startTestApp({ env: behindProxy });
    const { adminEmail: email, adminPassword: password } = test.credentials;
    for (let done = 0; done < 11; done++) await attempt(test, "203.0.113.66", email);
    expect(await attempt(test, "203.0.113.66", email)).toBe(429);
    expect((await login(test, "203.0.113.67", { email, password })).status).toBe(200);
  });

  it("counts the address that a trusted proxy saw, and nothing that a client says of itself", async () => {
    await using test = await startTestApp({ env: behindProxy });
    // What stands left of the address that the proxy saw is the client's own invention.
    for (let done = 0; done < 10; done++) await attempt(test, `198.51.100.${done}, 203.0.113.66`);
    expect(await attempt(test, "203.0.113.66")).toBe(429);
    await using direct = await startTestApp({ env: LIMITS });
    for (let done = 0; done < 10; done++) await attempt(direct, `198.51.100.${done}`);
    expect(await attempt(direct, "198.51.100.99")).toBe(429);
  });

  it("counts an IPv6 client by its /64 network, and an IPv4-mapped address as the IPv4 one", async () => {
    await using test = await startTestApp({ env: behindProxy });
    for (let done = 0; done < 10; done++) await attempt(test, `2001:db8:1:2:${done}::${done}`);
    expect(await attempt(test, "2001:db8:1:2:ffff:ffff:ffff:ffff")).toBe(429);
    expect(await attempt(test, "2001:db8:1:3::1")).toBe(401);
    for (let done = 0; done < 10; done++) await attempt(test, "::ffff:192.0.2.9");
    expect(await attempt(test, "192.0.2.9")).toBe(429);
  });

  it("survives a restart", async () => {
    await using test = await startTestApp({ env: LIMITS });
    expect(await attempts(test, 10)).toEqual(TEN_REFUSED);
    await test.app.stop();
    const app = await startApp(await openDeployment(test.config, false, { logSink: () => {} }));
    expect(await attempt({ app })).toBe(429);
    await app.stop();
  });

  it("holds for many at once", async () => {
    await using test = await startTestApp({ env: LIMITS });
    const statuses = await Promise.all(Array.from({ length: 30 }, () => attempt(test)));
    expect(statuses.filter((status) => status === 401)).toHaveLength(10);
    expect(statuses.filter((status) => status === 429)).toHaveLength(20);
  });

  it("keeps no address to count by", async () => {
    await using test = await startTestApp({ env: behindProxy });
    await attempt(test, "203.0.113.66");
    const keys = await test.database.query("SELECT token_id FROM rate_windows");
    expect(keys).toHaveLength(1);
    for (const { token_id: key } of keys) expect(key).toMatch(/^[\w-]{43}$/);
  });

  it("is of the session where a password is changed", async () => {
    await using test = await startTestApp({ env: behindProxy });
    const rest = openSurface(test.app, "rest");
    const { adminEmail, adminPassword } = test.credentials;
    const stolen = expectOk(await rest.login({}, adminEmail, adminPassword)).accessToken;
    const other = expectOk(await rest.login({}, adminEmail, adminPassword)).accessToken;
    const change = (bearer: string, currentPassword: string) =>
      rest.account({ bearer }, "changePassword", { currentPassword, newPassword: "quite another passphrase" });
    for (let done = 0; done < 10; done++) expect(await change(stolen, "a guess")).toMatchObject({ ok: false });
    expect(await change(stolen, adminPassword)).toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    expectOk(await change(other, adminPassword));
  });
});

describe("the client's address, as a backend states it", () => {
  const request = (clientIp: string) => ({ email: "nobody@example.com", password: "wrong", clientIp });

  it("has a limit of its own, and stands in the audit log", async () => {
    await using test = await startTestApp({ env: LIMITS });
    const grpc = openSurface(test.app, "grpc");
    const backend = { bearer: test.credentials.serviceKey };
    const { login: method } = AuthService.method;
    for (let done = 0; done < 10; done++) await grpc.invoke(method, request("2001:DB8::1"), backend);
    expect(await grpc.invoke(method, request("2001:db8::2"), backend)).toEqual({
      ok: false,
      code: "RESOURCE_EXHAUSTED",
      message: "The rate limit is exceeded.",
    });
    expect(await grpc.invoke(method, request("192.0.2.1"), backend)).toMatchObject({ code: "UNAUTHENTICATED" });
    const { storage } = test.app.deployment;
    const events = await storage.listEvents({
      organizationId: undefined,
      actions: ["user.sign_in_failed"],
      actor: undefined,
      target: undefined,
      from: undefined,
      until: undefined,
      after: undefined,
      limit: 100,
    });
    expect(events.map(({ address }) => address)).toEqual([
      ...Array.from({ length: 10 }, () => "2001:db8::1"),
      "192.0.2.1",
    ]);
    grpc.close();
  });

  it("isn't needed: without it the backend is one client", async () => {
    await using test = await startTestApp({ env: LIMITS });
    const grpc = openSurface(test.app, "grpc");
    const backend = { bearer: test.credentials.serviceKey };
    for (let done = 0; done < 10; done++) await grpc.login(backend, "nobody@example.com", "wrong");
    expect(await grpc.login(backend, "nobody@example.com", "wrong")).toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    grpc.close();
  });

  it.each(RPC_SURFACES.filter((name) => name !== "grpc"))("is refused from anybody else, through %s", async (name) => {
    await using test = await startTestApp({ env: LIMITS });
    const surface = openSurface(test.app, name);
    const refusal = { ok: false, code: "INVALID_ARGUMENT", message: "client_ip: is for service keys only" };
    expect(await surface.invoke(AuthService.method.login, request("192.0.2.1"), {})).toEqual(refusal);
    surface.close();
  });
});

describe("the limit of registrations", () => {
  it("lets a client address try five times an hour, and is apart from that of sign-ins", async () => {
    await using test = await startTestApp({ env: LIMITS });
    const rest = openSurface(test.app, "rest");
    const request = { email: "ada@example.com", password: "difference engine", organizationName: "Analytical" };
    for (let done = 0; done < 5; done++) expectOk(await rest.account({}, "register", request));
    expect(await rest.account({}, "register", request)).toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    expectOk(await rest.login({}, request.email, request.password));
  });
});

describe.each(PRODUCTS)("an organization that registers at %s", (product) => {
  it("has the product's profile", async () => {
    await using service = await startProducts();
    const { host, basePath } = FACTS[product];
    const body = { email: "ada@example.com", password: "difference engine", organizationName: "Analytical" };
    const { status, json } = await service.call("POST", `${basePath}/auth/register`, { host, body });
    expect([status, json]).toEqual([200, {}]);
    const { storage } = service.test.app.deployment;
    const user = await storage.findUserByEmail(body.email);
    const [membership] = await storage.listMembershipsOfUser(user?.id ?? "");
    expect(await storage.getOrganization(membership?.organizationId ?? "")).toMatchObject({ profile: product });
  });
});

describe.each(PRODUCTS)("an attempt too many at %s", (product) => {
  it("is answered as the product does", async () => {
    await using service: ProductService = await startProducts({ env: LIMITS });
    const { host, basePath } = FACTS[product];
    service.clock.startWindow(15 * MINUTE, 1000);
    const body = { email: "nobody@example.com", password: "wrong" };
    const send = () => service.call("POST", `${basePath}/auth/login`, { host, body });
    for (let done = 0; done < 10; done++) expect((await send()).status).toBe(401);
    const { status, headers, json } = await send();
    expect(status).toBe(429);
    expect(headers["retry-after"]).toBe("899");
    const shapes = {
      watchplane: { error: { code: "RESOURCE_EXHAUSTED", message: "The rate limit is exceeded." } },
      watchmantower: { success: false, error: { code: "RATE_LIMITED" } },
      walwarden: { error: { code: "rate_limited" } },
      plane: { detail: "The rate limit is exceeded." },
    };
    expect(json).toMatchObject(shapes[product]);
    expect(field(json, "accessToken")).toBeNull();
  });
});
