/**
 * Writes metrics in Prometheus's text format, version 0.0.4:
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import type { CountedValues, Labels, Metric } from "./metric.ts";

/** The page with all of them. */
export function expose(metrics: readonly Metric[]): string {
  return metrics.map(exposeMetric).join("");
}

function exposeMetric(metric: Metric): string {
  const { name, help, type } = metric;
  const head = `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
  const lines =
    metric.type === "histogram"
      ? metric.samples.flatMap(([labels, histogram]) => histogramLines(name, labels, histogram))
      : metric.samples.map(([labels, value]) => line(name, labels, value));
  return head + lines.join("");
}

function histogramLines(name: string, labels: Labels, { bounds, counts, sum }: CountedValues): readonly string[] {
  let count = 0;
  const buckets = Array.from(counts, (inBucket, index) => {
    count += inBucket;
    return line(`${name}_bucket`, { ...labels, le: numeral(bounds[index] ?? Number.POSITIVE_INFINITY) }, count);
  });
  return [...buckets, line(`${name}_sum`, labels, sum), line(`${name}_count`, labels, count)];
}

function line(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${numeral(value)}\n`;
}

function numeral(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", String.raw`\\`).replaceAll("\n", String.raw`\n`);
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', String.raw`\"`);
}
