/** Sends the metrics of `/metrics` to an OpenTelemetry collector. Imported only where metrics are exported. */
import { type HrTime, ValueType } from "@opentelemetry/api";
import { millisToHrTime } from "@opentelemetry/core";
import { OTLPMetricExporter as JsonExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPMetricExporter as ProtobufExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import {
  AggregationTemporality,
  type DataPoint,
  DataPointType,
  MeterProvider,
  type MetricData,
  type MetricProducer,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import type { Logger } from "../domain/logger.ts";
import type { Labels, Metric } from "./metric.ts";
import type { MetricSettings, OtelSettings } from "./otel-settings.ts";
import { ExportReport, exporterOptions, hearWarnings, reporting, resourceOf, stopInTime } from "./otlp.ts";

export interface MetricExportOptions {
  readonly version: string;
  readonly logger: Logger;
  /** Reads the metrics. Never rejects. */
  readonly read: () => Promise<readonly Metric[]>;
}

export interface MetricExport {
  /** Sends them a last time, for 2 s at most. Never rejects. */
  stop(): Promise<void>;
}

/**
 * Starts to send the metrics, each time all of them, under the names that they have in Prometheus.
 *
 * @throws StartError when a certificate or a key can't be read
 */
export async function startMetricExport(
  settings: OtelSettings,
  metrics: MetricSettings,
  { version, logger, read }: MetricExportOptions,
): Promise<MetricExport> {
  hearWarnings(logger);
  const options = await exporterOptions(metrics.target);
  const exporter = metrics.target.protocol === "http/json" ? new JsonExporter(options) : new ProtobufExporter(options);
  const resource = resourceOf(settings, version);
  const startTime = millisToHrTime(performance.timeOrigin);
  const producer: MetricProducer = {
    async collect() {
      const families = await read();
      const endTime = millisToHrTime(Date.now());
      const data = families
        .map((metric) => metricData(metric, startTime, endTime))
        .filter(({ dataPoints }) => dataPoints.length > 0);
      return {
        resourceMetrics: { resource, scopeMetrics: [{ scope: { name: "latchkey", version }, metrics: data }] },
        errors: [],
      };
    },
  };
  const provider = new MeterProvider({
    resource,
    readers: [
      new PeriodicExportingMetricReader({
        exporter: reporting(exporter, new ExportReport(logger, "metrics")),
        exportIntervalMillis: metrics.intervalMs,
        exportTimeoutMillis: metrics.timeoutMs,
        metricProducers: [producer],
      }),
    ],
  });
  let stopped: Promise<void> | undefined;
  return { stop: () => (stopped ??= stopInTime(provider.shutdown())) };
}

function metricData(metric: Metric, startTime: HrTime, endTime: HrTime): MetricData {
  const { name, help: description } = metric;
  const unit = /_seconds(?:_total)?$/.test(name) ? "s" : name.endsWith("_bytes") ? "By" : "";
  const common = {
    descriptor: { name, description, unit, valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  const pointsOf = <T, V>(samples: readonly (readonly [Labels, T])[], read: (sample: T) => V): DataPoint<V>[] =>
    samples.map(([attributes, sample]) => ({ startTime, endTime, attributes, value: read(sample) }));
  if (metric.type === "histogram") {
    const dataPoints = pointsOf(metric.samples, ({ bounds, counts, sum }) => ({
      buckets: { boundaries: [...bounds], counts: [...counts] },
      count: counts.reduce((total, count) => total + count, 0),
      sum,
    }));
    return { ...common, dataPointType: DataPointType.HISTOGRAM, dataPoints };
  }
  const dataPoints = pointsOf(metric.samples, (value) => value);
  return metric.type === "counter"
    ? { ...common, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints }
    : // A summary's quantiles are the values of a gauge: OpenTelemetry makes no summaries.
      { ...common, dataPointType: DataPointType.GAUGE, dataPoints };
}
