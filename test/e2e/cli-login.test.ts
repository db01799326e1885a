/** `latchkey login`: a session in a file, that commands use and renew by themselves, and `logout`. */
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { runProgram, type TestEnv, temporaryFolder } from "../helpers/service-process.ts";
import { openSurface } from "../helpers/surfaces.ts";
import { runInTerminal } from "../helpers/terminal.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

let test: TestApp;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;

beforeAll(async () => {
  test = await startTestApp();
});
afterAll(() => test[Symbol.asyncDispose]());
beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

interface Kept {
  readonly session?: Record<"url" | "email" | "accessToken" | "accessTokenExpiresAt" | "refreshToken", string>;
}

const file = (): string => join(folder.path, "latchkey", "config.json");
const url = (): string => `http://${test.app.httpAddress}`;
const settings = (): TestEnv => ({
  XDG_CONFIG_HOME: folder.path,
  LATCHKEY_ADDR: test.app.grpcAddress,
  LATCHKEY_URL: url(),
});
const run = (args: readonly string[], input = "", env: TestEnv = {}) =>
  runProgram(args, { ...settings(), ...env }, input);
const kept = async (): Promise<Kept> => JSON.parse(await readFile(file(), "utf8")) as Kept;
const login = () => run(["login", "--email", test.credentials.adminEmail], `${test.credentials.adminPassword}\n`);

/** Makes the access token look as if it had expired. */
async function expire(): Promise<void> {
  const { session, ...others } = await kept();
  await writeFile(file(), JSON.stringify({ ...others, session: { ...session, accessTokenExpiresAt: "2026-01-01" } }));
}

describe("latchkey login", () => {
  it("takes a password from a pipe, and keeps what it got for its owner alone", async () => {
    const { adminEmail, organizationId } = test.credentials;
    expect(await login()).toEqual({
      code: 0,
      stdout: "",
      stderr: `signed in as ${adminEmail}, and wrote ${file()}\n`,
    });
    expect((await stat(file())).mode & 0o777).toBe(0o600);
    expect((await kept()).session).toMatchObject({ url: url(), email: adminEmail });
    expect(await readFile(file(), "utf8")).not.toContain(test.credentials.adminPassword);
    const who = await run(["whoami"]);
    expect(who.stdout).toMatch(new RegExp(`^email +${adminEmail}\n(.*\n)*signed in at +${url()}$`, "m"));
    expect((await run(["issue", "--org", organizationId, "--name", "by a person"])).stdout).toMatch(/^wp_/);
    const listed = await run(["config", "list"]);
    expect(listed.stdout).toMatch(new RegExp(`^session +${adminEmail} +${file()}$`, "m"));
    const { session } = await kept();
    for (const secret of [session?.accessToken, session?.refreshToken]) expect(listed.stdout).not.toContain(secret);
  });

  it("asks a person for address and password, which isn't shown", async () => {
    const { adminEmail, adminPassword } = test.credentials;
    const dialogue = [
      ["Email: ", adminEmail],
      ["Password: ", adminPassword],
    ] as const;
    const { code, text } = await runInTerminal(["login"], settings(), dialogue);
    expect(code).toBe(0);
    expect(text).toContain(`signed in as ${adminEmail}, and wrote ${file()}\n`);
    expect(text).not.toContain(adminPassword);
    expect((await kept()).session).toMatchObject({ email: adminEmail });
  });

  it("prints the person for scripts, and acts in the organization that is named", async () => {
    const { adminEmail, adminPassword } = test.credentials;
    const other = await test.addOrganization();
    const args = ["login", "--email", adminEmail, "--json"];
    expect(JSON.parse((await run(args, adminPassword)).stdout)).toMatchObject({ email: adminEmail });
    expect(await run([...args, "--org", other], adminPassword)).toMatchObject({ code: 5, stdout: "" });
  });

  it("changes nothing when the password is wrong, and says what is", async () => {
    await login();
    const before = await kept();
    expect(await run(["login", "--email", test.credentials.adminEmail], "wrong")).toEqual({
      code: 4,
      stdout: "",
      stderr: "latchkey: The email or the password is wrong.\n",
    });
    expect(await kept()).toEqual(before);
  });

  it("ends the session before it", async () => {
    await login();
    const { session } = await kept();
    await login();
    const rest = openSurface(test.app, "rest");
    expect(await rest.list({ bearer: session?.accessToken ?? "" })).toMatchObject({ code: "UNAUTHENTICATED" });
    expect((await run(["whoami"])).code).toBe(0);
  });

  it("sends a password over TLS, or nowhere", async () => {
    for (const wrong of [
      "http://keys.example.com",
      "ftp://127.0.0.1",
      "127.0.0.1:8080",
      "http://127.0.0.1.example.com",
    ]) {
      const refused = await run(["login", "--email", "a@b.example", "--url", wrong], "a password");
      expect(refused).toMatchObject({ code: 2, stdout: "" });
      expect(refused.stderr).toContain(`must be https, or http on this machine, not ${wrong}`);
    }
    const nobody = await run(["login", "--email", "a@b.example", "--url", "http://127.0.0.1:1"], "a password");
    expect(nobody.code).toBe(6);
    expect(nobody.stderr).toContain("http://127.0.0.1:1 doesn't answer as the service does");
  });

  it("needs an address and a password", async () => {
    expect((await run(["login"], "a password")).stderr).toContain("needs --email");
    expect((await run(["login", "--email", "a@b.example"], "\n")).stderr).toContain("no password was given");
  });

  it("gives way to a token, and says so", async () => {
    const { serviceKey } = test.credentials;
    await run(["config", "set", "--token"], serviceKey);
    expect((await login()).stderr).toContain(`the token from ${file()} goes before it, as long as it is set\n`);
    expect((await run(["whoami"])).stdout).toMatch(/^profile +latchkey$/m);
    await run(["config", "unset", "token"]);
    expect((await run(["whoami"])).stdout).toMatch(/^email /m);
    await run(["config", "unset", "session"]);
    expect((await run(["whoami"])).code).toBe(4);
  });

  it("keeps a product's session in the product's file", async () => {
    const { adminEmail, adminPassword } = test.credentials;
    const wp = ["--program", "wp"];
    await run([...wp, "login", "--email", adminEmail], adminPassword);
    expect(await readFile(join(folder.path, "watchplane", "config.json"), "utf8")).toContain(adminEmail);
    expect((await run([...wp, "whoami"])).stdout).toMatch(/^email /m);
    expect((await run(["whoami"])).stderr).toContain("sign in with `latchkey login`");
    expect((await run([...wp, "logout"])).stderr).toBe(`signed out ${adminEmail}\n`);
  });
});

describe("a session that is kept", () => {
  it("is renewed when its access token has expired", async () => {
    await login();
    const { session: first } = await kept();
    await expire();
    expect((await run(["whoami"])).code).toBe(0);
    const { session: second } = await kept();
    expect(second?.refreshToken).not.toBe(first?.refreshToken);
    expect(Date.parse(second?.accessTokenExpiresAt ?? "")).toBeGreaterThan(Date.now());
    expect((await stat(file())).mode & 0o777).toBe(0o600);
  });

  it("is renewed once by many commands at once, and lives on", async () => {
    await login();
    await expire();
    const { session: before } = await kept();
    const outcomes = await Promise.all(Array.from({ length: 6 }, () => run(["whoami"])));
    expect(outcomes.map(({ code, stderr }) => [code, stderr])).toEqual(outcomes.map(() => [0, ""]));
    expect((await kept()).session?.refreshToken).not.toBe(before?.refreshToken);
    // A refresh token that was used twice would have ended it.
    await expire();
    expect((await run(["whoami"])).code).toBe(0);
  });

  it("that is over is said to be, with what to do", async () => {
    await login();
    const { session } = await kept();
    const rest = openSurface(test.app, "rest");
    await rest.account({}, "logout", { refreshToken: session?.refreshToken ?? "" });
    expect(await run(["whoami"])).toMatchObject({
      code: 4,
      stderr: "latchkey: The credential is not valid. Sign in again with `latchkey login`.\n",
    });
    await expire();
    expect(await run(["whoami"])).toMatchObject({
      code: 4,
      stderr: "latchkey: your session is over: sign in again with `latchkey login`\n",
    });
  });

  it("isn't sent anywhere else than where it is from", async () => {
    await login();
    await expire();
    // Whoever sets the variable isn't told the refresh token.
    expect((await run(["whoami"], "", { LATCHKEY_URL: "http://127.0.0.1:1" })).code).toBe(0);
  });
});

describe("latchkey logout", () => {
  it("ends the session, here and there", async () => {
    await run(["config", "set", "--addr", test.app.grpcAddress]);
    await login();
    const { session } = await kept();
    expect(await run(["logout"])).toEqual({
      code: 0,
      stdout: "",
      stderr: `signed out ${test.credentials.adminEmail}\n`,
    });
    expect(await kept()).toEqual({ addr: test.app.grpcAddress });
    const rest = openSurface(test.app, "rest");
    expect(await rest.list({ bearer: session?.accessToken ?? "" })).toMatchObject({ code: "UNAUTHENTICATED" });
    expect((await run(["logout"])).stderr).toBe("nobody is signed in\n");
  });

  it("keeps the session while the service doesn't answer", async () => {
    await login();
    const { session, ...others } = await kept();
    const away = { ...others, session: { ...session, url: "http://127.0.0.1:1" } };
    await writeFile(file(), JSON.stringify(away));
    expect((await run(["logout"])).code).toBe(6);
    expect(await kept()).toEqual(away);
  });
});
