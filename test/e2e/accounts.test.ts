/** What people do with their own accounts, through every door. */
import { describe, expect, it } from "vitest";
import type { Surroundings } from "../../src/app.ts";
import { fromPublicId } from "../../src/domain/ids.ts";
import { expectOk, openSurface, SURFACES, type SurfaceName } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const credentialFor = (test: TestApp, name: SurfaceName) =>
  name === "grpc" ? { bearer: test.credentials.serviceKey } : {};

/** The newest events of the first organization, with what they say of the call. */
async function eventsOf({ app, credentials }: TestApp, count: number) {
  const { storage } = app.deployment;
  const events = await storage.listEvents({
    organizationId: fromPublicId("org", credentials.organizationId),
    actions: undefined,
    actor: undefined,
    target: undefined,
    from: undefined,
    until: undefined,
    after: undefined,
    limit: 1_000,
  });
  return events.slice(-count);
}

describe.each(SURFACES)("Logout through %s", (name) => {
  it("ends the session with its access token and all its refresh tokens, and no other one", async () => {
    await using test = await startTestApp();
    const surface = openSurface(test.app, name);
    const credential = credentialFor(test, name);
    const { adminEmail, adminPassword } = test.credentials;
    const first = expectOk(await surface.login(credential, adminEmail, adminPassword));
    const second = expectOk(await surface.refresh(credential, first.refreshToken));
    const other = expectOk(await surface.login(credential, adminEmail, adminPassword));

    expectOk(await surface.account(credential, "logout", { refreshToken: second.refreshToken }));
    for (const { accessToken } of [first, second]) {
      expect(await surface.list({ bearer: accessToken })).toMatchObject({ code: "UNAUTHENTICATED" });
    }
    for (const { refreshToken } of [first, second]) {
      expect(await surface.refresh(credential, refreshToken)).toMatchObject({ code: "UNAUTHENTICATED" });
    }
    expectOk(await surface.list({ bearer: other.accessToken }));
    expectOk(await surface.refresh(credential, other.refreshToken));
    const [ended] = (await eventsOf(test, 2)).filter(({ action }) => action === "session.ended");
    const byPerson = { actor: { kind: "user", id: first.userId } };
    expect(ended).toMatchObject({
      details: { reason: "signed_out" },
      target: first.userId,
      ...(name === "grpc" ? { actor: { kind: "service" } } : byPerson),
    });
    surface.close();
  });

  it("takes a refresh token that was used up, and answers alike for one that is unknown or over", async () => {
    await using test = await startTestApp();
    const surface = openSurface(test.app, name);
    const credential = credentialFor(test, name);
    const { adminEmail, adminPassword } = test.credentials;
    const first = expectOk(await surface.login(credential, adminEmail, adminPassword));
    const second = expectOk(await surface.refresh(credential, first.refreshToken));
    const answers = [first.refreshToken, first.refreshToken, "lkr_nobody-was-given-this"].map((refreshToken) =>
      surface.account(credential, "logout", { refreshToken }),
    );
    const [answer, ...others] = (await Promise.all(answers)).map(expectOk);
    for (const other of others) expect(other).toEqual(answer);
    expect(await surface.list({ bearer: second.accessToken })).toMatchObject({ code: "UNAUTHENTICATED" });
    expect(await surface.account(credential, "logout", {})).toMatchObject({
      code: "INVALID_ARGUMENT",
      message: "refresh_token: is required",
    });
    surface.close();
  });
});

describe.each(SURFACES)("ChangePassword through %s", (name) => {
  it("takes the current password, and ends all other sessions", async () => {
    await using test = await startTestApp();
    const surface = openSurface(test.app, name);
    const credential = credentialFor(test, name);
    const { adminEmail, adminPassword } = test.credentials;
    const mine = expectOk(await surface.login(credential, adminEmail, adminPassword));
    const other = expectOk(await surface.login(credential, adminEmail, adminPassword));
    const newPassword = "quite another passphrase";

    const passwords = { currentPassword: adminPassword, newPassword };
    expectOk(await surface.account({ bearer: mine.accessToken }, "changePassword", passwords));
    expect(await surface.list({ bearer: other.accessToken })).toMatchObject({ code: "UNAUTHENTICATED" });
    expect(await surface.refresh(credential, other.refreshToken)).toMatchObject({ code: "UNAUTHENTICATED" });
    expectOk(await surface.list({ bearer: mine.accessToken }));
    expectOk(await surface.refresh(credential, mine.refreshToken));
    expect(await surface.login(credential, adminEmail, adminPassword)).toMatchObject({ code: "UNAUTHENTICATED" });
    expectOk(await surface.login(credential, adminEmail, newPassword));
    surface.close();
  });

  it("refuses a wrong current password, one that is too short, and whoever isn't a person", async () => {
    await using test = await startTestApp();
    const surface = openSurface(test.app, name);
    const { adminEmail, adminPassword, serviceKey } = test.credentials;
    const { accessToken, userId } = expectOk(await surface.login(credentialFor(test, name), adminEmail, adminPassword));
    const change = (bearer: string | undefined, currentPassword: string, newPassword: string) =>
      surface.account(bearer === undefined ? {} : { bearer }, "changePassword", { currentPassword, newPassword });
    const refusal = (message: string) => ({ ok: false, code: "INVALID_ARGUMENT", message });

    const wrong = refusal("current_password: is wrong");
    expect(await change(accessToken, "not the password", "quite another passphrase")).toEqual(wrong);
    expect((await eventsOf(test, 1))[0]).toMatchObject({
      action: "user.sign_in_failed",
      target: userId,
      details: { reason: "wrong_current_password" },
    });
    const short = refusal("new_password: must have at least 10 characters");
    expect(await change(accessToken, adminPassword, "ninechars")).toEqual(short);
    // Nine characters that are eighteen code points until they are normalised.
    expect(await change(accessToken, adminPassword, "e\u0301".repeat(9))).toEqual(short);
    expect(await change(undefined, adminPassword, "quite another passphrase")).toMatchObject({
      code: "UNAUTHENTICATED",
    });
    expect(await change(serviceKey, adminPassword, "quite another passphrase")).toMatchObject({
      code: "PERMISSION_DENIED",
    });
    expectOk(await surface.login(credentialFor(test, name), adminEmail, adminPassword));
    surface.close();
  });
});

describe.each(SURFACES)("Register through %s", (name) => {
  const request = { email: "Ada@Example.com", password: "difference engine", organizationName: "Analytical" };

  it("makes a person and an organization that they own, and nothing else", async () => {
    await using test = await startTestApp();
    const surface = openSurface(test.app, name);
    const credential = credentialFor(test, name);
    expect(expectOk(await surface.account(credential, "register", request))).not.toHaveProperty("accessToken");
    const { accessToken } = expectOk(await surface.login(credential, "ada@example.com", request.password));
    expectOk(await surface.issue({ bearer: accessToken }, { name: "first" }));
    const { storage } = test.app.deployment;
    const user = await storage.findUserByEmail("ada@example.com");
    const [membership, ...more] = await storage.listMembershipsOfUser(user?.id ?? "");
    expect(more).toEqual([]);
    expect(membership?.role).toBe("owner");
    expect(await storage.getOrganization(membership?.organizationId ?? "")).toMatchObject({
      name: "Analytical",
      profile: "watchplane",
      plan: "standard",
    });
    surface.close();
  });

  it("answers the same for an address that has an account, and leaves the account as it is", async () => {
    await using test = await startTestApp();
    const surface = openSurface(test.app, name);
    const credential = credentialFor(test, name);
    const { adminEmail, adminPassword } = test.credentials;
    const fresh = expectOk(await surface.account(credential, "register", request));
    const taken = expectOk(
      await surface.account(credential, "register", { ...request, email: adminEmail.toUpperCase() }),
    );
    expect(taken).toEqual(fresh);
    expect(await surface.login(credential, adminEmail, request.password)).toMatchObject({ code: "UNAUTHENTICATED" });
    expectOk(await surface.login(credential, adminEmail, adminPassword));
    const refusals = (await eventsOf(test, 100)).filter(({ action }) => action === "user.registration_refused");
    expect(refusals).toHaveLength(1);
    expect(JSON.stringify(refusals)).not.toContain("Analytical");
    surface.close();
  });

  it("refuses a password that is short, common, or in the address, and what isn't an address", async () => {
    await using test = await startTestApp();
    const surface = openSurface(test.app, name);
    const credential = credentialFor(test, name);
    for (const [fields, message] of [
      [{ password: "ninechars" }, "password: must have at least 10 characters"],
      [{ password: "QwertyUIOP" }, "password: is one of the passwords that are tried first: choose another one"],
      [{ password: "ada@EXAMPLE.com" }, "password: must not be a part of the address"],
      [{ email: "ada" }, "email: must be a valid email address"],
      [{ organizationName: "a\u0007" }, "organization_name: must not hold control characters or be blank"],
    ] as const) {
      expect(await surface.account(credential, "register", { ...request, ...fields })).toEqual({
        ok: false,
        code: "INVALID_ARGUMENT",
        message,
      });
    }
    expect(await surface.login(credential, request.email, request.password)).toMatchObject({ ok: false });
    surface.close();
  });

  it("is refused where it is switched off", async () => {
    await using test = await startTestApp({ env: { LATCHKEY_REGISTRATION: "off" } });
    const surface = openSurface(test.app, name);
    expect(await surface.account(credentialFor(test, name), "register", request)).toEqual({
      ok: false,
      code: "PERMISSION_DENIED",
      message: "People can't register here: ask an admin of your organization.",
    });
    expect(await test.app.deployment.storage.findUserByEmail("ada@example.com")).toBeUndefined();
    surface.close();
  });
});

it("does the same work for an address that has an account and one that hasn't", async () => {
  const calls: string[] = [];
  const aroundStorage: Surroundings["aroundStorage"] = (storage) =>
    new Proxy(storage, {
      get(target, property: keyof typeof storage) {
        return (...input: never[]) => {
          calls.push(property);
          return (target[property] as (...values: never[]) => unknown).apply(target, input);
        };
      },
    });
  await using test = await startTestApp({ env: { LATCHKEY_REGISTER_LIMIT: "" }, surroundings: { aroundStorage } });
  const rest = openSurface(test.app, "rest");
  const callsOf = async (email: string): Promise<readonly string[]> => {
    calls.length = 0;
    const request = { email, password: "difference engine", organizationName: "Analytical" };
    expectOk(await rest.account({}, "register", request));
    return calls.filter((name) => name !== "changeCount");
  };
  expect(await callsOf("ada@example.com")).toEqual(await callsOf(test.credentials.adminEmail));
});

describe("sessions and passwords", () => {
  it("of two refreshes at once with one refresh token at most one works, and the session ends", async () => {
    await using test = await startTestApp();
    const rest = openSurface(test.app, "rest");
    const { adminEmail, adminPassword } = test.credentials;
    const { refreshToken } = expectOk(await rest.login({}, adminEmail, adminPassword));
    const outcomes = await Promise.all([rest.refresh({}, refreshToken), rest.refresh({}, refreshToken)]);
    const pairs = outcomes.flatMap((outcome) => (outcome.ok ? [outcome.value] : []));
    expect(pairs).toHaveLength(1);
    for (const pair of pairs) {
      expect(await rest.list({ bearer: pair.accessToken })).toMatchObject({ code: "UNAUTHENTICATED" });
      expect(await rest.refresh({}, pair.refreshToken)).toMatchObject({ code: "UNAUTHENTICATED" });
    }
  });

  it("a sign-in by the old password that is under way when it changes starts no session", async () => {
    let change = async (): Promise<void> => {};
    const aroundStorage: Surroundings["aroundStorage"] = (storage) =>
      new Proxy(storage, {
        get(target, property: keyof typeof storage) {
          if (property !== "createSession") return target[property].bind(target);
          return async (...input: Parameters<typeof storage.createSession>) => {
            await change();
            return target.createSession(...input);
          };
        },
      });
    await using test = await startTestApp({ surroundings: { aroundStorage } });
    const rest = openSurface(test.app, "rest");
    const { adminEmail, adminPassword } = test.credentials;
    const { accessToken } = expectOk(await rest.login({}, adminEmail, adminPassword));
    const passwords = { currentPassword: adminPassword, newPassword: "quite another passphrase" };
    change = async () => {
      change = async () => {};
      expectOk(await rest.account({ bearer: accessToken }, "changePassword", passwords));
    };
    expect(await rest.login({}, adminEmail, adminPassword)).toMatchObject({ code: "FAILED_PRECONDITION" });
  });

  it("no password is in the log, nor in an event", async () => {
    await using test = await startTestApp();
    const rest = openSurface(test.app, "rest");
    const { adminEmail, adminPassword } = test.credentials;
    const { accessToken, refreshToken } = expectOk(await rest.login({}, adminEmail, adminPassword));
    const newPassword = "quite another passphrase";
    for (const currentPassword of ["not the password", adminPassword]) {
      await rest.account({ bearer: accessToken }, "changePassword", { currentPassword, newPassword });
    }
    await rest.account({}, "logout", { refreshToken });
    const texts = [...test.logLines, JSON.stringify(await eventsOf(test, 1_000))].join("\n");
    for (const secret of [newPassword, "not the password", adminPassword, refreshToken]) {
      expect(texts).not.toContain(secret);
    }
  });
});
