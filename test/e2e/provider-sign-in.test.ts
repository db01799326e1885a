/** Sign-in to the dashboard by another service: a real OpenID provider, and a browser that goes there and back. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AuditService } from "../../gen/latchkey/v1/audit_pb.ts";
import { DashboardService } from "../../gen/latchkey/v1/dashboard_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { loadConfig } from "../../src/config.ts";
import { type IdentityProvider, startIdentityProvider } from "../helpers/identity-provider.ts";
import { Page } from "../helpers/page.ts";
import { runProgram, temporaryFolder } from "../helpers/service-process.ts";
import { expectOk, openSurface, SURFACES } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";
import { Visitor } from "../helpers/visitor.ts";

const PUBLIC_URL = "https://keys.example.com";
const BEGIN = `${PUBLIC_URL}/sign-in/with/acme`;
const CALLBACK = `${BEGIN}/callback`;
const SESSION = "__Host-latchkey-session";
const SIGN_IN = "__Host-latchkey-sign-in";
const DASHBOARD_ONLY =
  "A sign-in to the dashboard, by Google or another service too, is no way into the API or the command line: " +
  "send an API key, or the access token of a sign-in with a password.";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let provider: IdentityProvider;
let test: TestApp;
let file: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  provider = await startIdentityProvider([CALLBACK]);
  await writeFile(join(folder.path, "secret"), `${provider.client.secret}\n`);
  file = await identityFile(provider);
  test = await startService();
});

afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await provider[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

async function identityFile({ issuer, client }: IdentityProvider, label = "Acme"): Promise<string> {
  const path = join(folder.path, `${new URL(issuer).port}-${label}.yaml`);
  await writeFile(
    path,
    `sign_in: [{ name: acme, label: ${label}, issuer: "${issuer}", client_id: ${client.id}, client_secret_file: secret }]`,
  );
  return path;
}

const startService = (env = {}, surroundings = {}): Promise<TestApp> =>
  startTestApp({ env: { LATCHKEY_IDENTITY_FILE: file, LATCHKEY_PUBLIC_URL: PUBLIC_URL, ...env }, surroundings });

/** A page of the dashboard in that browser. */
function pageOf(app: TestApp, visitor: Visitor): Page {
  const page = new Page(app.app, { Origin: PUBLIC_URL });
  for (const [name, value] of visitor.cookies) page.cookies.set(name, value);
  return page;
}

let people = 0;
/** A member, who has an identity at the provider with the same address. */
async function newMember(app = test) {
  const person = await app.addMember("admin");
  return { ...person, sub: `subject-${++people}` };
}

async function signIn(sub: string, email: string | undefined, { app = test, emailVerified = true } = {}) {
  provider.person = { sub, emailVerified, ...(email === undefined ? {} : { email }) };
  const visitor = new Visitor(app.app, PUBLIC_URL);
  // The dashboard's own page is another's to test.
  const visit = await visitor.open(BEGIN, (url) => url === `${PUBLIC_URL}/`);
  return { visitor, visit };
}

async function contextOf(app: TestApp, visitor: Visitor) {
  const { value } = await pageOf(app, visitor).call(DashboardService.method.getContext, {});
  return value;
}

describe("signing in by another service", () => {
  it("goes there, and comes back to the dashboard with a session of the browser", async () => {
    const { email, userId, sub } = await newMember();
    const { visitor, visit } = await signIn(sub, email.toUpperCase());
    expect(visit.url).toBe(`${PUBLIC_URL}/`);
    const asked = new URL(visit.way.find((url) => url.startsWith(`${provider.issuer}/auth?`)) ?? "").searchParams;
    expect(Object.fromEntries(asked)).toEqual({
      response_type: "code",
      client_id: provider.client.id,
      redirect_uri: CALLBACK,
      scope: "openid email",
      state: expect.stringMatching(/^[\w-]{43}$/) as string,
      nonce: expect.stringMatching(/^[\w-]{43}$/) as string,
      code_challenge: expect.stringMatching(/^[\w-]{43}$/) as string,
      code_challenge_method: "S256",
    });
    // What was kept for the way is gone.
    expect([...visitor.cookies.keys()]).toEqual([SESSION]);
    expect(await contextOf(test, visitor)).toMatchObject({ user: { id: userId, email }, signInMethod: "acme" });
    const page = pageOf(test, visitor);
    expect(await page.call(TokenService.method.issue, { name: "by the dashboard" })).toMatchObject({ code: "ok" });
  });

  it("goes by the identity from then on, whatever address the person has there", async () => {
    const { email, userId, sub } = await newMember();
    await signIn(sub, email);
    for (const [address, emailVerified] of [
      ["another@example.com", true],
      [email, false],
      [undefined, false],
    ] as const) {
      const { visitor } = await signIn(sub, address, { emailVerified });
      expect((await contextOf(test, visitor))?.user?.id).toBe(userId);
    }
  });

  it("stands in the audit log: the link once, and by what each session began", async () => {
    const { email, userId, sub } = await newMember();
    await signIn(sub, email);
    await signIn(sub, email);
    const surface = openSurface(test.app, "grpc");
    const credential = { bearer: test.credentials.serviceKey };
    const { events } = expectOk(
      await surface.invoke(AuditService.method.listEvents, { target: userId, pageSize: 100 }, credential),
    );
    const told = events.map(({ action, details }) => ({ action, details }));
    expect(told.filter(({ action }) => action === "user.identity_linked")).toEqual([
      { action: "user.identity_linked", details: { issuer: provider.issuer, subject: sub } },
    ]);
    expect(told.filter(({ action }) => action === "user.signed_in").map(({ details }) => details["method"])).toEqual([
      "acme",
      "acme",
    ]);
    surface.close();
  });

  it("takes an account that nobody had confirmed from whoever made it", async () => {
    const email = "victim@example.com";
    const password = "a password of the one who made it";
    const rest = openSurface(test.app, "rest");
    await rest.account({}, "register", { email, password, organizationName: "Not theirs" });
    const attacker = expectOk(await rest.login({}, email, password));
    const { visitor } = await signIn("the-victim", email);
    expect((await contextOf(test, visitor))?.user?.email).toBe(email);
    expect(await rest.list({ bearer: attacker.accessToken })).toMatchObject({ code: "UNAUTHENTICATED" });
    expect(await rest.login({}, email, password)).toMatchObject({ code: "UNAUTHENTICATED" });
  });

  it("leaves a confirmed account its password", async () => {
    const { email, password, sub } = await newMember();
    await signIn(sub, email);
    const rest = openSurface(test.app, "rest");
    // The first sign-in took it; the person chooses one.
    expect(await rest.login({}, email, password)).toMatchObject({ code: "UNAUTHENTICATED" });
    const { storage, passwords } = test.app.deployment;
    const user = await storage.findUserByEmail(email);
    const change = { at: new Date(), actor: { kind: "system", id: "system" }, address: "", requestId: "" } as const;
    const after = await passwords.hash("chosen afterwards");
    await storage.changePassword(
      user?.id ?? "",
      { before: user?.passwordHash ?? "", after, keptSessionId: "" },
      change,
    );
    await signIn(sub, email);
    expectOk(await rest.login({}, email, "chosen afterwards"));
  });

  it("makes an account and an organization for somebody new, where people can register", async () => {
    const { visitor } = await signIn("somebody-new", "new@example.com");
    expect(await contextOf(test, visitor)).toMatchObject({
      user: { email: "new@example.com" },
      organization: { name: "new", profile: "watchplane" },
      role: 1,
    });
    const again = await signIn("somebody-new", "new@example.com");
    expect((await contextOf(test, again.visitor))?.places).toHaveLength(1);
  });

  it("refuses somebody new where they can't, and somebody whose address isn't confirmed there", async () => {
    await using closed = await startService({ LATCHKEY_REGISTRATION: "off" });
    const stranger = await signIn("a-stranger", "stranger@example.com", { app: closed });
    expect(stranger.visit).toMatchObject({
      status: 403,
      text: expect.stringContaining("You have no account here") as string,
    });
    for (const [address, emailVerified] of [
      [closed.credentials.adminEmail, false],
      [undefined, true],
    ] as const) {
      const { visit, visitor } = await signIn("an-impostor", address, { app: closed, emailVerified });
      expect(visit.status).toBe(401);
      expect(visit.text).toContain("Your address isn&#39;t confirmed there");
      expect(visit.text).toContain(`<a href="${PUBLIC_URL}/sign-in">`);
      expect([...visitor.cookies.keys()]).toEqual([]);
    }
  });

  it("refuses another identity of the provider with the address of one that is linked", async () => {
    const { email, sub } = await newMember();
    await signIn(sub, email);
    const { visit } = await signIn("whoever-has-the-address-now", email);
    expect(visit.status).toBe(400);
    expect(visit.text).toContain("linked to another identity");
  });

  it("says so when the person says no, and when the provider is away", async () => {
    provider.person = undefined;
    const no = await new Visitor(test.app, PUBLIC_URL).open(BEGIN);
    expect(no).toMatchObject({
      status: 401,
      text: expect.stringContaining("Acme didn&#39;t sign you in: start again.") as string,
    });
    await using away = await startIdentityProvider([CALLBACK]);
    await using app = await startService({ LATCHKEY_IDENTITY_FILE: await identityFile(away, "Away") });
    await away.stop();
    const gone = await new Visitor(app.app, PUBLIC_URL).open(BEGIN);
    expect(gone).toMatchObject({
      status: 503,
      text: expect.stringContaining("Away can&#39;t be asked at the moment") as string,
    });
    await away.start();
  });

  it("is limited for each client address, before the provider is asked", async () => {
    await using app = await startService({ LATCHKEY_LOGIN_LIMIT: "2/1h" });
    const { email, sub } = await newMember(app);
    await signIn(sub, email, { app });
    await signIn(sub, email, { app });
    const asked = provider.requests.filter((path) => path === "/token").length;
    expect((await signIn(sub, email, { app })).visit.status).toBe(429);
    expect(provider.requests.filter((path) => path === "/token")).toHaveLength(asked);
  });
});

describe("an answer of the provider", () => {
  /** A browser on its way back, which hasn't arrived, and where it is going. */
  async function onItsWay(app = test) {
    const { email, sub } = await newMember(app);
    provider.person = { sub, email };
    const visitor = new Visitor(app.app, PUBLIC_URL);
    const { url } = await visitor.open(BEGIN, (next) => next.startsWith(CALLBACK));
    return { visitor, url };
  }
  const tokenRequests = (): number => provider.requests.filter((path) => path === "/token").length;
  const NOT_BEGUN = expect.stringContaining(
    "This sign-in wasn&#39;t begun in this browser, or took too long",
  ) as string;

  it("counts in the browser that asked, and in no other", async () => {
    const { url } = await onItsWay();
    const other = await onItsWay();
    const before = tokenRequests();
    for (const visitor of [new Visitor(test.app, PUBLIC_URL), other.visitor]) {
      expect(await visitor.open(url)).toMatchObject({ status: 401, text: NOT_BEGUN });
      expect([...visitor.cookies.keys()]).toEqual([]);
    }
    expect(tokenRequests()).toBe(before);
  });

  it("counts once", async () => {
    const { visitor, url } = await onItsWay();
    const kept = visitor.cookies.get(SIGN_IN) ?? "";
    await visitor.open(url, (next) => next === `${PUBLIC_URL}/`);
    expect(visitor.cookies.has(SESSION)).toBe(true);
    const before = tokenRequests();
    expect(await visitor.open(url)).toMatchObject({ status: 401, text: NOT_BEGUN });
    expect(tokenRequests()).toBe(before);
    // Somebody who kept the cookie finds the code used up.
    const replayed = await fetch(url.replace(PUBLIC_URL, `http://${test.app.httpAddress}`), {
      headers: { cookie: `${SIGN_IN}=${kept}` },
    });
    expect(replayed.status).toBe(401);
    expect(replayed.headers.getSetCookie().some((line) => line.startsWith(SESSION))).toBe(false);
  });

  it("counts for ten minutes", async () => {
    let nowMs = Date.now();
    await using app = await startService({}, { clock: () => nowMs });
    const { visitor, url } = await onItsWay(app);
    nowMs += 600_000;
    expect(await visitor.open(url)).toMatchObject({ status: 401, text: NOT_BEGUN });
  });

  it.each<[string, (query: URLSearchParams) => void]>([
    ["another state", (query) => query.set("state", "another")],
    ["no state", (query) => query.delete("state")],
    ["another code", (query) => query.set("code", "another")],
    ["no code", (query) => query.delete("code")],
    ["another issuer", (query) => query.set("iss", "https://evil.example")],
    ["an error", (query) => query.set("error", "server_error")],
  ])("with %s is refused", async (_, spoil) => {
    const { visitor, url } = await onItsWay();
    const spoiled = new URL(url);
    spoil(spoiled.searchParams);
    expect((await visitor.open(spoiled.href)).status).toBe(401);
    expect([...visitor.cookies.keys()]).toEqual([]);
  });

  it("shows nothing of itself in logs, nor on pages", async () => {
    const { visitor, url } = await onItsWay();
    const { searchParams } = new URL(url);
    const secrets = [searchParams.get("code"), searchParams.get("state"), visitor.cookies.get(SIGN_IN)];
    const { text } = await visitor.open(url.replace("state=", "state=x"));
    const seen = text + test.logLines.join("\n");
    for (const secret of secrets) {
      expect(secret).toMatch(/.{20}/);
      expect(seen).not.toContain(secret);
    }
    expect(test.logLines.join("\n")).toContain("latchkey.v1.DashboardService/FinishProviderSignIn");
  });
});

describe("what is no way in", () => {
  it("is said to be, when a session of the dashboard or a token of the provider is sent to the API", async () => {
    const { email, sub } = await newMember();
    const { visitor } = await signIn(sub, email);
    const session = visitor.cookies.get(SESSION) ?? "";
    const foreign = await provider.accessToken("https://keys.example.com/api");
    for (const name of SURFACES) {
      const surface = openSurface(test.app, name);
      for (const credential of [{ bearer: session }, { apiKey: session }, { bearer: foreign }]) {
        expect(await surface.list(credential)).toEqual({
          ok: false,
          code: "UNAUTHENTICATED",
          message: DASHBOARD_ONLY,
        });
      }
      surface.close();
    }
    // The cookie opens the dashboard's own calls, and no route of the API.
    const response = await fetch(`http://${test.app.httpAddress}/api/v1/api-tokens`, {
      headers: { cookie: `${SESSION}=${session}`, origin: PUBLIC_URL, "x-latchkey-dashboard": "1" },
    });
    expect(response.status).toBe(401);
    const env = { LATCHKEY_ADDR: test.app.grpcAddress, LATCHKEY_TOKEN: session };
    const { code, stderr } = await runProgram(["list", "--org", test.credentials.organizationId], env);
    expect(code).toBe(4);
    expect(stderr).toContain(DASHBOARD_ONLY);
  });
});

describe("the settings of providers", () => {
  it("show in the dashboard's entrance, Google first", async () => {
    const env = { LATCHKEY_GOOGLE_CLIENT_ID: "an-id", LATCHKEY_GOOGLE_CLIENT_SECRET: "a-secret" };
    await using app = await startService(env);
    const page = new Page(app.app, { Origin: PUBLIC_URL });
    const { value } = await page.call(DashboardService.method.getEntrance, {});
    expect(value?.signInProviders).toMatchObject([
      { name: "google", label: "Google" },
      { name: "acme", label: "Acme" },
    ]);
    for (const path of ["/sign-in/with/nobody", "/sign-in/with/nobody/callback"]) {
      expect((await new Visitor(app.app, PUBLIC_URL).open(path)).status).toBe(404);
    }
    const posted = await fetch(`http://${app.app.httpAddress}/sign-in/with/acme`, { method: "POST" });
    expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET"]);
  });

  it("stop the start when one is missing or wrong", async () => {
    const load = (env: object) => () => loadConfig({ LATCHKEY_PUBLIC_URL: PUBLIC_URL, ...env }, {});
    expect(load({ LATCHKEY_GOOGLE_CLIENT_ID: "x" })).toThrow(
      "LATCHKEY_GOOGLE_CLIENT_ID and LATCHKEY_GOOGLE_CLIENT_SECRET are needed together",
    );
    const google = { LATCHKEY_GOOGLE_CLIENT_ID: "x", LATCHKEY_GOOGLE_CLIENT_SECRET: "y" };
    for (const url of ["", "http://keys.example.com"]) {
      expect(load({ ...google, LATCHKEY_PUBLIC_URL: url })).toThrow("LATCHKEY_PUBLIC_URL must be an https URL");
    }
    const good = { name: "acme", issuer: "https://id.example.com", client_id: "x", client_secret_file: "secret" };
    for (const [document, fault] of [
      [[{ ...good, client_secret_file: "nowhere" }], "sign_in[0].client_secret_file: can't be read: ENOENT"],
      [[{ ...good, client_secret_file: "empty" }], "sign_in[0].client_secret_file: must hold one word, the secret"],
      [[{ ...good, name: "password" }], "sign_in[0].name: must be another one than password"],
      [[{ ...good, client_secret: "x" }], "sign_in[0].client_secret: is not a field here"],
      [[good, { ...good, name: "other" }], "sign_in[1].issuer: is another one's already"],
    ] as const) {
      const wrong = join(folder.path, "wrong.json");
      await writeFile(join(folder.path, "empty"), "\n");
      await writeFile(wrong, JSON.stringify({ sign_in: document }));
      expect(load({ LATCHKEY_IDENTITY_FILE: wrong })).toThrow(fault);
    }
    const twice = join(folder.path, "google.json");
    await writeFile(twice, JSON.stringify({ sign_in: [{ ...good, issuer: "https://accounts.google.com" }] }));
    expect(load({ ...google, LATCHKEY_IDENTITY_FILE: twice })).toThrow("LATCHKEY_IDENTITY_FILE has Google already");
  });
});
