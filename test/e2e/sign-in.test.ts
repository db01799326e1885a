/** What AuthService promises, through every door. */
import { createHmac } from "node:crypto";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { describe, expect, it } from "vitest";
import { expectOk, openSurface, SURFACES, type SurfaceName } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const credentialFor = (test: TestApp, name: SurfaceName) =>
  name === "grpc" ? { bearer: test.credentials.serviceKey } : {};

describe.each(SURFACES)("AuthService through %s", (name) => {
  it("signs in, whatever the case of the address", async () => {
    await using test = await startTestApp();
    const surface = openSurface(test.app, name);
    const { adminEmail, adminPassword } = test.credentials;
    const session = expectOk(
      await surface.login(credentialFor(test, name), `  ${adminEmail.toUpperCase()} `, adminPassword),
    );
    expect(session.userId).toMatch(/^usr_/);
    expect(session.email).toBe(adminEmail);
    surface.close();
  });

  it("refuses a wrong password and an unknown address alike", async () => {
    await using test = await startTestApp();
    const surface = openSurface(test.app, name);
    const refusal = { ok: false, code: "UNAUTHENTICATED", message: "The email or the password is wrong." };
    const credential = credentialFor(test, name);
    expect(await surface.login(credential, test.credentials.adminEmail, "wrong")).toEqual(refusal);
    expect(await surface.login(credential, "nobody@acme.example", test.credentials.adminPassword)).toEqual(refusal);
    expect(await surface.login(credential, "", "x")).toMatchObject({
      code: "INVALID_ARGUMENT",
      message: "email: is required",
    });
    surface.close();
  });

  it("rotates refresh tokens, and ends the session when one is used twice", async () => {
    await using test = await startTestApp();
    const surface = openSurface(test.app, name);
    const credential = credentialFor(test, name);
    const { adminEmail, adminPassword } = test.credentials;
    const first = expectOk(await surface.login(credential, adminEmail, adminPassword));
    const second = expectOk(await surface.refresh(credential, first.refreshToken));
    expect(second.refreshToken).not.toBe(first.refreshToken);
    expectOk(await surface.list({ bearer: second.accessToken }));

    const refusal = { ok: false, code: "UNAUTHENTICATED", message: "The refresh token is not valid." };
    expect(await surface.refresh(credential, first.refreshToken)).toEqual(refusal);
    expect(await surface.refresh(credential, second.refreshToken)).toEqual(refusal);
    expect(await surface.refresh(credential, "nonsense")).toEqual(refusal);
    // The access token of the session is over with it.
    expect(await surface.list({ bearer: second.accessToken })).toMatchObject({ code: "UNAUTHENTICATED" });
    surface.close();
  });

  it("ends access tokens after one hour, to the second", async () => {
    let nowMs = Date.parse("2026-03-04T05:06:07Z");
    await using test = await startTestApp({ surroundings: { clock: () => nowMs } });
    const surface = openSurface(test.app, name);
    const { adminEmail, adminPassword } = test.credentials;
    const session = expectOk(await surface.login(credentialFor(test, name), adminEmail, adminPassword));
    nowMs += 3_599_000;
    expectOk(await surface.list({ bearer: session.accessToken }));
    nowMs += 1_000;
    expect(await surface.list({ bearer: session.accessToken })).toEqual({
      ok: false,
      code: "UNAUTHENTICATED",
      message: "The credential is not valid.",
    });
    surface.close();
  });
});

describe("access tokens", () => {
  it("are signed with Ed25519, by a key that outlives a sign-in", async () => {
    await using test = await startTestApp();
    const rest = openSurface(test.app, "rest");
    const { adminEmail, adminPassword } = test.credentials;
    const { accessToken } = expectOk(await rest.login({}, adminEmail, adminPassword));
    expect(decodeProtectedHeader(accessToken)).toMatchObject({ alg: "EdDSA", typ: "at+jwt" });
    const { exp = 0, iat = 0 } = decodeJwt(accessToken);
    expect(exp - iat).toBe(3600);
    const again = expectOk(await rest.login({}, adminEmail, adminPassword)).accessToken;
    expect(decodeProtectedHeader(again).kid).toBe(decodeProtectedHeader(accessToken).kid);
  });

  it("are signed with HS256 when configured, and verify with the shared secret", async () => {
    const secret = "a shared secret of at least 32 characters";
    await using test = await startTestApp({
      env: { LATCHKEY_ACCESS_TOKEN_ALGORITHM: "HS256", LATCHKEY_ACCESS_TOKEN_SECRET: secret },
    });
    const rest = openSurface(test.app, "rest");
    const { adminEmail, adminPassword } = test.credentials;
    const { accessToken } = expectOk(await rest.login({}, adminEmail, adminPassword));
    const [head, body, signature] = accessToken.split(".");
    expect(decodeProtectedHeader(accessToken).alg).toBe("HS256");
    expect(createHmac("sha256", secret).update(`${head}.${body}`).digest("base64url")).toBe(signature);
    expectOk(await rest.list({ bearer: accessToken }));
  });

  it("lose their power when the person leaves the organization", async () => {
    const members = new Set<string>();
    await using test = await startTestApp({
      surroundings: {
        aroundStorage: (storage) =>
          new Proxy(storage, {
            get(target, property, receiver) {
              if (property !== "getMembership")
                return (Reflect.get(target, property, receiver) as () => void).bind(target);
              return (organizationId: string, userId: string) =>
                members.has(userId) ? Promise.resolve(undefined) : target.getMembership(organizationId, userId);
            },
          }),
      },
    });
    const rest = openSurface(test.app, "rest");
    const { adminEmail, adminPassword } = test.credentials;
    const { accessToken } = expectOk(await rest.login({}, adminEmail, adminPassword));
    expectOk(await rest.list({ bearer: accessToken }));
    const user = await test.app.deployment.storage.findUserByEmail(adminEmail);
    members.add(user?.id ?? "");
    expect(await rest.list({ bearer: accessToken })).toMatchObject({ code: "UNAUTHENTICATED" });
  });
});

describe("the internal port", () => {
  it("asks for a service key with the scope auth before it signs anybody in", async () => {
    await using test = await startTestApp();
    const grpc = openSurface(test.app, "grpc");
    const { adminEmail, adminPassword } = test.credentials;
    expect(await grpc.login({}, adminEmail, adminPassword)).toMatchObject({ code: "UNAUTHENTICATED" });
    const other = { bearer: await test.addServiceKey(["introspect"]) };
    expect(await grpc.login(other, adminEmail, adminPassword)).toEqual({
      ok: false,
      code: "PERMISSION_DENIED",
      message: "The service key lacks the scope auth.",
    });
    grpc.close();
  });
});
