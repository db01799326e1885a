/** Signed checkpoints from outside: who gets them, where they are kept, and which database is refused. */
import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, it, vi } from "vitest";
import { AuditService } from "../../gen/latchkey/v1/audit_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { openDeployment, startApp } from "../../src/app.ts";
import { verifyAuditLog } from "../../src/cli/audit-verify.ts";
import { readCheckpoints } from "../../src/cli/checkpoint-files.ts";
import { createClient } from "../../src/client/index.ts";
import { type Environment, loadConfig } from "../../src/config.ts";
import { openCheckpoint } from "../../src/domain/checkpoint.ts";
import { StartError } from "../../src/domain/start-error.ts";
import { NOW } from "../contract/samples.ts";
import { getCheckpoint, openOrThrow } from "../helpers/checkpoints.ts";
import { runProgram, temporaryFolder } from "../helpers/service-process.ts";
import { type Credential, expectOk, openSurface, RPC_SURFACES } from "../helpers/surfaces.ts";
import { startTestApp } from "../helpers/test-app.ts";

const rpc = AuditService.method;

/** Waits until something holds that happens by itself. */
function eventually(holds: () => unknown): Promise<unknown> {
  return vi.waitFor(holds, { timeout: 20_000, interval: 20 });
}

async function sizesIn(folder: string): Promise<readonly number[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".checkpoint"));
  return names.map((name) => Number(name.slice(0, 12))).toSorted((one, two) => one - two);
}

describe.each(RPC_SURFACES)("AuditService.GetCheckpoint through %s", (name) => {
  it("signs the log of all organizations, for service keys of all organizations and nobody else", async () => {
    await using test = await startTestApp({ surroundings: { clock: () => NOW.getTime() } });
    const surface = openSurface(test.app, name);
    const { organizationId, serviceKey } = test.credentials;
    const auditor: Credential = { bearer: await test.addServiceKey(["audit:read"]) };
    const signedIn = async (role: "owner" | "admin" | "member"): Promise<Credential> => ({
      bearer: await test.signIn(await test.addMember(role)),
    });
    const ask = (credential: Credential) => surface.invoke(rpc.getCheckpoint, {}, credential);

    const { note, verifierKey } = expectOk(await ask(auditor));
    const { events } = expectOk(await surface.invoke(rpc.listEvents, { pageSize: 1000 }, { bearer: serviceKey }));
    expect(openOrThrow(note, verifierKey)).toMatchObject({
      origin: expect.stringMatching(/^latchkey\/[0-9a-f]{16}$/) as string,
      size: events.length,
      revision: Number(events.at(-1)?.revision),
      time: NOW,
    });

    const owner = await signedIn("owner");
    const more = expectOk(await ask(auditor));
    expect(more.verifierKey).toBe(verifierKey);
    expect(openOrThrow(more.note, verifierKey).size).toBeGreaterThan(events.length);

    const needsScope = "This call needs a service key with the scope audit:read.";
    const apiToken = expectOk(await surface.issue(owner, { name: "token" })).secret;
    for (const credential of [owner, await signedIn("admin"), await signedIn("member"), { apiKey: apiToken }]) {
      expect(await ask(credential)).toEqual({ ok: false, code: "PERMISSION_DENIED", message: needsScope });
    }
    const ofOne: Credential = { bearer: await test.addServiceKey(["audit:read"], organizationId) };
    expect(await ask(ofOne)).toEqual({
      ok: false,
      code: "PERMISSION_DENIED",
      message: expect.stringMatching(/all organizations: this call needs a service key of all organizations/) as string,
    });
    const without: Credential = { bearer: await test.addServiceKey(["introspect", "tokens:read"]) };
    expect(await ask(without)).toMatchObject({
      code: "PERMISSION_DENIED",
      message: expect.stringMatching(/audit:read/) as string,
    });
    expect(await ask({})).toMatchObject({ code: "UNAUTHENTICATED" });
    surface.close();
  });
});

describe("a running service", () => {
  it("keeps checkpoints by itself: in the data directory, in a folder, and at a URL", async () => {
    await using folder = await temporaryFolder();
    const outside = join(folder.path, "outside");
    const posted: string[] = [];
    let status = 500;
    const server = createServer((request, response) => {
      void text(request).then((body) => {
        posted.push(body);
        response.writeHead(status).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const env = {
      LATCHKEY_CHECKPOINT_ORIGIN: "example.com/latchkey",
      LATCHKEY_CHECKPOINT_INTERVAL: "1",
      LATCHKEY_CHECKPOINT_DIR: outside,
      LATCHKEY_CHECKPOINT_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/secret-path`,
    };
    await using test = await startTestApp({ env });
    const own = join(test.config.dataDir, "checkpoints");
    // At the start, without waiting for the interval; the URL's failure is no matter to the folders.
    await eventually(async () => expect([await sizesIn(own), await sizesIn(outside)]).toEqual([[5], [5]]));
    await eventually(() => expect(posted.length).toBeGreaterThan(1));
    status = 200;
    await test.addMember("member");
    await eventually(async () =>
      expect([await sizesIn(own), await sizesIn(outside)]).toEqual([
        [5, 6],
        [5, 6],
      ]),
    );
    const { verifierKey } = await getCheckpoint(test);
    expect(verifierKey).toMatch(/^example\.com\/latchkey\+/);
    await eventually(() => expect(openOrThrow(posted.at(-1) ?? "", verifierKey).size).toBe(6));

    await test.addMember("member");
    await test.app.stop();
    for (const kept of [own, outside]) {
      expect((await sizesIn(kept)).at(-1)).toBe(7);
      const [newest = ""] = (await readdir(kept)).toSorted().toReversed();
      expect(openOrThrow(await readFile(join(kept, newest), "utf8"), verifierKey)).toMatchObject({
        size: 7,
        revision: 7,
      });
    }
    const warnings = test.logLines.filter((line) => line.includes("a checkpoint could not be kept"));
    expect(warnings.length).toBeGreaterThan(0);
    expect(test.logLines.join("")).not.toContain("secret-path");
    server.closeAllConnections();
    server.close();
  });

  it("stops at once, also while the URL hangs", async () => {
    let isAsked = false;
    const server = createServer(() => {
      isAsked = true;
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    await using test = await startTestApp({ env: { LATCHKEY_CHECKPOINT_URL: `http://127.0.0.1:${port}` } });
    await eventually(() => expect(isAsked).toBe(true));
    // The answer never comes; after some seconds the post would be given up.
    await test.app.stop();
    expect(await sizesIn(join(test.config.dataDir, "checkpoints"))).toEqual([5]);
    expect(test.logLines.join("")).not.toMatch(/TimeoutError/);
    server.closeAllConnections();
    server.close();
  });

  it("doesn't start where it is told to keep them and can't", async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, "file"), "");
    const starting = startTestApp({ env: { LATCHKEY_CHECKPOINT_DIR: join(folder.path, "file", "checkpoints") } });
    await expect(starting).rejects.toThrow(/file\/checkpoints can't be read and written/);
  });
});

describe("settings of checkpoints", () => {
  it.each([
    ["LATCHKEY_CHECKPOINT_INTERVAL", "often", /must be a whole number from 0 to 86400, not often/],
    ["LATCHKEY_CHECKPOINT_INTERVAL", "-1", /must be a whole number from 0 to 86400/],
    ["LATCHKEY_CHECKPOINT_INTERVAL", "86401", /must be a whole number from 0 to 86400/],
    ["LATCHKEY_CHECKPOINT_ORIGIN", "two words", /must have no spaces and no plus signs/],
    ["LATCHKEY_CHECKPOINT_ORIGIN", "a+b", /must have no spaces and no plus signs/],
    ["LATCHKEY_CHECKPOINT_DIR", "data/checkpoints", /must be another folder than/],
    ["LATCHKEY_CHECKPOINT_URL", "example.com/secret", /must be a URL such as/],
    ["LATCHKEY_CHECKPOINT_URL", "ftp://example.com/secret", /must be a URL such as/],
    ["LATCHKEY_CHECKPOINT_URL", "https://me:secret@example.com", /without a user name and a password/],
  ])("%s=%s is refused", (name, value, message) => {
    const load = () => loadConfig({ [name]: value }, {});
    expect(load).toThrow(message);
    expect(load).not.toThrow(/secret/);
  });

  it("are taken as they are meant", () => {
    const outside = { LATCHKEY_CHECKPOINT_DIR: "outside", LATCHKEY_CHECKPOINT_INTERVAL: "0" };
    expect(loadConfig({ LATCHKEY_DATA_DIR: "/d", ...outside }, {})).toMatchObject({
      checkpointIntervalMs: 0,
      checkpointFolders: ["/d/checkpoints", join(process.cwd(), "outside")],
    });
    expect(loadConfig({ LATCHKEY_DATA_DIR: "/d" }, {})).toMatchObject({
      checkpointOrigin: undefined,
      checkpointIntervalMs: 300_000,
      checkpointFolders: ["/d/checkpoints"],
      checkpointUrl: undefined,
      acceptedRollback: undefined,
    });
  });
});

describe("an old database that is put back", () => {
  it("is refused at the start, found by `audit verify`, and served when that is asked for by name", async () => {
    await using folder = await temporaryFolder();
    const data = join(folder.path, "data");
    const outside = join(folder.path, "outside");
    const copy = join(folder.path, "copy");
    const env = { LATCHKEY_DATA_DIR: data, LATCHKEY_CHECKPOINT_DIR: outside };
    const { credentials, ...first } = await startOn(env);
    const tokens = createClient(TokenService, { address: first.app.grpcAddress, token: credentials.serviceKey });
    const { token } = await tokens.issue({ organizationId: credentials.organizationId, name: "leaked" });
    tokens.close();
    const key = first.app.deployment.checkpointer.key;
    await first.app.stop();
    await cp(data, copy, { recursive: true });

    const second = await startOn(env);
    const later = createClient(TokenService, { address: second.app.grpcAddress, token: credentials.serviceKey });
    await later.revoke({ id: token?.id ?? "" });
    later.close();
    await second.app.stop();
    expect(await sizesIn(outside)).toEqual([5, 6, 7]);

    const database = join(data, "latchkey.db");
    const refusal =
      /^The database is older than its checkpoint (\S+) in (\S+), .* over 7 events.* with LATCHKEY_ACCEPT_ROLLBACK=(\S+)$/;
    const refuse = async (settings: Record<string, string> = {}) => {
      const failed = await startOn({ ...env, ...settings }).catch((error: unknown) => error);
      expect(failed).toBeInstanceOf(StartError);
      const [, name = "", where = "", accept] = refusal.exec((failed as Error).message) ?? [];
      expect(accept).toBe(name);
      return { name, where };
    };
    // The database alone, and then all of the data directory with its own checkpoints.
    await cp(join(copy, "latchkey.db"), database);
    expect(await refuse()).toMatchObject({ where: join(data, "checkpoints") });
    await rm(data, { recursive: true });
    await cp(copy, data, { recursive: true });
    const { name, where } = await refuse();
    expect(where).toBe(outside);
    const { difference } = await verifyAuditLog(database, await readCheckpoints([outside], key));
    expect(difference).toMatch(
      /^the log has 6 events, and the checkpoint of \S+Z was signed over 7 .*: the end was cut off, or an old copy was put back$/,
    );
    const served = await runProgram(["serve"], env);
    expect(served).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining(name) as string });

    await refuse({ LATCHKEY_ACCEPT_ROLLBACK: "000000000006-00000000" });
    await (await startOn({ ...env, LATCHKEY_ACCEPT_ROLLBACK: name })).app.stop();
    expect(await readdir(outside)).toContain(`${name}.checkpoint.abandoned`);
    const fourth = await startOn(env);
    // The history goes on from there, and is signed again.
    const { note } = await fourth.app.deployment.checkpointer.sign();
    expect(openCheckpoint(note, key).checkpoint?.size).toBe(6);
    await fourth.app.stop();
    // What was accepted is still known to whoever verifies.
    const after = await verifyAuditLog(database, await readCheckpoints([outside], key));
    expect(after.difference).toContain("was signed over 7");
  });

  it("isn't made new beside the old one's checkpoints either", async () => {
    await using folder = await temporaryFolder();
    const env = { LATCHKEY_DATA_DIR: folder.path };
    await (await startOn(env)).app.stop();
    await rm(join(folder.path, "latchkey.db"));
    const made = await runProgram(["bootstrap", "--admin-email", "ops@example.com"], env);
    expect(made).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining("older than its checkpoint") as string,
    });
  });
});

/** Starts the service on a data directory, which is set up where it is empty. */
async function startOn(env: Environment) {
  const ports = {
    LATCHKEY_GRPC_ADDR: "127.0.0.1:0",
    LATCHKEY_HTTP_ADDR: "127.0.0.1:0",
    LATCHKEY_OPS_ADDR: "127.0.0.1:0",
  };
  const deployment = await openDeployment(loadConfig({ ...ports, ...env }, {}), true, { logSink: () => {} });
  const input = {
    organizationName: "acme",
    profileId: "watchplane",
    adminEmail: "a@b.example",
    adminPassword: "secret",
  };
  const empty = { serviceKey: "", organizationId: "" };
  const credentials = (await deployment.storage.isEmpty()) ? await deployment.setUp(input) : empty;
  return { credentials, app: await startApp(deployment) };
}
