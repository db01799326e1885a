/** The configuration file of a person, and what `whoami` says with it, on a running service. */
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { runProgram, type TestEnv, temporaryFolder } from "../helpers/service-process.ts";
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

const file = (): string => join(folder.path, "latchkey", "config.json");
const run = (args: readonly string[], input = "", env: TestEnv = {}) =>
  runProgram(args, { XDG_CONFIG_HOME: folder.path, ...env }, input);
const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

async function put(text: string, mode = 0o600): Promise<void> {
  await mkdir(dirname(file()), { recursive: true });
  await writeFile(file(), text, { mode });
  await chmod(file(), mode);
}

describe("latchkey config", () => {
  it("keeps a piped credential for its owner alone, and commands work with it", async () => {
    const { serviceKey, organizationId } = test.credentials;
    const set = await run(["config", "set", "--token", "--addr", test.app.grpcAddress], `${serviceKey}\n`);
    expect(set).toEqual({ code: 0, stdout: "", stderr: `wrote ${file()}\n` });
    expect([await modeOf(file()), await modeOf(dirname(file()))]).toEqual([0o600, 0o700]);
    expect(JSON.parse(await readFile(file(), "utf8"))).toEqual({ token: serviceKey, addr: test.app.grpcAddress });
    // No draft stays behind.
    expect(await readdir(dirname(file()))).toEqual(["config.json", "config.json.lock"]);
    expect((await run(["tokens", "list", "--org", organizationId])).code).toBe(0);
  });

  it("shows where each setting is from, and of the credential a hint only", async () => {
    const { serviceKey } = test.credentials;
    await put(JSON.stringify({ token: serviceKey, addr: "file.example:1" }));
    const hint = `lk_…${serviceKey.slice(-4)}`;
    const listed = await run(["config", "list"]);
    expect(listed.stdout.split("\n").map((line) => line.split(/ +/))).toEqual([
      ["NAME", "VALUE", "FROM"],
      ["token", hint, file()],
      ["addr", "file.example:1", file()],
      ["url", "http://127.0.0.1:8080", "default"],
      [""],
    ]);
    const env = { LATCHKEY_TOKEN: "short", LATCHKEY_ADDR: "variable.example:1" };
    const json = await run(["config", "list", "--json"], "", env);
    expect(
      json.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as object),
    ).toEqual([
      { name: "token", value: "…", from: "LATCHKEY_TOKEN" },
      { name: "addr", value: "variable.example:1", from: "LATCHKEY_ADDR" },
      { name: "url", value: "http://127.0.0.1:8080", from: "default" },
    ]);
    expect(await run(["config", "get", "token"])).toEqual({ code: 0, stdout: `${hint}\n`, stderr: "" });
    expect((listed.stdout + json.stdout).includes(serviceKey)).toBe(false);
  });

  it("goes by flags, then variables, then the file", async () => {
    const { serviceKey } = test.credentials;
    await put(JSON.stringify({ token: "from-the-file", addr: "127.0.0.1:1" }));
    const env = { LATCHKEY_TOKEN: serviceKey, LATCHKEY_ADDR: test.app.grpcAddress };
    expect((await run(["whoami"], "", env)).code).toBe(0);
    expect((await run(["whoami", "--token", "from-a-flag"], "", env)).code).toBe(4);
    expect((await run(["whoami"], "", { ...env, LATCHKEY_TOKEN: "" })).code).toBe(4);
    expect((await run(["whoami"], "", { ...env, LATCHKEY_ADDR: undefined })).code).toBe(6);
    const flags = ["--token", serviceKey, "--addr", test.app.grpcAddress];
    expect((await run(["whoami", ...flags], "", { LATCHKEY_TOKEN: "x", LATCHKEY_ADDR: "127.0.0.1:1" })).code).toBe(0);
  });

  it("changes one setting and leaves the others, and removes", async () => {
    await run(["config", "set", "--token", "one"]);
    await run(["config", "set", "--addr", "a.example:1"]);
    await run(["config", "set", "--token", "-"], "two\n");
    expect(JSON.parse(await readFile(file(), "utf8"))).toEqual({ token: "-", addr: "a.example:1" });
    expect((await run(["config", "unset", "token", "addr"])).code).toBe(0);
    expect(await readFile(file(), "utf8")).toBe("{}\n");
    expect(await run(["config", "unset", "token"])).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(await run(["config", "get", "token"])).toEqual({ code: 5, stdout: "", stderr: "" });
  });

  it.each([0o640, 0o604, 0o620, 0o644])("is refused when others have access: mode %o", async (mode) => {
    await put(JSON.stringify({ token: test.credentials.serviceKey }), mode);
    for (const args of [["whoami"], ["config", "list"], ["config", "set", "--addr", "a.example:1"]]) {
      const { code, stdout, stderr } = await run(args);
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toContain(`${file()} is open to others (mode 0${mode.toString(8)})`);
      expect(stderr).toContain("chmod 600");
    }
    expect(await modeOf(file())).toBe(mode);
  });

  it.each([
    ["{", "is not JSON"],
    ["[]", "must hold a JSON object"],
    ['{"tokn":"lk_secret"}', "tokn is not a setting; there are token, addr, url, session"],
    ['{"token":1}', "token must be a text"],
    ['{"session":{"accessToken":"lk_secret"}}', "session is not what login wrote"],
  ])("that holds %s is refused, and not quoted", async (text, fault) => {
    await put(text);
    const { code, stderr } = await run(["whoami"]);
    expect(code).toBe(1);
    expect(stderr).toContain(fault);
    expect(stderr).not.toContain("lk_secret");
  });

  it("lies in ~/.config when XDG_CONFIG_HOME is not an absolute path", async () => {
    const env = { HOME: folder.path, XDG_CONFIG_HOME: "relative" };
    const { stderr } = await run(["config", "set", "--addr", "a.example:1"], "", env);
    expect(stderr).toBe(`wrote ${join(folder.path, ".config/latchkey/config.json")}\n`);
  });

  it("says when it can't be written, and leaves the old one", async () => {
    await writeFile(join(folder.path, "latchkey"), "a file where the folder would be");
    const { code, stderr } = await run(["config", "set", "--addr", "a.example:1"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/config\.json can't be written: E/);
  });

  it.each([
    [["set"], "needs --token, --addr, --cacert, --cert, --key or --url"],
    [["set", "--token"], "no token was given"],
    [["set", "--token", "two words"], "a token is one word"],
    [["set", "--addr", ""], "--addr must not be empty"],
    [["set", "--url", "example.com"], "--url must be a URL"],
    [["get", "nope"], "NAME must be one of token, addr, url, session, not nope"],
    [["unset"], "needs 1 or more arguments, not 0"],
    [["nope"], "needs one of set, get, list, unset, not nope"],
  ])("%o is a misuse", async (args, message) => {
    const { code, stdout, stderr } = await run(["config", ...args]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(message);
  });
});

describe("latchkey whoami", () => {
  it("tells a service key, an API token of each product's header, and a person", async () => {
    const env = { LATCHKEY_ADDR: test.app.grpcAddress, LATCHKEY_TOKEN: test.credentials.serviceKey };
    const key = await run(["whoami"], "", env);
    expect(key).toMatchObject({ code: 0, stderr: "" });
    expect(key.stdout).toMatch(/^profile +latchkey$/m);
    expect(key.stdout).toMatch(/^scopes +.*\btokens:write\b/m);
    for (const [profile, more] of [
      ["watchplane", []],
      ["walwarden", ["--idempotency-key", "one"]],
    ] as const) {
      const org = await test.addOrganization(profile);
      const issued = await run(["issue", "--org", org, "--name", "mine", ...more], "", env);
      const LATCHKEY_TOKEN = issued.stdout.trim();
      const own = await run(["whoami"], "", { ...env, LATCHKEY_TOKEN });
      expect(own).toMatchObject({ code: 0, stderr: "" });
      for (const fact of ["name +mine", `organization +${org}`, `profile +${profile}`, "expires +never"]) {
        expect(own.stdout).toMatch(new RegExp(`^${fact}$`, "m"));
      }
      const json = await run(["whoami", "--json"], "", { ...env, LATCHKEY_TOKEN });
      expect(JSON.parse(json.stdout)).toMatchObject({ token: { name: "mine", organizationId: org } });
    }
    const { adminEmail, adminPassword } = test.credentials;
    const person = { ...env, LATCHKEY_TOKEN: await test.signIn({ email: adminEmail, password: adminPassword }) };
    expect((await run(["whoami"], "", person)).stdout).toMatch(
      new RegExp(`^user +usr_\\w+\nemail +${adminEmail}$`, "m"),
    );
    expect(JSON.parse((await run(["whoami", "--json"], "", person)).stdout)).toMatchObject({
      user: { email: adminEmail },
    });
    expect((await run(["whoami"], "", { ...env, LATCHKEY_TOKEN: undefined })).code).toBe(4);
  });
});
