/** What a caller can ask about itself, through every RPC protocol. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { UserService } from "../../gen/latchkey/v1/auth_pb.ts";
import { OrganizationService, Role } from "../../gen/latchkey/v1/organization_pb.ts";
import { TokenService, TokenState } from "../../gen/latchkey/v1/token_pb.ts";
import { expectOk, openSurface, RPC_SURFACES, type RpcSurface } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const { getSelf } = TokenService.method;
const { getMe } = UserService.method;

describe.each(RPC_SURFACES)("through %s", (name) => {
  let test: TestApp;
  let surface: RpcSurface;
  let vendor: { bearer: string };
  let admin: { bearer: string };

  beforeAll(async () => {
    test = await startTestApp();
    surface = openSurface(test.app, name);
    vendor = { bearer: test.credentials.serviceKey };
    const { adminEmail: email, adminPassword: password } = test.credentials;
    admin = { bearer: await test.signIn({ email, password }) };
  });

  afterAll(async () => {
    surface.close();
    await test[Symbol.asyncDispose]();
  });

  describe("GetSelf", () => {
    it("tells an API token what it is, and marks it as used", async () => {
      const { id, secret } = expectOk(await surface.issue(admin, { name: "who am I" }));
      const { token } = expectOk(await surface.invoke(getSelf, {}, { apiKey: secret }));
      expect(token).toMatchObject({
        id,
        name: "who am I",
        profile: "watchplane",
        state: TokenState.ACTIVE,
        organizationId: test.credentials.organizationId,
        userId: expectOk(await surface.invoke(getMe, {}, admin)).user?.id,
      });
      await test.app.usage.flush();
      const used = expectOk(await surface.invoke(getSelf, {}, { apiKey: secret })).token;
      expect(used?.lastUsedAt).toBeDefined();
      expectOk(await surface.revoke(admin, id));
      expect(await surface.invoke(getSelf, {}, { apiKey: secret })).toMatchObject({ code: "UNAUTHENTICATED" });
    });

    it("tells a service key its scopes", async () => {
      const key = { bearer: await test.addServiceKey(["tokens:read", "introspect"]) };
      const { token } = expectOk(await surface.invoke(getSelf, {}, key));
      expect(token).toMatchObject({ profile: "latchkey", scopes: ["introspect", "tokens:read"], userId: "" });
    });

    it("has nothing to tell a person", async () => {
      expect(await surface.invoke(getSelf, {}, admin)).toEqual({
        ok: false,
        code: "PERMISSION_DENIED",
        message: "This call needs an API token or a service key.",
      });
      expect(await surface.invoke(getSelf, {}, {})).toMatchObject({ code: "UNAUTHENTICATED" });
    });
  });

  describe("GetMe", () => {
    it.each([
      [
        "the name that was chosen",
        { firstName: "Ada", lastName: "Lovelace", displayName: "The Countess" },
        "The Countess",
      ],
      ["given and family name", { firstName: "Ada", lastName: "Lovelace" }, "Ada Lovelace"],
      ["the one of them that is known", { lastName: "Lovelace" }, "Lovelace"],
      ["the address", { displayName: " " }, undefined],
    ])("shows a person %s", async (_, names, displayName) => {
      const email = `${name}-${crypto.randomUUID()}@acme.example`;
      const request = { email, role: Role.MEMBER, ...names };
      const added = expectOk(await surface.invoke(OrganizationService.method.addMember, request, admin));
      const me = { bearer: await test.signIn({ email, password: added.initialPassword }) };
      const { user } = expectOk(await surface.invoke(getMe, {}, me));
      expect(user).toEqual(added.member?.user);
      expect(user).toMatchObject({ email, displayName: displayName ?? email });
    });

    it("answers the person whom an API token is for", async () => {
      const { user } = expectOk(await surface.invoke(getMe, {}, admin));
      const issued = expectOk(await surface.issue(admin, { name: "mine" }));
      expect(expectOk(await surface.invoke(getMe, {}, { apiKey: issued.secret })).user).toEqual(user);
      const { organizationId } = test.credentials;
      const nobodys = expectOk(await surface.issue(vendor, { organizationId, name: "nobody's" }));
      expect(await surface.invoke(getMe, {}, { apiKey: nobodys.secret })).toEqual({
        ok: false,
        code: "NOT_FOUND",
        message: "No such user.",
      });
    });

    it("has nobody to tell a service key of", async () => {
      expect(await surface.invoke(getMe, {}, vendor)).toEqual({
        ok: false,
        code: "PERMISSION_DENIED",
        message: "This call needs a person or an API token.",
      });
      expect(await surface.invoke(getMe, {}, {})).toMatchObject({ code: "UNAUTHENTICATED" });
    });
  });
});
