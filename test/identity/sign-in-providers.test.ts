/** What a hostile or broken provider can answer, when a browser comes back from it: nobody is signed in by it. */
import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AppError } from "../../src/domain/errors.ts";
import { createSignInProviders, type StoppableSignInProviders } from "../../src/identity/sign-in-providers.ts";
import { createSealer } from "../../src/security/sealer.ts";

const CLIENT_ID = "latchkey";
const NOW_MS = Date.parse("2026-03-04T05:06:07Z");
const NOW_S = NOW_MS / 1000;

interface Answer {
  readonly status?: number;
  readonly body: unknown;
}

let server: Server;
let issuer: string;
let keys: Awaited<ReturnType<typeof generateKeyPair>>;
let providers: StoppableSignInProviders;
let metadata: object;
let tokenAnswer: () => Promise<Answer>;
let tokenRequests: { headers: Record<string, unknown>; body: string }[];

beforeEach(async () => {
  keys = await generateKeyPair("ES256", { extractable: true });
  const jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), kid: "one", alg: "ES256" }] };
  tokenRequests = [];
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const send = ({ status = 200, body }: Answer): void => {
        response.writeHead(status, { location: "/elsewhere" }).end(JSON.stringify(body));
      };
      if (request.url === "/.well-known/openid-configuration") return send({ body: metadata });
      if (request.url === "/jwks") return send({ body: jwks });
      tokenRequests.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
      void tokenAnswer().then(send);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  metadata = {
    issuer,
    authorization_endpoint: `${issuer}/auth?tenant=a%20b`,
    token_endpoint: `${issuer}/token`,
    jwks_uri: `${issuer}/jwks`,
  };
  const settings = { name: "acme", label: "Acme", issuer, clientId: CLIENT_ID, clientSecret: "a secret:+%" };
  providers = createSignInProviders([settings], {
    clock: () => NOW_MS,
    entropy: (size) => randomBytes(size),
    sealer: createSealer(randomBytes(32), (size) => randomBytes(size)),
    callbackOf: (name) => `https://keys.example.com/sign-in/with/${name}/callback`,
  });
});

afterEach(() => {
  providers.stop();
  server.closeAllConnections();
  server.close();
});

/** Begins, lets the provider answer with this ID token, and finishes. */
async function signIn(header: object, claims: object, key: Parameters<SignJWT["sign"]>[0] = keys.privateKey) {
  const { url, kept } = await providers.begin("acme");
  const { searchParams } = new URL(url);
  const said = {
    iss: issuer,
    aud: CLIENT_ID,
    sub: "somebody",
    iat: NOW_S,
    exp: NOW_S + 3600,
    nonce: searchParams.get("nonce"),
    email: "somebody@example.com",
    email_verified: true,
    ...claims,
  };
  const token = await new SignJWT(said).setProtectedHeader({ alg: "ES256", kid: "one", ...header }).sign(key);
  tokenAnswer = () => Promise.resolve({ body: { id_token: token } });
  return finish(searchParams.get("state") ?? "", kept);
}

const finish = (state: string, kept: string) =>
  providers.finish("acme", kept, { code: "a code", state, issuer: "", error: "" });

const kindOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "done",
    (error: unknown) => (error instanceof AppError ? error.kind : String(error)),
  );

describe("a provider's answer", () => {
  it("says who somebody is, when all in it is right", async () => {
    expect(await signIn({}, {})).toEqual({ identity: { issuer, subject: "somebody" }, email: "somebody@example.com" });
    const { headers, body } = tokenRequests[0] ?? { headers: {}, body: "" };
    // Each part is encoded before they are put together (RFC 6749, section 2.3.1).
    expect(headers["authorization"]).toBe(`Basic ${Buffer.from("latchkey:a+secret%3A%2B%25").toString("base64")}`);
    expect(Object.fromEntries(new URLSearchParams(body))).toEqual({
      grant_type: "authorization_code",
      code: "a code",
      redirect_uri: "https://keys.example.com/sign-in/with/acme/callback",
      code_verifier: expect.stringMatching(/^[\w-]{43}$/) as string,
    });
    expect((await signIn({}, { aud: [CLIENT_ID, "another"], azp: CLIENT_ID })).identity.subject).toBe("somebody");
  });

  it("keeps what stands in the provider's own address", async () => {
    const { url } = await providers.begin("acme");
    expect(new URL(url).searchParams.get("tenant")).toBe("a b");
  });

  it.each<[string, object]>([
    ["an address that isn't confirmed", { email_verified: false }],
    ["an address of which nothing is said", { email_verified: undefined }],
    ["an address that is confirmed in words", { email_verified: "true" }],
    ["no address", { email: undefined }],
    ["what is no address", { email: "somebody" }],
    ["an address with a second one", { email: "a@b.example,c@d.example e@f.example" }],
    ["a list of addresses", { email: ["somebody@example.com"] }],
    ["an address that is too long", { email: `${"a".repeat(250)}@example.com` }],
  ])("with %s vouches for none", async (_, claims) => {
    expect(await signIn({}, claims)).toEqual({ identity: { issuer, subject: "somebody" }, email: undefined });
  });

  it.each<[string, object, object]>([
    ["another nonce", {}, { nonce: "another" }],
    ["no nonce", {}, { nonce: undefined }],
    ["another audience", {}, { aud: "another" }],
    ["another audience besides, and nobody it was made for", {}, { aud: [CLIENT_ID, "another"] }],
    ["another that it was made for", {}, { azp: "another" }],
    ["another issuer", {}, { iss: "https://evil.example" }],
    ["no subject", {}, { sub: undefined }],
    ["an empty subject", {}, { sub: "" }],
    ["a subject of two lines", {}, { sub: "a\nb" }],
    ["a subject that is too long", {}, { sub: "a".repeat(256) }],
    ["an end that is over", {}, { exp: NOW_S - 31 }],
    ["no end", {}, { exp: undefined }],
    ["an old token", {}, { iat: NOW_S - 331 }],
    ["a token of the future", {}, { iat: NOW_S + 31 }],
    ["a key that isn't there", { kid: "two" }, {}],
  ])("with %s is nobody's", async (_, header, claims) => {
    expect(await kindOf(signIn(header, claims))).toBe("unauthenticated");
  });

  it("that a shared secret signed is nobody's", async () => {
    const secret = new TextEncoder().encode("a secret:+%".padEnd(32, "x"));
    expect(await kindOf(signIn({ alg: "HS256" }, {}, secret))).toBe("unauthenticated");
  });

  it.each<[string, Answer, string]>([
    ["a code that doesn't work", { status: 400, body: { error: "invalid_grant" } }, "unauthenticated"],
    ["a client that it doesn't know", { status: 401, body: { error: "invalid_client" } }, "unavailable"],
    ["trouble of its own", { status: 503, body: {} }, "unavailable"],
    ["a redirect", { status: 307, body: {} }, "unavailable"],
    ["no ID token", { body: { access_token: "x" } }, "unavailable"],
    ["nothing", { body: null }, "unavailable"],
    ["far too much", { body: { id_token: "x".repeat(300_000) } }, "unavailable"],
    ["what is no token", { body: { id_token: "x.y.z" } }, "unauthenticated"],
  ])("of %s is told apart", async (_, answer, kind) => {
    const { url, kept } = await providers.begin("acme");
    tokenAnswer = () => Promise.resolve(answer);
    expect(await kindOf(finish(new URL(url).searchParams.get("state") ?? "", kept))).toBe(kind);
  });

  it("isn't asked for, for what wasn't begun here", async () => {
    const { url, kept } = await providers.begin("acme");
    const state = new URL(url).searchParams.get("state") ?? "";
    const tampered = `${kept.slice(0, -2)}${kept.endsWith("AA") ? "BB" : "AA"}`;
    for (const [said, brought] of [
      ["", kept],
      ["another", kept],
      [state, ""],
      [state, "nonsense"],
      [state, tampered],
    ] as const) {
      expect(await kindOf(finish(said, brought))).toBe("unauthenticated");
    }
    expect(tokenRequests).toEqual([]);
  });
});

describe("a provider's metadata", () => {
  it.each<[string, object]>([
    ["of another issuer", { issuer: "https://evil.example" }],
    ["without an address to sign in at", { authorization_endpoint: undefined }],
    ["with an address that isn't safe", { token_endpoint: "http://10.0.0.1/token" }],
    ["with a script for an address", { authorization_endpoint: "javascript:alert(1)" }],
  ])("%s is none", async (_, wrong) => {
    metadata = { ...metadata, ...wrong };
    expect(await kindOf(providers.begin("acme"))).toBe("unavailable");
  });
});
