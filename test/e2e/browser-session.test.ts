/** What the session of a browser promises: no page reads it, no other site uses it, and it ends when it should. */
import { describe, expect, it } from "vitest";
import { AuditService } from "../../gen/latchkey/v1/audit_pb.ts";
import { AuthService, UserService } from "../../gen/latchkey/v1/auth_pb.ts";
import { DashboardService } from "../../gen/latchkey/v1/dashboard_pb.ts";
import { OrganizationService, Role } from "../../gen/latchkey/v1/organization_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { Page } from "../helpers/page.ts";
import { expectOk, openSurface, RPC_SURFACES } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const { method: dashboard } = DashboardService;
const { method: token } = TokenService;

const adminOf = ({ credentials }: TestApp) => ({ email: credentials.adminEmail, password: credentials.adminPassword });

async function signedIn(test: TestApp, person = adminOf(test)): Promise<Page> {
  const page = new Page(test.app);
  expect(await page.call(dashboard.signIn, { email: person.email, password: person.password })).toMatchObject({
    code: "ok",
  });
  return page;
}

const DAY_MS = 24 * 3600 * 1000;
const COOKIE = "latchkey-session";
const MISSING = {
  status: 401,
  code: "unauthenticated",
  message: expect.stringMatching(/^A credential is missing/) as string,
};
const DEAD = { status: 401, code: "unauthenticated", message: "The credential is not valid." };

describe("a session of a browser", () => {
  it("is a cookie that no script reads, and lets its person act", async () => {
    await using test = await startTestApp();
    const page = new Page(test.app);
    const { response, value } = await page.call(dashboard.signIn, adminOf(test));
    expect(response.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^latchkey-session=lkb_[\w-]{43}; Path=\/; Max-Age=604800; HttpOnly; SameSite=Strict$/),
    ]);
    expect(Object.keys(value ?? {})).toEqual(["$typeName", "expiresAt"]);
    expect(await page.call(token.issue, { name: "CI" })).toMatchObject({ code: "ok" });
    expect((await page.call(UserService.method.getMe, {})).value?.user?.email).toBe(test.credentials.adminEmail);
    const secret = page.cookies.get(COOKIE) ?? "";
    expect(test.logLines.join("\n")).not.toContain(secret);
  });

  it("is kept for the host alone, and sent by TLS alone, where there is TLS", async () => {
    await using test = await startTestApp({ env: { LATCHKEY_PUBLIC_URL: "https://dashboard.example" } });
    const page = new Page(test.app, { Origin: "https://dashboard.example" });
    const { response } = await page.call(dashboard.signIn, adminOf(test));
    expect(response.headers.getSetCookie()).toEqual([
      expect.stringMatching(
        /^__Host-latchkey-session=lkb_\S+; Path=\/; Max-Age=604800; HttpOnly; SameSite=Strict; Secure$/,
      ),
    ]);
    expect(await page.call(token.list, {})).toMatchObject({ code: "ok" });
    // Whoever can set cookies on a neighbour of the host by plain HTTP can't set that one.
    page.cookies.set(COOKIE, page.cookies.get(`__Host-${COOKIE}`) ?? "");
    page.cookies.delete(`__Host-${COOKIE}`);
    expect(await page.call(token.list, {})).toMatchObject(MISSING);
  });

  it.each([
    ["no header of our page", { "X-Latchkey-Dashboard": "" }],
    ["another value of it", { "X-Latchkey-Dashboard": "true" }],
    ["no origin", { Origin: "" }],
    ["the origin of another site", { Origin: "https://evil.example" }],
    ["the origin of a page without one", { Origin: "null" }],
    ["another port of the host", { Origin: "http://127.0.0.1:1" }],
    ["a browser that says another site asks", { "Sec-Fetch-Site": "cross-site" }],
    ["a browser that says a neighbour asks", { "Sec-Fetch-Site": "same-site" }],
  ])("counts for nothing with %s, and none is started", async (_case, headers) => {
    await using test = await startTestApp();
    const page = await signedIn(test);
    const foreign = page.with(headers);
    expect(await foreign.call(token.issue, { name: "stolen" })).toMatchObject(MISSING);
    const { response, ...answer } = await foreign.call(dashboard.signIn, adminOf(test));
    expect(answer).toMatchObject({ status: 403, code: "permission_denied" });
    expect(response.headers.getSetCookie()).toEqual([]);
    expect(await foreign.call(dashboard.signOut, {})).toMatchObject({ code: "permission_denied" });
    expect((await page.call(token.list, {})).value?.tokens).toEqual([]);
  });

  it("is no credential anywhere else", async () => {
    await using test = await startTestApp();
    const page = await signedIn(test);
    const secret = page.cookies.get(COOKIE) ?? "";
    const headers = {
      Cookie: `${COOKIE}=${secret}`,
      Origin: `http://${test.app.httpAddress}`,
      "X-Latchkey-Dashboard": "1",
    };
    const rest = await fetch(`http://${test.app.httpAddress}/api/v1/api-tokens`, { headers });
    expect(rest.status).toBe(401);
    for (const name of RPC_SURFACES) {
      const surface = openSurface(test.app, name);
      for (const credential of [{ bearer: secret }, { apiKey: secret }]) {
        expect(await surface.list(credential)).toMatchObject({ code: "UNAUTHENTICATED" });
      }
      const outcome = await surface.invoke(
        dashboard.signIn,
        adminOf(test),
        name === "grpc" ? { bearer: test.credentials.serviceKey } : {},
      );
      expect(outcome).toEqual({
        ok: false,
        code: "PERMISSION_DENIED",
        message: "Only a page of the dashboard can do this. Programs sign in with AuthService.Login.",
      });
      surface.close();
    }
    // Nor is it traded for tokens, or a refresh token for it.
    const refused = await page.call(AuthService.method.refreshToken, { refreshToken: secret });
    expect(refused).toMatchObject({ code: "unauthenticated" });
    expect(await page.call(token.list, {})).toMatchObject({ code: "ok" });
    const pair = expectOk(
      await openSurface(test.app, "rest").login({}, ...(Object.values(adminOf(test)) as [string, string])),
    );
    page.cookies.set(COOKIE, pair.refreshToken);
    expect(await page.call(token.list, {})).toMatchObject(MISSING);
  });

  it("gives way to a credential that the page sends itself", async () => {
    await using test = await startTestApp();
    const page = await signedIn(test);
    const { value } = await page.call(token.issue, { name: "CI" });
    const self = await page.call(token.getSelf, {}, { "X-Api-Key": value?.secret ?? "" });
    expect(self.value?.token?.id).toBe(value?.token?.id);
    expect(await page.call(token.list, {}, { Authorization: "Bearer nonsense" })).toMatchObject(DEAD);
  });

  it("doesn't count when there are two of them", async () => {
    await using test = await startTestApp();
    const page = await signedIn(test);
    const secret = page.cookies.get(COOKIE) ?? "";
    expect(await page.call(token.list, {}, { Cookie: `${COOKIE}=${secret}; ${COOKIE}=x` })).toMatchObject(MISSING);
    expect(await page.call(token.list, {}, { Cookie: `other=1; ${COOKIE}=${secret}` })).toMatchObject({ code: "ok" });
  });

  it("serves any number of calls at once, and has nothing that they could race for", async () => {
    let nowMs = Date.parse("2026-03-04T05:06:07Z");
    await using test = await startTestApp({ surroundings: { clock: () => nowMs } });
    const page = await signedIn(test);
    // Long after an access token would have expired.
    nowMs += 3 * DAY_MS;
    const answers = await Promise.all(Array.from({ length: 30 }, () => page.call(token.list, {})));
    expect(answers.map(({ code }) => code)).toEqual(answers.map(() => "ok"));
  });

  it("ends after seven days, to the millisecond", async () => {
    let nowMs = Date.parse("2026-03-04T05:06:07Z");
    await using test = await startTestApp({ surroundings: { clock: () => nowMs } });
    const page = await signedIn(test);
    nowMs += 7 * DAY_MS - 1;
    expect(await page.call(token.list, {})).toMatchObject({ code: "ok" });
    nowMs += 1;
    expect(await page.call(token.list, {})).toMatchObject(DEAD);
  });

  it("ends with a sign-out, at once, whoever has a copy of it", async () => {
    await using test = await startTestApp();
    const page = await signedIn(test);
    const copy = page.with({});
    const { response } = await page.call(dashboard.signOut, {});
    expect(response.headers.getSetCookie()).toEqual([
      "latchkey-session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict",
    ]);
    expect(await copy.call(token.list, {})).toMatchObject(DEAD);
    expect(await page.call(token.list, {})).toMatchObject(MISSING);
    expect(await page.call(dashboard.signOut, {})).toMatchObject({ code: "ok" });
  });

  it("ends when its browser signs in anew", async () => {
    await using test = await startTestApp();
    const page = await signedIn(test);
    const before = page.with({});
    expect(await page.call(dashboard.signIn, adminOf(test))).toMatchObject({ code: "ok" });
    expect(await before.call(token.list, {})).toMatchObject(DEAD);
    expect(await page.call(token.list, {})).toMatchObject({ code: "ok" });
  });

  it("ends with a new password, except where that was chosen", async () => {
    await using test = await startTestApp();
    const [page, other] = [await signedIn(test), await signedIn(test)];
    const passwords = { currentPassword: test.credentials.adminPassword, newPassword: "another good passphrase" };
    expect(await page.call(AuthService.method.changePassword, passwords)).toMatchObject({ code: "ok" });
    expect(await page.call(token.list, {})).toMatchObject({ code: "ok" });
    expect(await other.call(token.list, {})).toMatchObject(DEAD);
  });

  it("is counted and recorded like any other sign-in", async () => {
    await using test = await startTestApp({ env: { LATCHKEY_LOGIN_LIMIT: "2/15m" } });
    const page = await signedIn(test);
    const wrong = { email: test.credentials.adminEmail, password: "wrong" };
    expect(await page.call(dashboard.signIn, wrong)).toMatchObject({
      status: 401,
      code: "unauthenticated",
      message: "The email or the password is wrong.",
    });
    const limited = await page.call(dashboard.signIn, adminOf(test));
    expect(limited).toMatchObject({ status: 429, code: "resource_exhausted" });
    expect(Number(limited.response.headers.get("Retry-After"))).toBeGreaterThan(0);
    const rest = openSurface(test.app, "rest");
    expect(await rest.login({}, wrong.email, wrong.password)).toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    const { value } = await page.call(AuditService.method.listEvents, {});
    expect(value?.events.map(({ action }) => action).slice(-2)).toEqual(["user.signed_in", "user.sign_in_failed"]);
  });
});

describe("DashboardService", () => {
  it("takes a person to another organization of theirs, and no other", async () => {
    await using test = await startTestApp();
    const person = await test.addMember("member");
    const [second, foreign] = [await test.addOrganization("walwarden"), await test.addOrganization()];
    const page = await signedIn(test, person);
    const admin = await signedIn(test);
    const key = { Authorization: `Bearer ${test.credentials.serviceKey}` };
    const added = await admin.call(
      OrganizationService.method.addMember,
      { organizationId: second, email: person.email, role: Role.ADMIN },
      key,
    );
    expect(added).toMatchObject({ code: "ok" });

    const before = page.with({});
    expect(await page.call(dashboard.switchOrganization, { organizationId: foreign })).toMatchObject({
      code: "not_found",
    });
    expect(await page.call(dashboard.switchOrganization, { organizationId: second })).toMatchObject({ code: "ok" });
    const { value } = await page.call(dashboard.getContext, {});
    expect(value).toMatchObject({
      user: { email: person.email },
      organization: { id: second, profile: "walwarden" },
      role: Role.ADMIN,
      places: [{ role: Role.MEMBER }, { organization: { id: second }, role: Role.ADMIN }],
      offer: { profile: "walwarden", expiry: true, credentialHeaders: ["authorization"] },
      signInMethod: "password",
    });
    expect(value?.offer?.scopes).toHaveLength(11);
    expect(await before.call(dashboard.getContext, {})).toMatchObject(DEAD);
  });
});

describe.each(RPC_SURFACES)("DashboardService through %s", (name) => {
  it("tells a person what the product offers, and nobody else", async () => {
    await using test = await startTestApp({ env: { LATCHKEY_PROFILE: "watchmantower" } });
    const surface = openSurface(test.app, name);
    const bearer = await test.signIn(adminOf(test));
    const context = expectOk(await surface.invoke(dashboard.getContext, {}, { bearer }));
    expect(context).toMatchObject({ role: Role.OWNER, organization: { name: "acme" }, signInMethod: "password" });
    expect(context.offer).toMatchObject({
      profile: "watchmantower",
      productName: "Watchman Tower",
      tokensTitle: "API Keys",
      tokenNoun: "key",
      newTokenLabel: "Generate New Key",
      scopes: [],
      types: [{ name: "", managers: [Role.OWNER, Role.ADMIN, Role.MEMBER], ownManagers: [] }],
      basePath: "/public/v1",
    });
    expect(context.offer?.permissions.map((one) => [one.name, one.scopes.length])).toEqual([
      ["read-only", 4],
      ["full", 10],
    ]);
    expect(context.offer?.permissions[0]?.scopes[0]).toMatchObject({
      name: "monitors:read",
      description: "List and view monitors",
    });
    expect(context.offer?.plans.at(-1)).toMatchObject({
      name: "enterprise",
      ipAllowlist: true,
      rateLimit: { requests: 50_000n, window: { seconds: 3600n } },
    });
    const refusal = { ok: false, code: "PERMISSION_DENIED", message: "Only people have a dashboard: sign in." };
    expect(await surface.invoke(dashboard.getContext, {}, { bearer: test.credentials.serviceKey })).toEqual(refusal);
    expect(await surface.invoke(dashboard.getContext, {}, {})).toMatchObject({ code: "UNAUTHENTICATED" });
    const entrance = await surface.invoke(
      dashboard.getEntrance,
      {},
      name === "grpc" ? { bearer: test.credentials.serviceKey } : {},
    );
    expect(expectOk(entrance)).toMatchObject({
      productName: "Watchman Tower",
      registrationOpen: true,
      sendsMail: false,
    });
    surface.close();
  });
});
