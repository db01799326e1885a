/** The keys of an issuer: how often they are asked for, how long they are kept, and what is taken for keys. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type JWK } from "jose";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { IssuerKeys, KeysUnavailable } from "../../src/identity/issuer-keys.ts";

const MINUTE = 60_000;

let server: Server;
let url: string;
let requests: number;
/** What the server answers; undefined breaks the connection. */
let answer: { status?: number; headers?: Record<string, string>; body: string } | undefined;
let nowMs: number;

beforeEach(async () => {
  requests = 0;
  nowMs = Date.parse("2026-03-04T05:06:07Z");
  server = createServer((request, response) => {
    requests++;
    if (answer === undefined) return void request.socket.destroy();
    response.writeHead(answer.status ?? 200, answer.headers).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const open = (): IssuerKeys => new IssuerKeys({ issuer: url, jwksUri: `${url}/jwks` }, () => nowMs);

async function keyOf(kid: string): Promise<JWK> {
  const { publicKey } = await generateKeyPair("ES256", { extractable: true });
  return { ...(await exportJWK(publicKey)), kid, alg: "ES256", use: "sig" };
}

const serve = (...keys: readonly unknown[]): void => {
  answer = { body: JSON.stringify({ keys }) };
};

const find = (keys: IssuerKeys, kid: string, alg = "ES256") => keys.find({ alg, kid });

describe("keys of an issuer", () => {
  it("are asked for once by all who need them, and again for a new one", async () => {
    const keys = open();
    serve(await keyOf("one"));
    const found = await Promise.all(Array.from({ length: 50 }, () => find(keys, "one")));
    expect(found.every((key) => key !== undefined)).toBe(true);
    expect(requests).toBe(1);
    serve(await keyOf("one"), await keyOf("two"));
    nowMs += 30_000;
    expect(await find(keys, "two")).toBeDefined();
    expect(requests).toBe(2);
  });

  it("that nobody has make one request in 30 s, however many they are", async () => {
    const keys = open();
    serve(await keyOf("one"));
    for (let second = 0; second < 60; second++, nowMs += 1000) {
      const unknown = Array.from({ length: 20 }, (_, index) => find(keys, `unknown-${second}-${index}`));
      expect((await Promise.all(unknown)).every((key) => key === undefined)).toBe(true);
    }
    expect(requests).toBe(2);
    expect(await find(keys, "one")).toBeDefined();
  });

  it("that can't be had make one request in 5 s", async () => {
    const keys = open();
    answer = undefined;
    for (let second = 0; second < 20; second++, nowMs += 1000) {
      await expect(Promise.all([find(keys, "one"), find(keys, "two")])).rejects.toThrow(KeysUnavailable);
    }
    expect(requests).toBe(4);
    serve(await keyOf("one"));
    expect(await find(keys, "one")).toBeDefined();
  });

  it("are used for an hour while the issuer is down, and no longer", async () => {
    const keys = open();
    serve(await keyOf("one"));
    await find(keys, "one");
    answer = undefined;
    for (let minute = 0; minute < 60; minute++, nowMs += MINUTE) expect(await find(keys, "one")).toBeDefined();
    await expect(find(keys, "one")).rejects.toThrow(KeysUnavailable);
    // Whether the issuer has a key that we don't know can't be told meanwhile.
    await expect(find(keys, "two")).rejects.toThrow(KeysUnavailable);
  });

  it("that the issuer took back are forgotten", async () => {
    const keys = open();
    serve(await keyOf("one"));
    await find(keys, "one");
    serve(await keyOf("two"));
    nowMs += 10 * MINUTE;
    // The calls that notice don't wait.
    await find(keys, "one");
    await expect.poll(() => find(keys, "one")).toBeUndefined();
    expect(await find(keys, "two")).toBeDefined();
  });

  it("are none that could sign, nor for another algorithm", async () => {
    const keys = open();
    const secret = { kty: "oct", k: Buffer.from("a secret that everybody knows").toString("base64url"), kid: "secret" };
    serve(secret, await keyOf("one"), "nonsense", null);
    expect(await find(keys, "one")).toBeDefined();
    expect(await find(keys, "secret", "HS256")).toBeUndefined();
    expect(await find(keys, "one", "RS256")).toBeUndefined();
    expect(await find(keys, "one", "HS256")).toBeUndefined();
  });

  it.each([
    ["another status", { status: 404, body: "{}" }],
    ["a redirect", { status: 302, headers: { location: "/elsewhere" }, body: "" }],
    ["no key set", { body: '{"keys":{}}' }],
    ["no JSON", { body: "<html>" }],
    ["null", { body: "null" }],
    ["more than a key set has", { body: JSON.stringify({ keys: [], more: "x".repeat(300_000) }) }],
  ])("aren't found in %s", async (_, wrong) => {
    answer = wrong;
    await expect(find(open(), "one")).rejects.toThrow(KeysUnavailable);
    expect(requests).toBe(1);
  });

  it("are given up at the stop", async () => {
    server.removeAllListeners("request");
    const keys = open();
    const asked = new Promise((resolve) => server.once("request", resolve));
    const found = find(keys, "one").catch((error: unknown) => error);
    await asked;
    keys.stop();
    expect(await found).toBeInstanceOf(KeysUnavailable);
  });
});
