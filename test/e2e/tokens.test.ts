/** What TokenService promises, through every door. Codes and messages are the same everywhere. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Credential, expectOk, openSurface, SURFACES, type Surface } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const MISSING = "A credential is missing: send `Authorization: Bearer <access token>` or `X-Api-Key: <token>`.";
const INVALID = "The credential is not valid.";

describe.each(SURFACES)("TokenService through %s", (name) => {
  let test: TestApp;
  let surface: Surface;
  let admin: Credential;
  let member: Credential;

  beforeAll(async () => {
    test = await startTestApp();
    surface = openSurface(test.app, name);
    const signIn = async ({ email, password }: { email: string; password: string }): Promise<Credential> => ({
      bearer: expectOk(await openSurface(test.app, "rest").login({}, email, password)).accessToken,
    });
    const { adminEmail: email, adminPassword: password } = test.credentials;
    admin = await signIn({ email, password });
    member = await signIn(await test.addMember("member"));
  });

  afterAll(async () => {
    surface.close();
    await test[Symbol.asyncDispose]();
  });

  it("lets an owner and an admin issue, change and revoke", async () => {
    const person = await test.addMember("admin");
    const session = expectOk(await openSurface(test.app, "rest").login({}, person.email, person.password));
    for (const credential of [admin, { bearer: session.accessToken }]) {
      const { id } = expectOk(await surface.issue(credential, { name: "by a manager" }));
      expect(expectOk(await surface.update(credential, id, { name: "another name" })).name).toBe("another name");
      expect(expectOk(await surface.get(credential, id)).name).toBe("another name");
      expectOk(await surface.revoke(credential, id));
    }
  });

  it("lets a member list and read, and neither issue, change nor revoke", async () => {
    const issued = expectOk(await surface.issue(admin, { name: "seen by a member" }));
    expect(expectOk(await surface.get(member, issued.id)).name).toBe("seen by a member");
    expect(expectOk(await surface.list(member)).tokens.map(({ id }) => id)).toContain(issued.id);
    const refusal = {
      ok: false,
      code: "PERMISSION_DENIED",
      message: "Only an owner or an admin of the organization can manage API tokens.",
    };
    expect(await surface.issue(member, { name: "no" })).toEqual(refusal);
    expect(await surface.update(member, issued.id, { name: "no" })).toEqual(refusal);
    expect(await surface.update(member, issued.id, { enabled: false })).toEqual(refusal);
    expect(await surface.revoke(member, issued.id)).toEqual(refusal);
  });

  it("lets one of the organization's own tokens do all of it, since it has full admin access", async () => {
    const { secret } = expectOk(await surface.issue(admin, { name: "manager token" }));
    const token = { apiKey: secret };
    const made = expectOk(await surface.issue(token, { name: "made by a token" }));
    expect(expectOk(await surface.get(token, made.id)).name).toBe("made by a token");
    expect(expectOk(await surface.list(token)).tokens.map(({ id }) => id)).toContain(made.id);
    expect(expectOk(await surface.update(token, made.id, { name: "changed by a token" })).id).toBe(made.id);
    expectOk(await surface.revoke(token, made.id));
    expect(await surface.issue({ apiKey: made.secret }, { name: "no" })).toMatchObject({ code: "UNAUTHENTICATED" });
  });

  it("takes a Watchplane token in X-Api-Key only", async () => {
    const { secret } = expectOk(await surface.issue(admin, { name: "header" }));
    expect(await surface.list({ bearer: secret })).toEqual({ ok: false, code: "UNAUTHENTICATED", message: INVALID });
  });

  it("refuses a call without a credential, before it looks at the request", async () => {
    const refusal = { ok: false, code: "UNAUTHENTICATED", message: MISSING };
    expect(await surface.issue({}, { name: "" })).toEqual(refusal);
    expect(await surface.get({}, "nonsense")).toEqual(refusal);
    expect(await surface.list({})).toEqual(refusal);
    expect(await surface.update({}, "nonsense", { name: "" })).toEqual(refusal);
    expect(await surface.revoke({}, "nonsense")).toEqual(refusal);
  });

  it("refuses every bad credential alike", async () => {
    const wrongChecksum = `wp_${"0".repeat(48)}`;
    for (const credential of [
      { bearer: "nonsense" },
      { bearer: "a.b.c" },
      { apiKey: "nonsense" },
      { apiKey: wrongChecksum },
      { apiKey: admin.bearer ?? "" },
      { bearer: admin.bearer ?? "", apiKey: test.credentials.serviceKey },
    ]) {
      expect(await surface.list(credential)).toEqual({ ok: false, code: "UNAUTHENTICATED", message: INVALID });
    }
  });

  it.each([
    ["no name", {}, "name: is required"],
    ["an empty name", { name: "" }, "name: is required"],
    ["a blank name", { name: " \u2003" }, "name: must not hold control characters or be blank"],
    ["a long name", { name: "x".repeat(201) }, "name: must be at most 200 characters"],
    ["a control character", { name: "a\u0007b" }, "name: must not hold control characters or be blank"],
    ["a NUL", { name: "a\u0000b" }, "name: must not hold control characters or be blank"],
    ["scopes", { name: "x", scopes: ["a"] }, "scopes: is not offered by the profile watchplane"],
    ["a permission", { name: "x", permission: "full" }, "permission: is not offered by the profile watchplane"],
    ["a type", { name: "x", type: "robot" }, "type: is not offered by the profile watchplane"],
    ["addresses", { name: "x", ipAllowlist: ["10.0.0.0/8"] }, "ip_allowlist: is not offered by the profile watchplane"],
  ])("refuses %s by field, and writes nothing", async (_, request, message) => {
    const before = expectOk(await surface.list(admin, { pageSize: 1000 })).tokens.length;
    expect(await surface.issue(admin, request)).toEqual({ ok: false, code: "INVALID_ARGUMENT", message });
    expect(expectOk(await surface.list(admin, { pageSize: 1000 })).tokens).toHaveLength(before);
  });

  it("takes a name of 200 characters in any script", async () => {
    const long = `ключ 🔑 ${"鍵".repeat(193)}`;
    expect(Array.from(long)).toHaveLength(200);
    expect(expectOk(await surface.issue(admin, { name: long })).name).toBe(long);
  });

  it("answers not found alike for an unknown, a malformed and another organization's id", async () => {
    const elsewhere = await test.addOrganization();
    const grpc = openSurface(test.app, "grpc");
    const theirs = expectOk(
      await grpc.issue({ bearer: test.credentials.serviceKey }, { name: "theirs", organizationId: elsewhere }),
    );
    grpc.close();
    const refusal = { ok: false, code: "NOT_FOUND", message: "No such token." };
    const unknown = `tok_0${"1".repeat(25)}`;
    for (const id of [
      unknown,
      "nonsense",
      `${unknown}x`,
      "tok_",
      theirs.id,
      theirs.id.toUpperCase(),
      "x".repeat(900),
    ]) {
      expect(await surface.get(admin, id)).toEqual(refusal);
      expect(await surface.update(admin, id, { name: "mine" })).toEqual(refusal);
      expect(await surface.revoke(admin, id)).toEqual(refusal);
    }
    expect(await surface.list(admin, { organizationId: elsewhere })).toEqual({
      ok: false,
      code: "NOT_FOUND",
      message: "No such organization.",
    });
  });

  it.each([
    ["nothing", {}, "The request names nothing to change."],
    ["an empty name", { name: "" }, "name: must not hold control characters or be blank"],
    ["a long name", { name: "x".repeat(201) }, "name: must be at most 200 characters"],
    ["scopes", { name: "x", scopes: ["a"] }, "scopes: is not offered by the profile watchplane"],
    ["a permission", { permission: "full" }, "permission: is not offered by the profile watchplane"],
  ])("refuses a change to %s by field, and changes nothing", async (_, fields, message) => {
    const { id } = expectOk(await surface.issue(admin, { name: "as it is" }));
    expect(await surface.update(admin, id, fields)).toEqual({ ok: false, code: "INVALID_ARGUMENT", message });
    expect(expectOk(await surface.get(admin, id)).name).toBe("as it is");
  });

  it("changes no token that was revoked", async () => {
    const { id } = expectOk(await surface.issue(admin, { name: "gone" }));
    expectOk(await surface.revoke(admin, id));
    for (const fields of [{ name: "back" }, { name: "gone" }, { enabled: true }]) {
      expect(await surface.update(admin, id, fields)).toEqual({
        ok: false,
        code: "FAILED_PRECONDITION",
        message: "A revoked token can't be changed.",
      });
    }
  });

  it("switches a token off and on, at once", async () => {
    const { id, secret } = expectOk(await surface.issue(admin, { name: "switched" }));
    expectOk(await surface.list({ apiKey: secret }));
    expectOk(await surface.update(admin, id, { enabled: false }));
    expect(await surface.list({ apiKey: secret })).toEqual({ ok: false, code: "UNAUTHENTICATED", message: INVALID });
    expectOk(await surface.update(admin, id, { enabled: true }));
    expectOk(await surface.list({ apiKey: secret }));
  });

  it("revokes twice without complaint", async () => {
    const { id } = expectOk(await surface.issue(admin, { name: "twice" }));
    expectOk(await surface.revoke(admin, id));
    expectOk(await surface.revoke(admin, id));
  });

  it("lists page by page, newest first, each token once", async () => {
    const organization = await test.addOrganization();
    const grpc = openSurface(test.app, "grpc");
    const serviceKey = { bearer: test.credentials.serviceKey };
    const first = expectOk(await grpc.issue(serviceKey, { name: "0", organizationId: organization }));
    const token = { apiKey: first.secret };
    const names = ["0"];
    for (let index = 1; index < 7; index++) {
      names.unshift(expectOk(await surface.issue(token, { name: String(index) })).name);
    }
    grpc.close();
    const seen: string[] = [];
    const sizes: number[] = [];
    let pageToken = "";
    do {
      const page = expectOk(await surface.list(token, { pageSize: 3, pageToken }));
      seen.push(...page.tokens.map((one) => one.name));
      sizes.push(page.tokens.length);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(sizes).toEqual([3, 3, 1]);
    expect(seen).toEqual(names);
  });

  it("refuses a page token of another list, and a negative page size", async () => {
    const message = "page_token: must be the next_page_token of a call with the same organization and filters";
    for (const pageToken of ["nonsense", "AAAA"]) {
      expect(await surface.list(admin, { pageToken })).toEqual({ ok: false, code: "INVALID_ARGUMENT", message });
    }
    expect(await surface.list(admin, { pageSize: -1 })).toEqual({
      ok: false,
      code: "INVALID_ARGUMENT",
      message: "page_size: must be greater than or equal to 0",
    });
  });

  it("takes a service key as far as its scopes and its organization go", async () => {
    const elsewhere = await test.addOrganization();
    const reader = { bearer: await test.addServiceKey(["tokens:read"], test.credentials.organizationId) };
    const writer = { apiKey: await test.addServiceKey(["tokens:write"], elsewhere) };
    expect(expectOk(await surface.list(reader)).tokens.length).toBeGreaterThan(0);
    expect(await surface.issue(reader, { name: "no" })).toEqual({
      ok: false,
      code: "PERMISSION_DENIED",
      message: "The service key lacks the scope tokens:write.",
    });
    const made = expectOk(await surface.issue(writer, { name: "in its own organization" }));
    expect(await surface.list(writer)).toMatchObject({ code: "PERMISSION_DENIED" });
    expect(await surface.revoke({ bearer: reader.bearer }, made.id)).toMatchObject({ code: "NOT_FOUND" });
    expect(await surface.update(reader, made.id, { name: "no" })).toMatchObject({ code: "NOT_FOUND" });
    expect(expectOk(await surface.update(writer, made.id, { name: "yes" })).name).toBe("yes");
    expectOk(await surface.revoke(writer, made.id));
    expect(await surface.issue(writer, { name: "no", organizationId: test.credentials.organizationId })).toMatchObject({
      code: "NOT_FOUND",
    });
  });

  it("keeps service keys from customers, and from granting what they lack", async () => {
    const { organizationId } = test.credentials;
    expect(await surface.issue(admin, { name: "no", type: "service_key", scopes: ["introspect"] })).toMatchObject({
      code: "PERMISSION_DENIED",
    });
    const writer = { bearer: await test.addServiceKey(["tokens:write", "tokens:read"], organizationId) };
    expect(
      await surface.issue(writer, { name: "no", type: "service_key", scopes: ["introspect", "tokens:read"] }),
    ).toEqual({
      ok: false,
      code: "PERMISSION_DENIED",
      message: "A service key can't grant scopes that it lacks: introspect.",
    });
    const key = expectOk(await surface.issue(writer, { name: "less", type: "service_key", scopes: ["tokens:read"] }));
    expect(key.secret).toMatch(/^lk_[0-9A-Za-z]{48}$/);
    expect(await surface.get(admin, key.id)).toMatchObject({ code: "NOT_FOUND" });
    expect(await surface.update(admin, key.id, { enabled: false })).toMatchObject({ code: "NOT_FOUND" });
    expect(await surface.revoke(admin, key.id)).toMatchObject({ code: "NOT_FOUND" });
    expect(expectOk(await surface.list(admin, { pageSize: 1000 })).tokens.map(({ id }) => id)).not.toContain(key.id);
    expect(expectOk(await surface.get(writer, key.id)).name).toBe("less");
    expectOk(await surface.revoke(writer, key.id));
    expect(await surface.get({ bearer: key.secret }, key.id)).toMatchObject({ code: "UNAUTHENTICATED" });
  });

  it("asks a service key of all organizations which one is meant", async () => {
    expect(await surface.list({ bearer: test.credentials.serviceKey })).toEqual({
      ok: false,
      code: "INVALID_ARGUMENT",
      message: "organization_id: is required with a service key of all organizations",
    });
  });
});
