/** The commands for organizations and their members, as thin clients of a running service. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Mailbox } from "../helpers/mailbox.ts";
import { runProgram } from "../helpers/service-process.ts";
import { expectOk, openSurface } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

describe("the commands for organizations", () => {
  let test: TestApp;
  const run = (...args: readonly string[]) =>
    runProgram(args, { LATCHKEY_ADDR: test.app.grpcAddress, LATCHKEY_TOKEN: test.credentials.serviceKey });

  beforeAll(async () => {
    test = await startTestApp();
  });

  afterAll(() => test[Symbol.asyncDispose]());

  it("make one, show it, move its plan, and change its profile", async () => {
    const made = await run("orgs", "create", "--name", "Globex", "--profile", "watchmantower");
    // The id stands alone, so that a script can keep it.
    expect(made.stdout).toMatch(/^org_[0-9a-z]{26}\n$/);
    const id = made.stdout.trim();
    expect(made.stderr).toBe(`made ${id} (Globex): profile watchmantower, plan free\n`);

    expect(await run("orgs", "set-plan", id, "stack")).toEqual({
      code: 0,
      stdout: "",
      stderr: `changed ${id} (Globex): profile watchmantower, plan stack\n`,
    });
    const shown = await run("orgs", "get", id);
    expect(shown.stdout).toMatch(/^ID +NAME +PROFILE +PLAN +CREATED\n/);
    expect(shown.stdout).toMatch(new RegExp(`^${id} +Globex +watchmantower +stack +20[\\d:T-]+Z\n$`, "m"));
    expect(JSON.parse((await run("orgs", "get", id, "--json")).stdout)).toMatchObject({
      id,
      name: "Globex",
      plan: "stack",
    });

    const changed = await run("orgs", "set-profile", id, "walwarden", "--plan", "enterprise", "--json");
    expect(JSON.parse(changed.stdout)).toMatchObject({ id, profile: "walwarden", plan: "enterprise" });
    expect(changed).toMatchObject({ code: 0, stderr: "" });
  });

  it("list them all, as a table and as JSON Lines", async () => {
    const json = await run("orgs", "create", "--name", "Initech", "--plan", "standard", "--json");
    const made = JSON.parse(json.stdout) as { id: string };
    expect(json.stderr).toBe("");
    const table = (await run("orgs", "list")).stdout.trim().split("\n");
    const lines = (await run("orgs", "list", "--json")).stdout.trim().split("\n");
    const ids = lines.map((line) => (JSON.parse(line) as { id: string }).id);
    expect(table.slice(1).map((line) => line.split(" ")[0])).toEqual(ids);
    expect(ids[0]).toBe(made.id);
    expect(ids).toContain(test.credentials.organizationId);
  });

  it("add members, list them, change a role and remove one", async () => {
    const id = (await run("orgs", "create", "--name", "Members")).stdout.trim();
    const name = ["--first-name", "Ada", "--last-name", "Lovelace", "--avatar-url", "https://example.com/ada.png"];
    const added = await run("members", "add", id, "--email", "Ada@Example.com", "--role", "owner", ...name);
    // The password stands alone, so that it can be piped into a secret manager.
    expect(added.stdout).toMatch(/^[\w-]{24}\n$/);
    const password = added.stdout.trim();
    const [, userId = ""] =
      /^added (usr_\w+) \(ada@example\.com\) as owner; the password of their new account/.exec(added.stderr) ?? [];
    expect(added.stderr).not.toContain(password);
    const grpc = openSurface(test.app, "grpc");
    const session = expectOk(await grpc.login({ bearer: test.credentials.serviceKey }, "ada@example.com", password));
    grpc.close();
    expect(session.userId).toBe(userId);

    const elsewhere = (await run("orgs", "create", "--name", "Elsewhere")).stdout.trim();
    expect(await run("members", "add", elsewhere, "--email", "ada@example.com", "--role", "member")).toEqual({
      code: 0,
      stdout: "",
      stderr: `added ${userId} (ada@example.com) as member; they have an account, and sign in as before\n`,
    });
    const other = await run("members", "add", id, "--email", "bob@example.com", "--role", "member", "--json");
    const { member, initialPassword } = JSON.parse(other.stdout) as {
      member: { user: { id: string }; role: string };
      initialPassword: string;
    };
    expect(member.role).toBe("ROLE_MEMBER");
    expect(initialPassword).toMatch(/^[\w-]{24}$/);
    const bob = member.user.id;

    expect(await run("members", "set-role", id, bob, "admin")).toEqual({
      code: 0,
      stdout: "",
      stderr: `changed ${bob} (bob@example.com) to admin\n`,
    });
    const { stdout } = await run("members", "list", id);
    expect(stdout).toMatch(/^ID +EMAIL +NAME +ROLE +JOINED\n/);
    expect(stdout).toMatch(new RegExp(`^${userId} +ada@example\\.com +Ada Lovelace +owner +20[\\d:T-]+Z$`, "m"));
    expect(stdout).toMatch(new RegExp(`^${bob} +bob@example\\.com +bob@example\\.com +admin +20[\\d:T-]+Z$`, "m"));

    expect(await run("members", "remove", id, bob)).toEqual({ code: 0, stdout: "", stderr: `removed ${bob}\n` });
    const lines = (await run("members", "list", id, "--json")).stdout.trim().split("\n");
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { user: { id: userId }, role: "ROLE_OWNER" },
    ]);
    expect(await run("members", "set-role", id, userId, "admin")).toEqual({
      code: 1,
      stdout: "",
      stderr: "latchkey: The last owner of the organization stays an owner; make somebody else an owner first.\n",
    });
  });

  it("make each change once for a key", async () => {
    const twice = async (...args: readonly string[]) => {
      const first = await run(...args, "--idempotency-key", `key of ${args[0]} ${args[1]}`.replaceAll(" ", "-"));
      expect(first.code, first.stderr).toBe(0);
      const again = await run(...args, "--idempotency-key", `key of ${args[0]} ${args[1]}`.replaceAll(" ", "-"));
      expect(again).toEqual(first);
      return first;
    };
    const id = (await twice("orgs", "create", "--name", "Once", "--profile", "watchmantower")).stdout.trim();
    await twice("orgs", "set-plan", id, "stack");
    await twice("orgs", "set-profile", id, "watchplane");
    const added = await twice("members", "add", id, "--email", "eve@example.com", "--role", "member", "--json");
    const { member } = JSON.parse(added.stdout) as { member: { user: { id: string } } };
    await twice("members", "set-role", id, member.user.id, "admin");
    await twice("members", "remove", id, member.user.id);
    expect((await run("members", "remove", id, member.user.id)).code).toBe(5);
    expect((await run("orgs", "list")).stdout.match(/Once/g)).toHaveLength(1);
  });

  it("invite people, list invitations and take them back", async () => {
    const id = (await run("orgs", "create", "--name", "Inviting")).stdout.trim();
    const to = ["--email", "ivy@example.com", "--role", "admin", "--idempotency-key", "ivy"];
    const invited = await run("members", "invite", id, ...to);
    expect(invited.code).toBe(0);
    expect(invited.stderr).toMatch(
      /^invited ivy@example\.com as admin, until \S+Z; hand over this token of the link, which can't be shown again:\n$/,
    );
    // One line that works, and nothing else.
    expect(await run("members", "invite", id, ...to)).toEqual(invited);
    const accepted = await fetch(`http://${test.app.httpAddress}/api/v1/auth/accept-invitation`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token: invited.stdout.trim(), password: "a password of ivy's" }),
    });
    expect(accepted.status).toBe(200);
    expect((await run("members", "list", id)).stdout).toMatch(/ivy@example\.com .* admin /);
    expect((await run("members", "invitations", id, "--json")).stdout).toBe("");

    await run("members", "invite", id, "--email", "jo@example.com", "--role", "member");
    const { stdout } = await run("members", "invitations", id, "--json");
    const invitation = JSON.parse(stdout) as { id: string };
    expect(invitation).toMatchObject({ email: "jo@example.com", role: "ROLE_MEMBER" });
    expect((await run("members", "uninvite", id, invitation.id)).stderr).toBe(
      "the invitation of jo@example.com doesn't work any more\n",
    );
    expect((await run("members", "uninvite", id, invitation.id)).code).toBe(5);
    expect((await run("members", "invitations", id)).stdout).toBe("ID  EMAIL  ROLE  BY  EXPIRES\n");
  });

  it("invite by mail, and print no link then", async () => {
    await using mailbox = await Mailbox.open();
    await using mailing = await startTestApp({ env: mailbox.env });
    const { grpcAddress } = mailing.app;
    const { serviceKey, organizationId } = mailing.credentials;
    const to = ["--email", "kim@example.com", "--role", "member"];
    const env = { LATCHKEY_ADDR: grpcAddress, LATCHKEY_TOKEN: serviceKey };
    const invited = await runProgram(["members", "invite", organizationId, ...to], env);
    expect(invited).toMatchObject({ code: 0, stdout: "" });
    expect(invited.stderr).toMatch(
      /^invited kim@example\.com as member, until \S+Z; the link is on its way by mail\n$/,
    );
  });

  it("say how many tokens went with a member", async () => {
    const id = (await run("orgs", "create", "--name", "Tokens", "--profile", "plane")).stdout.trim();
    const join = async (email: string): Promise<string> => {
      const { stdout } = await run("members", "add", id, "--email", email, "--role", "member", "--json");
      return (JSON.parse(stdout) as { member: { user: { id: string } } }).member.user.id;
    };
    const [fay, gus] = [await join("fay@example.com"), await join("gus@example.com")];
    for (const user of [fay, gus]) {
      for (const type of ["api_key", "service"]) {
        expect((await run("issue", "--org", id, "--name", "x", "--type", type, "--user", user)).code).toBe(0);
      }
    }
    expect((await run("members", "remove", id, fay)).stderr).toBe(`removed ${fay}, and revoked 1 token\n`);
    const all = await run("members", "remove", id, gus, "--revoke-tokens");
    expect(all.stderr).toBe(`removed ${gus}, and revoked 2 tokens\n`);
  });

  it("say what the service refuses, on the standard error, with an exit code that says what kind it is", async () => {
    expect(await run("orgs", "get", "org_nope")).toEqual({
      code: 5,
      stdout: "",
      stderr: "latchkey: No such organization.\n",
    });
    expect(await run("orgs", "set-plan", test.credentials.organizationId, "gold")).toEqual({
      code: 1,
      stdout: "",
      stderr: "latchkey: plan: must be one of standard with the profile watchplane\n",
    });
  });

  it.each([
    [["orgs"], "needs one of create, get, list, set-plan, set-profile"],
    [["orgs", "toString"], "needs one of create, get, list, set-plan, set-profile, not toString"],
    [["orgs", "create"], "--name is required"],
    [["orgs", "get"], "needs 1 argument, not 0"],
    [["orgs", "list", "--nope"], "--nope"],
    [["orgs", "set-plan", "org_x"], "needs 2 arguments, not 1"],
    [["members"], "needs one of list, add, invite, invitations, uninvite, set-role, remove"],
    [["members", "add", "org_x", "--role", "owner"], "--email is required"],
    [["members", "add", "org_x", "--email", "a@b.example"], "--role is required"],
    [
      ["members", "add", "org_x", "--email", "a@b.example", "--role", "king"],
      "must be one of owner, admin, member, not king",
    ],
    [["members", "set-role", "org_x", "usr_x", "king"], "must be one of owner, admin, member, not king"],
    [["members", "remove", "org_x"], "needs 2 arguments, not 1"],
  ])("%o is a misuse, with exit code 2 and the usage", async (args, message) => {
    const { code, stdout, stderr } = await run(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(message);
    expect(stderr).toContain(`usage: latchkey ${args[0]}`);
  });
});

describe("help", () => {
  it.each([
    ["orgs", ["create", "get", "list", "set-plan", "set-profile"]],
    ["members", ["list", "add", "invite", "invitations", "uninvite", "set-role", "remove"]],
  ] as const)("explains every sub-command of %s", async (command, subCommands) => {
    const overview = await runProgram(["help"]);
    expect(overview.stdout).toMatch(new RegExp(`^  ${command} +\\w`, "m"));
    const { code, stdout, stderr } = await runProgram([command, "--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(new RegExp(`^usage: latchkey ${command} COMMAND\n`));
    for (const name of subCommands) {
      expect(stdout).toMatch(new RegExp(`^  ${name} +\\w`, "m"));
      const explained = await runProgram([command, name, "--help"]);
      expect(explained.stdout).toMatch(new RegExp(`^usage: latchkey ${command} ${name}\\b`));
    }
  });
});
