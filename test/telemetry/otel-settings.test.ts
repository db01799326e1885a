/** What OpenTelemetry's variables mean, and which values stop the start. */
import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { type OtelSettings, readOtelSettings } from "../../src/telemetry/otel-settings.ts";

type Env = Readonly<Record<string, string>>;

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" };

function read(env: Env): OtelSettings | undefined {
  const faults: string[] = [];
  const settings = readOtelSettings(env, faults);
  expect(faults).toEqual([]);
  return settings;
}

function faultsOf(env: Env): readonly string[] {
  const faults: string[] = [];
  readOtelSettings(env, faults);
  return faults;
}

it.each<[Env, string | undefined, string | undefined]>([
  [{}, undefined, undefined],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "" }, undefined, undefined],
  [{ OTEL_SERVICE_NAME: "x", OTEL_PROPAGATORS: "b3", OTEL_LOGS_EXPORTER: "otlp" }, undefined, undefined],
  [{ ...ENDPOINT, OTEL_SDK_DISABLED: "True" }, undefined, undefined],
  [ENDPOINT, "http://collector:4318/v1/traces", "http://collector:4318/v1/metrics"],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "https://c/base/" }, "https://c/base/v1/traces", "https://c/base/v1/metrics"],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://c/as-it-is" }, "http://c/as-it-is", undefined],
  [{ ...ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://c" }, "http://collector:4318/v1/traces", "http://c/"],
  [{ ...ENDPOINT, OTEL_TRACES_EXPORTER: "none" }, undefined, "http://collector:4318/v1/metrics"],
  [{ OTEL_TRACES_EXPORTER: "otlp" }, "http://localhost:4318/v1/traces", undefined],
  [{ OTEL_METRICS_EXPORTER: "otlp" }, undefined, "http://localhost:4318/v1/metrics"],
])("%o sends traces to %s and metrics to %s", (env, traces, metrics) => {
  const settings = read(env);
  expect(settings?.traces?.target.url).toBe(traces);
  expect(settings?.metrics?.target.url).toBe(metrics);
});

it("has the defaults of the specification", () => {
  const settings = read(ENDPOINT);
  expect(settings).toMatchObject({
    resource: { "service.name": "latchkey" },
    traces: {
      target: { protocol: "http/protobuf", headers: {}, timeoutMs: 10_000, isCompressed: false },
      sampler: "parentbased_always_on",
      ratio: 1,
      followsCallers: true,
      delayMs: 5_000,
      timeoutMs: 30_000,
      queueSize: 2048,
      batchSize: 512,
    },
    metrics: { intervalMs: 60_000, timeoutMs: 30_000 },
  });
});

it("prefers what is set for one signal", () => {
  const settings = read({
    ...ENDPOINT,
    OTEL_EXPORTER_OTLP_HEADERS: "a=1,b=2",
    OTEL_EXPORTER_OTLP_METRICS_HEADERS: " api-key = a%20b= ",
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/json",
    OTEL_EXPORTER_OTLP_TIMEOUT: "7",
    OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: "8",
    OTEL_EXPORTER_OTLP_METRICS_COMPRESSION: "gzip",
    OTEL_EXPORTER_OTLP_CERTIFICATE: "/ca.pem",
  });
  const common = { certificate: "/ca.pem" };
  expect(settings?.traces?.target).toMatchObject({
    ...common,
    protocol: "http/json",
    headers: { a: "1", b: "2" },
    timeoutMs: 7,
    isCompressed: false,
  });
  expect(settings?.metrics?.target).toMatchObject({
    ...common,
    protocol: "http/protobuf",
    headers: { "api-key": "a b=" },
    timeoutMs: 8,
    isCompressed: true,
  });
});

it("names the service by its own variable before its attributes", () => {
  const attributes = { ...ENDPOINT, OTEL_RESOURCE_ATTRIBUTES: "service.name=one,service.instance.id=i,team=a%2Cb" };
  expect(read(attributes)?.resource).toEqual({ "service.name": "one", "service.instance.id": "i", team: "a,b" });
  expect(read({ ...attributes, OTEL_SERVICE_NAME: "two" })?.resource).toMatchObject({ "service.name": "two" });
});

it.each<[string, string]>([
  ["OTEL_SDK_DISABLED", "yes"],
  ["OTEL_TRACES_EXPORTER", "jaeger"],
  ["OTEL_METRICS_EXPORTER", "prometheus"],
  ["OTEL_LOGS_EXPORTER", "otlp"],
  ["OTEL_CONFIG_FILE", "otel.yaml"],
  ["OTEL_EXPORTER_OTLP_ENDPONT", "http://collector:4318"],
  ["OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"],
  ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://collector"],
  ["OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"],
  ["OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"],
  ["OTEL_EXPORTER_OTLP_HEADERS", "no-value"],
  ["OTEL_EXPORTER_OTLP_HEADERS", "key=%zz"],
  ["OTEL_EXPORTER_OTLP_TIMEOUT", "10s"],
  ["OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"],
  ["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"],
  ["OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram"],
  ["OTEL_RESOURCE_ATTRIBUTES", "=value"],
  ["OTEL_TRACES_SAMPLER", "jaeger_remote"],
  ["OTEL_TRACES_SAMPLER_ARG", "0.1"],
  ["OTEL_PROPAGATORS", "tracecontext,b3"],
  ["OTEL_BSP_SCHEDULE_DELAY", "0"],
  ["OTEL_BSP_EXPORT_TIMEOUT", "-1"],
  ["OTEL_BSP_MAX_QUEUE_SIZE", "many"],
  ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096"],
  ["OTEL_METRIC_EXPORT_INTERVAL", "1.5"],
  ["OTEL_METRIC_EXPORT_TIMEOUT", "60001"],
])("refuses %s=%s with a line that names it", (name, value) => {
  const faults = [...new Set(faultsOf({ ...ENDPOINT, [name]: value }))];
  expect(faults).toHaveLength(1);
  expect(faults[0]).toMatch(new RegExp(`^${name} `));
});

it.each(["2", "1.1", "-0.1", "half", "1e-3x"])("refuses %s as a ratio", (ratio) => {
  const env = { ...ENDPOINT, OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: ratio };
  expect(faultsOf(env)).toEqual([`OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1, not ${ratio}`]);
});

it.each(["0", "1", "0.25", ".5", "1.0"])("takes %s as a ratio", (ratio) => {
  const env = { ...ENDPOINT, OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: ratio };
  expect(read(env)?.traces?.ratio).toBe(Number(ratio));
});

it("never shows what may be a secret", () => {
  const faults = faultsOf({
    OTEL_EXPORTER_OTLP_ENDPOINT: "user:secret@collector",
    OTEL_EXPORTER_OTLP_HEADERS: "secret",
  });
  expect(faults).not.toEqual([]);
  expect(faults.join("\n")).not.toContain("secret");
});

it("reads what docs/operations.md lists, and nothing else", async () => {
  const page = await readFile(new URL("../../docs/operations.md", import.meta.url), "utf8");
  const rows = page.split("\n").filter((line) => line.startsWith("| `OTEL_"));
  const documented = new Set(rows.flatMap((row) => (row.split("|")[1] ?? "").match(/OTEL_\w+/g) ?? []));
  const names = new Set<string>();
  const env = new Proxy<Env>(ENDPOINT, {
    get(target, name, receiver) {
      names.add(String(name));
      return Reflect.get(target, name, receiver) as unknown;
    },
  });
  readOtelSettings(env, []);
  const generalOf = (name: string): string => name.replace(/(?<=^OTEL_EXPORTER_OTLP_)(?:TRACES|METRICS)_/, "");
  const known = new Set(Array.from(names, (name) => (documented.has(name) ? name : generalOf(name))));
  expect(known.difference(documented)).toEqual(new Set());
  expect(documented.difference(known)).toEqual(new Set());
});
