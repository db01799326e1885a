/** The command line over TLS: whom it trusts, and the certificate that it shows. */
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createAuthority, writePair } from "../helpers/certificates.ts";
import { cleanEnv, runProgram, type TestEnv, temporaryFolder } from "../helpers/service-process.ts";
import { startTlsApp, type TlsApp } from "../helpers/tls-app.ts";

const SERVICE = { name: "ops", dns: "ops.internal", organization: "all", scopes: ["introspect", "tokens:read"] };

const IS_NOT_KNOWN = { active: false, reason: "REASON_MALFORMED" };

describe("the client commands over TLS", () => {
  let service: TlsApp;
  let client: { readonly cert: string; readonly key: string };
  let address: string;

  const run = (args: readonly string[], env: TestEnv = {}, input = "") =>
    runProgram(args, { LATCHKEY_ADDR: address, ...env }, input, { nodeArgs: ["--disable-warning=DEP0123"] });

  beforeAll(async () => {
    service = await startTlsApp({ http: true, services: [SERVICE] });
    client = await writePair(service.folder, "client", await service.authority.issue({ dns: ["ops.internal"] }));
    address = service.test.app.grpcAddress;
  });

  afterAll(() => service[Symbol.asyncDispose]());

  it("trust the authority that they are told, with a key or with a certificate", async () => {
    const { serviceKey } = service.test.credentials;
    const byKey = await run(["introspect", "wp_0000"], {
      LATCHKEY_CACERT: service.files.ca,
      LATCHKEY_TOKEN: serviceKey,
    });
    expect(byKey).toMatchObject({ code: 3, stderr: "" });
    expect(JSON.parse(byKey.stdout)).toMatchObject(IS_NOT_KNOWN);
    const flags = ["--cacert", service.files.ca, "--cert", client.cert, "--key", client.key];
    const byCertificate = await run(["introspect", "wp_0000", ...flags], { LATCHKEY_ADDR: `https://${address}/` });
    expect(byCertificate).toMatchObject({ code: 3, stderr: "" });
    expect(JSON.parse(byCertificate.stdout)).toMatchObject(IS_NOT_KNOWN);
    expect(await run(["whoami", ...flags])).toMatchObject({
      code: 4,
      stderr: "latchkey: This call needs a token; the service ops has a client certificate.\n",
    });
  });

  it("keep the files' places in the configuration, wherever they run", async () => {
    await using folder = await temporaryFolder();
    const env = { XDG_CONFIG_HOME: folder.path };
    const set = ["config", "set", "--cacert", service.files.ca, "--cert", client.cert, "--key", client.key];
    expect(await run(set, env)).toMatchObject({ code: 0 });
    expect(await run(["list", "--org", service.test.credentials.organizationId], env)).toMatchObject({ code: 0 });
    expect((await run(["config", "get", "cacert"], env)).stdout).toBe(`${service.files.ca}\n`);
    expect(await run(["config", "set", "--key", ""], env)).toMatchObject({ code: 2 });
  });

  it("say what stands in the way", { timeout: 240_000 }, async () => {
    const stranger = join(service.folder, "stranger.crt");
    await writeFile(stranger, (await createAuthority()).pem);
    const refused = async (args: readonly string[], env: TestEnv = {}) => {
      const { code, stderr } = await run(["list", ...args], env);
      return { code, stderr };
    };
    const { ca } = service.files;
    expect(await refused(["--cacert", stranger])).toMatchObject({
      code: 6,
      stderr: expect.stringMatching(
        /^latchkey: nothing answers at \S+ over TLS \(.*certificate.*\): look at --addr/,
      ) as string,
    });
    // Not even with those that everybody trusts.
    expect(await refused([], { LATCHKEY_ADDR: `https://${address}` })).toMatchObject({
      code: 6,
      stderr: expect.stringContaining("certificate") as string,
    });
    expect(await refused([])).toMatchObject({
      code: 6,
      stderr: expect.stringContaining(`nothing answers at ${address}:`) as string,
    });
    expect(await refused(["--cacert", "/nonexistent"])).toEqual({
      code: 1,
      stderr: "latchkey: /nonexistent (--cacert) can't be read: ENOENT\n",
    });
    expect(await refused(["--cacert", ca, "--cert", client.cert])).toEqual({
      code: 1,
      stderr: "latchkey: --cert is there, and the certificate's key isn't: set both with --cert and --key\n",
    });
    expect(await refused(["--addr", `http://${address}`], { LATCHKEY_CACERT: ca })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("--addr says http, which is plain text") as string,
    });
    expect(await refused(["--cacert", ca, "--cert", client.cert, "--key", client.cert])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("the files of --cacert, --cert and --key can't be used: ") as string,
    });
    expect(await refused(["--cacert", ca])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("is missing") as string,
    });
  });

  it("sign in at a public port of the same authority, and out again", async () => {
    await using folder = await temporaryFolder();
    const { adminEmail, adminPassword, organizationId } = service.test.credentials;
    const url = `https://${service.test.app.httpAddress}`;
    const env = { XDG_CONFIG_HOME: folder.path, LATCHKEY_URL: url };
    const login = ["login", "--email", adminEmail];
    expect(await run(login, env, adminPassword)).toMatchObject({ code: 6 });
    const trusting = { ...env, LATCHKEY_CACERT: service.files.ca };
    expect(await run(login, trusting, adminPassword)).toMatchObject({ code: 0 });
    expect(await run(["list", "--org", organizationId], trusting)).toMatchObject({ code: 0 });
    expect(await run(["logout"], trusting)).toMatchObject({ code: 0, stderr: `signed out ${adminEmail}\n` });
  });

  it("have `buf curl` beside them", async () => {
    const { port } = new URL(`https://${address}`);
    const child = spawn(
      "buf",
      ["curl", "--protocol", "grpc", "--cacert", service.files.ca, "--cert", client.cert, "--key", client.key].concat([
        "-d",
        '{"token":"wp_0000"}',
        `https://localhost:${port}/latchkey.v1.IntrospectionService/Introspect`,
      ]),
      { env: cleanEnv({}) },
    );
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toMatchObject(IS_NOT_KNOWN);
  });
});
