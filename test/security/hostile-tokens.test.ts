/** Forged access tokens: each is refused alike by every door, and none makes the service ask anybody anything. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { decodeJwt, decodeProtectedHeader, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Forgery, forge, type Genuine, resign } from "../helpers/forgeries.ts";
import { type IdentityProvider, startIdentityProvider } from "../helpers/identity-provider.ts";
import { temporaryFolder } from "../helpers/service-process.ts";
import { expectOk, openSurface } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const AUDIENCE = "https://latchkey.example.com";
const SECRET = "a shared secret of at least 32 characters";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let provider: IdentityProvider;
let file: string;
/** Where forged tokens lead. */
let attacker: Server;
let attackersUrl: string;
let visits: string[];
/** Origins of all requests that this process sent but for the test's own calls. */
let outbound: string[];
let nowMs: number;
let app: TestApp;

const watch = (message: unknown): void => {
  const { origin, path } = (message as { request: { origin: string; path: string } }).request;
  if (!path.startsWith("/api/v1/")) outbound.push(`${origin}${path}`);
};

beforeAll(async () => {
  visits = [];
  outbound = [];
  nowMs = Date.now();
  attacker = createServer((request, response) => {
    visits.push(request.url ?? "");
    response.setHeader("content-type", "application/json").end('{"keys":[]}');
  });
  await new Promise<void>((resolve) => attacker.listen(0, "127.0.0.1", resolve));
  attackersUrl = `http://127.0.0.1:${(attacker.address() as AddressInfo).port}`;
  folder = await temporaryFolder();
  provider = await startIdentityProvider();
  file = join(folder.path, "identity.json");
  const organization = { claim: "tenant" };
  const issuer = { name: "acme", issuer: provider.issuer, audience: AUDIENCE, organization, role: "admin" };
  await writeFile(file, JSON.stringify({ issuers: [issuer] }));
  app = await startService();
  subscribe("undici:request:create", watch);
});

afterAll(async () => {
  unsubscribe("undici:request:create", watch);
  await app[Symbol.asyncDispose]();
  attacker.closeAllConnections();
  attacker.close();
  await provider[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

// Time stands still, so no cool-down ends meanwhile.
const startService = (env = {}): Promise<TestApp> =>
  startTestApp({ env: { LATCHKEY_IDENTITY_FILE: file, ...env }, surroundings: { clock: () => nowMs } });

async function ownToken(test: TestApp): Promise<Genuine> {
  const { adminEmail: email, adminPassword: password } = test.credentials;
  const token = await test.signIn({ email, password });
  const response = await fetch(`http://${test.app.httpAddress}/.well-known/jwks.json`);
  const { keys } = (await response.json()) as { keys: Genuine["publicKey"][] };
  return { token, publicKey: keys[0] ?? { kid: "shared", alg: "HS256" } };
}

async function externalToken(test: TestApp): Promise<Genuine> {
  provider.extraClaims = { tenant: test.credentials.organizationId };
  const token = await provider.accessToken(AUDIENCE);
  const response = await fetch(`${provider.issuer}/jwks`);
  const { keys } = (await response.json()) as { keys: Genuine["publicKey"][] };
  const [publicKey] = keys;
  if (publicKey === undefined) throw new Error("the provider has no key");
  return { token, publicKey };
}

/** Sends tokens through every kind of door, and answers those that weren't refused as they should be. */
async function survivors(test: TestApp, forgeries: readonly Forgery[]): Promise<unknown[]> {
  const refusal = { ok: false, code: "UNAUTHENTICATED", message: "The credential is not valid." };
  const found: unknown[] = [];
  for (const name of ["grpc", "connect-json", "rest"] as const) {
    const surface = openSurface(test.app, name);
    for (const { name: what, token } of forgeries) {
      const credentials = name === "rest" ? [{ bearer: token }, { apiKey: token }] : [{ bearer: token }];
      for (const credential of credentials) {
        const outcome = await surface.list(credential);
        if (JSON.stringify(outcome) !== JSON.stringify(refusal)) found.push({ name, what, token, outcome });
      }
    }
    surface.close();
  }
  return found;
}

const distinct = (forgeries: readonly Forgery[]): number => new Set(forgeries.map(({ token }) => token)).size;

describe("forged access tokens", () => {
  it("would be seen to lead somewhere, if they did", async () => {
    await (await fetch(`${attackersUrl}/probe`)).text();
    expect(visits).toEqual(["/probe"]);
    expect(outbound).toEqual([`${attackersUrl}/probe`]);
  });

  it("are refused, 200 and more like our own and as many like another issuer's, without a request to anybody", async () => {
    const [own, external] = [await ownToken(app), await externalToken(app)];
    const rest = openSurface(app.app, "rest");
    // Those that are forged work, and the issuer's keys are known now.
    for (const { token } of [own, external]) expectOk(await rest.list({ bearer: token }));
    for (const genuine of [own, external]) {
      const forgeries = forge(genuine, attackersUrl);
      expect(distinct(forgeries)).toBeGreaterThanOrEqual(200);
      [visits.length, outbound.length, provider.requests.length] = [0, 0, 0];
      expect(await survivors(app, forgeries)).toEqual([]);
      expect([visits, outbound, provider.requests]).toEqual([[], [], []]);
    }
    for (const { token } of [own, external]) expectOk(await rest.list({ bearer: token }));
  });

  it("make one request for keys that nobody has, in 30 s, and then none", async () => {
    const external = await externalToken(app);
    const forgeries = forge(external, attackersUrl);
    nowMs += 30_000;
    [visits.length, outbound.length] = [0, 0];
    expect(await survivors(app, forgeries)).toEqual([]);
    expect(visits).toEqual([]);
    expect(outbound.filter((url) => url.endsWith("/jwks"))).toHaveLength(1);
    expect(new Set(outbound.map((url) => new URL(url).origin))).toEqual(new Set([provider.issuer]));
  });

  it("make no request either before any key is known, unless all but their signature is right", async () => {
    await using fresh = await startService();
    const external = await externalToken(fresh);
    const forgeries = forge(external, attackersUrl).filter(({ token }) => !seemsToBeOf(provider.issuer, token));
    expect(distinct(forgeries)).toBeGreaterThanOrEqual(100);
    outbound.length = 0;
    expect(await survivors(fresh, forgeries)).toEqual([]);
    expect(outbound).toEqual([]);
  });
});

/** Whether the issuer's keys are needed to tell that a token isn't the issuer's. */
function seemsToBeOf(issuer: string, token: string): boolean {
  try {
    const { alg = "" } = decodeProtectedHeader(token);
    return ["RS256", "PS256", "ES256", "EdDSA"].includes(alg) && decodeJwt(token).iss === issuer;
  } catch {
    return false;
  }
}

describe("access tokens that the right key signed", () => {
  it("of another issuer are refused when one thing in them is wrong", async () => {
    const external = await externalToken(app);
    const { iss = "", iat = 0 } = decodeJwt(external.token);
    const nowS = Math.floor(nowMs / 1000);
    const re = (header: object, claims: object): string =>
      resign(external, provider.signingKey, { ...header }, { ...claims });
    const rest = openSurface(app.app, "rest");
    // The same by the same means works, so what is changed is what is refused.
    expectOk(await rest.list({ bearer: re({}, {}) }));
    expectOk(await rest.list({ bearer: re({ typ: "application/at+jwt" }, { aud: ["others", AUDIENCE] }) }));
    const wrong: readonly (readonly [object, object])[] = [
      ...["JWT", "jwt", "", "id_token", "dpop+jwt", "logout+jwt", "at+jwt2", undefined, null, 1].map(
        (typ) => [{ typ }, {}] as const,
      ),
      ...["RS384", "RS512", "PS256", "ES256", "EdDSA", "HS256"].map((alg) => [{ alg }, {}] as const),
      ...[{ crit: ["exp"] }, { crit: [] }, { b64: false, crit: ["b64"] }].map((header) => [header, {}] as const),
      ...[
        `${iss}/`,
        iss.toUpperCase(),
        `${iss}.evil.example`,
        iss.replace("http", "https"),
        "latchkey",
        attackersUrl,
        [iss],
        { iss },
        null,
        undefined,
        "",
      ].map((one) => [{}, { iss: one }] as const),
      ...[
        "latchkey-api",
        `${AUDIENCE}/`,
        AUDIENCE.toUpperCase(),
        AUDIENCE.slice(0, -1),
        [],
        [[AUDIENCE]],
        { [AUDIENCE]: true },
        "",
        null,
        undefined,
        provider.client.id,
      ].map((aud) => [{}, { aud }] as const),
      ...[nowS - 31, 0, -1, "9999999999", null, undefined, true, [nowS + 60]].map((exp) => [{}, { exp }] as const),
      ...[nowS + 31, "0", [0]].map((nbf) => [{}, { nbf }] as const),
      ...[nowS + 31, nowS + 3600, iat - 90_000, "now", null, undefined].map((one) => [{}, { iat: one }] as const),
      ...["", 7, null, undefined, ["a"], "a".repeat(256), "a\nb", "a\u0000", "ä"].map((sub) => [{}, { sub }] as const),
    ];
    const forgeries = wrong.map(([header, claims]) => ({
      name: JSON.stringify([header, claims]),
      token: re(header, claims),
    }));
    [visits.length, outbound.length] = [0, 0];
    expect(await survivors(app, forgeries)).toEqual([]);
    expect([visits, outbound]).toEqual([[], []]);
  });

  it("of our own are refused when one thing in them is wrong", async () => {
    await using shared = await startService({
      LATCHKEY_ACCESS_TOKEN_ALGORITHM: "HS256",
      LATCHKEY_ACCESS_TOKEN_SECRET: SECRET,
    });
    const { token } = await ownToken(shared);
    const header = decodeProtectedHeader(token) as { alg: string };
    const claims = decodeJwt(token);
    const { exp = 0, iat = 0 } = claims;
    const re = (head: object, body: object): Promise<string> =>
      new SignJWT({ ...claims, ...body }).setProtectedHeader({ ...header, ...head }).sign(Buffer.from(SECRET));
    const rest = openSurface(shared.app, "rest");
    expectOk(await rest.list({ bearer: await re({}, {}) }));
    const wrong: readonly (readonly [object, object])[] = [
      ...["JWT", "id_token", undefined].map((typ) => [{ typ }, {}] as const),
      ...["another", "SHARED", "", undefined].map((kid) => [{ kid }, {}] as const),
      ...["HS384", "HS512"].map((alg) => [{ alg }, {}] as const),
      ...["somebody-else", "Latchkey", provider.issuer, attackersUrl, undefined].map((iss) => [{}, { iss }] as const),
      ...["something-else", AUDIENCE, [], undefined].map((aud) => [{}, { aud }] as const),
      ...[iat - 1, 0, undefined].map((one) => [{}, { exp: one }] as const),
      ...[exp].map((nbf) => [{}, { nbf }] as const),
      ...[iat + 61, exp, undefined].map((one) => [{}, { iat: one }] as const),
      ...["usr_00000000000000000000000000", "admin", "", undefined].map((sub) => [{}, { sub }] as const),
      ...["org_00000000000000000000000000", "", undefined].map((org) => [{}, { org }] as const),
      ...["01890a5d-ac96-774b-bcce-b302099a8057", "", undefined].map((sid) => [{}, { sid }] as const),
    ];
    const forgeries = await Promise.all(
      wrong.map(async ([head, body]) => ({ name: JSON.stringify([head, body]), token: await re(head, body) })),
    );
    [visits.length, outbound.length] = [0, 0];
    expect(await survivors(shared, forgeries)).toEqual([]);
    expect([visits, outbound]).toEqual([[], []]);
  });

  it("of one issuer are none of the other's", async () => {
    const [own, external] = [await ownToken(app), await externalToken(app)];
    const forgeries = [
      ["our own claims by the other's key", resign(external, provider.signingKey, {}, decodeJwt(own.token))],
      [
        "our own claims by the other's key, by our kid",
        resign(
          external,
          provider.signingKey,
          decodeProtectedHeader(own.token) as object as Record<string, unknown>,
          decodeJwt(own.token),
        ),
      ],
      ["the other's claims under our signature", swap(external.token, own.token)],
      ["our claims under the other's signature", swap(own.token, external.token)],
    ].map(([name = "", token = ""]) => ({ name, token }));
    expect(await survivors(app, forgeries)).toEqual([]);
  });
});

/** The header and claims of one token with the signature of another. */
const swap = (one: string, two: string): string => [...one.split(".").slice(0, 2), two.split(".")[2]].join(".");
