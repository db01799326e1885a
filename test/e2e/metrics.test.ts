/** What `/metrics` says of the service: exact, in a format that scrapers take, and of nobody in particular. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:http2";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import {
  IntrospectionService,
  type IntrospectRequestSchema,
  type IntrospectStreamResponse,
} from "../../gen/latchkey/v1/introspection_pb.ts";
import packageJson from "../../package.json" with { type: "json" };
import { generateSecret } from "../../src/domain/secret-format.ts";
import { loadProfiles } from "../../src/profiles/load-profiles.ts";
import { OK, STATUS } from "../../src/rpc/status.ts";
import { type Family, readExposition } from "../helpers/exposition.ts";
import { grpcClient } from "../helpers/grpc-client.ts";
import { expectOk, openSurface, RPC_SURFACES, SURFACES, type SurfaceName } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const PROTOCOL: Readonly<Record<SurfaceName, string>> = {
  grpc: "grpc",
  "connect-json": "connect",
  "connect-binary": "connect",
  "grpc-web": "grpc-web",
  rest: "rest",
};
const REASONS = [
  "allowed",
  "unknown",
  "malformed",
  "revoked",
  "expired",
  "disabled",
  "ip_not_allowed",
  "insufficient_scope",
  "rate_limited",
];

/** A tally by labels. */
class Tally {
  readonly #counts = new Map<string, number>();

  add(labels: Readonly<Record<string, string>>, count = 1): void {
    const key = JSON.stringify(labels, Object.keys(labels).toSorted());
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + count);
  }

  /** What happened at least once. */
  get counts(): ReadonlyMap<string, number> {
    return new Map([...this.#counts].filter(([, count]) => count > 0));
  }

  get total(): number {
    return this.#counts.values().reduce((sum, count) => sum + count, 0);
  }
}

async function readMetrics({ app }: TestApp): Promise<readonly Family[]> {
  const response = await fetch(`http://${app.opsAddress}/metrics`);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  return readExposition(await response.text());
}

function tallyOf(families: readonly Family[], name: string): Tally {
  const tally = new Tally();
  for (const sample of families.flatMap(({ samples }) => samples)) {
    if (sample.name === name) tally.add(sample.labels, sample.value);
  }
  return tally;
}

const valueOf = (families: readonly Family[], name: string, labels: Readonly<Record<string, string>> = {}): number => {
  const samples = families.flatMap((family) => family.samples);
  const found = samples.find((sample) => {
    return sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value);
  });
  if (found === undefined) throw new Error(`${name} has no such sample`);
  return found.value;
};

/** HTTP calls are counted when their answer is out, which their client may see a moment before. */
async function readWhenCounted(test: TestApp, calls: number): Promise<readonly Family[]> {
  return vi.waitFor(
    async () => {
      const read = await readMetrics(test);
      expect(tallyOf(read, "latchkey_calls_total").total).toBe(calls);
      return read;
    },
    { timeout: 20_000, interval: 5 },
  );
}

let test: TestApp;
const calls = new Tally();
const decisions = new Tally();
let families: readonly Family[];

/** Every kind of use, once on each surface, and the tallies that it should make. */
beforeAll(async () => {
  const nowMs = Date.now();
  // No window of a rate limit ends meanwhile.
  test = await startTestApp({ surroundings: { clock: () => nowMs } });
  const { serviceKey, organizationId } = test.credentials;
  const backend = { bearer: serviceKey };
  const limited = await test.addOrganization("watchmantower");
  const grpc = openSurface(test.app, "grpc");
  const issue = async (organization: string, name: string, permission = "") => {
    calls.add({ method: "latchkey.v1.TokenService/Issue", code: "OK", protocol: "grpc" });
    return expectOk(await grpc.issue(backend, { organizationId: organization, name, permission }));
  };
  const good = await issue(organizationId, "good");
  const revoked = await issue(organizationId, "revoked");
  const counted = await issue(limited, "counted", "read-only");
  expectOk(await grpc.revoke(backend, revoked.id));
  calls.add({ method: "latchkey.v1.TokenService/Revoke", code: "OK", protocol: "grpc" });
  const format = loadProfiles(undefined).get("watchplane")?.secretFormat;
  if (format === undefined) throw new Error("no format");

  for (const name of SURFACES) {
    const surface = openSurface(test.app, name);
    const called = (method: string, code: string): void =>
      calls.add({ method: `latchkey.v1.${method}`, code, protocol: PROTOCOL[name] });
    expectOk(await surface.list(backend, { organizationId }));
    called("TokenService/List", "OK");
    expect(await surface.list({ bearer: "nobody's" })).toMatchObject({ code: "UNAUTHENTICATED" });
    called("TokenService/List", "UNAUTHENTICATED");
    expect(await surface.get(backend, "tok_7zzzzzzzzzzzzzzzzzzzzzzzzz")).toMatchObject({ ok: false });
    called("TokenService/Get", "NOT_FOUND");
    surface.close();
  }
  for (const name of RPC_SURFACES) {
    const surface = openSurface(test.app, name);
    const called = (method: string, code: string): void =>
      calls.add({ method: `latchkey.v1.IntrospectionService/${method}`, code, protocol: PROTOCOL[name] });
    const questions: [string, MessageInitShape<typeof IntrospectRequestSchema>][] = [
      ["allowed", { token: good.secret }],
      ["allowed", { token: counted.secret }],
      ["allowed", { token: counted.secret, dryRun: true }],
      ["rate_limited", { token: counted.secret, cost: 1_000 }],
      ["revoked", { token: revoked.secret }],
      ["malformed", { token: "x" }],
      ["unknown", { token: generateSecret(format, test.app.deployment.entropy) }],
      ["insufficient_scope", { token: counted.secret, requiredScopes: ["monitors:write"] }],
    ];
    for (const [reason, request] of questions) {
      expectOk(await surface.introspect(backend, request));
      called("Introspect", "OK");
      decisions.add({ reason });
    }
    expect(await surface.introspect({ apiKey: good.secret }, { token: "x" })).toMatchObject({ ok: false });
    called("Introspect", "PERMISSION_DENIED");
    expectOk(await surface.batchIntrospect(backend, [good.secret, "x", good.secret]));
    called("BatchIntrospect", "OK");
    decisions.add({ reason: "allowed" }, 2);
    decisions.add({ reason: "malformed" });
    surface.close();
  }
  using client = grpcClient(IntrospectionService, test.app.grpcAddress, {
    headers: { authorization: `Bearer ${serviceKey}` },
  });
  const stream = client.introspectStream();
  for (const token of [good.secret, "x", good.secret]) stream.write({ request: { token } });
  stream.end();
  for await (const _ of stream as AsyncIterable<IntrospectStreamResponse>);
  calls.add({ method: "latchkey.v1.IntrospectionService/IntrospectStream", code: "OK", protocol: "grpc" });
  decisions.add({ reason: "allowed" }, 2);
  decisions.add({ reason: "malformed" });
  grpc.close();
  families = await readWhenCounted(test, calls.total);
});

afterAll(() => test[Symbol.asyncDispose]());

it("counts every call once, by method, code and protocol", () => {
  expect(tallyOf(families, "latchkey_calls_total").counts).toEqual(calls.counts);
});

it("measures every unary call, introspections that the log passes over included", () => {
  const expected = new Tally();
  for (const [key, count] of calls.counts) {
    const { method } = JSON.parse(key) as { method: string };
    if (!method.endsWith("Stream")) expected.add({ method }, count);
  }
  expect(tallyOf(families, "latchkey_call_duration_seconds_count").counts).toEqual(expected.counts);
});

it("counts every decision by its reason: single, in batches and on streams", () => {
  expect(tallyOf(families, "latchkey_decisions_total").counts).toEqual(decisions.counts);
  const reasons = families.find(({ name }) => name === "latchkey_decisions_total")?.samples;
  expect(reasons?.map(({ labels }) => labels["reason"])).toEqual(REASONS);
});

it("tells what the memory did, and what it left to the database", () => {
  const surfaces = RPC_SURFACES.length;
  // Three tokens are read once, and secrets of nobody each time; what is malformed isn't looked for.
  const misses = 3 + surfaces;
  const lookUps = 7 * surfaces + 2 * surfaces + 2;
  const cache = { cache: "tokens" };
  expect(valueOf(families, "latchkey_cache_misses_total", cache)).toBe(misses);
  expect(valueOf(families, "latchkey_store_read_seconds_count", cache)).toBe(misses);
  expect(valueOf(families, "latchkey_cache_hits_total", cache)).toBe(lookUps - misses);
  expect(valueOf(families, "latchkey_cache_entries", cache)).toBe(3);
  expect(valueOf(families, "latchkey_cache_bytes", cache)).toBeGreaterThan(1_000);
  // The service key, and the token that tried to introspect.
  expect(valueOf(families, "latchkey_cache_entries", { cache: "callers" })).toBe(2);
  // The first question about a token waits for its lease; a dry run and a refusal wait for the count.
  expect(valueOf(families, "latchkey_lease_waits_total")).toBe(1 + 2 * surfaces);
});

it("measures every write, and the groups that they were committed in", () => {
  const writes = valueOf(families, "latchkey_store_write_seconds_count");
  expect(writes).toBeGreaterThan(5);
  expect(valueOf(families, "latchkey_writer_batch_size_sum")).toBe(writes);
  expect(valueOf(families, "latchkey_writer_queue")).toBeLessThan(5);
});

it("tells how many events the memory hasn't looked at", async () => {
  const { serviceKey, organizationId } = test.credentials;
  const surface = openSurface(test.app, "grpc");
  const lag = async () => {
    const now = await readMetrics(test);
    return ["tokens", "callers"].map((cache) => valueOf(now, "latchkey_event_lag", { cache }));
  };
  const ask = () => surface.introspect({ bearer: serviceKey }, { token: serviceKey });
  const issue = () => surface.issue({ bearer: serviceKey }, { organizationId, name: "new" });
  await ask();
  const { secret } = expectOk(await issue());
  await surface.introspect({ bearer: serviceKey }, { token: secret });
  expect(await lag()).toEqual([0, 0]);
  await issue();
  await issue();
  // Each call looks for its caller first, so that cache lacks the last event only.
  expect(await lag()).toEqual([2, 1]);
  await surface.introspect({ bearer: serviceKey }, { token: secret });
  expect(await lag()).toEqual([0, 0]);
  surface.close();
});

it("says what the service and its process are", async () => {
  const build = families.find(({ name }) => name === "latchkey_build_info");
  expect(build?.samples[0]?.labels).toEqual({ version: packageJson.version, node: process.versions.node });
  expect(valueOf(families, "latchkey_database_reads_ok")).toBe(1);
  expect(valueOf(families, "latchkey_database_writes_ok")).toBe(1);
  expect(valueOf(families, "process_resident_memory_bytes")).toBeGreaterThan(1e7);
  expect(valueOf(families, "process_cpu_seconds_total")).toBeGreaterThan(0);
  const startedAt = valueOf(families, "process_start_time_seconds");
  expect(startedAt).toBeGreaterThan(1.7e9);
  expect(startedAt).toBeLessThanOrEqual(Date.now() / 1000);
  for (const quantile of ["0.5", "0.99", "1"]) {
    expect(valueOf(families, "latchkey_event_loop_delay_seconds", { quantile })).toBeGreaterThanOrEqual(0);
  }
});

it("takes no label's value from a call", async () => {
  const seriesOf = async (): Promise<readonly string[]> =>
    (await readMetrics(test)).flatMap(({ samples }) =>
      samples.map(({ name, labels }) => JSON.stringify([name, labels])),
    );
  const before = await seriesOf();
  const { httpAddress, grpcAddress } = test.app;
  const canary = "canary-of-a-caller";
  const headers = { authorization: `Bearer ${canary}`, "x-request-id": canary, "user-agent": canary };
  for (const path of [`/latchkey.v1.TokenService/${canary}`, `/${canary}.v1/List`, `/api/v1/${canary}`, `/${canary}`]) {
    const { status } = await fetch(`http://${httpAddress}${path}`, { method: "POST", headers });
    expect(status).toBe(404);
    const session = connect(`http://${grpcAddress}`);
    const call = session.request({ ...headers, ":method": "POST", ":path": path, "content-type": "application/grpc" });
    const [answer] = (await once(call, "response")) as [Record<string, string>];
    expect(answer["grpc-status"]).toBe(String(STATUS.unimplemented.code));
    session.destroy();
  }
  expect(await seriesOf()).toEqual(before);

  const codes = new Set([OK, ...Object.values(STATUS)].map(({ name }) => name));
  const known: Readonly<Record<string, (value: string) => boolean>> = {
    method: (value) => /^(?:latchkey\.v1|grpc)\.[\w.]+\/\w+$/.test(value),
    code: (value) => codes.has(value),
    protocol: (value) => Object.values(PROTOCOL).includes(value),
    reason: (value) => REASONS.includes(value),
    cache: (value) => ["tokens", "callers"].includes(value),
    version: (value) => value === packageJson.version,
    node: (value) => value === process.versions.node,
    le: (value) => /^(?:[\d.]+|\+Inf)$/.test(value),
    quantile: (value) => ["0.5", "0.99", "1"].includes(value),
  };
  const labels = families.flatMap(({ samples }) => samples.flatMap((sample) => Object.entries(sample.labels)));
  expect(labels.filter(([label, value]) => known[label]?.(value) !== true)).toEqual([]);
});

it("are what docs/operations.md says that they are", async () => {
  const page = await readFile(new URL("../../docs/operations.md", import.meta.url), "utf8");
  const documented = page.split("\n").filter((line) => /^\| `(?:latchkey|process)_\w+` \| \w+ \|/.test(line));
  const rows = families.map(({ name, type, samples, help }) => {
    const labels = new Set(samples.flatMap((sample) => Object.keys(sample.labels)).filter((label) => label !== "le"));
    return `| \`${name}\` | ${type} | ${Array.from(labels, (label) => `\`${label}\``).join(", ")} | ${help} |`;
  });
  expect(documented).toEqual(rows);
});

it("are what the dashboard shows, each of them", async () => {
  const text = await readFile(new URL("../../ops/grafana/latchkey.json", import.meta.url), "utf8");
  const { panels } = JSON.parse(text) as { panels: { id: number; targets?: { expr: string }[] }[] };
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const shown = new Set(
    panels.flatMap(({ targets = [] }) =>
      targets.flatMap(({ expr }) => expr.match(/\b(?:latchkey|process)_\w+/g) ?? []),
    ),
  );
  const exposed = new Set(families.flatMap(({ samples }) => samples.map(({ name }) => name)));
  expect([...shown].filter((name) => !exposed.has(name))).toEqual([]);
  const missing = families.filter(({ name }) => ![...shown].some((query) => query.startsWith(name)));
  expect(missing.map(({ name }) => name)).toEqual([]);
});
