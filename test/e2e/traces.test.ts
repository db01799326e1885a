/** Traces of the real service, as a collector gets them. */
import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { expect, it } from "vitest";
import { IntrospectionService, type IntrospectStreamResponse } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import packageJson from "../../package.json" with { type: "json" };
import type { Storage } from "../../src/domain/storage.ts";
import { type CollectedSpan, type Collector, startCollector } from "../helpers/collector.ts";
import { grpcClient } from "../helpers/grpc-client.ts";
import { SURFACES, type SurfaceName } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp, type TestAppOptions } from "../helpers/test-app.ts";

const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT_ID = "00f067aa0ba902b7";
const SAMPLED = { traceparent: `00-${TRACE_ID}-${PARENT_ID}-01`, tracestate: "vendor=value" };
const UNSAMPLED = { traceparent: `00-${TRACE_ID}-${PARENT_ID}-00` };

const SERVER = 2;
const CLIENT = 3;

type Headers = Readonly<Record<string, string>>;

function startTraced(collector: Collector, { env, ...options }: TestAppOptions = {}): Promise<TestApp> {
  return startTestApp({
    ...options,
    env: {
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/v1/traces`,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_BSP_SCHEDULE_DELAY: "10",
      ...env,
    },
  });
}

/** Issues a token through a door; answers false when that is refused. */
async function issue({ app, credentials }: TestApp, door: SurfaceName, headers: Headers): Promise<boolean> {
  const { organizationId } = credentials;
  const all = { "x-api-key": credentials.serviceKey, ...headers };
  const baseUrl = `http://${app.httpAddress}`;
  const interceptors: Interceptor[] = [
    (next) => (request) => {
      for (const [name, value] of Object.entries(all)) request.header.set(name, value);
      return next(request);
    },
  ];
  const request = { organizationId, name: "traced" };
  const byConnect = async (transport: ReturnType<typeof createConnectTransport>): Promise<boolean> =>
    createClient(TokenService, transport)
      .issue(request)
      .then(
        () => true,
        () => false,
      );
  switch (door) {
    case "grpc": {
      using client = grpcClient(TokenService, app.grpcAddress, { headers: all });
      return await client.issue(request).then(
        () => true,
        () => false,
      );
    }
    case "connect-json":
    case "connect-binary": {
      const useBinaryFormat = door === "connect-binary";
      return byConnect(createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat, interceptors }));
    }
    case "grpc-web":
      return byConnect(createGrpcWebTransport({ baseUrl, httpVersion: "1.1", interceptors }));
    case "rest": {
      const body = JSON.stringify(request);
      const sent = { ...all, "content-type": "application/json" };
      return (await fetch(`${baseUrl}/api/v1/api-tokens`, { method: "POST", headers: sent, body })).ok;
    }
  }
}

/** The next call's span, and the parts that ended before it. */
async function nextTrace(collector: Collector, from: number): Promise<readonly CollectedSpan[]> {
  const server = await collector.until(() => collector.spans.slice(from).find(({ kind }) => kind === SERVER));
  return collector.spans.slice(from).filter(({ traceId }) => traceId === server.traceId);
}

const METHOD = "latchkey.v1.TokenService/Issue";
const GRPC = { "rpc.system.name": "grpc", "rpc.method": METHOD, "rpc.status_code": "OK" };
const CONNECT = { ...GRPC, "rpc.system.name": "connectrpc" };
const REST = {
  "http.request.method": "POST",
  "http.route": "/api/v1/api-tokens",
  "http.response.status_code": 201,
  "url.scheme": "http",
};

it.each([
  ["grpc", METHOD, GRPC],
  ["connect-json", METHOD, CONNECT],
  ["connect-binary", METHOD, CONNECT],
  ["grpc-web", METHOD, GRPC],
  ["rest", "POST /api/v1/api-tokens", REST],
] as const)("continues the caller's trace through %s", async (door, name, attributes) => {
  await using collector = await startCollector();
  await using test = await startTraced(collector, { env: { OTEL_RESOURCE_ATTRIBUTES: "region=eu%2Dwest" } });
  expect(await issue(test, door, { ...SAMPLED, "x-request-id": "the-request" })).toBe(true);

  const spans = await nextTrace(collector, 0);
  const call = spans.find(({ kind }) => kind === SERVER);
  expect(call).toMatchObject({ traceId: TRACE_ID, parentSpanId: PARENT_ID, traceState: "vendor=value", name });
  expect(call?.attributes).toEqual({ ...attributes, "server.address": "127.0.0.1" });
  expect(call?.isError).toBe(false);
  expect(call?.resource).toMatchObject({
    "service.name": "latchkey",
    "service.version": packageJson.version,
    region: "eu-west",
  });
  const write = spans.find(({ kind }) => kind === CLIENT);
  expect(write).toMatchObject({ traceId: TRACE_ID, parentSpanId: call?.spanId, name: "createToken", isError: false });
  expect(write?.attributes).toEqual({ "db.system.name": "sqlite", "db.operation.name": "createToken" });
  expect(write?.durationNanos).toBeGreaterThan(0n);
  expect(call?.durationNanos).toBeGreaterThan(write?.durationNanos ?? 0n);

  const line = test.logLines.find((one) => one.includes(METHOD)) ?? "{}";
  expect(JSON.parse(line)).toMatchObject({ requestId: "the-request", trace_id: TRACE_ID, span_id: call?.spanId });
});

it("begins a trace for a call that brings none, or one that can't be read", async () => {
  await using collector = await startCollector();
  await using test = await startTraced(collector);
  for (const traceparent of ["", "nonsense", `00-${"0".repeat(32)}-${PARENT_ID}-01`]) {
    const before = collector.spans.length;
    await issue(test, "grpc", traceparent === "" ? {} : { traceparent });
    const [call] = (await nextTrace(collector, before)).filter(({ kind }) => kind === SERVER);
    expect(call?.parentSpanId).toBeUndefined();
    expect(call?.traceId).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
  }
});

it("makes no span of a call whose caller's isn't sampled, through any door", async () => {
  await using collector = await startCollector();
  await using test = await startTraced(collector);
  for (const door of SURFACES) expect(await issue(test, door, UNSAMPLED)).toBe(true);
  await issue(test, "grpc", SAMPLED);
  const spans = await nextTrace(collector, 0);
  expect(spans.filter(({ kind }) => kind === SERVER)).toHaveLength(1);
  expect(collector.spans).toEqual(spans);
  const lines = test.logLines.filter((line) => line.includes(METHOD));
  expect(lines.filter((line) => line.includes("trace_id"))).toHaveLength(1);
});

it.each([
  ["always_on", undefined, UNSAMPLED, 1],
  ["always_off", undefined, SAMPLED, 0],
  ["traceidratio", "0", SAMPLED, 0],
  ["parentbased_traceidratio", "0", SAMPLED, 1],
  ["parentbased_traceidratio", "0", {}, 0],
  ["parentbased_always_off", undefined, {}, 0],
] as const)("samples by %s with %s", async (sampler, ratio, headers, sampled) => {
  await using collector = await startCollector();
  {
    await using test = await startTraced(collector, {
      env: { OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: ratio },
    });
    await issue(test, "grpc", headers);
  }
  // The stop has sent what there was.
  expect(collector.spans.filter(({ kind }) => kind === SERVER)).toHaveLength(sampled);
});

it("takes no parent where that isn't wanted", async () => {
  await using collector = await startCollector();
  await using test = await startTraced(collector, { env: { OTEL_PROPAGATORS: "none" } });
  await issue(test, "grpc", UNSAMPLED);
  const spans = await nextTrace(collector, 0);
  expect(spans.map(({ traceId }) => traceId)).not.toContain(TRACE_ID);
});

it("traces introspections and streams, one span a call", async () => {
  await using collector = await startCollector();
  await using test = await startTraced(collector);
  const { serviceKey } = test.credentials;
  using client = grpcClient(IntrospectionService, test.app.grpcAddress, {
    headers: { authorization: `Bearer ${serviceKey}`, ...SAMPLED },
  });
  for (const _ of ["from the database", "from memory"]) await client.introspect({ token: serviceKey });
  const stream = client.introspectStream();
  for (const _ of ["first", "second"]) stream.write({ request: { token: serviceKey } });
  stream.end();
  for await (const _ of stream as AsyncIterable<IntrospectStreamResponse>);
  await collector.until(() => collector.spans.find(({ name }) => name.endsWith("IntrospectStream")));
  expect(collector.spans.filter(({ kind }) => kind === SERVER)).toMatchObject([
    { name: "latchkey.v1.IntrospectionService/Introspect", traceId: TRACE_ID, parentSpanId: PARENT_ID },
    { name: "latchkey.v1.IntrospectionService/Introspect", traceId: TRACE_ID, parentSpanId: PARENT_ID },
    { name: "latchkey.v1.IntrospectionService/IntrospectStream", traceId: TRACE_ID, parentSpanId: PARENT_ID },
  ]);
  expect(collector.spans.some(({ isError }) => isError)).toBe(false);
});

/** Fails to issue tokens. */
function failing(storage: Storage): Storage {
  return new Proxy(storage, {
    get(target, property, receiver) {
      if (property === "createToken") return () => Promise.reject(new Error("boom"));
      return (Reflect.get(target, property, receiver) as (...args: unknown[]) => unknown).bind(target);
    },
  });
}

it("marks what is the service's fault, and not what is the caller's", async () => {
  await using collector = await startCollector();
  await using test = await startTraced(collector, { surroundings: { aroundStorage: failing } });
  const endOf = async (door: SurfaceName, headers: Headers): Promise<Readonly<Record<string, unknown>>> => {
    const before = collector.spans.length;
    expect(await issue(test, door, headers)).toBe(false);
    const [call] = (await nextTrace(collector, before)).filter(({ kind }) => kind === SERVER);
    return { isError: call?.isError, ...call?.attributes };
  };
  const nobody = { "x-api-key": "nobody" };
  const internal = { isError: true, "rpc.status_code": "INTERNAL", "error.type": "INTERNAL" };
  expect(await endOf("grpc", {})).toMatchObject(internal);
  expect(await endOf("connect-json", {})).toMatchObject(internal);
  expect(await endOf("rest", {})).toMatchObject({
    isError: true,
    "http.response.status_code": 500,
    "error.type": "500",
  });
  for (const door of ["grpc", "connect-json"] as const) {
    const refused = await endOf(door, nobody);
    expect(refused).toMatchObject({ isError: false, "rpc.status_code": "UNAUTHENTICATED" });
    expect(refused).not.toHaveProperty("error.type");
  }
  expect(await endOf("rest", nobody)).toMatchObject({ isError: false, "http.response.status_code": 401 });
  const failed = test.logLines.filter((line) => line.includes('"call failed"'));
  expect(failed).toHaveLength(3);
  for (const line of failed) expect(JSON.parse(line)).toHaveProperty("trace_id");
});

it("names a route by its template, and says nothing of what a caller has written", async () => {
  await using collector = await startCollector();
  await using test = await startTraced(collector);
  const headers = { "x-api-key": test.credentials.serviceKey, "user-agent": "canary-agent", host: "canary.example" };
  await fetch(`http://${test.app.httpAddress}/api/v1/api-tokens/canary-id?canary-query=1`, { headers });
  const [call] = await nextTrace(collector, 0);
  expect(call).toMatchObject({ name: "GET /api/v1/api-tokens/{id}", attributes: { "http.request.method": "GET" } });
  expect(collector.exports.map(({ body }) => body.toString()).join("")).not.toContain("canary");
});

/** Every value of a length-delimited field, by the numbers of the fields that lead to it. */
function fieldsAt(message: Uint8Array, [number, ...rest]: readonly number[]): readonly Uint8Array[] {
  // To a message without fields, all of them are unknown.
  const fields = fromBinary(EmptySchema, message).$unknown ?? [];
  const found = fields.filter(({ no }) => no === number).map(({ data }) => new BinaryReader(data).bytes());
  return rest.length === 0 ? found : found.flatMap((inner) => fieldsAt(inner, rest));
}

it("sends protobuf unless it is told otherwise, with the headers and the compression that are set", async () => {
  await using collector = await startCollector();
  await using test = await startTraced(collector, {
    env: {
      OTEL_EXPORTER_OTLP_PROTOCOL: undefined,
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: undefined,
      OTEL_METRICS_EXPORTER: "none",
      OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/base/`,
      OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=acme,authorization=Bearer%20collector-secret",
      OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
      OTEL_SERVICE_NAME: "keys",
    },
  });
  await issue(test, "grpc", SAMPLED);
  // resource_spans.scope_spans.spans.name and resource_spans.resource.attributes.value.string_value, in trace.proto.
  const textsAt = (path: readonly number[]): readonly string[] =>
    collector.exports.flatMap(({ body }) => fieldsAt(body, path)).map((bytes) => Buffer.from(bytes).toString());
  await collector.until(() => textsAt([1, 2, 2, 5]).find((name) => name === METHOD));
  expect(textsAt([1, 1, 1, 2, 1])).toContain("keys");
  expect(collector.exports[0]).toMatchObject({
    path: "/base/v1/traces",
    headers: {
      "content-type": "application/x-protobuf",
      "content-encoding": "gzip",
      "x-tenant": "acme",
      authorization: "Bearer collector-secret",
    },
  });
  expect(test.logLines.join("")).not.toContain("collector-secret");
});

it("says once that exports fail, and answers calls as ever", async () => {
  await using collector = await startCollector(400);
  await using test = await startTraced(collector);
  for (const _ of ["first", "second", "third"]) {
    const before = collector.exports.length;
    expect(await issue(test, "grpc", SAMPLED)).toBe(true);
    await collector.until(() => (collector.exports.length > before ? true : undefined));
  }
  await test.app.stop();
  const lines = test.logLines.filter((line) => line.includes("exported"));
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { level: "warn", msg: "traces can't be exported", reason: 400 },
  ]);
});

it("stops without waiting for a collector that doesn't answer", async () => {
  await using collector = await startCollector("never");
  const patient = { OTEL_EXPORTER_OTLP_TIMEOUT: "3600000", OTEL_BSP_EXPORT_TIMEOUT: "3600000" };
  const both = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_METRIC_EXPORT_TIMEOUT: "60000", ...patient };
  await using test = await startTraced(collector, { env: both });
  expect(await issue(test, "grpc", SAMPLED)).toBe(true);
  await test.app.stop();
  expect(new Set(collector.exports.map(({ path }) => path))).toEqual(new Set(["/v1/traces", "/v1/metrics"]));
});
