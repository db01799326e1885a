/** Canary secrets: after every kind of use and misuse, none is found anywhere but in its one response. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { DigestAlgorithm, DigestEncoding } from "../../gen/latchkey/v1/token_pb.ts";
import { fromPublicId } from "../../src/domain/ids.ts";
import { startCollector } from "../helpers/collector.ts";
import { importByRest, importThrough, WAYS } from "../helpers/import-call.ts";
import { expectOk, type Outcome, openSurface, type RpcSurface, SURFACES } from "../helpers/surfaces.ts";
import { startTestApp } from "../helpers/test-app.ts";

it("keeps secrets out of the database, its WAL, the log at its most verbose, metrics, traces, and errors", async () => {
  await using collector = await startCollector();
  await using test = await startTestApp({
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" },
    surroundings: {
      // A storage that fails with the secret in its own error, once told to.
      aroundStorage: (storage) =>
        new Proxy(storage, {
          get(target, property, receiver) {
            const method = (Reflect.get(target, property, receiver) as (...args: unknown[]) => unknown).bind(target);
            if (property !== "getToken") return method;
            return (...args: unknown[]) =>
              leaked === undefined ? method(...args) : Promise.reject(new Error(`boom ${leaked}`));
          },
        }),
    },
  });
  let leaked: string | undefined;
  const { serviceKey, adminEmail, adminPassword, organizationId } = test.credentials;
  // People type their password where the address belongs, and the audit log keeps failed sign-ins for good.
  const misplaced = "typed-in-the-wrong-field";
  const canaries: string[] = [serviceKey, adminPassword, misplaced];
  // No secrets, and yet nothing for those who look at telemetry.
  const identities: string[] = [organizationId, adminEmail];
  const answers: Outcome<unknown>[] = [];
  const keep = <T>(outcome: Outcome<T>): Outcome<T> => {
    answers.push(outcome);
    return outcome;
  };
  for (const name of SURFACES) {
    const surface = openSurface(test.app, name);
    const session = expectOk(
      await surface.login(name === "grpc" ? { bearer: serviceKey } : {}, adminEmail, adminPassword),
    );
    const pair = expectOk(await surface.refresh(name === "grpc" ? { bearer: serviceKey } : {}, session.refreshToken));
    const admin = { bearer: pair.accessToken };
    const { id, secret } = expectOk(await surface.issue(admin, { name: "canary" }));
    const gone = expectOk(await surface.issue(admin, { name: "gone" }));
    identities.push(id, gone.id, session.userId);
    canaries.push(session.accessToken, session.refreshToken, pair.accessToken, pair.refreshToken, secret, gone.secret);
    const second = expectOk(await surface.rotate(admin, gone.id, 60)).secret;
    expectOk(await surface.cancelRotation(admin, gone.id));
    const third = expectOk(await surface.rotate(admin, gone.id, 60)).secret;
    keep(await surface.rotate(admin, gone.id, 60));
    keep(await surface.finishRotation(admin, gone.id));
    canaries.push(second, third);
    expectOk(await surface.update(admin, gone.id, { name: "soon gone" }));
    expectOk(await surface.revoke(admin, gone.id));

    // Keys that another system made, good ones and those that are refused, and the key of their digests.
    const [imported, short, misplacedKey] = [crypto.randomUUID(), "hunter2-hunter2", crypto.randomUUID()];
    const digested = `old_${crypto.randomUUID()}`;
    const hmacKey = Buffer.from(`hmac ${crypto.randomUUID()}`);
    const [hex, base64] = [hmacKey.toString("hex"), hmacKey.toString("base64")];
    canaries.push(imported, short, misplacedKey, digested, hmacKey.toString(), hex, base64);
    const hmac = WAYS.find(({ digestAlgorithm }) => digestAlgorithm === DigestAlgorithm.HMAC_SHA256);
    const rows = [
      { name: "canary", plaintext: imported },
      { name: "again", plaintext: imported },
      { name: "short", plaintext: short },
      { name: misplacedKey, plaintext: misplacedKey, hint: misplacedKey.slice(0, 32), metadata: { key: misplacedKey } },
      { name: "spaced", plaintext: `${misplacedKey} ` },
      { name: "both", plaintext: misplacedKey, digest: misplacedKey },
      { name: "in the wrong field", digest: misplacedKey, digestAlgorithm: DigestAlgorithm.SHA256, type: misplacedKey },
      { name: "digested", digest: hmac?.write(digested, hmacKey) ?? "" },
    ];
    const request = { ...hmac, digestEncoding: DigestEncoding.HEX, hmacKey, tokens: rows, idempotencyKey: imported };
    for (const _ of ["first", "again"]) {
      const outcome = await importThrough(test.app, name, admin, request);
      expect(expectOk(keep(outcome))).toMatchObject({ importedCount: 2, existingCount: 1, refusedCount: 5 });
    }
    keep(await importThrough(test.app, name, admin, { ...request, tokens: rows.slice(1) }));
    keep(await importThrough(test.app, name, admin, { ...request, hmacKey: new Uint8Array(0) }));
    keep(await importThrough(test.app, name, { apiKey: imported }, { ...request, idempotencyKey: "" }));
    keep(await importByRest(test.app, admin, "", { tokens: [{ plaintext: [imported], name: { imported } }] }));
    keep(await importByRest(test.app, admin, "", { tokens: imported, hmacKey: digested }));
    keep(await surface.list({ apiKey: digested }));
    keep(await surface.list({ bearer: imported }));
    keep(await surface.get(admin, imported));

    // Secrets where they don't belong: as a name of the wrong shape, an id, a page token, a wrong header.
    keep(await surface.get(admin, secret));
    keep(await surface.update(admin, secret, { name: "x" }));
    keep(await surface.update(admin, id, { permission: secret, scopes: [secret] }));
    keep(await surface.revoke(admin, secret));
    keep(await surface.rotate(admin, secret));
    keep(await surface.list(admin, { pageToken: secret }));
    keep(await surface.list({ bearer: secret }));
    keep(await surface.list({ apiKey: gone.secret }));
    keep(await surface.list({ apiKey: `${secret}0` }));
    keep(await surface.issue(admin, { name: secret, scopes: [secret] }));
    keep(await surface.refresh(name === "grpc" ? { bearer: serviceKey } : {}, session.refreshToken));
    keep(await surface.login(name === "grpc" ? { bearer: serviceKey } : {}, adminEmail, `${adminPassword}x`));
    keep(await surface.login(name === "grpc" ? { bearer: serviceKey } : {}, `${misplaced}@acme.example`, "x"));
    if ("introspect" in surface) {
      const rpc = surface as RpcSurface;
      keep(await rpc.introspect({ bearer: serviceKey }, { token: secret }));
      keep(await rpc.introspect({ bearer: serviceKey }, { token: gone.secret }));
      keep(await rpc.introspect({ bearer: serviceKey }, { token: "x", clientIp: secret }));
    }
    leaked = secret;
    expect(keep(await surface.get({ apiKey: secret }, id))).toMatchObject({ code: "INTERNAL" });
    leaked = undefined;
    surface.close();
  }
  await test.app.usage.flush();

  const entries = await readdir(test.config.dataDir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  const places = new Map([["the database", (await test.database.contents()).toString("latin1")]]);
  for (const file of files) places.set(file, await readFile(file, "latin1"));
  const anything = { actions: undefined, actor: undefined, target: undefined, from: undefined, until: undefined };
  const events = await test.app.deployment.storage.listEvents({
    organizationId: undefined,
    ...anything,
    after: undefined,
    limit: 10_000,
  });
  places.set("the audit log", JSON.stringify(events));
  places.set("the log", test.logLines.join(""));
  places.set("the metrics", await (await fetch(`http://${test.app.opsAddress}/metrics`)).text());
  places.set(
    "answers",
    JSON.stringify(answers, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value)),
  );

  await test.app.stop();
  const telemetry = collector.exports.map(({ body }) => body.toString()).join("");
  places.set("the telemetry", telemetry);
  const spanNames = new Set(collector.spans.map(({ name }) => name));
  for (const name of ["latchkey.v1.TokenService/Issue", "GET /api/v1/api-tokens/{id}", "createToken"]) {
    expect(spanNames).toContain(name);
  }
  expect(collector.metrics.map(({ name }) => name)).toContain("latchkey_calls_total");
  // Ids have one spelling outside the service and another inside.
  const spellings = identities.flatMap((identity) =>
    (["org", "tok", "usr"] as const).flatMap((prefix) => [identity, fromPublicId(prefix, identity) ?? identity]),
  );
  expect(spellings.filter((identity) => telemetry.includes(identity))).toEqual([]);

  // The search is able to find things: the name is in the database, the methods are in the log.
  expect([...places.values()].some((text) => text.includes("canary"))).toBe(true);
  expect(places.get("the log")).toContain("latchkey.v1.TokenService/Issue");
  expect(places.get("the metrics")).toContain("latchkey.v1.TokenService/Issue");
  expect(events.map(({ action }) => action)).toEqual(
    expect.arrayContaining([
      "token.issued",
      "token.rotated",
      "token.rotation_finished",
      "token.rotation_cancelled",
      "token.revoked",
      "token.imported",
      "user.signed_in",
      "user.sign_in_failed",
      "session.ended",
    ]),
  );
  const found = canaries.flatMap((canary) =>
    [...places].filter(([, text]) => text.includes(canary)).map(([place]) => `${canary.slice(0, 6)}… in ${place}`),
  );
  expect(found).toEqual([]);
});
