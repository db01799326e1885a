/** Keys of another system are brought in, and known like any other from then on. */
import { createHash, randomBytes } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AuditService } from "../../gen/latchkey/v1/audit_pb.ts";
import { Reason } from "../../gen/latchkey/v1/introspection_pb.ts";
import { DigestAlgorithm, DigestEncoding, ImportStatus } from "../../gen/latchkey/v1/token_pb.ts";
import { openDeployment, startApp } from "../../src/app.ts";
import { generateSecret } from "../../src/domain/secret-format.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { loadProfiles } from "../../src/profiles/load-profiles.ts";
import {
  foreignKeys,
  type ImportRequest,
  type ImportResponse,
  importByRest,
  importThrough,
  WAYS,
} from "../helpers/import-call.ts";
import {
  type Credential,
  expectOk,
  type Outcome,
  openSurface,
  type RpcSurface,
  SURFACES,
} from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const NOW = Date.parse("2026-03-04T05:06:07Z");
const seconds = (iso: string) => ({ seconds: BigInt(Date.parse(iso) / 1000), nanos: 0 });

const SHA256_HEX = { digestAlgorithm: DigestAlgorithm.SHA256, digestEncoding: DigestEncoding.HEX };
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const someKey = (): string => foreignKeys()[0] ?? "";

/** What became of each row, with its faults as one text. */
function outcomesOf({ results }: ImportResponse): readonly (readonly [ImportStatus, string])[] {
  return results.map(({ status, faults }) => [
    status,
    faults.map(({ field, description }) => `${field}: ${description}`).join("; "),
  ]);
}

const IMPORTED = [ImportStatus.IMPORTED, ""] as const;
const EXISTS = [ImportStatus.ALREADY_EXISTS, ""] as const;
const invalid = (fault: string) => [ImportStatus.INVALID_ARGUMENT, fault] as const;

describe.each(SURFACES)("TokenService.Import through %s", (name) => {
  let test: TestApp;
  let grpc: RpcSurface;
  let backend: Credential;
  let organizationId: string;

  beforeAll(async () => {
    test = await startTestApp({ surroundings: { clock: () => NOW } });
    grpc = openSurface(test.app, "grpc");
    backend = { bearer: test.credentials.serviceKey };
    ({ organizationId } = test.credentials);
  });

  afterAll(async () => {
    grpc.close();
    await test[Symbol.asyncDispose]();
  });

  const call = (request: ImportRequest, credential = backend): Promise<Outcome<ImportResponse>> =>
    importThrough(test.app, name, credential, { organizationId, ...request });
  const ask = async (token: string) => expectOk(await grpc.introspect(backend, { token }));

  it("knows a key from the answer on, with what was said of it", async () => {
    const key = `acme_live_${sha256("a key").slice(0, 24)}`;
    const about = { name: "Old key 🔑", metadata: { team: "ops" }, createdAt: seconds("2021-02-03T04:05:06Z") };
    const { results, ...counts } = expectOk(await call({ tokens: [{ plaintext: key, ...about }] }));
    expect(counts).toMatchObject({ importedCount: 1, existingCount: 0, refusedCount: 0 });
    const { status, token } = results[0] ?? {};
    expect(status).toBe(ImportStatus.IMPORTED);
    expect(token).toMatchObject({
      ...about,
      organizationId,
      profile: "watchplane",
      hint: `acme_…${key.slice(-4)}`,
      state: 1,
    });
    expect(await ask(key)).toMatchObject({
      active: true,
      allowed: true,
      tokenId: token?.id,
      organizationId,
      name: "Old key 🔑",
      revision: token?.revision,
    });
  });

  it("imports the good rows, and says of each other one what is wrong, by its place", async () => {
    const [first, second] = [someKey(), someKey()];
    const digest = sha256(someKey());
    const own = (plaintext: string) => ({ name: "x", plaintext });
    const rows: readonly (readonly [NonNullable<ImportRequest["tokens"]>[number], readonly [ImportStatus, string]])[] =
      [
        [own(first), IMPORTED],
        [{ plaintext: someKey() }, invalid("tokens[1].name: is required")],
        [own("too-short-a-key"), invalid("tokens[2].plaintext: must be at least 16 characters")],
        [own("x".repeat(513)), invalid("tokens[3].plaintext: must be at most 512 bytes")],
        [own("with a space in it"), invalid("tokens[4].plaintext: must not hold white space or control characters")],
        [
          own("with\u0000a-nul-in-the-key"),
          invalid("tokens[5].plaintext: must not hold white space or control characters"),
        ],
        [{ name: "x" }, invalid("tokens[6]: one of plaintext, digest must be set")],
        [{ ...own(someKey()), digest }, invalid("tokens[7]: only one of plaintext, digest can be set")],
        [
          { name: "x", digest },
          invalid("tokens[8].digest_algorithm: is required with a digest, here or in the request"),
        ],
        [
          { name: "x", digest, digestAlgorithm: DigestAlgorithm.SHA256 },
          invalid("tokens[9].digest_encoding: is required with a digest, here or in the request"),
        ],
        [
          { name: "x", digest, ...SHA256_HEX, digestAlgorithm: DigestAlgorithm.SHA512 },
          invalid("tokens[10].digest: must be a digest by SHA512 in HEX"),
        ],
        [{ name: "x", digest, ...SHA256_HEX }, IMPORTED],
        [
          { ...own(someKey()), type: "service_key" },
          invalid("tokens[12].type: service keys can't be imported; issue new ones"),
        ],
        [
          { ...own(someKey()), type: "robot", scopes: ["a"], permission: "full" },
          invalid(
            ["type", "permission", "scopes"]
              .map((field) => `tokens[13].${field}: is not offered by the profile watchplane`)
              .join("; "),
          ),
        ],
        [
          { ...own(someKey()), createdAt: seconds("2026-03-04T05:06:08Z") },
          invalid("tokens[14].created_at: must not be in the future"),
        ],
        [{ ...own(someKey()), hint: "h".repeat(33) }, invalid("tokens[15].hint: must be at most 32 characters")],
        [
          { ...own(second), hint: second.slice(0, 13) },
          invalid("tokens[16].hint: must show no more of the key than its prefix and the last four"),
        ],
        [{ ...own(second), name: `Key ${second}` }, invalid("tokens[17].name: must not hold the key")],
        [{ ...own(second), metadata: { note: second } }, invalid("tokens[18].metadata: must not hold the key")],
        [
          { name: "x", digest: sha256("a-key-of-20-letters!"), ...SHA256_HEX, hint: "is a-key-of-20-letters!" },
          invalid("tokens[19].hint: must not hold the key"),
        ],
        [
          { ...own(someKey()), userId: "usr_nobody" },
          invalid("tokens[20].user_id: must be a member of the organization"),
        ],
        [own(first), EXISTS],
        [own(second), IMPORTED],
      ];
    const before = expectOk(await grpc.list(backend, { organizationId, pageSize: 1000 })).tokens.length;
    const response = expectOk(await call({ tokens: rows.map(([row]) => row) }));
    expect(outcomesOf(response)).toEqual(rows.map(([, outcome]) => outcome));
    expect(response).toMatchObject({ importedCount: 3, existingCount: 1, refusedCount: rows.length - 4 });
    const after = expectOk(await grpc.list(backend, { organizationId, pageSize: 1000 })).tokens.length;
    expect(after).toBe(before + 3);
    for (const key of [first, second]) expect(await ask(key)).toMatchObject({ active: true });
    expect(await ask("too-short-a-key")).toMatchObject({ active: false, reason: Reason.MALFORMED });
  });

  it("refuses the call as a whole where all of it is in doubt, and imports nothing", async () => {
    const [row] = [{ name: "x", plaintext: someKey() }];
    const hmacRow = { name: "x", digest: sha256("x"), ...SHA256_HEX, digestAlgorithm: DigestAlgorithm.HMAC_SHA256 };
    const refused: readonly (readonly [ImportRequest, string])[] = [
      [{ tokens: [] }, "tokens: is required"],
      [{ tokens: Array.from({ length: 1001 }, () => row) }, "tokens: must contain no more than 1000 item(s)"],
      [{ tokens: [row, hmacRow] }, "hmac_key: is required for digests by HMAC_SHA256"],
      [{ tokens: [row], hmacKey: randomBytes(32) }, "hmac_key: is for digests by HMAC_SHA256 only"],
      [{ tokens: [row, hmacRow], hmacKey: randomBytes(1025) }, "hmac_key: must be at most 1024 bytes"],
      [{ tokens: [row], idempotencyKey: "x".repeat(256) }, "idempotency_key: must be at most 255 characters"],
    ];
    for (const [request, message] of refused) {
      expect(await call(request)).toEqual({ ok: false, code: "INVALID_ARGUMENT", message });
    }
    expect(await call({ tokens: [row], organizationId: "org_nope" })).toEqual({
      ok: false,
      code: "NOT_FOUND",
      message: "No such organization.",
    });
    expect(await ask(row.plaintext)).toMatchObject({ active: false });
  });

  it("takes owners, admins and service keys with tokens:write, and nobody else", async () => {
    const signIn = async (person: Parameters<TestApp["signIn"]>[0]) => ({ bearer: await test.signIn(person) });
    const { adminEmail: email, adminPassword: password } = test.credentials;
    const owner = await signIn({ email, password });
    const admin = await test.addMember("admin");
    const elsewhere = await test.addOrganization();
    const row = () => ({ name: "x", plaintext: someKey() });
    for (const credential of [owner, await signIn(admin), { apiKey: await test.addServiceKey(["tokens:write"]) }]) {
      expect(expectOk(await call({ tokens: [row()] }, credential)).importedCount).toBe(1);
    }
    const { results } = expectOk(await call({ tokens: [row()], organizationId: "" }, await signIn(admin)));
    expect(results[0]?.token).toMatchObject({ organizationId, userId: admin.userId, createdBy: admin.userId });

    const { secret } = expectOk(await grpc.issue(backend, { organizationId, name: "full access" }));
    const refused: readonly (readonly [Credential, string, string])[] = [
      [
        await signIn(await test.addMember("member")),
        "PERMISSION_DENIED",
        "Only an owner or an admin of the organization can import API tokens.",
      ],
      [{ apiKey: secret }, "PERMISSION_DENIED", "An API token can't import API tokens; sign in instead."],
      [
        { bearer: await test.addServiceKey(["tokens:read", "introspect"]) },
        "PERMISSION_DENIED",
        "The service key lacks the scope tokens:write.",
      ],
      [{ bearer: await test.addServiceKey(["tokens:write"], elsewhere) }, "NOT_FOUND", "No such organization."],
      [{}, "UNAUTHENTICATED", expect.stringContaining("A credential is missing") as string],
    ];
    for (const [credential, code, message] of refused) {
      const plaintext = someKey();
      expect(await call({ tokens: [{ name: "x", plaintext }] }, credential)).toEqual({ ok: false, code, message });
      expect(await ask(plaintext)).toMatchObject({ active: false });
    }
    // A person names nobody else.
    const named = await call({ tokens: [{ ...row(), userId: admin.userId }] }, owner);
    expect(outcomesOf(expectOk(named))).toEqual([invalid("tokens[0].user_id: can be named by a service key only")]);
    const forAdmin = expectOk(await call({ tokens: [{ ...row(), userId: admin.userId }] }));
    expect(forAdmin.results[0]?.token?.userId).toBe(admin.userId);
  });

  it("answers a repeat with its key the same, whatever became of the tokens, and changes nothing", async () => {
    const [one, two] = [someKey(), someKey()];
    const request = {
      tokens: [
        { name: "one", plaintext: one },
        { name: "short", plaintext: "short" },
        { name: "two", plaintext: two },
      ],
      idempotencyKey: crypto.randomUUID(),
    };
    const first = expectOk(await call(request));
    expect(outcomesOf(first).map(([status]) => status)).toEqual([1, 3, 1]);
    expectOk(await grpc.revoke(backend, first.results[0]?.token?.id ?? ""));
    expect(expectOk(await call(request))).toEqual(first);
    expect(await call({ ...request, tokens: request.tokens.slice(1) })).toEqual({
      ok: false,
      code: "ALREADY_EXISTS",
      message: "The idempotency key was used for another request. Use a new key.",
    });
    const again = expectOk(await call({ ...request, idempotencyKey: "" }));
    expect(outcomesOf(again).map(([status]) => status)).toEqual([2, 3, 2]);
    expect(await ask(one)).toMatchObject({ active: false, reason: Reason.REVOKED });
    expect(await ask(two)).toMatchObject({ active: true });
  });
});

describe("imported keys", () => {
  let test: TestApp;
  let grpc: RpcSurface;
  let backend: Credential;
  let keyReads = 0;

  beforeAll(async () => {
    test = await startTestApp({
      surroundings: {
        clock: () => NOW,
        aroundStorage: (storage) => counting(storage, "getImportKey", () => keyReads++),
      },
    });
    grpc = openSurface(test.app, "grpc");
    backend = { bearer: test.credentials.serviceKey };
  });

  afterAll(async () => {
    grpc.close();
    await test[Symbol.asyncDispose]();
  });

  const bring = async (request: ImportRequest) =>
    expectOk(
      await importThrough(test.app, "grpc", backend, { organizationId: test.credentials.organizationId, ...request }),
    );
  const ask = async (token: string, credential = backend) => expectOk(await grpc.introspect(credential, { token }));
  const askAll = async (tokens: readonly string[]) => expectOk(await grpc.batchIntrospect(backend, tokens)).responses;

  it("are found by the text, whichever way they were digested and written", async () => {
    const hmacKey = randomBytes(40);
    const keys = WAYS.flatMap((way) => foreignKeys().map((key) => ({ way, key })));
    const tokens = keys.map(({ way, key }, index) => {
      const { digestAlgorithm, digestEncoding } = way;
      return { name: `key ${index}`, digest: way.write(key, hmacKey), digestAlgorithm, digestEncoding };
    });
    const { results } = await bring({ tokens, hmacKey });
    expect(results.map(({ status }) => status)).toEqual(keys.map(() => ImportStatus.IMPORTED));
    const answers = await askAll(keys.map(({ key }) => key));
    expect(answers.map(({ active, tokenId }) => [active, tokenId])).toEqual(
      results.map(({ token }) => [true, token?.id]),
    );
    // The call may say for all rows what a row may say for itself.
    const [way] = WAYS;
    const key = someKey();
    await bring({ ...way, tokens: [{ name: "as the call says", digest: way?.write(key, hmacKey) ?? "" }] });
    expect(await ask(key)).toMatchObject({ active: true, name: "as the call says" });
  });

  it("are found by their text, and by no other", async () => {
    const hmacKey = randomBytes(16);
    const text = fc
      .tuple(fc.string({ unit: "binary", minLength: 16, maxLength: 60 }), fc.uuid())
      .map(([start, unique]) => start.replaceAll(/\p{Cc}|\p{Cs}/gu, "-") + unique);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(text, fc.constantFrom(undefined, ...WAYS)), { minLength: 1, maxLength: 20 }),
        text,
        fc.nat(),
        async (drawn, other, place) => {
          const tokens = drawn.map(([key, way]) => {
            if (way === undefined) return { name: "x", plaintext: key.replaceAll(/\s|\p{Z}/gu, "_") };
            return { ...way, write: undefined, name: "x", digest: way.write(key, hmacKey) };
          });
          const keys = drawn.map(([key], index) => tokens[index]?.plaintext ?? key);
          const isKeyed = drawn.some(([, way]) => way?.digestAlgorithm === DigestAlgorithm.HMAC_SHA256);
          const { results } = await bring(isKeyed ? { tokens, hmacKey } : { tokens });
          expect((await askAll(keys)).map(({ tokenId }) => tokenId)).toEqual(results.map(({ token }) => token?.id));
          const key = keys[place % keys.length] ?? "";
          const near = [other, `${key}x`, ` ${key}`, key.slice(1), key.toUpperCase() + other, sha256(key)];
          for (const answer of await askAll(near)) {
            expect(answer).toMatchObject({ active: false, reason: Reason.MALFORMED, tokenId: "", organizationId: "" });
          }
        },
      ),
      { numRuns: 20 },
    );
  });

  it("leave what can't be a token malformed, and what is well-formed and nobody's unknown", async () => {
    await bring({ tokens: [{ name: "x", plaintext: someKey() }] });
    const garbage = [
      "",
      "x",
      "\u0000",
      "🔑".repeat(30),
      "x".repeat(16),
      "wp_0000",
      `wp_${"0".repeat(48)}`,
      ...foreignKeys(),
    ];
    for (const answer of await askAll([...garbage, "y".repeat(1024 * 1024)])) {
      expect(answer).toMatchObject({ active: false, reason: Reason.MALFORMED });
    }
    for (const { secretFormat } of loadProfiles(undefined).all) {
      const token = generateSecret(secretFormat, randomBytes);
      expect(await ask(token)).toMatchObject({ active: false, reason: Reason.UNKNOWN });
    }
  });

  it("read and open an HMAC key once, however often they are asked for", async () => {
    const hmacKey = randomBytes(32);
    const [key, other] = [someKey(), someKey()];
    const way = WAYS.at(-1)!;
    await bring({ ...way, hmacKey, tokens: [{ name: "x", digest: way.write(key, hmacKey) }] });
    await ask(key);
    const before = keyReads;
    for (let time = 0; time < 5; time++) await ask(key);
    // The same key again is the same key.
    await bring({ ...way, hmacKey, tokens: [{ name: "x", digest: way.write(other, hmacKey) }] });
    expect(await ask(other)).toMatchObject({ active: true });
    expect(keyReads).toBe(before);
  });

  it("end at once when they are revoked", async () => {
    for (const way of [undefined, ...WAYS.filter((_, index) => index % 4 === 0)]) {
      const [key, hmacKey] = [someKey(), Buffer.from("one key for all of these")];
      const keyed = way?.digestAlgorithm === DigestAlgorithm.HMAC_SHA256 ? { hmacKey } : {};
      const row = way === undefined ? { plaintext: key } : { digest: way.write(key, hmacKey) };
      const { results } = await bring({ ...way, ...keyed, tokens: [{ name: "x", ...row }] });
      expect(await ask(key)).toMatchObject({ active: true });
      expectOk(await grpc.revoke(backend, results[0]?.token?.id ?? ""));
      expect(await ask(key)).toMatchObject({ active: false, reason: Reason.REVOKED, tokenId: "" });
    }
  });

  it("keep being switched off, and their hint, as they were imported", async () => {
    const key = someKey();
    const { results } = await bring({
      tokens: [{ name: "off", plaintext: key, enabled: false, hint: "the CI's, …last" }],
    });
    expect(results[0]?.token).toMatchObject({ state: 2, hint: "the CI's, …last" });
    expect(await ask(key)).toMatchObject({ active: false, reason: Reason.DISABLED });
  });

  it("come a thousand at once", async () => {
    const keys = Array.from({ length: 1000 }, () => `bulk_${crypto.randomUUID()}`);
    const metadata = { team: "x".repeat(200), note: "y".repeat(256) };
    const { results, importedCount } = await bring({
      tokens: keys.map((plaintext, index) => ({ name: `key ${index}`, plaintext, metadata })),
    });
    expect(importedCount).toBe(1000);
    const answers = await askAll(keys);
    expect(answers.map(({ tokenId, name }) => [tokenId, name])).toEqual(
      results.map(({ token }, index) => [token?.id, `key ${index}`]),
    );
  });

  it("belong to who came first, and say nothing of whose they are", async () => {
    const [key, native] = [
      someKey(),
      expectOk(await grpc.issue(backend, { organizationId: test.credentials.organizationId, name: "native" })).secret,
    ];
    const elsewhere = await test.addOrganization();
    const mine = await bring({ tokens: [{ name: "mine", plaintext: key }] });
    const theirs = await bring({
      organizationId: elsewhere,
      ...SHA256_HEX,
      tokens: [
        { name: "theirs", plaintext: key },
        { name: "theirs", digest: sha256(key) },
        { name: "theirs", digest: sha256(native) },
        { name: "theirs", plaintext: native },
      ],
    });
    expect(outcomesOf(theirs)).toEqual([EXISTS, EXISTS, EXISTS, EXISTS]);
    expect(theirs.results.every(({ token }) => token === undefined)).toBe(true);
    expect(await ask(key)).toMatchObject({ organizationId: test.credentials.organizationId, name: "mine" });
    expect(await ask(native)).toMatchObject({ name: "native" });
    expect(expectOk(await grpc.list(backend, { organizationId: elsewhere })).tokens).toEqual([]);

    // To a backend of another organization it is what it would be if nobody had it.
    const stranger = { bearer: await test.addServiceKey(["introspect"], elsewhere) };
    expect(await ask(key, stranger)).toEqual(await ask(someKey(), stranger));
    expectOk(await grpc.revoke(backend, mine.results[0]?.token?.id ?? ""));
    expect(await ask(key)).toMatchObject({ active: false });
    const revoked = await bring({ organizationId: elsewhere, tokens: [{ name: "theirs", plaintext: key }] });
    expect(outcomesOf(revoked)).toEqual([EXISTS]);
  });

  it("are known by a digest that doesn't look like their text's", async () => {
    const elsewhere = await test.addOrganization();
    const hmacKey = randomBytes(20);
    for (const way of WAYS.filter(({ digestAlgorithm }) => digestAlgorithm !== DigestAlgorithm.SHA256)) {
      const key = someKey();
      const keyed = way.digestAlgorithm === DigestAlgorithm.HMAC_SHA256 ? { hmacKey } : {};
      await bring({ ...way, ...keyed, tokens: [{ name: "mine", digest: way.write(key, hmacKey) }] });
      const theirs = await bring({ organizationId: elsewhere, tokens: [{ name: "theirs", plaintext: key }] });
      expect(outcomesOf(theirs)).toEqual([EXISTS]);
      expect(await ask(key)).toMatchObject({ name: "mine" });
    }
  });

  it("may be secrets of their own product, and of no other, whatever a digest hides", async () => {
    const profiles = loadProfiles(undefined);
    const organizations = new Map<string, string>();
    for (const { id } of profiles.offered) organizations.set(id, await test.addOrganization(id));
    const fields: Record<string, object> = {
      walwarden: { scopes: ["audit:read"] },
      watchmantower: { permission: "full" },
    };
    for (const [id, organizationId] of organizations) {
      for (const { id: format, secretFormat } of profiles.all) {
        const secret = () => generateSecret(secretFormat, randomBytes);
        const [plaintext, hidden, hidden512] = [secret(), secret(), secret()];
        const sha512 = createHash("sha512").update(hidden512).digest("base64url");
        const rows = [
          { plaintext },
          { digest: sha256(hidden), ...SHA256_HEX },
          { digest: sha512, digestAlgorithm: DigestAlgorithm.SHA512, digestEncoding: DigestEncoding.BASE64 },
        ].map((row) => ({ name: "x", ...row, ...fields[id] }));
        const response = await bring({ organizationId, tokens: rows, idempotencyKey: crypto.randomUUID() });
        const refusal =
          format === "latchkey"
            ? "tokens[0].plaintext: service keys can't be imported; issue new ones"
            : "tokens[0].plaintext: has the format of another product's tokens";
        expect(outcomesOf(response)).toEqual([id === format ? IMPORTED : invalid(refusal), IMPORTED, IMPORTED]);
        for (const key of [plaintext, hidden, hidden512]) {
          expect(await ask(key)).toMatchObject(
            id === format ? { active: true, organizationId } : { active: false, reason: Reason.UNKNOWN },
          );
          // The scope that a product calls `audit:read` opens nothing of Latchkey's own.
          const audit = await grpc.invoke(AuditService.method.listEvents, { organizationId }, { bearer: key });
          expect(audit).toMatchObject({ ok: false });
          if (id !== format) expect(audit).toMatchObject({ code: "UNAUTHENTICATED" });
        }
      }
    }
  });

  it("can't be brought into Latchkey's own organization", async () => {
    const system = { organizationId: `org_${"0".repeat(26)}`, tokens: [{ name: "x", plaintext: someKey() }] };
    expect(await importThrough(test.app, "grpc", backend, system)).toEqual({
      ok: false,
      code: "INVALID_ARGUMENT",
      message: "organization_id: service keys can't be imported; issue new ones",
    });
  });
});

describe("HMAC keys of imports", () => {
  const way = WAYS.at(-1)!;

  it("are up to 16 in a deployment, and open again after a restart", async () => {
    await using test = await startTestApp();
    const backend = { bearer: test.credentials.serviceKey };
    const { organizationId } = test.credentials;
    const hmacKeys = Array.from({ length: 17 }, () => randomBytes(32));
    const keys = hmacKeys.map(() => someKey());
    const outcomes: Outcome<ImportResponse>[] = [];
    for (const [index, hmacKey] of hmacKeys.entries()) {
      const tokens = [{ name: "x", digest: way.write(keys[index] ?? "", hmacKey) }];
      outcomes.push(await importThrough(test.app, "grpc", backend, { ...way, organizationId, hmacKey, tokens }));
    }
    expect(outcomes.slice(0, 16).map(({ ok }) => ok)).toEqual(Array<boolean>(16).fill(true));
    expect(outcomes[16]).toEqual({
      ok: false,
      code: "FAILED_PRECONDITION",
      message: "A deployment keeps up to 16 HMAC keys of imports, and has as many.",
    });
    await test.app.stop();

    await using again = await startApp(await openDeployment(test.config, false, { logSink: () => {} }));
    const surface = openSurface(again, "grpc");
    const { responses } = expectOk(await surface.batchIntrospect(backend, keys));
    expect(responses.map(({ active }) => active)).toEqual([...Array<boolean>(16).fill(true), false]);
    surface.close();
  });
});

describe("an import over REST", () => {
  it("takes 1,000 rows, where other routes take 64 KiB, and refuses what isn't an import by field", async () => {
    await using test = await startTestApp();
    const { adminEmail: email, adminPassword: password } = test.credentials;
    const admin = { bearer: await test.signIn({ email, password }) };
    const padding = { note: "n".repeat(256), more: "m".repeat(256) };
    const tokens = Array.from({ length: 1000 }, (_, index) => ({
      name: `key ${index}`,
      plaintext: `bulk_${crypto.randomUUID()}`,
      metadata: padding,
    }));
    expect(JSON.stringify({ tokens }).length).toBeGreaterThan(600_000);
    expect(expectOk(await importByRest(test.app, admin, "", { tokens })).importedCount).toBe(1000);
    const large = [{ name: "x", plaintext: "p".repeat(2 * 1024 * 1024) }];
    expect(await importByRest(test.app, admin, "", { tokens: large })).toEqual({
      ok: false,
      code: "RESOURCE_EXHAUSTED",
      message: "The request is larger than 2097152 bytes.",
    });
    const secret = someKey();
    expect(await importByRest(test.app, admin, "", { tokens: [{ plaintext: 7, name: secret, more: secret }] })).toEqual(
      {
        ok: false,
        code: "INVALID_ARGUMENT",
        message:
          "tokens[0].plaintext: must be a string of valid Unicode; tokens[0].more: is not a field of the request",
      },
    );
    const get = await fetch(`http://${test.app.httpAddress}/api/v1/api-tokens/import`, {
      headers: { authorization: `Bearer ${admin.bearer}` },
    });
    expect(get.status).toBe(404);
  });
});

/** Tells of each call of one method. */
function counting(storage: Storage, name: keyof Storage, count: () => void): Storage {
  return new Proxy(storage, {
    get(target, property, receiver) {
      const method = (Reflect.get(target, property, receiver) as (...args: unknown[]) => unknown).bind(target);
      if (property !== name) return method;
      return (...args: unknown[]) => {
        count();
        return method(...args);
      };
    },
  });
}
