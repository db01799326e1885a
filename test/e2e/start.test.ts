/** Starting and stopping the program as an operator does. */

import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { IntrospectionService } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { createClient } from "../../src/client/index.ts";
import { createAuthority, writePair } from "../helpers/certificates.ts";
import { runProgram, startServiceProcess, temporaryFolder } from "../helpers/service-process.ts";

interface DevCredentials {
  serviceKey: string;
  organizationId: string;
  adminEmail: string;
  adminPassword: string;
}

const readCredentials = async (folder: string): Promise<DevCredentials> =>
  JSON.parse(await readFile(join(folder, "dev-credentials.json"), "utf8")) as DevCredentials;

describe("a development start", () => {
  it("makes credentials once, keeps them to the owner, and serves", async () => {
    await using folder = await temporaryFolder();
    const data = join(folder.path, "data");
    const env = { LATCHKEY_DATA_DIR: data };
    await using first = await startServiceProcess(["--dev"], env);
    const credentials = await readCredentials(data);
    expect(Object.keys(credentials)).toEqual(["serviceKey", "organizationId", "adminEmail", "adminPassword"]);
    expect(credentials.serviceKey).toMatch(/^lk_[0-9A-Za-z]{48}$/);
    for (const file of ["dev-credentials.json", "root.key", "latchkey.db"]) {
      expect([file, (await stat(join(data, file))).mode & 0o777]).toEqual([file, 0o600]);
    }
    expect(first.stderr.join("")).toContain(credentials.serviceKey);

    const response = await fetch(`http://${first.ready.http}/api/v1/auth/login`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ email: credentials.adminEmail, password: credentials.adminPassword }),
    });
    expect(response.status).toBe(200);
    expect((await fetch(`http://${first.ready.ops}/livez`)).status).toBe(200);
    expect((await fetch(`http://${first.ready.ops}/readyz`)).status).toBe(200);
    expect(await first.stop()).toBe(0);

    await using second = await startServiceProcess(["--dev"], env);
    expect(await readCredentials(data)).toEqual(credentials);
    expect(second.stderr.join("")).not.toContain(credentials.serviceKey);
    const client = createClient(IntrospectionService, { address: second.ready.grpc, token: credentials.serviceKey });
    expect(await client.introspect({ token: "x" })).toMatchObject({ active: false });
    client.close();
    expect(await second.stop("SIGINT")).toBe(0);
  });

  it("logs JSON only, when nobody watches a terminal", async () => {
    await using folder = await temporaryFolder();
    await using service = await startServiceProcess(["--dev"], { LATCHKEY_DATA_DIR: folder.path });
    await fetch(`http://${service.ready.http}/api/v1/api-tokens`, { headers: { "x-request-id": "the-request" } });
    await service.stop();
    const lines = service.stdout.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map(({ msg }) => msg)).toEqual(expect.arrayContaining(["ready", "call", "stopping", "stopped"]));
    expect(lines.find(({ msg }) => msg === "call")).toMatchObject({
      level: "info",
      method: "latchkey.v1.TokenService/List",
      code: "UNAUTHENTICATED",
      caller: "anonymous",
      requestId: "the-request",
      protocol: "rest",
      durationMs: expect.any(Number) as number,
    });
  });

  it("makes service keys that outlive the process, and keeps what was issued", async () => {
    await using folder = await temporaryFolder();
    const env = { LATCHKEY_DATA_DIR: folder.path };
    await using first = await startServiceProcess(["--dev"], env);
    const { serviceKey, organizationId } = await readCredentials(folder.path);
    const tokens = createClient(TokenService, { address: first.ready.grpc, token: serviceKey });
    const { secret } = await tokens.issue({ organizationId, name: "kept" });
    tokens.close();
    await first.stop("SIGKILL");

    await using second = await startServiceProcess([], env);
    const backend = createClient(IntrospectionService, { address: second.ready.grpc, token: serviceKey });
    expect(await backend.introspect({ token: secret })).toMatchObject({ active: true, name: "kept" });
    backend.close();
  });
});

describe("a production start", () => {
  it("needs `latchkey bootstrap`, which works once", async () => {
    await using folder = await temporaryFolder();
    const env = { LATCHKEY_DATA_DIR: join(folder.path, "data") };
    const early = await runProgram(["serve"], env);
    expect(early).toMatchObject({ code: 1, stdout: "" });
    expect(early.stderr).toMatch(/^latchkey: .*latchkey bootstrap.*\n$/);

    const made = await runProgram(
      ["bootstrap", "--admin-email", "Ops@Example.com", "--organization", "acme", "--json"],
      env,
    );
    expect(made).toMatchObject({ code: 0, stderr: "" });
    const credentials = JSON.parse(made.stdout) as DevCredentials;
    expect(credentials).toMatchObject({
      adminEmail: "ops@example.com",
      organizationId: expect.stringMatching(/^org_/) as string,
    });
    const database = new Database(join(folder.path, "data/latchkey.db"), { readonly: true });
    const hashes = database.prepare<[], string>("SELECT password_hash FROM users").pluck().all();
    database.close();
    expect(hashes).toEqual([expect.stringMatching(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)]);
    const again = await runProgram(["bootstrap", "--admin-email", "ops@example.com"], env);
    expect(again).toMatchObject({
      code: 1,
      stdout: "",
      stderr: "latchkey: This deployment has been set up already.\n",
    });

    await using service = await startServiceProcess([], env);
    const client = createClient(IntrospectionService, { address: service.ready.grpc, token: credentials.serviceKey });
    expect(await client.introspect({ token: "x" })).toMatchObject({ active: false });
    client.close();
    expect(service.stderr.join("")).toBe("");
    await expect(stat(join(env.LATCHKEY_DATA_DIR, "dev-credentials.json"))).rejects.toThrow("ENOENT");
  });

  it("is refused without the root key, and with another one", async () => {
    await using folder = await temporaryFolder();
    const env = { LATCHKEY_DATA_DIR: folder.path };
    await runProgram(["bootstrap", "--admin-email", "ops@example.com"], env);
    // The signing key is sealed at the first start.
    await using service = await startServiceProcess([], env);
    await service.stop();
    const other = await runProgram(["serve"], { ...env, LATCHKEY_ROOT_KEY: Buffer.alloc(32, 7).toString("base64url") });
    expect(other).toMatchObject({ code: 1 });
    expect(other.stderr).toMatch(/^latchkey: The signing key .* root key that it was made with\n$/);
    await writeFile(join(folder.path, "root.key"), "nonsense\n");
    const broken = await runProgram(["serve"], env);
    expect(broken).toMatchObject({ code: 1 });
    expect(broken.stderr).toMatch(/^latchkey: The file .*root\.key holds no root key/);
  });

  it("is refused when the first signing key can't be stored, and doesn't blame the root key", async () => {
    await using folder = await temporaryFolder();
    const env = { LATCHKEY_DATA_DIR: folder.path };
    await runProgram(["bootstrap", "--admin-email", "ops@example.com"], env);
    const database = new Database(join(folder.path, "latchkey.db"));
    database.exec("CREATE TRIGGER fail BEFORE INSERT ON signing_keys BEGIN SELECT RAISE(ABORT, 'injected'); END");
    database.close();
    const refused = await runProgram(["serve"], env);
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stderr).toMatch(
      /^latchkey: .*latchkey\.db can't be served: The database can't be written .*disk\n$/,
    );
  });
});

describe("a start that can't be", () => {
  it.each([
    [{ LATCHKEY_GRPC_ADR: "x" }, [], "LATCHKEY_GRPC_ADR is not a setting"],
    [{ LATCHKEY_GRPC_ADDR: "nonsense" }, [], "LATCHKEY_GRPC_ADDR must be host:port"],
    [{ LATCHKEY_HTTP_ADDR: "127.0.0.1:65536" }, [], "LATCHKEY_HTTP_ADDR must be host:port"],
    [
      { LATCHKEY_PROFILE: "nope" },
      [],
      "LATCHKEY_PROFILE must be one of plane, walwarden, watchmantower, watchplane, not nope",
    ],
    [
      { LATCHKEY_DATABASE_URL: "mysql://root:hunter2@db/x" },
      [],
      "LATCHKEY_DATABASE_URL must be sqlite: and a path, or postgres://…; mysql: is not served",
    ],
    [
      { LATCHKEY_ACCESS_TOKEN_ALGORITHM: "none" },
      [],
      "LATCHKEY_ACCESS_TOKEN_ALGORITHM must be one of EdDSA, HS256, not none",
    ],
    [{ LATCHKEY_ACCESS_TOKEN_ALGORITHM: "HS256" }, [], "LATCHKEY_ACCESS_TOKEN_SECRET must have at least 32 characters"],
    [{ LATCHKEY_ACCESS_TOKEN_SECRET: "x".repeat(32) }, [], "LATCHKEY_ACCESS_TOKEN_SECRET is for HS256"],
    [{ LATCHKEY_MODE: "production" }, ["--dev"], "--dev contradicts LATCHKEY_MODE=production"],
    [{ LATCHKEY_CORS_ORIGINS: "app.example.com" }, [], "LATCHKEY_CORS_ORIGINS must hold origins"],
    [
      { LATCHKEY_TOKEN_RETENTION_DAYS: "-1" },
      [],
      "LATCHKEY_TOKEN_RETENTION_DAYS must be a whole number from 0 to 99999, not -1",
    ],
    [{ LATCHKEY_TRUSTED_PROXIES: "10.0.0.0/99" }, [], "LATCHKEY_TRUSTED_PROXIES must hold addresses"],
    [{ LATCHKEY_ROOT_KEY: "short" }, [], "LATCHKEY_ROOT_KEY must be 32 bytes"],
    [{ LATCHKEY_GRPC_ADDR: "0.0.0.0:0" }, [], "LATCHKEY_GRPC_ADDR 0.0.0.0:0 can be reached from other machines"],
    [{ LATCHKEY_GRPC_ADDR: "[::]:0" }, ["--dev"], "or set LATCHKEY_GRPC_PLAINTEXT=allow where something else encrypts"],
    [
      { LATCHKEY_GRPC_ADDR: "127.example.com:0" },
      [],
      "set LATCHKEY_GRPC_TLS_CERT and LATCHKEY_GRPC_TLS_KEY, listen on",
    ],
    [{ LATCHKEY_GRPC_PLAINTEXT: "yes" }, [], "LATCHKEY_GRPC_PLAINTEXT must be one of loopback, allow, not yes"],
    [{ LATCHKEY_GRPC_TLS_CERT: "a" }, [], "LATCHKEY_GRPC_TLS_CERT is needed together with LATCHKEY_GRPC_TLS_KEY"],
    [{ LATCHKEY_HTTP_TLS_KEY: "a" }, [], "LATCHKEY_HTTP_TLS_CERT is needed together with LATCHKEY_HTTP_TLS_KEY"],
    [
      { LATCHKEY_GRPC_CLIENT_CA: "a", LATCHKEY_GRPC_CLIENTS_FILE: "b" },
      [],
      "LATCHKEY_GRPC_CLIENT_CA needs LATCHKEY_GRPC_TLS_CERT and LATCHKEY_GRPC_TLS_KEY",
    ],
    [{ LATCHKEY_GRPC_CLIENTS_FILE: "a" }, [], "LATCHKEY_GRPC_CLIENTS_FILE needs LATCHKEY_GRPC_CLIENT_CA"],
    [{ LATCHKEY_GRPC_CLIENT_CERTS: "required" }, [], "LATCHKEY_GRPC_CLIENT_CERTS needs LATCHKEY_GRPC_CLIENT_CA"],
    [{ LATCHKEY_GRPC_CLIENT_CERTS: "never" }, [], "LATCHKEY_GRPC_CLIENT_CERTS must be one of optional, required"],
    [
      { LATCHKEY_GRPC_TLS_CERT: "a", LATCHKEY_GRPC_TLS_KEY: "b", LATCHKEY_GRPC_CLIENT_CA: "c" },
      [],
      "LATCHKEY_GRPC_CLIENT_CA has no effect without LATCHKEY_GRPC_CLIENTS_FILE or LATCHKEY_GRPC_CLIENT_CERTS=required",
    ],
  ])("says what is wrong with %o", async (env, args, message) => {
    await using folder = await temporaryFolder();
    const { code, stdout, stderr } = await runProgram(["serve", ...args], { LATCHKEY_DATA_DIR: folder.path, ...env });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^latchkey: [^\n]+\n$/);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain("hunter2");
  });

  it("says of a file for TLS what is wrong with it, by its setting, and nothing of what is in it", async () => {
    await using folder = await temporaryFolder();
    const pair = await (await createAuthority()).server();
    const { cert, key } = await writePair(folder.path, "server", pair);
    await chmod(key, 0o644);
    const env = { LATCHKEY_DATA_DIR: folder.path, LATCHKEY_GRPC_TLS_CERT: cert, LATCHKEY_GRPC_TLS_KEY: key };
    const { code, stdout, stderr } = await runProgram(["serve", "--dev"], env);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^latchkey: LATCHKEY_GRPC_TLS_KEY: \S+server\.key is open to others \(mode 0644\)[^\n]+\n$/);
  });

  it("reads a key that root lets its group read, and listens beyond this machine with TLS or when told to", async () => {
    await using folder = await temporaryFolder();
    const pair = await (await createAuthority()).server();
    const files = await writePair(folder.path, "server", pair);
    // So Kubernetes hands keys to a service that isn't root.
    if (process.getuid?.() === 0) await chmod(files.key, 0o640);
    const env = { LATCHKEY_DATA_DIR: folder.path, LATCHKEY_GRPC_ADDR: "0.0.0.0:0", LATCHKEY_HTTP_ADDR: "0.0.0.0:0" };
    const warnings = ({ stdout }: { readonly stdout: readonly string[] }): readonly string[] =>
      stdout.filter((line) => line.includes('"level":"warn"'));
    {
      const tls = { LATCHKEY_GRPC_TLS_CERT: files.cert, LATCHKEY_GRPC_TLS_KEY: files.key };
      const proxied = { LATCHKEY_TRUSTED_PROXIES: "10.0.0.0/8" };
      await using service = await startServiceProcess(["--dev"], { ...env, ...tls, ...proxied });
      expect(service.ready.grpc).toMatch(/^0\.0\.0\.0:/);
      expect(warnings(service)).toEqual([]);
    }
    await using service = await startServiceProcess([], { ...env, LATCHKEY_GRPC_PLAINTEXT: "allow" });
    expect(warnings(service).join("\n")).toContain("gRPC is served in plain text beyond this machine");
    expect(warnings(service).join("\n")).toContain("set LATCHKEY_HTTP_TLS_CERT, or LATCHKEY_TRUSTED_PROXIES");
  });

  it("names every fault at once", async () => {
    const { stderr } = await runProgram(["serve"], {
      LATCHKEY_LOG_LEVEL: "loud",
      LATCHKEY_LOG_FORMAT: "xml",
      LATCHKEY_MODE: "test",
    });
    expect(stderr.trimEnd().split("\n")).toHaveLength(3);
  });

  it("takes a flag over the environment, and refuses an unknown one", async () => {
    await using folder = await temporaryFolder();
    const env = { LATCHKEY_DATA_DIR: folder.path };
    const flag = await runProgram(["serve", "--log-level", "loud"], { ...env, LATCHKEY_LOG_LEVEL: "info" });
    expect(flag.stderr).toContain("LATCHKEY_LOG_LEVEL must be one of");
    const unknown = await runProgram(["serve", "--nope"], env);
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain("--nope");
  });

  it.each([
    ["gRPC address", "LATCHKEY_GRPC_ADDR"],
    ["HTTP address", "LATCHKEY_HTTP_ADDR"],
    ["Operations address", "LATCHKEY_OPS_ADDR"],
  ])("says so when the %s is taken", async (what, setting) => {
    await using folder = await temporaryFolder();
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
    const { port } = blocker.address() as { port: number };
    const free = {
      LATCHKEY_GRPC_ADDR: "127.0.0.1:0",
      LATCHKEY_HTTP_ADDR: "127.0.0.1:0",
      LATCHKEY_OPS_ADDR: "127.0.0.1:0",
    };
    const env = { LATCHKEY_DATA_DIR: folder.path, ...free, [setting]: `127.0.0.1:${port}` };
    const { code, stderr } = await runProgram(["serve", "--dev"], env);
    expect(code).toBe(1);
    expect(stderr).toContain(`latchkey: ${what} 127.0.0.1:${port} is taken`);
    expect(stderr).toContain(setting);
    blocker.close();
  });

  it("says so when the database is in use, corrupt, of a newer schema, or can't be written", async () => {
    await using folder = await temporaryFolder();
    const env = { LATCHKEY_DATA_DIR: folder.path };
    const file = join(folder.path, "latchkey.db");
    const refuse = async (extra: Record<string, string> = {}): Promise<string> => {
      const { code, stderr, stdout } = await runProgram(["serve"], { ...env, ...extra });
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toMatch(/^latchkey: [^\n]+\n$/);
      return stderr;
    };
    const service = await startServiceProcess(["--dev"], env);
    expect(await refuse()).toMatch(/latchkey\.db.*LATCHKEY_THREADS.*PostgreSQL/);
    await service.stop();

    const database = new Database(file);
    database.exec(
      "INSERT INTO schema_migrations SELECT 9999, 'from the future', applied_at, checksum FROM schema_migrations LIMIT 1",
    );
    database.close();
    expect(await refuse()).toMatch(/newer/);

    const corrupt = join(folder.path, "corrupt.db");
    await writeFile(corrupt, "this is no database, but it is long enough to be read as one".repeat(100));
    expect(await refuse({ LATCHKEY_DATABASE_URL: `sqlite:${corrupt}` })).toContain("corrupt.db");

    const directory = join(folder.path, "directory.db");
    await mkdir(directory);
    expect(await refuse({ LATCHKEY_DATABASE_URL: `sqlite:${directory}` })).toContain("directory.db");
    expect(await refuse({ LATCHKEY_DATABASE_URL: `sqlite:${corrupt}/x.db` })).toContain("corrupt.db");
  });
});

describe("stopping", () => {
  it("lets a call in flight finish on SIGTERM, and ends with 0", async () => {
    await using folder = await temporaryFolder();
    await using service = await startServiceProcess(["--dev"], { LATCHKEY_DATA_DIR: folder.path });
    const { adminEmail, adminPassword } = await readCredentials(folder.path);
    // A sign-in takes long enough to be in flight; the request is in before the signal is sent.
    const body = JSON.stringify({ email: adminEmail, password: adminPassword });
    const answer = fetch(`http://${service.ready.http}/api/v1/auth/login`, {
      method: "POST",
      headers: { "content-type": "application/json", connection: "close" },
      body,
    });
    const listed = await fetch(`http://${service.ready.http}/api/v1/api-tokens`);
    expect(listed.status).toBe(401);
    const stopped = service.stop();
    expect((await answer).status).toBe(200);
    expect(await stopped).toBe(0);
  });
});
