/** `latchkey import`: a file of keys from another system. */
import { createHmac } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runProgram, temporaryFolder } from "../helpers/service-process.ts";
import { expectOk, openSurface, type RpcSurface } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const lines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

describe("latchkey import", () => {
  let test: TestApp;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let surface: RpcSurface;
  let org: string;

  beforeAll(async () => {
    test = await startTestApp();
    folder = await temporaryFolder();
    surface = openSurface(test.app, "grpc");
    org = test.credentials.organizationId;
  });

  afterAll(async () => {
    surface.close();
    await folder[Symbol.asyncDispose]();
    await test[Symbol.asyncDispose]();
  });

  const run = (args: readonly string[], input = "", env: Record<string, string> = {}) =>
    runProgram(
      ["import", ...args],
      { LATCHKEY_ADDR: test.app.grpcAddress, LATCHKEY_TOKEN: test.credentials.serviceKey, ...env },
      input,
    );
  const isActive = async (key: string) =>
    expectOk(await surface.introspect({ bearer: test.credentials.serviceKey }, { token: key })).active;

  it("imports a file in batches, and a second time changes nothing and says the same", async () => {
    const organizationId = await test.addOrganization();
    const file = join(folder.path, "keys.jsonl");
    const keys = Array.from({ length: 2100 }, () => `old_${crypto.randomUUID()}`);
    await writeFile(file, `\uFEFF${lines(keys.map((plaintext, index) => ({ name: `key ${index}`, plaintext })))}`);
    const total = "imported 2100, failed 0\n";
    const first = await run([file, "--org", organizationId]);
    expect(first).toEqual({ code: 0, stdout: "", stderr: total });
    for (const key of [keys[0], keys[1000], keys[2099]]) expect(await isActive(key ?? "")).toBe(true);
    const list = async () =>
      expectOk(
        await surface.list({ bearer: test.credentials.serviceKey }, { organizationId, pageSize: 1000 }),
      ).tokens.map(({ id }) => id);
    const before = await list();
    expect(await run([file, "--org", organizationId])).toEqual(first);
    expect(await list()).toEqual(before);
  });

  it("prints what failed by line, imports the rest, and exits with 1", async () => {
    const [good, other, known] = [crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID()];
    await run(["-", "--org", org], lines([{ name: "known", plaintext: known }]));
    const input = [
      JSON.stringify({ name: "good", plaintext: good, createdAt: "2020-01-02T03:04:05Z", metadata: { a: "b" } }),
      "",
      `not JSON, but ${other}`,
      JSON.stringify({ name: "x", plaintext: 7 }),
      JSON.stringify({ name: "x", plainText: other }),
      JSON.stringify([other]),
      JSON.stringify({ plaintext: other }),
      JSON.stringify({ name: "x", plaintext: other, scopes: ["a"], type: "b" }),
      JSON.stringify({ name: "x" }),
      JSON.stringify({ name: "x", plaintext: known }),
      JSON.stringify({ name: "last", plaintext: other, expiresAt: null }),
    ].join("\r\n");
    const { code, stdout, stderr } = await run(["-", "--org", org], input);
    expect(stdout.split("\n")).toEqual([
      "line 3: is not JSON",
      "line 4: has a value of the wrong type",
      "line 5: has plainText, which is not a field",
      "line 6: has a value of the wrong type",
      "line 7: name: is required",
      "line 8: type: is not offered by the profile watchplane; scopes: is not offered by the profile watchplane",
      "line 9: one of plaintext, digest must be set",
      "line 10: the key is known already",
      "",
    ]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: "imported 2, failed 8\n" });
    expect([await isActive(good), await isActive(other)]).toEqual([true, true]);
  });

  it.each([
    ["as it is", (key: Buffer) => key.toString()],
    ["in hex", (key: Buffer) => `hex:${key.toString("hex")}`],
    ["in base64", (key: Buffer) => `base64:${key.toString("base64").replace(/=+$/, "")}`],
  ])("takes the key of digests from the environment, %s", async (_, write) => {
    const hmacKey = Buffer.from(`pepper ${crypto.randomUUID()}`);
    const [digested, plain] = [crypto.randomUUID(), crypto.randomUUID()];
    const digest = createHmac("sha256", hmacKey).update(digested).digest("base64url");
    const input = lines([
      { name: "digested", digest },
      { name: "plain", plaintext: plain },
    ]);
    const args = ["-", "--org", org, "--algorithm", "hmac-sha256", "--encoding", "base64", "--hmac-key-env", "PEPPER"];
    expect(await run(args, input, { PEPPER: write(hmacKey) })).toMatchObject({ code: 0, stdout: "" });
    expect([await isActive(digested), await isActive(plain)]).toEqual([true, true]);
    // A batch that has no digest needs none.
    const another = lines([{ name: "plain", plaintext: crypto.randomUUID() }]);
    expect(await run(args, another, { PEPPER: write(hmacKey) })).toMatchObject({ code: 0, stdout: "" });
  });

  it("says what the service refuses as a whole, and what it can't read, with exit code 1", async () => {
    const input = lines([{ name: "x", plaintext: crypto.randomUUID() }]);
    expect(await run(["-"], input)).toEqual({
      code: 1,
      stdout: "",
      stderr: "latchkey: organization_id: is required with a service key of all organizations\n",
    });
    const nothing = await run([join(folder.path, "nothing.jsonl"), "--org", org]);
    expect(nothing).toMatchObject({ code: 1, stdout: "" });
    expect(nothing.stderr).toMatch(/^latchkey: .*nothing\.jsonl can't be read: ENOENT/);
    expect(await run(["-", "--org", org], "\n\n")).toEqual({ code: 0, stdout: "", stderr: "imported 0, failed 0\n" });
  });

  it.each([
    [["a", "b"], "needs 1 argument, not 2"],
    [[], "needs 1 argument, not 0"],
    [["-", "--algorithm", "md5"], "--algorithm must be one of sha256, sha512, hmac-sha256"],
    [["-", "--encoding", "latin1"], "--encoding must be one of hex, base64"],
    [["-", "--hmac-key-env", "NOT_SET"], "--hmac-key-env must name a variable that is set; NOT_SET is not"],
    [["-", "--hmac-key-env", "BAD_HEX"], "BAD_HEX must hold hex after `hex:`"],
    [["-", "--hmac-key-env", "BAD_BASE64"], "BAD_BASE64 must hold base64 after `base64:`"],
    [["-", "--hmac-key", "secret"], "--hmac-key"],
  ])("%o is a misuse, with exit code 2 and the usage", async (args, message) => {
    const { code, stdout, stderr } = await run(args, "", { BAD_HEX: "hex:abc", BAD_BASE64: "base64:not!base64" });
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(message);
    expect(stderr).toContain("usage: latchkey import FILE|-");
    expect(stderr).not.toContain("not!base64");
  });

  it("explains itself", async () => {
    const { code, stdout } = await run(["--help"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^usage: latchkey import FILE\|-/);
    expect((await runProgram(["help"])).stdout).toMatch(/^ {2}import +\w/m);
  });
});
