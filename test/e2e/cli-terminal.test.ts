/** Every command of the program, once in a pipe and once in a pseudo-terminal, which `script` of util-linux makes. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OrganizationService, Role } from "../../gen/latchkey/v1/organization_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { createClient, type ServiceClient } from "../../src/client/index.ts";
import { allCommands } from "../helpers/all-commands.ts";
import { runProgram, type TestEnv, temporaryFolder } from "../helpers/service-process.ts";
import { type Outcome, runInTerminal } from "../helpers/terminal.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

let test: TestApp;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let tokens: ServiceClient<typeof TokenService>;
let organizations: ServiceClient<typeof OrganizationService>;

beforeAll(async () => {
  test = await startTestApp();
  folder = await temporaryFolder();
  const connection = { address: test.app.grpcAddress, token: test.credentials.serviceKey };
  tokens = createClient(TokenService, connection);
  organizations = createClient(OrganizationService, connection);
});
afterAll(async () => {
  tokens.close();
  organizations.close();
  await test[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const settings = (): TestEnv => ({
  LATCHKEY_ADDR: test.app.grpcAddress,
  LATCHKEY_URL: `http://${test.app.httpAddress}`,
  LATCHKEY_TOKEN: test.credentials.serviceKey,
  LATCHKEY_DATA_DIR: test.config.dataDir,
  XDG_CONFIG_HOME: folder.path,
});

async function runInPipe(args: readonly string[], env: TestEnv, input = ""): Promise<Outcome> {
  const { code, stdout, stderr } = await runProgram(args, env, input);
  return { code, text: stdout + stderr };
}

interface Run {
  readonly args: readonly string[];
  /** What is read from the standard input, or typed as the password. */
  readonly input?: string;
  readonly code?: number;
  readonly prints: RegExp;
  readonly env?: TestEnv;
}

/** One run of each command, for a place that is new each time. */
async function runOf(name: string, place: string): Promise<Run> {
  const org = test.credentials.organizationId;
  // What a command needs is made by calls: a process for each takes half a second.
  const token = async () => {
    const { secret, token: issued } = await tokens.issue({ organizationId: org, name: place });
    return { secret, id: issued?.id ?? "" };
  };
  const member = async () => (await test.addMember("member")).userId;
  const made = async () => (await organizations.create({ name: place })).organization?.id ?? "";
  const invited = async () => {
    const request = { organizationId: org, email: `${place}@a.example`, role: Role.ADMIN };
    return (await organizations.inviteMember(request)).invitation?.id ?? "";
  };
  const file = join(folder.path, place);
  const own = name.replace(/^tokens /, "");
  switch (own) {
    case "serve":
      return { args: ["--grpc-addr", "nowhere"], code: 1, prints: /LATCHKEY_GRPC_ADDR must be/ };
    case "bootstrap":
      return { args: ["--admin-email", "a@b.example"], prints: /^serviceKey +lk_/m, env: { LATCHKEY_DATA_DIR: file } };
    case "issue":
      return { args: ["--org", org, "--name", place], prints: /^wp_[0-9a-f]{48}$/m };
    case "list":
      await token();
      return { args: ["--org", org], prints: /^ID +NAME +STATE/m };
    case "get":
      return { args: [(await token()).id], prints: /^state +active$/m };
    case "update":
      return { args: [(await token()).id, "--disable"], prints: /^updated tok_/m };
    case "rotate":
      return { args: [(await token()).id], prints: /^wp_[0-9a-f]{48}$/m };
    case "revoke":
      return { args: [(await token()).id], prints: /^revoked tok_/m };
    case "revoke-many":
      return { args: ["--org", org, "--name-prefix", "no such", "--yes"], prints: /^revoked 0 tokens$/m };
    case "introspect":
      return { args: [(await token()).secret], prints: /"active": true/ };
    case "import":
      await writeFile(file, `${JSON.stringify({ name: "old", plaintext: `old-key-of-${place}` })}\n`);
      return { args: [file, "--org", org], prints: /^imported 1, failed 0$/m };
    case "orgs create":
      return { args: ["--name", place], prints: /^org_\w+$/m };
    case "orgs get":
      return { args: [org], prints: /^org_\w+ +acme/m };
    case "orgs list":
      return { args: [], prints: /^org_\w+ +acme/m };
    case "orgs set-plan":
      return { args: [await made(), "standard"], prints: /^changed org_/m };
    case "orgs set-profile":
      return { args: [await made(), "plane"], prints: /profile plane/ };
    case "members list":
      return { args: [org], prints: /admin@acme\.example/ };
    case "members add":
      return { args: [org, "--email", `${place}@example.com`, "--role", "member"], prints: /^added usr_/m };
    case "members invite":
      return { args: [org, "--email", `${place}@example.com`, "--role", "member"], prints: /^[\w-]{40,}$/m };
    case "members invitations":
      await invited();
      return { args: [org], prints: /^ID +EMAIL +ROLE +BY +EXPIRES\n[0-9a-f-]{36} /m };
    case "members uninvite":
      return { args: [org, await invited()], prints: /doesn't work any more$/m };
    case "members set-role":
      return { args: [org, await member(), "admin"], prints: /to admin$/m };
    case "members remove":
      return { args: [org, await member()], prints: /^removed usr_/m };
    case "login": {
      const { adminEmail, adminPassword } = test.credentials;
      return {
        args: ["--email", adminEmail],
        input: adminPassword,
        prints: new RegExp(`^signed in as ${adminEmail}, and wrote /.*\nthe token from LATCHKEY_TOKEN goes`, "m"),
        env: { XDG_CONFIG_HOME: file },
      };
    }
    case "logout":
      return { args: [], prints: /^nobody is signed in$/m };
    case "whoami":
      return { args: [], prints: /^profile +latchkey$/m };
    case "health":
      return { args: ["--ops-addr", test.app.opsAddress], prints: /^\{"status":"ready",/m };
    case "config set":
      return { args: ["--addr", "a.example:1"], prints: /^wrote /m };
    case "config get":
      return { args: ["token"], prints: /^lk_…/m };
    case "config list":
      return { args: [], prints: /^token +lk_….{4} +LATCHKEY_TOKEN$/m };
    case "config unset":
      return { args: ["addr"], prints: /^(wrote .*)?$/m };
    case "completion":
      return { args: ["fish"], prints: /^complete -c latchkey/m };
    case "purge":
      return { args: ["--older-than", "1d"], prints: /^purged 0 tokens/m };
    case "audit list":
      return { args: [org], prints: /^REVISION +TIME/m };
    case "audit export":
      return { args: [org], prints: /^\{"revision":"\d+","organizationId":"org_/m };
    case "audit verify":
      return { args: [], prints: /nothing was edited$/m };
    case "audit checkpoint":
      return { args: [], prints: /^— latchkey/m };
    case "audit key":
      return { args: [], prints: /^latchkey\/\S+\+/m };
    case "backup":
      return { args: [file], prints: /^wrote .*checked$/m };
    case "restore": {
      await runProgram(["backup", file], settings());
      return {
        args: [file],
        prints: /^restored /m,
        env: { LATCHKEY_DATA_DIR: `${file}-new`, LATCHKEY_ROOT_KEY: await rootKey() },
      };
    }
    case "check":
      return { args: [], prints: /^audit +ok/m };
    case "copy":
      return { args: ["--to", `sqlite:${file}`], code: 1, prints: /is in use/ };
    case "migrate":
      return { args: ["--dry-run"], prints: /is the newest$/m };
    default:
      throw new Error(`no run of ${name} is known here`);
  }
}

const rootKey = async (): Promise<string> => (await readFile(test.config.rootKeyFile, "utf8")).trim();

const commands = await allCommands();

describe.each(["pipe", "terminal"] as const)("in a %s", (kind) => {
  it.each(commands.map(({ path }) => path.join(" ")))("%s does what it should", async (name) => {
    const { args, input = "", code = 0, prints, env = {} } = await runOf(name, `${kind}-${name.replaceAll(" ", "-")}`);
    const all = [...name.split(" "), ...args];
    const surroundings = { ...settings(), ...env };
    const outcome =
      kind === "pipe"
        ? await runInPipe(all, surroundings, input)
        : await runInTerminal(all, surroundings, [["Password: ", input]]);
    expect(outcome.text).toMatch(prints);
    expect(outcome.code).toBe(code);
    // Control characters are for terminals, and even there for progress only.
    if (kind === "pipe") expect(outcome.text).toMatch(/^(\P{Cc}|\n)*$/u);
  });
});

describe("a person at a terminal", () => {
  it("types a credential that isn't shown", async () => {
    const env = { ...settings(), XDG_CONFIG_HOME: join(folder.path, "typed") };
    const secret = "lk_typed0123456789abcdefghijklmnop";
    const { code, text } = await runInTerminal(["config", "set", "--token"], env, [["Token: ", secret]]);
    expect({ code, text }).toEqual({
      code: 0,
      text: `Token: \nwrote ${join(folder.path, "typed/latchkey/config.json")}\n`,
    });
    const kept = await readFile(join(folder.path, "typed/latchkey/config.json"), "utf8");
    expect(JSON.parse(kept)).toEqual({ token: secret });
  });

  it("gives up with Ctrl-C, and nothing is changed", async () => {
    const env = { ...settings(), XDG_CONFIG_HOME: join(folder.path, "given-up") };
    const { code, text } = await runInTerminal(["config", "set", "--token"], env, [["Token: ", "half\u0003"]]);
    expect(code).toBe(1);
    expect(text).toBe("Token: \nlatchkey: given up, and nothing was changed\n");
    await expect(readFile(join(folder.path, "given-up/latchkey/config.json"))).rejects.toThrow("ENOENT");
  });

  it("is asked before many tokens are revoked, and sees how far a copy and an import are", async () => {
    const org = ["--org", test.credentials.organizationId];
    await tokens.issue({ organizationId: test.credentials.organizationId, name: "asked-1" });
    const many = ["revoke-many", ...org, "--name-prefix", "asked-"];
    const question = "Revoke 1 token? It can't be undone. [y/N] ";
    const no = await runInTerminal(many, settings(), [[question, "n"]]);
    expect(no).toMatchObject({ code: 1, text: expect.stringContaining("revoked nothing\n") as string });
    const yes = await runInTerminal(many, settings(), [[question, "y"]]);
    expect(yes).toMatchObject({ code: 0, text: expect.stringContaining("revoked 1 token\n") as string });
    const copied = await runInTerminal(["backup", join(folder.path, "with-progress")], settings());
    expect(copied.text).toMatch(/\rcopying 100 %\n/);
    const keys = join(folder.path, "many-keys.jsonl");
    const rows = Array.from({ length: 1001 }, (_, index) => ({ name: `key ${index}`, plaintext: crypto.randomUUID() }));
    await writeFile(keys, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    const imported = await runInTerminal(["import", keys, ...org], settings());
    expect(imported.text).toBe(
      "line 1000: imported 1000, failed 0 so far\nline 1001: imported 1001, failed 0 so far\nimported 1001, failed 0\n",
    );
  });
});
