/**
 * One story told to a product's public routes, with time and chance held still: the answers are the
 * examples of its OpenAPI document.
 */
import { createHash } from "node:crypto";
import type { JsonValue } from "@bufbuild/protobuf";
import type { Surroundings } from "../../src/app.ts";
import type { Profile } from "../../src/domain/profile.ts";
import { startTestApp } from "./test-app.ts";

/** What a person would send to each product to issue a token. */
const ISSUE_REQUESTS: Readonly<Record<string, JsonValue>> = {
  watchplane: { name: "CI pipeline" },
  watchmantower: { name: "CI/CD Pipeline", permissions: "full", expiresAt: "2027-01-01T00:00:00Z" },
  walwarden: { name: "terraform-ci", scopes: ["databases:read", "backups:trigger"] },
  plane: { label: "Nightly export", token_type: "api_key", expired_at: null },
};

/** What a person would send to each product to change it. */
const UPDATE_REQUESTS: Readonly<Record<string, JsonValue>> = {
  watchplane: { name: "CI pipeline, staging" },
  watchmantower: { permissions: "read-only", expiresAt: null },
  walwarden: { scopes: ["databases:read"] },
  plane: { label: "Weekly export", expired_at: "2027-01-01T00:00:00Z" },
};

/** What the product's tokens can't do without, in an import. */
const IMPORTED: Readonly<Record<string, Record<string, JsonValue>>> = {
  watchmantower: { permission: "full" },
  walwarden: { scopes: ["databases:read"] },
};

const START = Date.parse("2026-01-15T10:00:00Z");

/** Answers by operation id and status, and requests by operation id. */
export type StoryExamples = Readonly<Record<string, JsonValue>>;

export async function tellStory(id: string): Promise<StoryExamples> {
  await using test = await startTestApp({
    env: {
      LATCHKEY_PROFILE: id,
      // A key that is made would differ each time.
      LATCHKEY_ACCESS_TOKEN_ALGORITHM: "HS256",
      LATCHKEY_ACCESS_TOKEN_SECRET: "the examples' own shared secret, 32+",
    },
    surroundings: stillSurroundings(id),
  });
  const { app, credentials } = test;
  const profile = app.deployment.products.fallback;
  const examples: Record<string, JsonValue> = {};

  const call = async (
    operation: string,
    verb: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body?: JsonValue,
  ): Promise<Record<string, JsonValue>> => {
    const response = await fetch(`http://${app.httpAddress}${profile.basePaths[0] ?? ""}${path}`, {
      method: verb,
      headers: {
        "idempotency-key": `example-${operation}`,
        "x-request-id": "example",
        ...headers,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer = (await response.json()) as Record<string, JsonValue>;
    examples[`${operation} ${response.status}`] ??= answer;
    if (body !== undefined && response.ok) examples[`${operation} request`] ??= body;
    return answer;
  };

  const { adminEmail: email, adminPassword: password } = credentials;
  const session = await call("login", "POST", "/auth/login", {}, { email, password });
  await call("login", "POST", "/auth/login", {}, { email, password: "wrong" });
  await call(
    "refreshToken",
    "POST",
    "/auth/refresh-token",
    {},
    pick(session, ["refreshToken", "refresh_token"], "refreshToken"),
  );
  const admin = { authorization: `Bearer ${find(session, ["accessToken", "access_token"])}` };

  const issued = await call("issueToken", "POST", "/api-tokens", admin, ISSUE_REQUESTS[id] ?? { name: "CI pipeline" });
  await call("issueToken", "POST", "/api-tokens", {}, ISSUE_REQUESTS[id] ?? {});
  await call("issueToken", "POST", "/api-tokens", admin, {});
  const tokenId = find(issued, ["id"]);
  const token = tokenHeader(profile, find(issued, ["token", "key"]));
  await call("getSelfToken", "GET", "/api-tokens/self", token);
  if (profile.presentation.responses.me !== undefined) await call("getMe", "GET", "/users/me", token);
  await app.usage.flush();
  await call("listToken", "GET", "/api-tokens", admin);
  await call("getToken", "GET", `/api-tokens/${tokenId}`, admin);
  await call("getToken", "GET", "/api-tokens/nothing", admin);
  await call("updateToken", "PATCH", `/api-tokens/${tokenId}`, admin, UPDATE_REQUESTS[id] ?? { name: "CI" });
  await call("updateToken", "PATCH", "/api-tokens/nothing", admin, UPDATE_REQUESTS[id] ?? { name: "CI" });
  await call("updateToken", "PATCH", `/api-tokens/${tokenId}`, admin, {});
  await call("rotateToken", "POST", `/api-tokens/${tokenId}/rotate`, admin, { overlap: "604800s" });
  await call("rotateToken", "POST", `/api-tokens/${tokenId}/rotate`, { ...admin, "idempotency-key": "another" });
  await call("cancelRotationToken", "POST", `/api-tokens/${tokenId}/rotation/cancel`, admin);
  await call("finishRotationToken", "POST", `/api-tokens/${tokenId}/rotation/finish`, admin);
  await call("revokeToken", "DELETE", `/api-tokens/${tokenId}`, admin);
  await call("revokeToken", "DELETE", "/api-tokens/nothing", admin);
  const unused = { unusedSince: "2026-01-01T00:00:00Z" };
  await call("revokeManyTokens", "POST", "/api-tokens/revoke-many", admin, { ...unused, dryRun: true });
  await call("revokeManyTokens", "POST", "/api-tokens/revoke-many", admin, {});
  await call("getSelfToken", "GET", "/api-tokens/self", token);

  const imported = (name: string, key: Record<string, JsonValue>) => ({ ...key, name, ...IMPORTED[id] });
  await call("importToken", "POST", "/api-tokens/import", admin, {
    digestAlgorithm: "DIGEST_ALGORITHM_SHA256",
    digestEncoding: "DIGEST_ENCODING_HEX",
    tokens: [
      imported("Old CI key", { plaintext: "acme_live_7f9c2ba4e88f827d", createdAt: "2023-05-01T00:00:00Z" }),
      imported("Old backup key", { digest: createHash("sha256").update("acme_live_1c0ffee5ba5eba11").digest("hex") }),
      imported("Old report key", { digest: "not a digest" }),
    ],
  });
  return Object.fromEntries(Object.entries(examples).toSorted(([one], [other]) => (one < other ? -1 : 1)));
}

/** Random bytes that come out the same each time. */
function stillSurroundings(seed: string): Partial<Surroundings> {
  let count = 0;
  const entropy = (size: number): Uint8Array => {
    const chunks: Buffer[] = [];
    for (let bytes = 0; bytes < size; bytes += 32) {
      chunks.push(createHash("sha256").update(`${seed} ${count++}`).digest());
    }
    return Buffer.concat(chunks).subarray(0, size);
  };
  return { clock: () => START, entropy };
}

function tokenHeader({ credentialHeaders }: Profile, secret: string): Record<string, string> {
  return credentialHeaders.includes("x-api-key") ? { "x-api-key": secret } : { authorization: `Bearer ${secret}` };
}

/** The text under one of the names, however deep. */
function find(json: JsonValue, names: readonly string[]): string {
  if (json === null || typeof json !== "object") return "";
  for (const [name, value] of Object.entries(json)) {
    if (names.includes(name) && typeof value === "string") return value;
    const deeper = find(value, names);
    if (deeper !== "") return deeper;
  }
  return "";
}

function pick(json: JsonValue, names: readonly string[], as: string): JsonValue {
  return { [as]: find(json, names) };
}
