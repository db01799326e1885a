/** The metrics that a collector gets: those of `/metrics`, in OpenTelemetry's terms. */
import { expect, it } from "vitest";
import { startCollector } from "../helpers/collector.ts";
import { type Family, readExposition } from "../helpers/exposition.ts";
import { expectOk, openSurface } from "../helpers/surfaces.ts";
import { startTestApp } from "../helpers/test-app.ts";

/** They go on by themselves, whether or not somebody calls. */
const RESTLESS = /^(?:process_|latchkey_event_loop_delay|latchkey_store_write|latchkey_writer|latchkey_event_lag)/;

type Series = Readonly<Record<string, unknown>>;

/** A family's series as a collector would see them. */
function seriesOf({ name, type, samples }: Family): readonly Series[] {
  if (type !== "histogram") return samples.map(({ labels, value }) => ({ ...labels, value }));
  const series = Map.groupBy(samples, ({ labels }) => JSON.stringify({ ...labels, le: undefined }));
  return Array.from(series, ([labels, parts]) => {
    const buckets = parts.filter((part) => part.name === `${name}_bucket`);
    return {
      ...(JSON.parse(labels) as Series),
      bounds: buckets.slice(0, -1).map((bucket) => Number(bucket.labels["le"])),
      counts: buckets.map(({ value }, index) => value - (buckets[index - 1]?.value ?? 0)),
      sum: parts.find((part) => part.name === `${name}_sum`)?.value,
    };
  });
}

it("are the families of /metrics with the same names, types and numbers", async () => {
  await using collector = await startCollector();
  await using test = await startTestApp({
    env: {
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${collector.url}/v1/metrics`,
      OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: "http/json",
      OTEL_METRIC_EXPORT_INTERVAL: "50",
    },
  });
  const { serviceKey, organizationId } = test.credentials;
  const surface = openSurface(test.app, "grpc");
  const { secret } = expectOk(await surface.issue({ bearer: serviceKey }, { organizationId, name: "counted" }));
  for (const token of [secret, secret, "x"]) expectOk(await surface.introspect({ bearer: serviceKey }, { token }));
  surface.close();

  const countedCalls = (): number =>
    collector.metrics
      .filter(({ name }) => name === "latchkey_calls_total")
      .flatMap(({ points }) => points)
      .reduce((sum, { value = 0 }) => sum + value, 0);
  await collector.until(() => (countedCalls() === 4 ? true : undefined));
  const families = readExposition(await (await fetch(`http://${test.app.opsAddress}/metrics`)).text());
  const filled = families.filter(({ samples }) => samples.length > 0);
  // What the collector has may be older than the page only in what goes on by itself.
  expect(collector.metrics.map(({ name, type, description }) => ({ name, type, help: description }))).toEqual(
    filled.map(({ name, type, help }) => ({ name, type: type === "summary" ? "gauge" : type, help })),
  );
  expect(collector.metrics.every(({ isCumulative }) => isCumulative)).toBe(true);
  const units = new Map(collector.metrics.map(({ name, unit }) => [name, unit]));
  expect(units.get("latchkey_call_duration_seconds")).toBe("s");
  expect(units.get("latchkey_cache_bytes")).toBe("By");
  expect(units.get("latchkey_calls_total")).toBe("");
  for (const family of filled.filter(({ name }) => !RESTLESS.test(name))) {
    const points = collector.metrics.find(({ name }) => name === family.name)?.points ?? [];
    const series = points.map(({ attributes, value, histogram }) => ({
      ...attributes,
      ...(histogram ?? { value }),
    }));
    expect(series, family.name).toEqual(seriesOf(family));
  }
  expect(collector.exports.every(({ path }) => path === "/v1/metrics")).toBe(true);
});

it("are sent a last time at the stop", async () => {
  await using collector = await startCollector();
  await using test = await startTestApp({
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_TRACES_EXPORTER: "none" },
  });
  expect(collector.exports).toEqual([]);
  await test.app.stop();
  expect(collector.exports).toMatchObject([
    { path: "/v1/metrics", headers: { "content-type": "application/x-protobuf" } },
  ]);
  expect(collector.exports[0]?.body.toString("latin1")).toContain("latchkey_store_write_seconds");
});
