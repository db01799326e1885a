/** The command line as thin clients of a running service. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runProgram } from "../helpers/service-process.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

describe("the client commands", () => {
  let test: TestApp;
  const run = (args: readonly string[], input?: string) =>
    runProgram(args, { LATCHKEY_ADDR: test.app.grpcAddress, LATCHKEY_TOKEN: test.credentials.serviceKey }, input);

  beforeAll(async () => {
    test = await startTestApp();
  });

  afterAll(() => test[Symbol.asyncDispose]());

  it("issue, introspect, list and revoke a token", async () => {
    const org = ["--org", test.credentials.organizationId];
    const issued = await run(["issue", ...org, "--name", "CI pipeline"]);
    // The secret stands alone, so that it can be piped into a secret manager.
    expect(issued.stdout).toMatch(/^wp_[0-9a-f]{48}\n$/);
    const [, id = ""] = /issued (tok_\w+) \(CI pipeline\)/.exec(issued.stderr) ?? [];

    const good = await run(["introspect", "-"], issued.stdout);
    expect(good.code).toBe(0);
    expect(JSON.parse(good.stdout)).toMatchObject({ active: true, tokenId: id });

    const listed = await run(["list", ...org]);
    expect(listed.stdout).toMatch(/^ID +NAME +STATE +CREATED +LAST USED\n/);
    expect(listed.stdout).toContain(`${id}  CI pipeline  active`);
    const lines = (await run(["list", ...org, "--json"])).stdout.trim().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { id: string }).id)).toEqual([id]);

    expect(await run(["revoke", id])).toMatchObject({ code: 0, stdout: "", stderr: `revoked ${id}\n` });
    const bad = await run(["introspect", issued.stdout.trim()]);
    expect(bad).toMatchObject({ code: 3 });
    expect(JSON.parse(bad.stdout)).toMatchObject({ active: false, allowed: false, reason: "REASON_REVOKED" });
    expect((await run(["list", ...org])).stdout).not.toContain(id);
    expect((await run(["list", ...org, "--all"])).stdout).toContain(`${id}  CI pipeline  revoked`);
  });

  it("rotate a token, and finish and cancel that", async () => {
    const old = (await run(["issue", "--org", test.credentials.organizationId, "--name", "CI"])).stdout;
    const works = async (secret: string) => (await run(["introspect", "-"], secret)).code === 0;
    const { tokenId: id } = JSON.parse((await run(["introspect", "-"], old)).stdout) as { tokenId: string };
    const rotated = await run(["rotate", id, "--overlap", "7d"]);
    expect(rotated.stdout).toMatch(/^wp_[0-9a-f]{48}\n$/);
    expect(rotated.stdout).not.toBe(old);
    expect(rotated.stderr).toMatch(
      new RegExp(
        `^rotated ${id} \\(CI\\): the old secret, wp_…${old.trim().slice(-4)}, works until 20\\S+Z\\nits new secret can't be shown again:\\n$`,
      ),
    );
    expect(await Promise.all([old, rotated.stdout].map(works))).toEqual([true, true]);
    expect(await run(["rotate", id])).toMatchObject({
      code: 1,
      stdout: "",
      stderr: "latchkey: The overlap of an earlier rotation is running. Finish or cancel that rotation first.\n",
    });
    const cancelled = await run(["rotate", id, "--cancel"]);
    const one = (secret: string) => `${id} (CI) has one secret now, wp_…${secret.trim().slice(-4)}\n`;
    expect(cancelled).toEqual({ code: 0, stdout: "", stderr: one(old) });
    expect(await Promise.all([old, rotated.stdout].map(works))).toEqual([true, false]);

    const again = await run(["rotate", id, "--overlap", "90s", "--json"]);
    const { secret, token } = JSON.parse(again.stdout) as { secret: string; token: { rotation: object } };
    expect(token.rotation).toMatchObject({ previousHint: `wp_…${old.trim().slice(-4)}` });
    expect(await run(["rotate", id, "--finish"])).toEqual({ code: 0, stdout: "", stderr: one(secret) });
    const finished = JSON.parse((await run(["rotate", id, "--finish", "--json"])).stdout) as { token: object };
    expect(finished.token).toMatchObject({ id, rotation: { previousHint: `wp_…${old.trim().slice(-4)}` } });
    expect(await Promise.all([old, secret].map(works))).toEqual([false, true]);
    const atOnce = await run(["rotate", id]);
    expect(atOnce.stderr).toContain(`the old secret, wp_…${secret.slice(-4)}, has stopped\n`);
    expect(await Promise.all([secret, atOnce.stdout].map(works))).toEqual([false, true]);
  });

  it("show a token, and whether anybody uses it", async () => {
    const issued = await run(["issue", "--org", test.credentials.organizationId, "--name", "alive"]);
    const [, id = ""] = /issued (tok_\w+)/.exec(issued.stderr) ?? [];
    const unused = await run(["get", id]);
    expect(unused).toMatchObject({ code: 0, stderr: "" });
    const hint = `wp_…${issued.stdout.trim().slice(-4)}`;
    for (const fact of [
      `id            ${id}`,
      "name          alive",
      "state         active",
      `organization  ${test.credentials.organizationId}`,
      `secret        ${hint}`,
      "expires       never",
      "last used     never",
      "last 90 days  0 uses on 0 days",
    ]) {
      expect(unused.stdout.split("\n")).toContain(fact);
    }
    expect(unused.stdout).not.toContain("old secret");

    for (const _ of [1, 2, 3]) expect((await run(["introspect", "-"], issued.stdout)).code).toBe(0);
    await run(["rotate", id, "--overlap", "1h"]);
    await test.app.usage.flush();
    const used = (await run(["get", id])).stdout;
    expect(used).toMatch(/^last used {5}20\S+Z$/m);
    expect(used).toMatch(/^last 90 days {2}3 uses on [12] days?$/m);
    expect(used).toMatch(/^ {14}·{87,89}[▁▂▃▄▅▆▇█·]{1,3}$/m);
    expect(used).toMatch(new RegExp(`^old secret {4}${hint}, works until 20\\S+Z, not used since the rotation$`, "m"));

    const json = JSON.parse((await run(["get", id, "--json"])).stdout) as {
      token: { id: string };
      dailyUses: { date: string; count: string }[];
    };
    expect(json.token.id).toBe(id);
    expect(json.dailyUses.reduce((sum, { count }) => sum + Number(count), 0)).toBe(3);
    expect(await run(["get", "tok_nope"])).toEqual({ code: 5, stdout: "", stderr: "latchkey: No such token.\n" });
  });

  it("list the tokens that match", async () => {
    const org = ["--org", await test.addOrganization("plane")];
    const issue = async (...args: string[]): Promise<void> => {
      expect((await run(["issue", ...org, ...args])).code).toBe(0);
    };
    await issue("--name", "ci: build", "--type", "service");
    await issue("--name", "CI: deploy");
    const listed = async (...args: string[]) => {
      const { stdout } = await run(["list", ...org, "--json", ...args]);
      const lines = stdout.split("\n").filter((line) => line !== "");
      return lines.map((line) => JSON.parse(line) as { name: string; createdBy: string });
    };
    const [deploy, build] = await listed();
    expect(await listed("--type", "service")).toEqual([build]);
    expect(await listed("--name-prefix", "CI")).toEqual([deploy]);
    expect(await listed("--created-by", build?.createdBy ?? "")).toEqual([deploy, build]);
    expect(await listed("--created-by", "usr_nobody")).toEqual([]);
    expect(await listed("--unused-since", "2020-01-01")).toEqual([]);
    expect(await listed("--unused-since", "9999-01-01", "--type", "api_key")).toEqual([deploy]);
  });

  it("change a token", async () => {
    const org = ["--org", await test.addOrganization("watchmantower")];
    const metadata = ["--metadata", "team=blue", "--metadata", "url=http://a?b=c"];
    const issued = await run(["issue", ...org, "--name", "before", "--permission", "full", ...metadata]);
    const [, id = ""] = /issued (tok_\w+)/.exec(issued.stderr) ?? [];
    const update = async (...args: string[]) => {
      const { code, stdout, stderr } = await run(["update", id, ...args, "--json"]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      return JSON.parse(stdout) as object;
    };
    const full = { name: "before", permission: "full", metadata: { team: "blue", url: "http://a?b=c" } };
    expect(await run(["update", id, "--name", "after"])).toEqual({
      code: 0,
      stdout: "",
      stderr: `updated ${id} (after)\n`,
    });
    const expiresAt = "2999-01-31T00:00:00Z";
    const limited = await update("--permission", "read-only", "--expires-at", expiresAt);
    expect(limited).toMatchObject({ ...full, name: "after", permission: "read-only", expiresAt });
    expect(await update("--metadata", "stage=test")).toMatchObject({ metadata: { stage: "test" }, expiresAt });
    const bare = await update("--expires-at", "never", "--metadata", "");
    expect(bare).toMatchObject({ name: "after", permission: "read-only" });
    expect(Object.keys(bare)).not.toContain("expiresAt");
    expect(Object.keys(bare)).not.toContain("metadata");

    expect(await update("--disable")).toMatchObject({ state: "TOKEN_STATE_DISABLED" });
    const off = await run(["introspect", issued.stdout.trim()]);
    expect(off.code).toBe(3);
    expect(JSON.parse(off.stdout)).toMatchObject({ active: false, reason: "REASON_DISABLED" });
    expect(await update("--enable", "--name", "on again")).toMatchObject({
      state: "TOKEN_STATE_ACTIVE",
      name: "on again",
    });
    expect((await run(["introspect", issued.stdout.trim()])).code).toBe(0);

    expect(await run(["update", id, "--scope", "a"])).toMatchObject({
      code: 1,
      stderr: "latchkey: scopes: is not offered by the profile watchmantower\n",
    });
    expect(await run(["update", id, "--ip", "10.0.0.1", "--ip", "10.0.0.0/8"])).toMatchObject({
      code: 4,
      stderr: "latchkey: ip_allowlist: the plan free doesn't offer it; it needs enterprise\n",
    });
    expect((await run(["update", id, "--ip", "", "--scope", ""])).code).toBe(0);
  });

  it("count and revoke many, and ask nobody who isn't there", async () => {
    const org = ["--org", await test.addOrganization()];
    const ids: string[] = [];
    for (const name of ["many-1", "many-2", "other"]) {
      const { stdout } = await run(["issue", ...org, "--name", name, "--json"]);
      ids.push((JSON.parse(stdout) as { token: { id: string } }).token.id);
    }
    const many = ["revoke-many", ...org, "--name-prefix", "many-"];
    const nobody = await run(many);
    expect(nobody).toMatchObject({ code: 2, stdout: "" });
    expect(nobody.stderr).toContain("latchkey revoke-many: needs --yes or --dry-run where nobody can be asked");
    const dry = await run([...many, "--dry-run"]);
    expect(dry).toEqual({ code: 0, stdout: "2\n", stderr: "would revoke 2 tokens\n" });
    const old = await run([...many, "--unused-since", "90d", "--dry-run"]);
    expect(old).toEqual({ code: 0, stdout: "0\n", stderr: "would revoke 0 tokens\n" });
    expect((await run(["list", ...org])).stdout).toMatch(/many-1 +active[^]*|many-2 +active/);

    const revoked = await run([...many, "--yes", "--idempotency-key", "many"]);
    expect(revoked).toEqual({ code: 0, stdout: "2\n", stderr: "revoked 2 tokens\n" });
    expect(await run([...many, "--yes", "--idempotency-key", "many"])).toEqual(revoked);
    const { stdout } = await run(["list", ...org, "--all"]);
    for (const [index, state] of ["revoked", "revoked", "active"].entries()) {
      expect(stdout).toMatch(new RegExp(`^${ids[index]} +\\S+ +${state} `, "m"));
    }
    expect(await run(["revoke-many", ...org, "--yes"])).toEqual({
      code: 1,
      stdout: "",
      stderr: "latchkey: all: must be true to mean every token, or give a filter\n",
    });
    expect(await run(["revoke-many", ...org, "--all", "--yes"])).toMatchObject({ code: 0, stdout: "1\n" });
  });

  it("say what the service refuses, on the standard error, with an exit code that says what kind it is", async () => {
    expect(await run(["issue", "--name", "x"])).toEqual({
      code: 1,
      stdout: "",
      stderr: "latchkey: organization_id: is required with a service key of all organizations\n",
    });
    expect(await run(["revoke", "tok_nope"])).toEqual({ code: 5, stdout: "", stderr: "latchkey: No such token.\n" });
    const nobody = await runProgram(["list"], { LATCHKEY_ADDR: test.app.grpcAddress });
    expect(nobody.code).toBe(4);
    expect(nobody.stderr).toContain("Set LATCHKEY_TOKEN or --token, or sign in with `latchkey login`.");
    const nowhere = await run(["list", "--addr", "127.0.0.1:1"]);
    expect(nowhere).toMatchObject({ code: 6, stdout: "" });
    expect(nowhere.stderr).toMatch(/^latchkey: nothing answers at 127\.0\.0\.1:1: /);
  });

  it.each([
    [["issue"], "--name is required"],
    [["issue", "--name", "x", "--expires-at", "soon"], "--expires-at must be a time"],
    [["issue", "--name", "x", "--metadata", "blue"], "--metadata must be KEY=VALUE"],
    [["update", "--name", "x"], "needs 1 argument, not 0"],
    [["update", "tok_x"], "needs an option that changes something"],
    [["update", "tok_x", "--enable", "--disable"], "--enable and --disable exclude each other"],
    [["update", "tok_x", "--expires-at", "soon"], "--expires-at must be a time"],
    [["update", "tok_x", "--metadata", "blue"], "--metadata must be KEY=VALUE"],
    [["get"], "needs 1 argument, not 0"],
    [["get", "tok_x", "--nope"], "--nope"],
    [["revoke"], "needs 1 argument, not 0"],
    [["rotate"], "needs 1 argument, not 0"],
    [["rotate", "tok_x", "--overlap", "a week"], "--overlap must be a time such as 90s, 30m, 12h or 7d"],
    [["rotate", "tok_x", "--overlap", "7"], "--overlap must be a time"],
    [["rotate", "tok_x", "--finish", "--cancel"], "--overlap, --finish and --cancel exclude each other"],
    [["rotate", "tok_x", "--overlap", "1d", "--finish"], "exclude each other"],
    [["introspect", "a", "b"], "needs 1 argument, not 2"],
    [["list", "--nope"], "--nope"],
    [["list", "--unused-since", "lately"], "--unused-since must be a time"],
    [["bootstrap"], "--admin-email is required"],
    [["revoke-many", "--all"], "needs --yes or --dry-run"],
    [["revoke-many", "--unused-since", "90", "--yes"], "--unused-since must be an age such as 90d"],
    [["purge", "--older-than", "soon"], "--older-than must be an age such as 90d"],
    [["backup"], "needs 1 argument, not 0"],
    [["restore", "a", "b"], "needs 1 argument, not 2"],
    [["check", "a", "b"], "needs 0 to 1 arguments, not 2"],
    [["migrate", "--nope"], "--nope"],
  ])("%o is a misuse, with exit code 2 and the usage", async (args, message) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(message);
    expect(stderr).toContain(`usage: latchkey ${args[0]}`);
  });
});

describe("help", () => {
  const COMMANDS = [
    "serve",
    "bootstrap",
    "issue",
    "list",
    "get",
    "update",
    "rotate",
    "revoke",
    "revoke-many",
    "introspect",
    "purge",
    "backup",
    "restore",
    "check",
    "migrate",
  ];

  it("lists every command", async () => {
    const { code, stdout } = await runProgram(["help"]);
    expect(code).toBe(0);
    for (const name of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${name} +\\w`, "m"));
    expect(await runProgram(["toString"])).toMatchObject({ code: 2, stdout: "" });
  });

  it.each(COMMANDS)("explains %s", async (name) => {
    const { code, stdout, stderr } = await runProgram([name, "--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(new RegExp(`^usage: latchkey ${name}`));
  });
});
