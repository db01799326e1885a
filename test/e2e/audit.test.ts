/** What the audit log promises from outside: each action leaves its event, and who may read and prove it. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AuditService, type Event } from "../../gen/latchkey/v1/audit_pb.ts";
import { AuthService } from "../../gen/latchkey/v1/auth_pb.ts";
import { OrganizationService, Role } from "../../gen/latchkey/v1/organization_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { verifyAuditLog } from "../../src/cli/audit-verify.ts";
import { SYSTEM_ORGANIZATION_ID, toPublicId } from "../../src/domain/ids.ts";
import { grpcClient } from "../helpers/grpc-client.ts";
import { runProgram } from "../helpers/service-process.ts";
import { type Credential, expectOk, openSurface, RPC_SURFACES } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const SYSTEM = toPublicId("org", SYSTEM_ORGANIZATION_ID);
const rpc = AuditService.method;

describe("each action leaves exactly one event", () => {
  let test: TestApp;
  let lastRequest = 0;
  let lastRevision = 0n;
  const headers = () => ({ authorization: `Bearer ${test.credentials.serviceKey}` });
  const call = <T>(make: (options: { headers: Record<string, string> }) => Promise<T>): Promise<T> =>
    make({ headers: { ...headers(), "x-request-id": `request-${++lastRequest}` } });

  beforeAll(async () => {
    test = await startTestApp();
    await newEvents();
  });
  afterAll(() => test[Symbol.asyncDispose]());

  /** The events since the last call of this function. */
  async function newEvents(): Promise<readonly Event[]> {
    using audit = grpcClient(AuditService, test.app.grpcAddress, { headers: headers() });
    const { events } = await audit.listEvents({ pageSize: 1000 });
    const found = events.filter(({ revision }) => revision > lastRevision);
    lastRevision = events.at(-1)?.revision ?? 0n;
    return found;
  }

  /** Expects one event, of the call that was made last, and nothing else. */
  async function expectOne(fields: object): Promise<void> {
    expect(await newEvents()).toMatchObject([
      { address: "127.0.0.1", requestId: `request-${lastRequest}`, scopes: [], ...fields },
    ]);
  }

  async function post(path: string, body: unknown, credential: Record<string, string> = {}): Promise<Response> {
    return fetch(`http://${test.app.httpAddress}/api/v1${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-request-id": `request-${++lastRequest}`, ...credential },
      body: JSON.stringify(body),
    });
  }

  it("through gRPC, by a service key", async () => {
    using organizations = grpcClient(OrganizationService, test.app.grpcAddress);
    using tokens = grpcClient(TokenService, test.app.grpcAddress);
    using auth = grpcClient(AuthService, test.app.grpcAddress);
    const service = { kind: "service", id: expect.stringMatching(/^tok_/) as string };

    const { organization } = await call((options) =>
      organizations.create({ name: "Globex", profile: "watchmantower" }, options),
    );
    const organizationId = organization?.id ?? "";
    const globex = { actor: service, organizationId, target: organizationId, targetName: "Globex" };
    await expectOne({ ...globex, action: "organization.created", sequence: 1n });
    await call((options) => organizations.setPlan({ organizationId, plan: "stack" }, options));
    await expectOne({ ...globex, action: "organization.plan_set", details: { plan_before: "free", plan: "stack" } });
    await call((options) => organizations.setPlan({ organizationId, plan: "stack" }, options));
    expect(await newEvents()).toEqual([]);
    await call((options) => organizations.setProfile({ organizationId, profile: "walwarden" }, options));
    await expectOne({ ...globex, action: "organization.profile_set" });
    await call((options) => organizations.setProfile({ organizationId, profile: "watchplane" }, options));
    await newEvents();

    const ada = { organizationId, email: "ada@example.com", role: Role.OWNER };
    const { member, initialPassword } = await call((options) => organizations.addMember(ada, options));
    const userId = member?.user?.id ?? "";
    const person = { actor: service, organizationId, target: userId, targetName: "ada@example.com" };
    await expectOne({ ...person, action: "member.added", details: { role: "owner" } });
    const bob = { organizationId, email: "bob@example.com", role: Role.OWNER };
    await call((options) => organizations.addMember(bob, options));
    await newEvents();
    await call((options) => organizations.setMemberRole({ organizationId, userId, role: Role.ADMIN }, options));
    const roles = { role_before: "owner", role: "admin" };
    await expectOne({ ...person, action: "member.role_set", details: roles });

    const scopes = ["tokens:read", "introspect"];
    const key = { organizationId, name: "deploy", type: "service_key", scopes };
    const issued = await call((options) => tokens.issue(key, options));
    const id = issued.token?.id ?? "";
    const token = {
      actor: service,
      organizationId,
      target: id,
      targetName: "deploy",
      revision: issued.token?.revision,
    };
    await expectOne({ ...token, action: "token.issued", scopes: scopes.toSorted() });
    const ofKey = { ...token, scopes: scopes.toSorted() };
    const overlap = { seconds: 60n };
    const { token: rotated } = await call((options) => tokens.rotate({ id, overlap }, options));
    const endsAt = timestampDate(rotated?.rotation?.overlapEndsAt ?? expect.fail("no overlap")).toISOString();
    const details = { overlap_ends_at: endsAt };
    await expectOne({ ...ofKey, revision: rotated?.revision, action: "token.rotated", details });
    const { token: cancelled } = await call((options) => tokens.cancelRotation({ id }, options));
    await expectOne({ ...ofKey, revision: cancelled?.revision, action: "token.rotation_cancelled" });
    await call((options) => tokens.rotate({ id, overlap }, options));
    await newEvents();
    const { token: finished } = await call((options) => tokens.finishRotation({ id }, options));
    await expectOne({ ...ofKey, revision: finished?.revision, action: "token.rotation_finished" });
    await call((options) => tokens.finishRotation({ id }, options));
    expect(await newEvents()).toEqual([]);
    const narrow = { id, scopes: ["introspect"] };
    const { token: narrowed } = await call((options) => tokens.update(narrow, options));
    await expectOne({
      ...token,
      revision: narrowed?.revision,
      action: "token.updated",
      scopes: ["introspect"],
      details: {
        profile: "latchkey",
        type: "service_key",
        scopes_before: "introspect tokens:read",
        scopes: "introspect",
      },
    });
    await call((options) => tokens.update(narrow, options));
    expect(await newEvents()).toEqual([]);
    for (const [enabled, action] of [
      [false, "token.disabled"],
      [true, "token.enabled"],
    ] as const) {
      const { token: switched } = await call((options) => tokens.update({ id, enabled }, options));
      await expectOne({ ...token, revision: switched?.revision, action, scopes: ["introspect"] });
    }
    const { token: revoked } = await call((options) => tokens.revoke({ id }, options));
    await expectOne({
      ...token,
      revision: revoked?.revision,
      action: "token.revoked",
      scopes: ["introspect"],
    });
    await call((options) => tokens.revoke({ id }, options));
    expect(await newEvents()).toEqual([]);

    const old = { name: "an old key", plaintext: crypto.randomUUID(), metadata: { note: "not for the log" } };
    const { results } = await call((options) => tokens.import({ organizationId, tokens: [old, old] }, options));
    const imported = results[0]?.token;
    await expectOne({
      ...token,
      target: imported?.id ?? "",
      targetName: "an old key",
      revision: imported?.revision,
      action: "token.imported",
      details: { profile: "watchplane", enabled: "true", created_at: expect.any(String) as string },
    });
    await call((options) => tokens.import({ organizationId, tokens: [old] }, options));
    expect(await newEvents()).toEqual([]);

    const session = await call((options) =>
      auth.login({ email: "ada@example.com", password: initialPassword }, options),
    );
    await expectOne({ ...person, action: "user.signed_in" });
    await call((options) => auth.refreshToken({ refreshToken: session.refreshToken }, options));
    expect(await newEvents()).toEqual([]);
    await call((options) => auth.refreshToken({ refreshToken: session.refreshToken }, options)).catch(() => {});
    await expectOne({ ...person, action: "session.ended", details: { reason: "refresh_token_reused" } });

    await call((options) => organizations.removeMember({ organizationId, userId }, options));
    await expectOne({ ...person, action: "member.removed", details: { role: "admin" } });
  });

  it("through REST, by a person", async () => {
    const { adminEmail: email, adminPassword: password, organizationId } = test.credentials;
    const signedIn = await post("/auth/login", { email, password });
    const [event] = await newEvents();
    const actor = event?.actor ?? { kind: "", id: "" };
    expect(actor).toMatchObject({ kind: "user", id: expect.stringMatching(/^usr_/) as string });
    expect(event).toMatchObject({
      action: "user.signed_in",
      organizationId,
      target: actor.id,
      targetName: email,
      address: "127.0.0.1",
      requestId: `request-${lastRequest}`,
    });
    const accessToken = find(await signedIn.json(), "accessToken");
    const admin = { authorization: `Bearer ${accessToken}` };

    const issued = await post("/api-tokens", { name: "from REST" }, admin);
    expect(issued.status).toBe(201);
    await expectOne({ action: "token.issued", actor, organizationId, targetName: "from REST" });
    const id = find(await issued.json(), "id");
    const revoked = await fetch(`http://${test.app.httpAddress}/api/v1/api-tokens/${id}`, {
      method: "DELETE",
      headers: { ...admin, "x-request-id": `request-${++lastRequest}` },
    });
    expect(revoked.ok).toBe(true);
    await expectOne({ action: "token.revoked", actor, organizationId, target: id });

    const anonymous = { kind: "anonymous", id: "anonymous" };
    expect((await post("/auth/login", { email, password: "wrong" })).status).toBe(401);
    const details = { reason: "wrong_password" };
    await expectOne({ action: "user.sign_in_failed", actor: anonymous, organizationId, targetName: email, details });
    expect((await post("/auth/login", { email: "hunter2-typed-here@example.com", password })).status).toBe(401);
    const nobody = { organizationId: SYSTEM, target: "", targetName: "", details: { reason: "unknown_address" } };
    await expectOne({ action: "user.sign_in_failed", actor: anonymous, ...nobody });
    expect((await post("/api-tokens", { name: "" }, admin)).ok).toBe(false);
    expect((await post("/api-tokens", { name: "x" })).status).toBe(401);
    expect(await newEvents()).toEqual([]);
  });
});

describe.each(RPC_SURFACES)("AuditService through %s", (name) => {
  it("answers service keys with audit:read, owners and admins, and nobody else", async () => {
    await using test = await startTestApp();
    const surface = openSurface(test.app, name);
    const { organizationId } = test.credentials;
    const other = await test.addOrganization();
    const signedIn = async (
      role: "owner" | "admin" | "member",
      organization = organizationId,
    ): Promise<Credential> => ({
      bearer: await test.signIn(await test.addMember(role, organization)),
    });
    const list = async (credential: Credential, request = {}) => {
      const answer = await surface.invoke(rpc.listEvents, { pageSize: 1000, ...request }, credential);
      return answer.ok
        ? [...new Set(answer.value.events.map((event) => event.organizationId))].toSorted()
        : answer.code;
    };
    const verify = async (credential: Credential, request = {}) => {
      const answer = await surface.invoke(rpc.verifyChain, request, credential);
      return answer.ok ? answer.value.fault : answer.code;
    };
    const everything: Credential = { bearer: await test.addServiceKey(["audit:read"]) };
    const own: Credential = { bearer: await test.addServiceKey(["audit:read"], organizationId) };
    const admin = await signedIn("admin");

    expect(await list(everything)).toEqual([SYSTEM, organizationId, other].toSorted());
    expect(await list(everything, { organizationId: SYSTEM })).toEqual([SYSTEM]);
    const newest = expectOk(await surface.invoke(rpc.listEvents, { newestFirst: true, pageSize: 1 }, admin)).events;
    const oldest = expectOk(await surface.invoke(rpc.listEvents, { pageSize: 1000 }, admin)).events;
    expect(newest.map(({ revision }) => revision)).toEqual([oldest.at(-1)?.revision]);
    expect(await verify(everything, { organizationId: SYSTEM })).toBeUndefined();
    expect(await verify(everything)).toBe("INVALID_ARGUMENT");
    for (const credential of [own, admin, await signedIn("owner")]) {
      expect(await list(credential)).toEqual([organizationId]);
      expect(await list(credential, { organizationId })).toEqual([organizationId]);
      expect(await verify(credential)).toBeUndefined();
      for (const foreign of [other, SYSTEM, toPublicId("org", "01890a5d-ac96-774b-bcce-b302099a8057"), "x"]) {
        expect(await list(credential, { organizationId: foreign })).toBe("NOT_FOUND");
        expect(await verify(credential, { organizationId: foreign })).toBe("NOT_FOUND");
      }
    }
    const apiToken = expectOk(await surface.issue(admin, { name: "token" })).secret;
    const without: Credential = { bearer: await test.addServiceKey(["tokens:read", "organizations:read"]) };
    for (const credential of [await signedIn("member"), { apiKey: apiToken }, without]) {
      expect(await list(credential)).toBe("PERMISSION_DENIED");
      expect(await verify(credential, { organizationId })).toBe("PERMISSION_DENIED");
    }
    expect(await list({})).toBe("UNAUTHENTICATED");
    expect(await verify({})).toBe("UNAUTHENTICATED");
    surface.close();
  });
});

describe("AuditService.ListEvents", () => {
  it("filters, and pages in order", async () => {
    await using test = await startTestApp();
    using audit = grpcClient(AuditService, test.app.grpcAddress, {
      headers: { authorization: `Bearer ${test.credentials.serviceKey}` },
    });
    const { organizationId } = test.credentials;
    for (let index = 0; index < 4; index++) await test.addMember("member");
    const { events } = await audit.listEvents({});
    expect(events.map(({ action }) => action)).toEqual([
      "deployment.set_up",
      "organization.created",
      "organization.created",
      "member.added",
      "token.issued",
      ...Array.from({ length: 4 }, () => "member.added"),
    ]);
    for (const newestFirst of [false, true]) {
      const paged: Event[] = [];
      let pageToken = "";
      do {
        const page = await audit.listEvents({ pageSize: 4, pageToken, newestFirst });
        paged.push(...page.events);
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      expect(paged).toEqual(newestFirst ? events.toReversed() : events);
    }

    const added = events.filter(({ action }) => action === "member.added");
    expect((await audit.listEvents({ organizationId, actions: ["member.added"] })).events).toEqual(added);
    const [first] = added;
    expect((await audit.listEvents({ target: first?.target ?? "" })).events).toEqual([first]);
    expect((await audit.listEvents({ actor: "system" })).events).toEqual(events);
    expect((await audit.listEvents({ actor: "usr_none" })).events).toEqual([]);
    const future = timestampFromDate(new Date(Date.now() + 60_000));
    expect((await audit.listEvents({ until: future })).events).toEqual(events);
    expect((await audit.listEvents({ from: future })).events).toEqual([]);

    const { nextPageToken } = await audit.listEvents({ pageSize: 2 });
    const code = (request: object) =>
      audit.listEvents(request).then(
        () => "OK",
        (error: unknown) => (error as Error).message,
      );
    expect(await code({ pageToken: nextPageToken, actor: "system" })).toMatch(/page_token/);
    expect(await code({ pageToken: nextPageToken, newestFirst: true })).toMatch(/page_token/);
    expect(await code({ pageToken: "x" })).toMatch(/page_token/);
    expect(await code({ actions: ["token.eaten"] })).toMatch(/actions: must be among deployment\.set_up, /);
    // No engine is asked what PostgreSQL can't even be told.
    expect(await code({ actor: "usr_\0" })).toMatch(/actor: must not hold the character U\+0000/);
  });
});

describe("an edited chain", () => {
  it("is found by VerifyChain, by `latchkey audit verify` on the file in service, and in an export", async () => {
    await using test = await startTestApp();
    const { serviceKey, organizationId } = test.credentials;
    const env = { LATCHKEY_ADDR: test.app.grpcAddress, LATCHKEY_TOKEN: serviceKey };
    using audit = grpcClient(AuditService, test.app.grpcAddress, {
      headers: { authorization: `Bearer ${serviceKey}` },
    });
    for (let index = 0; index < 3; index++) await test.addMember("member");

    const whole = await audit.verifyChain({ organizationId });
    expect(whole).toMatchObject({ count: 5n });
    const verified = await runProgram(["audit", "verify", ...test.database.file], test.database.env);
    expect(verified).toMatchObject({ code: 0, stderr: "8 events in 2 chains: nothing was edited\n" });
    expect(verified.stdout).toContain(`${organizationId}  5  ${Buffer.from(whole.headHash).toString("hex")}\n`);
    const fromSetting = await runProgram(["audit", "verify"], test.database.env);
    expect(fromSetting).toEqual(verified);

    const exported = await runProgram(["audit", "export"], env);
    expect(exported).toMatchObject({ code: 0, stderr: "" });
    expect(await runProgram(["audit", "verify", "-"], {}, exported.stdout)).toEqual(verified);
    const ofOne = await runProgram(["audit", "export", organizationId], env);
    const file = join(test.config.dataDir, "export.jsonl");
    await writeFile(file, ofOne.stdout);
    expect(await verifyAuditLog(file)).toMatchObject({ count: 5, fault: undefined });
    const lines = ofOne.stdout.trim().split("\n");
    expect(lines).toHaveLength(5);
    const edits: readonly [RegExp, string[]][] = [
      [/^line 3: event 3 .*its content isn't what was hashed/, edit(lines, 2, '"member.added"', '"member.removed"')],
      [/^line 2: event 2 .*another event should stand there/, lines.toSpliced(1, 1)],
      [/^line 1: event 1 .*another event should stand there/, lines.slice(1)],
      [/^line 4 holds no event/, edit(lines, 3, '"time"', '"thyme"')],
      [/^line 2 holds no event/, edit(lines, 1, 'Z","actor"', '1Z","actor"')],
    ];
    for (const [fault, edited] of edits) {
      await writeFile(file, `${edited.join("\n")}\n`);
      expect((await verifyAuditLog(file)).fault).toMatch(fault);
    }

    await test.database.allowEdits();
    const change = async (sql: string) => {
      await test.database.query(sql);
      const { fault } = await audit.verifyChain({ organizationId });
      return { online: fault, offline: await verifyAuditLog(test.config) };
    };
    const cut = await change("DELETE FROM events WHERE revision = (SELECT max(revision) FROM events)");
    expect(cut.online).toBeUndefined();
    expect(cut.offline.fault).toMatch(/the store has made change 8: the log's end is missing$/);
    const moved = await change("UPDATE events SET address = '203.0.113.9' WHERE sequence = 3 AND revision > 5");
    expect(moved.online).toMatchObject({ sequence: 3n, kind: "hash" });
    const broken = /^event 3 of org_\w+ \(revision \d+\): its content isn't what was hashed$/;
    expect(moved.offline.fault).toMatch(broken);
    const program = await runProgram(["audit", "verify", ...test.database.file], test.database.env);
    expect(program.code).toBe(1);
    expect(program.stderr).toMatch(/^latchkey: event 3 of .*\(the 5 events before it are good\)\n$/);

    await expect(verifyAuditLog(join(test.config.dataDir, "nothing"))).rejects.toThrow(/can't be read/);
  });

  it("is listed by `latchkey audit list`", async () => {
    await using test = await startTestApp();
    const env = { LATCHKEY_ADDR: test.app.grpcAddress, LATCHKEY_TOKEN: test.credentials.serviceKey };
    const { organizationId } = test.credentials;
    const table = await runProgram(["audit", "list", organizationId, "--action", "member.added"], env);
    expect(table.stdout).toMatch(
      /^REVISION +TIME +ACTION +ACTOR +ADDRESS +TARGET +NAME\n\d+ +20\S+Z +member\.added +system +usr_\w+ +admin@acme\.example\n$/,
    );
    const json = await runProgram(["audit", "list", "--json", "--limit", "2"], env);
    const events = json.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { action: string });
    expect(events.map(({ action }) => action)).toEqual(["deployment.set_up", "organization.created"]);
    expect((await runProgram(["audit", "list", "--from", "yesterday"], env)).code).toBe(2);
    expect((await runProgram(["audit", "list", "--limit", "0"], env)).code).toBe(2);
  });
});

function edit(lines: readonly string[], index: number, from: string, to: string): string[] {
  expect(lines[index]).toContain(from);
  return lines.with(index, lines[index]?.replace(from, to) ?? "");
}

/** The value of a key, wherever in the answer it stands. */
function find(json: unknown, key: string): string {
  const text = JSON.stringify(json);
  return new RegExp(`"${key}":"([^"]+)"`).exec(text)?.[1] ?? "";
}
