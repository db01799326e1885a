/** How the dashboard's files are served: few, small, exactly those that there are, and under a strict policy. */
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";
import { exchangeRaw } from "./raw-request.ts";

let test: TestApp;
let base: string;

beforeAll(async () => {
  test = await startTestApp();
  base = `http://${test.app.httpAddress}`;
});

afterAll(() => test[Symbol.asyncDispose]());

const page = async (): Promise<string> => (await fetch(`${base}/`)).text();

async function assetPaths(): Promise<readonly string[]> {
  return Array.from((await page()).matchAll(/(?:src|href)="([^"]+)"/g), ([, path = ""]) => path);
}

describe("the dashboard's files", () => {
  it("come with a policy that lets nothing in but themselves", async () => {
    const { headers } = await fetch(`${base}/`);
    const policy = headers.get("content-security-policy") ?? "";
    expect(policy.split("; ")).toEqual([
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self'",
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ]);
    expect(Object.fromEntries(headers)).toMatchObject({
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      "referrer-policy": "no-referrer",
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-resource-policy": "same-origin",
      "cache-control": "no-cache",
    });
    expect(headers.getSetCookie()).toEqual([]);
    expect(await page()).not.toMatch(/<style|style=|<script(?![^>]* src=)|\son\w+=|https?:/);
  });

  it("are fewer than 60 kB of JavaScript, gzipped, and nothing is loaded later", async () => {
    const paths = await assetPaths();
    expect(paths.map((path) => path.split(".").at(-1))).toEqual(["svg", "css", "js"]);
    const script = paths.find((path) => path.endsWith(".js")) ?? "";
    // Node's own fetch would unpack it.
    const { headers, body } = await exchangeRaw(test.app.httpAddress, "GET", script, { "Accept-Encoding": "gzip" });
    expect(headers["content-encoding"]).toBe("gzip");
    expect(body.length).toBeLessThan(60_000);
    expect(gunzipSync(body).toString()).not.toMatch(/\bimport\(|https?:\/\/(?!www\.w3\.org)/);
  });

  it("are kept forever where their name says what is in them, and asked for anew where it doesn't", async () => {
    for (const path of await assetPaths()) {
      const { status, headers } = await fetch(base + path);
      expect(status).toBe(200);
      expect(path).toMatch(/^\/assets\/\w+\.[0-9a-f]{16}\.(?:js|css|svg)$/);
      expect(headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    }
    const first = await fetch(`${base}/`);
    const etag = first.headers.get("etag") ?? "";
    for (const tag of [etag, `W/${etag}`, `"other", ${etag}`]) {
      const again = await fetch(`${base}/sign-in`, { headers: { "If-None-Match": tag } });
      expect([again.status, await again.text(), again.headers.get("etag")]).toEqual([304, "", etag]);
      expect(again.headers.get("content-security-policy")).toMatch(/^default-src 'none'; script-src/);
    }
    expect((await fetch(`${base}/`, { headers: { "If-None-Match": '"other"' } })).status).toBe(200);
  });

  it.each([
    ["br, gzip", "br"],
    ["gzip", "gzip"],
    ["gzip;q=0.5, br;q=0", "gzip"],
    ["gzip;q=0", undefined],
    ["identity", undefined],
    ["", undefined],
  ])("answer `Accept-Encoding: %s` as it wants", async (accepted, expected) => {
    const { headers, body } = await exchangeRaw(test.app.httpAddress, "GET", "/", { "Accept-Encoding": accepted });
    expect(headers["content-encoding"]).toBe(expected);
    expect(headers["vary"]).toContain("Accept-Encoding");
    const decode = { br: brotliDecompressSync, gzip: gunzipSync }[String(expected)];
    expect((decode?.(body) ?? body).toString()).toMatch(/^<!doctype html>/i);
    expect(Number(headers["content-length"])).toBe(body.length);
  });

  it("are the same page on every path that the dashboard has", async () => {
    const organization = test.credentials.organizationId;
    const paths = ["sign-in", "register", "restore-password", "accept-invitation"];
    const sections = ["api-tokens", "members", "audit-log", "organization", "account"];
    for (const path of [...paths, ...sections.map((section) => `o/${organization}/settings/${section}`)]) {
      expect(await (await fetch(`${base}/${path}`)).text()).toBe(await page());
    }
  });

  it("answer GET and HEAD, and nothing else", async () => {
    const head = await exchangeRaw(test.app.httpAddress, "HEAD", "/", {});
    expect([head.status, head.body.length]).toEqual([200, 0]);
    for (const method of ["POST", "PUT", "DELETE"]) {
      const { status, headers } = await fetch(`${base}/`, { method });
      expect([status, headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    }
  });

  it.each([
    "/assets/",
    "/assets/app.js",
    "/assets/app.0000000000000000.js",
    "/assets/../package.json",
    "/assets/..%2f..%2fpackage.json",
    "/../gen/web/index.html",
    "/gen/web/app.js",
    "/index.html",
    "/o/org_x/settings/api-tokens",
    "/o/../settings/api-tokens",
    "/sign-in/",
    "/settings",
    "//sign-in",
    "/__proto__",
    "/constructor",
  ])("aren't found by what they aren't called: %s", async (path) => {
    const { status, headers, body } = await exchangeRaw(test.app.httpAddress, "GET", path, {});
    expect([status, headers["content-type"]]).toEqual([404, "application/json"]);
    expect(headers["content-security-policy"]).toMatch(/^default-src 'none'; base-uri/);
    expect(body.toString()).not.toContain("<");
  });
});
