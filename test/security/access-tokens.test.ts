/** The keys of access tokens: what they sign, and for how long. */
import { randomBytes } from "node:crypto";
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from "jose";
import { describe, expect, it } from "vitest";
import type { AccessTokens } from "../../src/domain/access-tokens.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { createAccessTokens, KEY_LEAD_MS } from "../../src/security/access-tokens.ts";
import { createSealer } from "../../src/security/sealer.ts";
import { openSqliteSubject } from "../helpers/sqlite.ts";
import { expectOk, openSurface } from "../helpers/surfaces.ts";
import { startTestApp } from "../helpers/test-app.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const CLAIMS = {
  userId: "019a0000-0000-7000-8000-000000000001",
  organizationId: "019a0000-0000-7000-8000-000000000002",
  sessionId: "019a0000-0000-7000-8000-000000000003",
};

const rootKey = randomBytes(32);

/** Access tokens on a store, by a clock that the test moves. */
function tokensOn(storage: Storage, clock: () => number): Promise<AccessTokens> {
  return createAccessTokens({
    storage,
    sealer: createSealer(rootKey, randomBytes),
    clock,
    entropy: randomBytes,
    issuer: "latchkey",
    algorithm: { name: "EdDSA" },
    keyLifetimeMs: 90 * DAY,
  });
}

const kidOf = (token: string): string => decodeProtectedHeader(token).kid ?? "";

describe("signing keys", () => {
  it("are renewed without signing anybody out", async () => {
    await using subject = await openSqliteSubject();
    let nowMs = Date.parse("2026-03-04T05:06:07Z");
    const tokens = await tokensOn(subject.storage, () => nowMs);
    const kids = new Set<string>();
    const living: { token: string; expiresAt: Date }[] = [];
    // A renewal and a token every five minutes, around the ends of four keys.
    for (const start of [0, 90, 180, 270].map((day) => nowMs + day * DAY - HOUR)) {
      for (nowMs = start; nowMs < start + 6 * HOUR; nowMs += 5 * 60_000) {
        await tokens.renew();
        living.push(await tokens.issue(CLAIMS));
        for (const { token, expiresAt } of living) {
          expect(await tokens.verify(token)).toEqual(expiresAt.getTime() > nowMs ? CLAIMS : undefined);
        }
        kids.add(kidOf(living.at(-1)?.token ?? ""));
        expect(tokens.publicKeys().map(({ kid }) => kid)).toContain(kidOf(living.at(-1)?.token ?? ""));
      }
      living.length = 0;
    }
    expect(kids.size).toBe(4);
    expect(await subject.storage.listSigningKeys()).toHaveLength(1);
  });

  it("are published before they sign", async () => {
    await using subject = await openSqliteSubject();
    let nowMs = Date.parse("2026-03-04T05:06:07Z");
    const tokens = await tokensOn(subject.storage, () => nowMs);
    const first = kidOf((await tokens.issue(CLAIMS)).token);
    nowMs += 90 * DAY - 1;
    await tokens.renew();
    expect(tokens.publicKeys()).toHaveLength(1);
    nowMs += 1;
    await tokens.renew();
    const [, second] = tokens.publicKeys();
    nowMs += KEY_LEAD_MS - 1;
    expect(kidOf((await tokens.issue(CLAIMS)).token)).toBe(first);
    nowMs += 1;
    expect(kidOf((await tokens.issue(CLAIMS)).token)).toBe(second?.kid);
  });

  it("are learned by threads that don't renew them, however long those were idle", async () => {
    await using subject = await openSqliteSubject();
    let nowMs = Date.parse("2026-03-04T05:06:07Z");
    const renewing = await tokensOn(subject.storage, () => nowMs);
    const busy = await tokensOn(subject.storage, () => nowMs);
    const idle = await tokensOn(subject.storage, () => nowMs);
    nowMs += 90 * DAY - HOUR;
    const kids = new Set<string>();
    for (const end = nowMs + 2 * HOUR; nowMs < end; nowMs += 5 * 60_000) {
      await renewing.renew();
      const { token: first } = await renewing.issue(CLAIMS);
      const { token: second } = await busy.issue(CLAIMS);
      expect(kidOf(second)).toBe(kidOf(first));
      expect(await busy.verify(first)).toEqual(CLAIMS);
      expect(await renewing.verify(second)).toEqual(CLAIMS);
      kids.add(kidOf(second));
    }
    expect(kids.size).toBe(2);
    nowMs += DAY;
    await renewing.renew();
    const { token } = await renewing.issue(CLAIMS);
    const answers = await Promise.all([idle.verify(token), idle.issue(CLAIMS), idle.verify(token)]);
    expect([answers[0], answers[2]]).toEqual([CLAIMS, CLAIMS]);
    expect(await renewing.verify(answers[1].token)).toEqual(CLAIMS);
  });

  it("that are gone verify nothing", async () => {
    await using subject = await openSqliteSubject();
    let nowMs = Date.parse("2026-03-04T05:06:07Z");
    const tokens = await tokensOn(subject.storage, () => nowMs);
    const { token } = await tokens.issue(CLAIMS);
    nowMs += 90 * DAY;
    await tokens.renew();
    nowMs += 3 * HOUR;
    await tokens.renew();
    nowMs -= 90 * DAY + 3 * HOUR;
    expect(await tokens.verify(token)).toBeUndefined();
  });
});

describe("/.well-known/jwks.json", () => {
  it("has the keys that verify access tokens, and nothing that signs them", async () => {
    await using test = await startTestApp();
    const rest = openSurface(test.app, "rest");
    const { adminEmail, adminPassword } = test.credentials;
    const { accessToken, userId } = expectOk(await rest.login({}, adminEmail, adminPassword));
    const response = await fetch(`http://${test.app.httpAddress}/.well-known/jwks.json`);
    expect(response.headers.get("cache-control")).toBe("public, max-age=300");
    const keys = (await response.json()) as { keys: Record<string, string>[] };
    expect(keys.keys.map((key) => Object.keys(key).toSorted())).toEqual([["alg", "crv", "kid", "kty", "use", "x"]]);
    const { payload } = await jwtVerify(accessToken, createLocalJWKSet(keys as never), {
      issuer: "latchkey",
      audience: "latchkey-api",
      typ: "at+jwt",
      algorithms: ["EdDSA"],
    });
    expect(payload.sub).toBe(userId);
    const posted = await fetch(`http://${test.app.httpAddress}/.well-known/jwks.json`, { method: "POST" });
    expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });

  it("is empty with a shared secret", async () => {
    await using test = await startTestApp({
      env: {
        LATCHKEY_ACCESS_TOKEN_ALGORITHM: "HS256",
        LATCHKEY_ACCESS_TOKEN_SECRET: "a shared secret of at least 32 characters",
      },
    });
    const response = await fetch(`http://${test.app.httpAddress}/.well-known/jwks.json`);
    expect(await response.json()).toEqual({ keys: [] });
  });
});
