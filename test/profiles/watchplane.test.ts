/** What Watchplane's two pages say, one test a sentence, on a service that hosts all products. */

import { generateKeyPairSync } from "node:crypto";
import { readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { decodeJwt, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DashboardService } from "../../gen/latchkey/v1/dashboard_pb.ts";
import { Reason } from "../../gen/latchkey/v1/introspection_pb.ts";
import { Role } from "../../gen/latchkey/v1/organization_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { startIdentityProvider } from "../helpers/identity-provider.ts";
import { Page } from "../helpers/page.ts";
import {
  DAY,
  field,
  type Headers,
  HOUR,
  iso,
  type Json,
  MINUTE,
  type ProductService,
  SECOND,
  startProducts,
  type Tenant,
  textField,
} from "../helpers/products.ts";
import { runProgram, type TestEnv, temporaryFolder } from "../helpers/service-process.ts";
import { openSurface } from "../helpers/surfaces.ts";
import { startTestApp } from "../helpers/test-app.ts";
import { Visitor } from "../helpers/visitor.ts";

const MISSING = "A credential is missing: send `Authorization: Bearer <access token>` or `X-Api-Key: <token>`.";
const error = (code: string, message: string) => ({ error: { code, message } });
const INVALID = error("UNAUTHENTICATED", "The credential is not valid.");
const ADMINS_ONLY = error("PERMISSION_DENIED", "Only an owner or an admin of the organization can manage API tokens.");

/** A person's home, and the program under the product's name. */
async function wpHome() {
  const folder = await temporaryFolder();
  const file = join(folder.path, "wp");
  await symlink(join(import.meta.dirname, "../../bin/latchkey"), file);
  const wp = (args: readonly string[], env: TestEnv = {}, input = "") => {
    const home = { HOME: folder.path, XDG_CONFIG_HOME: undefined, LATCHKEY_ADDR: service.test.app.grpcAddress };
    return runProgram(args, { ...home, ...env }, input, { file });
  };
  return { ...folder, wp };
}

let service: ProductService;
let tenant: Tenant;

beforeAll(async () => {
  service = await startProducts();
  tenant = await service.addTenant("watchplane");
});

afterAll(() => service[Symbol.asyncDispose]());

/** A customer whose list holds nothing of other tests. */
const newTenant = (): Promise<Tenant> => service.addTenant("watchplane");

const json = { "content-type": "application/json" };
const key = (secret: string): Headers => ({ "x-api-key": secret });

describe("API tokens", () => {
  it("[watchplane-tokens-01] programs create, list and revoke tokens over the API", async () => {
    const admin = await tenant.as("admin");
    const created = await service.call("POST", "/api/v1/api-tokens", { headers: admin, body: { name: "program" } });
    expect(created.status).toBe(201);
    const id = field(field(created.json, "data"), "id") as string;
    expect(await tenant.listed(id)).toMatchObject({ name: "program" });
    expect((await service.call("DELETE", `/api/v1/api-tokens/${id}`, { headers: admin })).status).toBe(200);
    expect(await tenant.listed(id)).toBeUndefined();
  });

  it("[watchplane-tokens-02] a token works for years, and can't be given an end", async () => {
    const { secret, headers } = await tenant.issue();
    service.clock.advance(10 * 365 * DAY);
    expect((await tenant.self(headers)).status).toBe(200);
    const judgement = await service.introspect({ token: secret });
    expect(judgement).toMatchObject({ active: true, allowed: true });
    expect(judgement.expiresAt).toBeUndefined();
    const refused = await tenant.tryIssue({ expiresAt: iso(service.clock.nowMs + DAY) });
    expect(refused.status).toBe(400);
    expect(refused.json).toEqual(error("INVALID_ARGUMENT", "expires_at: is not offered by the profile watchplane"));
  });

  it("[watchplane-tokens-03] a token is wp_ and 48 hex digits", async () => {
    expect((await tenant.issue()).secret).toMatch(/^wp_[0-9a-f]{48}$/);
  });

  it("[watchplane-tokens-04] a token works in X-Api-Key, and not as a bearer token", async () => {
    const { secret } = await tenant.issue();
    expect((await tenant.self({ "X-Api-Key": secret })).status).toBe(200);
    const refused = await tenant.self({ authorization: `Bearer ${secret}` });
    expect(refused.status).toBe(401);
    expect(refused.json).toEqual(INVALID);
  });

  it("[watchplane-tokens-05] an owner and an admin create tokens, a member and nobody can't", async () => {
    const ours = await newTenant();
    expect((await ours.tryIssue({}, "owner")).status).toBe(201);
    expect((await ours.tryIssue({}, "admin")).status).toBe(201);
    const refused = await ours.tryIssue({}, "member");
    expect(refused.status).toBe(403);
    expect(refused.json).toEqual(ADMINS_ONLY);
    const nobody = await ours.tryIssue({}, {});
    expect(nobody.status).toBe(401);
    expect(nobody.json).toEqual(error("UNAUTHENTICATED", MISSING));
    expect(await ours.list()).toHaveLength(2);
  });

  it("[watchplane-tokens-06] an owner and an admin revoke tokens, a member can't", async () => {
    const token = await tenant.issue();
    const refused = await tenant.revoke(token.id, "member");
    expect(refused.status).toBe(403);
    expect(refused.json).toEqual(ADMINS_ONLY);
    expect((await tenant.self(token.headers)).status).toBe(200);
    expect((await tenant.revoke(token.id, "owner")).status).toBe(200);
    expect((await tenant.revoke((await tenant.issue()).id, "admin")).status).toBe(200);
  });

  it("[watchplane-tokens-08] no answer after the first shows the token", async () => {
    const { id, secret, headers } = await tenant.issue();
    const admin = await tenant.as("admin");
    const answers = [
      await tenant.call("GET", `/api-tokens/${id}`, { headers: admin }),
      await tenant.call("GET", "/api-tokens?page_size=1000", { headers: admin }),
      await tenant.self(headers),
      await tenant.revoke(id),
    ];
    for (const { status, text } of answers) {
      expect(status).toBe(200);
      expect(text).not.toContain(secret);
      expect(text).not.toContain(secret.slice(3));
    }
  });

  it("[watchplane-tokens-09] POST /api/v1/api-tokens with an access token and JSON creates one", async () => {
    const headers = { ...(await tenant.as("admin")), "Content-Type": "application/json" };
    const created = await service.call("POST", "/api/v1/api-tokens", { headers, body: { name: "CI pipeline" } });
    expect(created.status).toBe(201);
    expect(created.headers["content-type"]).toBe("application/json");
  });

  it("[watchplane-tokens-10] the name is what is sent; without one nothing is made", async () => {
    const ours = await newTenant();
    const { id } = await ours.issue({ name: "CI pipeline" });
    expect(await ours.listed(id)).toMatchObject({ name: "CI pipeline" });
    const headers = await ours.as("admin");
    const refused = await ours.call("POST", "/api-tokens", { headers, body: {} });
    expect(refused.status).toBe(400);
    expect(refused.json).toEqual(error("INVALID_ARGUMENT", "name: is required"));
    expect(await ours.list()).toHaveLength(1);
  });

  it("[watchplane-tokens-11] the answer is data with id, name, token and createdAt", async () => {
    const { answer } = await tenant.issue({ name: "CI pipeline" });
    expect(answer.json).toEqual({
      data: {
        id: expect.stringMatching(/^tok_[0-9a-z]{26}$/) as string,
        name: "CI pipeline",
        token: expect.stringMatching(/^wp_[0-9a-f]{48}$/) as string,
        createdAt: service.clock.iso,
      },
    });
    expect(service.clock.iso).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  });

  it("[watchplane-tokens-12] two answers never hold the same token", async () => {
    const body = { name: "once" };
    const first = await tenant.issue(body);
    const second = await tenant.issue(body);
    expect(second.secret).not.toBe(first.secret);
    expect(second.answer.text).not.toContain(first.secret);
  });

  it("[watchplane-tokens-13] GET /api/v1/api-tokens with an access token lists, for members too", async () => {
    const ours = await newTenant();
    const { id } = await ours.issue();
    for (const role of ["owner", "admin", "member"] as const) {
      const answer = await service.call("GET", "/api/v1/api-tokens", { headers: await ours.as(role) });
      expect(answer.status).toBe(200);
      expect(answer.json).toMatchObject({ data: [{ id }] });
    }
  });

  it("[watchplane-tokens-14] each entry has id, name, lastUsedAt and createdAt", async () => {
    const ours = await newTenant();
    const { id, headers } = await ours.issue({ name: "CI pipeline" });
    const createdAt = service.clock.iso;
    const admin = await ours.as("admin");
    const list = async (): Promise<Json> => (await service.call("GET", "/api/v1/api-tokens", { headers: admin })).json;
    expect(await list()).toEqual({ data: [{ id, name: "CI pipeline", lastUsedAt: null, createdAt }] });
    service.clock.advance(30 * MINUTE);
    await ours.self(headers);
    await service.flushUses();
    const lastUsedAt = service.clock.iso;
    expect(await list()).toEqual({ data: [{ id, name: "CI pipeline", lastUsedAt, createdAt }] });
  });

  it("[watchplane-tokens-15] the list holds no token's value, nor where it could be", async () => {
    const ours = await newTenant();
    const secrets = [(await ours.issue()).secret, (await ours.issue()).secret];
    const { text } = await ours.call("GET", "/api-tokens", { headers: await ours.as("admin") });
    for (const secret of secrets) expect(text).not.toContain(secret.slice(3));
    expect(text).not.toMatch(/"(?:token|secret|hint)"/);
  });

  it("[watchplane-tokens-16] DELETE /api/v1/api-tokens/{id} with an access token revokes", async () => {
    const { id, headers } = await tenant.issue();
    const answer = await service.call("DELETE", `/api/v1/api-tokens/${id}`, { headers: await tenant.as("admin") });
    expect(answer.status).toBe(200);
    expect((await tenant.self(headers)).status).toBe(401);
    const unknown = await tenant.revoke("tok_abc123");
    expect(unknown.status).toBe(404);
    expect(unknown.json).toEqual(error("NOT_FOUND", "No such token."));
  });

  it("[watchplane-tokens-17] a revoke answers 200 and its message", async () => {
    const { id } = await tenant.issue();
    const answer = await tenant.revoke(id);
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({ message: "API token revoked" });
  });

  it("[watchplane-tokens-18] after the answer to the revoke the token is refused everywhere", async () => {
    const { id, secret, headers } = await tenant.issue();
    expect(await service.introspect({ token: secret })).toMatchObject({ active: true });
    await tenant.revoke(id);
    expect(await service.introspect({ token: secret })).toMatchObject({ active: false, reason: Reason.REVOKED });
    for (const path of ["/api-tokens", "/api-tokens/self", `/api-tokens/${id}`]) {
      const refused = await tenant.call("GET", path, { headers });
      expect(refused.status).toBe(401);
      expect(refused.json).toEqual(INVALID);
    }
    // Revoked tokens are left out of the list, unless somebody asks for them.
    expect(await tenant.listed(id)).toBeUndefined();
    expect(await tenant.listed(id, "?states=TOKEN_STATE_REVOKED")).toMatchObject({ id });
  });

  it("[watchplane-tokens-19] X-Api-Key opens every route", async () => {
    const ours = await newTenant();
    const { id, headers } = await ours.issue();
    const made = await ours.tryIssue({ name: "by a token" }, headers);
    expect(made.status).toBe(201);
    const madeId = field(field(made.json, "data"), "id") as string;
    expect((await ours.call("GET", "/api-tokens", { headers })).json).toMatchObject({ data: [{ id: madeId }, { id }] });
    expect((await ours.call("GET", `/api-tokens/${id}`, { headers })).json).toMatchObject({ data: { id } });
    expect((await ours.call("GET", "/api-tokens/self", { headers })).json).toMatchObject({ data: { id } });
    expect((await ours.revoke(madeId, headers)).json).toEqual({ message: "API token revoked" });
  });

  it("[watchplane-tokens-20] a backend that gets a token asks, and hears whose it is", async () => {
    const { id, secret } = await tenant.issue({ name: "CI pipeline" });
    expect(await service.introspect({ token: secret, requiredScopes: ["projects:read"] })).toMatchObject({
      active: true,
      allowed: true,
      reason: Reason.UNSPECIFIED,
      tokenId: id,
      organizationId: tenant.id,
      profile: "watchplane",
      name: "CI pipeline",
      plan: "standard",
    });
  });

  it("[watchplane-tokens-21] one header is all that a request needs", async () => {
    const { id, secret } = await tenant.issue();
    const answer = await service.call("GET", "/api/v1/api-tokens/self", { headers: key(secret) });
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ data: { id } });
  });

  it("[watchplane-tokens-22] each integration's token lives on its own", async () => {
    const ours = await newTenant();
    const [ci, deploy, cron] = [
      await ours.issue({ name: "ci" }),
      await ours.issue({ name: "deploy" }),
      await ours.issue({ name: "cron" }),
    ];
    await ours.self(deploy.headers);
    await service.flushUses();
    await ours.revoke(ci.id);
    expect((await ours.self(ci.headers)).status).toBe(401);
    expect((await ours.self(cron.headers)).status).toBe(200);
    expect(await ours.list()).toMatchObject([
      { id: cron.id, name: "cron", lastUsedAt: null },
      { id: deploy.id, name: "deploy", lastUsedAt: service.clock.iso },
    ]);
  });

  it("[watchplane-tokens-23] a token may do everything, whatever is asked for", async () => {
    const { secret, headers } = await tenant.issue();
    const requiredScopes = ["monitors:write", "team:admin", "billing:delete", "anything at all"];
    expect(await service.introspect({ token: secret, requiredScopes })).toMatchObject({ allowed: true, scopes: [] });
    expect((await tenant.tryIssue({}, headers)).status).toBe(201);
    // Nothing less can be asked for.
    for (const wish of [{ scopes: ["monitors:read"] }, { permission: "read-only" }, { type: "robot" }]) {
      const refused = await tenant.tryIssue(wish);
      expect(refused.status).toBe(400);
      const [name] = Object.keys(wish);
      expect(refused.json).toEqual(error("INVALID_ARGUMENT", `${name}: is not offered by the profile watchplane`));
    }
  });

  it("[watchplane-tokens-24] a token of one account can do nothing in another", async () => {
    const other = await newTenant();
    const theirs = await other.issue({ name: "theirs" });
    const { headers } = await tenant.issue();
    for (const verb of ["GET", "DELETE"]) {
      const refused = await tenant.call(verb, `/api-tokens/${theirs.id}`, { headers });
      expect(refused.status).toBe(404);
      expect(refused.json).toEqual(error("NOT_FOUND", "No such token."));
    }
    const elsewhere = await tenant.tryIssue({ organizationId: other.id }, headers);
    expect(elsewhere.status).toBe(404);
    expect(await other.list()).toMatchObject([{ id: theirs.id }]);
    expect((await other.self(theirs.headers)).status).toBe(200);
  });

  it("[watchplane-tokens-25] a token can be revoked and created again under its name", async () => {
    const ours = await newTenant();
    const before = await ours.issue({ name: "nightly" });
    await ours.revoke(before.id);
    const after = await ours.issue({ name: "nightly" });
    expect(after.secret).not.toBe(before.secret);
    expect((await ours.self(before.headers)).status).toBe(401);
    expect((await ours.self(after.headers)).status).toBe(200);
    expect(await ours.list()).toMatchObject([{ id: after.id, name: "nightly" }]);
  });

  it("[watchplane-tokens-26] lastUsedAt follows the last use, by a backend's question too", async () => {
    const ours = await newTenant();
    const [busy, idle] = [await ours.issue({ name: "busy" }), await ours.issue({ name: "idle" })];
    await ours.self(busy.headers);
    service.clock.advance(90 * DAY);
    await service.introspect({ token: busy.secret });
    const usedAt = service.clock.iso;
    service.clock.advance(HOUR);
    await service.introspect({ token: busy.secret, dryRun: true });
    await service.flushUses();
    expect(await ours.listed(busy.id)).toMatchObject({ lastUsedAt: usedAt });
    expect(await ours.listed(idle.id)).toMatchObject({ lastUsedAt: null });
    expect((await ours.revoke(idle.id)).status).toBe(200);
  });

  it("[watchplane-tokens-27] the command line takes the token from WATCHPLANE_TOKEN, and says so when there is none", async () => {
    await using home = await wpHome();
    const { secret } = await tenant.issue({ name: "by variable" });
    expect((await home.wp(["whoami"], { WATCHPLANE_TOKEN: secret })).stdout).toMatch(/^name +by variable$/m);
    const nobody = await home.wp(["whoami"]);
    expect(nobody).toMatchObject({ code: 4, stdout: "" });
    expect(nobody.stderr).toMatch(/^wp: .* Set WATCHPLANE_TOKEN or --token, or sign in with `wp login`\.\n$/);
  });

  it("[watchplane-tokens-28] with that variable set, wp lists tokens; monitors are the product's to add, and wp says it has none", async () => {
    await using home = await wpHome();
    const { id, secret } = await tenant.issue();
    const listed = await home.wp(["tokens", "list"], { WATCHPLANE_TOKEN: secret });
    expect(listed).toMatchObject({ code: 0, stderr: "" });
    expect(listed.stdout).toContain(id);
    const monitors = await home.wp(["monitors", "list"], { WATCHPLANE_TOKEN: secret });
    expect(monitors).toEqual({ code: 2, stdout: "", stderr: "wp: no command monitors; `wp help` lists them\n" });
  });
});

describe("authentication", () => {
  const login = (email: string, password: string) =>
    service.call("POST", "/api/v1/auth/login", {
      headers: json,
      body: { email, password },
      host: "api.watchplane.com",
    });

  const signIn = async () => {
    const { email, password } = await tenant.person("admin");
    const { status, json: answer } = await login(email, password);
    expect(status).toBe(200);
    const pair = field(answer, "data");
    return { accessToken: textField(pair, "accessToken"), refreshToken: textField(pair, "refreshToken") };
  };

  const refresh = (refreshToken: string) =>
    service.call("POST", "/api/v1/auth/refresh-token", { headers: json, body: { refreshToken } });

  const listWith = (headers: Headers) => service.call("GET", "/api/v1/api-tokens", { headers });
  const bearer = (token: string): Headers => ({ Authorization: `Bearer ${token}` });

  it("[watchplane-auth-01] an access token and an API key open the same routes", async () => {
    const { accessToken } = await signIn();
    const { headers } = await tenant.issue();
    expect((await listWith(bearer(accessToken))).status).toBe(200);
    expect((await listWith(headers)).status).toBe(200);
    // Which of two counts is no guess.
    const both = await listWith({ ...bearer(accessToken), ...headers });
    expect(both.status).toBe(401);
    expect(both.json).toEqual(INVALID);
    expect((await listWith(key(accessToken))).status).toBe(401);
  });

  it("[watchplane-auth-02] POST /api/v1/auth/login takes email and password, and nothing else will do", async () => {
    const { email, password } = await tenant.person("admin");
    expect((await login(email, password)).status).toBe(200);
    const wrong = error("UNAUTHENTICATED", "The email or the password is wrong.");
    for (const [address, word] of [
      [email, "wrong"],
      ["nobody@example.com", password],
    ] as const) {
      const refused = await login(address, word);
      expect(refused.status).toBe(401);
      expect(refused.json).toEqual(wrong);
    }
  });

  it("[watchplane-auth-03] the answer is data with accessToken, refreshToken and user", async () => {
    const { email, password, userId } = await tenant.person("admin");
    const answer = await login(email, password);
    expect(answer.json).toEqual({
      data: {
        accessToken: expect.any(String) as string,
        refreshToken: expect.any(String) as string,
        user: { id: userId, email },
      },
    });
    expect(userId).toMatch(/^usr_/);
  });

  it("[watchplane-auth-04] the access token is a JSON Web Token about the person", async () => {
    const { accessToken } = await signIn();
    expect(accessToken).toMatch(/^eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+$/);
    const { userId } = await tenant.person("admin");
    expect(decodeJwt(accessToken)).toMatchObject({ sub: userId, org: tenant.id });
  });

  it("[watchplane-auth-05] the access token goes in Authorization: Bearer", async () => {
    const { accessToken } = await signIn();
    const answer = await service.call("GET", "/api/v1/api-tokens", {
      headers: { Authorization: `Bearer ${accessToken}` },
    });
    expect(answer.status).toBe(200);
    for (const authorization of [accessToken, `Basic ${accessToken}`, `Bearer ${accessToken}x`, "Bearer"]) {
      const refused = await listWith({ authorization });
      expect(refused.status).toBe(401);
      expect(refused.json).toEqual(INVALID);
    }
  });

  it("[watchplane-auth-06] the access token works for one hour, and no longer", async () => {
    // The claims of a token have whole seconds.
    service.clock.startWindow(SECOND);
    const { accessToken } = await signIn();
    service.clock.advance(HOUR - 1);
    expect((await listWith(bearer(accessToken))).status).toBe(200);
    service.clock.advance(1);
    const refused = await listWith(bearer(accessToken));
    expect(refused.status).toBe(401);
    expect(refused.json).toEqual(INVALID);
  });

  it("[watchplane-auth-07] a refresh gets a new pair when the hour is over, once", async () => {
    const first = await signIn();
    service.clock.advance(2 * HOUR);
    const answer = await refresh(first.refreshToken);
    expect(answer.status).toBe(200);
    const pair = field(answer.json, "data");
    expect((await listWith(bearer(textField(pair, "accessToken")))).status).toBe(200);
    const again = await refresh(first.refreshToken);
    expect(again.status).toBe(401);
    expect(again.json).toEqual(error("UNAUTHENTICATED", "The refresh token is not valid."));
  });

  it("[watchplane-auth-08] POST /api/v1/auth/refresh-token answers data with both tokens, both new", async () => {
    const first = await signIn();
    const { json: answer } = await refresh(first.refreshToken);
    expect(answer).toEqual({
      data: { accessToken: expect.any(String) as string, refreshToken: expect.any(String) as string },
    });
    const pair = field(answer, "data");
    expect(field(pair, "accessToken")).not.toBe(first.accessToken);
    expect(field(pair, "refreshToken")).not.toBe(first.refreshToken);
    const unnamed = await service.call("POST", "/api/v1/auth/refresh-token", { body: {} });
    expect(unnamed.status).toBe(400);
  });

  it("[watchplane-auth-09] a key goes on when the session that made it is long over", async () => {
    const { accessToken } = await signIn();
    const { headers } = await tenant.issue({}, bearer(accessToken));
    service.clock.advance(60 * DAY);
    expect((await listWith(bearer(accessToken))).status).toBe(401);
    expect((await listWith(headers)).status).toBe(200);
  });

  it("[watchplane-auth-10] a key works until it is revoked", async () => {
    const { id, secret, headers } = await tenant.issue();
    for (let year = 0; year < 5; year++) {
      service.clock.advance(365 * DAY);
      expect(await service.introspect({ token: secret })).toMatchObject({ active: true, allowed: true });
    }
    await tenant.revoke(id);
    expect((await tenant.self(headers)).status).toBe(401);
  });

  it("[watchplane-auth-11] a key starts with wp_", async () => {
    expect((await tenant.issue()).secret.startsWith("wp_")).toBe(true);
  });

  it("[watchplane-auth-13] neither the list nor the key itself shows the key again", async () => {
    const { id, secret, headers } = await tenant.issue();
    const texts = [JSON.stringify(await tenant.listed(id)), (await tenant.self(headers)).text];
    for (const text of texts) expect(text).not.toContain(secret.slice(3));
  });

  it("[watchplane-auth-14] POST /api/v1/api-tokens with the access token of a login and a name makes a key", async () => {
    const { accessToken } = await signIn();
    const headers = { Authorization: `Bearer ${accessToken}`, "Content-Type": "application/json" };
    const answer = await service.call("POST", "/api/v1/api-tokens", { headers, body: { name: "CI pipeline" } });
    expect(answer.status).toBe(201);
  });

  it("[watchplane-auth-15] the answer is data with id, name, token and createdAt, and the key works", async () => {
    const { answer, secret } = await tenant.issue({ name: "CI pipeline" });
    expect(Object.keys(field(answer.json, "data") as object)).toEqual(["id", "name", "token", "createdAt"]);
    expect((await tenant.self(key(secret))).status).toBe(200);
  });

  it("[watchplane-auth-16] a key goes in X-Api-Key, in whatever case the header is written", async () => {
    const { secret } = await tenant.issue();
    for (const name of ["X-Api-Key", "x-api-key", "X-API-KEY"]) {
      expect((await tenant.self({ [name]: secret })).status).toBe(200);
    }
  });

  it("[watchplane-auth-17] DELETE with the access token of a login revokes the key", async () => {
    const { accessToken } = await signIn();
    const { id, headers } = await tenant.issue();
    const answer = await service.call("DELETE", `/api/v1/api-tokens/${id}`, { headers: bearer(accessToken) });
    expect(answer.json).toEqual({ message: "API token revoked" });
    expect((await tenant.self(headers)).status).toBe(401);
  });

  it("[watchplane-auth-18] who stops being an admin stops managing tokens, in the same session", async () => {
    const ours = await newTenant();
    const { userId } = await ours.person("admin");
    const headers = await ours.as("admin");
    const { id } = await ours.issue({}, headers);
    const request = { organizationId: ours.id, userId, role: Role.MEMBER };
    await service.organizations.setMemberRole(request);
    for (const refused of [await ours.tryIssue({}, headers), await ours.revoke(id, headers)]) {
      expect(refused.status).toBe(403);
      expect(refused.json).toEqual(ADMINS_ONLY);
    }
  });

  it("[watchplane-auth-19] wp takes the key from ~/.config/watchplane/config.json, which is its owner's alone", async () => {
    await using home = await wpHome();
    const { secret } = await tenant.issue({ name: "kept" });
    await home.wp(["config", "set", "--token", secret]);
    const file = join(home.path, ".config/watchplane/config.json");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await home.wp(["whoami"])).stdout).toMatch(/^name +kept$/m);
  });

  it("[watchplane-auth-20] wp config set --token puts the key into the file, as an argument or through a pipe", async () => {
    await using home = await wpHome();
    const file = join(home.path, ".config/watchplane/config.json");
    for (const [args, input] of [
      [["wp_abc123"], ""],
      [[], "wp_def456\n"],
    ] as const) {
      expect(await home.wp(["config", "set", "--token", ...args], {}, input)).toMatchObject({ code: 0, stdout: "" });
      expect(JSON.parse(await readFile(file, "utf8"))).toEqual({ token: args[0] ?? input.trim() });
    }
  });

  it("[watchplane-auth-21] WATCHPLANE_TOKEN goes before the file, and LATCHKEY_TOKEN is nothing to wp", async () => {
    await using home = await wpHome();
    const [kept, set] = [await tenant.issue({ name: "kept" }), await tenant.issue({ name: "set" })];
    await home.wp(["config", "set", "--token", kept.secret]);
    const named = await home.wp(["whoami"], { WATCHPLANE_TOKEN: set.secret, LATCHKEY_TOKEN: "nonsense" });
    expect(named.stdout).toMatch(/^name +set$/m);
    expect((await home.wp(["whoami"], { LATCHKEY_TOKEN: "nonsense" })).stdout).toMatch(/^name +kept$/m);
  });

  it("[watchplane-auth-22] whom Google vouches for has a session of the dashboard, and it works there", async () => {
    const publicUrl = "https://app.watchplane.com";
    await using folder = await temporaryFolder();
    await using google = await startIdentityProvider([`${publicUrl}/sign-in/with/google/callback`]);
    const [file, secretFile] = [join(folder.path, "identity.json"), join(folder.path, "secret")];
    await writeFile(secretFile, google.client.secret);
    const { issuer, client } = google;
    const provider = { name: "google", label: "Google", issuer, client_id: client.id, client_secret_file: secretFile };
    await writeFile(file, JSON.stringify({ sign_in: [provider] }));
    const env = { LATCHKEY_IDENTITY_FILE: file, LATCHKEY_PUBLIC_URL: publicUrl };
    await using test = await startTestApp({ env });
    const { email } = await test.addMember("admin");
    google.person = { sub: "1234567890", email };
    const visitor = new Visitor(test.app, publicUrl);
    await visitor.open("/sign-in/with/google", (url) => url === `${publicUrl}/`);
    const page = new Page(test.app, { Origin: publicUrl });
    for (const [name, value] of visitor.cookies) page.cookies.set(name, value);
    const { value } = await page.call(DashboardService.method.getContext, {});
    expect(value).toMatchObject({ user: { email }, signInMethod: "google" });
    expect(await page.call(TokenService.method.issue, { name: "CI pipeline" })).toMatchObject({ code: "ok" });

    // And there only: the API and the command line say so.
    const [session = ""] = visitor.cookies.values();
    const refusal = /A sign-in to the dashboard, by Google or another service too, is no way into the API/;
    const rest = openSurface(test.app, "rest");
    for (const credential of [{ bearer: session }, { apiKey: session }]) {
      expect(await rest.list(credential)).toMatchObject({
        code: "UNAUTHENTICATED",
        message: expect.stringMatching(refusal) as string,
      });
    }
    await using home = await wpHome();
    const settings = { LATCHKEY_ADDR: test.app.grpcAddress, WATCHPLANE_TOKEN: session };
    const listed = await home.wp(["list", "--org", test.credentials.organizationId], settings);
    expect(listed).toMatchObject({ code: 4, stderr: expect.stringMatching(refusal) as string });
  });

  it("[watchplane-auth-23] a token of Google's opens nothing", async () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const { email } = await tenant.person("admin");
    const seconds = Math.floor(service.clock.nowMs / SECOND);
    const idToken = await new SignJWT({ email, email_verified: true })
      .setProtectedHeader({ alg: "RS256", kid: "google", typ: "JWT" })
      .setIssuer("https://accounts.google.com")
      .setSubject("1234567890")
      .setIssuedAt(seconds)
      .setExpirationTime(seconds + 3600)
      .sign(privateKey);
    for (const headers of [bearer(idToken), key(idToken)]) {
      const refused = await listWith(headers);
      expect(refused.status).toBe(401);
      expect(refused.json).toEqual(INVALID);
    }
  });

  describe("limits", () => {
    let limited: ProductService;

    beforeAll(async () => {
      limited = await startProducts({
        env: { LATCHKEY_LOGIN_LIMIT: "", LATCHKEY_REGISTER_LIMIT: "", LATCHKEY_RESTORE_PASSWORD_LIMIT: "" },
      });
    });

    afterAll(() => limited[Symbol.asyncDispose]());

    /** How often one address may call in a window until it is told to wait, and for how long. */
    const callsUntilRefused = async (route: string, address: string, body: Json, windowMs: number) => {
      limited.clock.startWindow(windowMs);
      const headers = { "x-forwarded-for": address };
      for (let calls = 0; ; calls++) {
        const answer = await limited.call("POST", `/api/v1/auth/${route}`, { headers, body });
        if (answer.status === 429) return { calls, seconds: answer.headers["retry-after"] };
      }
    };

    const newcomer = { email: "new@example.com", password: "your-password", organizationName: "New" };
    const somebody = { email: "you@example.com", password: "your-password" };

    it("[watchplane-auth-24] each client address has its own limit", async () => {
      const windowMs = 15 * MINUTE;
      limited.clock.startWindow(windowMs);
      for (const address of ["203.0.113.1", "203.0.113.2"]) {
        const headers = { "x-forwarded-for": address };
        for (let calls = 0; calls < 10; calls++) {
          const answer = await limited.call("POST", "/api/v1/auth/login", { headers, body: somebody });
          expect(answer.status).toBe(401);
        }
        const refused = await limited.call("POST", "/api/v1/auth/login", { headers, body: somebody });
        expect(refused.json).toEqual(error("RESOURCE_EXHAUSTED", "The rate limit is exceeded."));
      }
    });

    it("[watchplane-auth-25] the eleventh login in 15 minutes is refused, until they are over", async () => {
      const refused = await callsUntilRefused("login", "203.0.113.3", somebody, 15 * MINUTE);
      expect(refused).toEqual({ calls: 10, seconds: "900" });
      limited.clock.advance(15 * MINUTE);
      const headers = { "x-forwarded-for": "203.0.113.3" };
      expect((await limited.call("POST", "/api/v1/auth/login", { headers, body: somebody })).status).toBe(401);
    });

    it("[watchplane-auth-26] the sixth registration in an hour is refused", async () => {
      const refused = await callsUntilRefused("register", "203.0.113.4", newcomer, HOUR);
      expect(refused).toEqual({ calls: 5, seconds: "3600" });
    });

    it("[watchplane-auth-27] the fourth request for a new password in an hour is refused", async () => {
      const refused = await callsUntilRefused("restore-password", "203.0.113.5", { email: "you@example.com" }, HOUR);
      expect(refused).toEqual({ calls: 3, seconds: "3600" });
    });
  });
});
