/**
 * OpenTelemetry's standard `OTEL_*` variables: which signals are exported, and how. What would be ignored is a
 * fault, for nobody looks for a setting that was taken without a word.
 * https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
 * https://opentelemetry.io/docs/specs/otel/protocol/exporter/
 */
import { randomUUID } from "node:crypto";

const PROTOCOLS = ["http/protobuf", "http/json"] as const;

const SAMPLERS = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
] as const;

/** Where and how one signal is sent. */
export interface OtlpTarget {
  readonly url: string;
  readonly protocol: (typeof PROTOCOLS)[number];
  /** They may hold a credential. */
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly isCompressed: boolean;
  /** Files in PEM. */
  readonly certificate: string | undefined;
  readonly clientCertificate: string | undefined;
  readonly clientKey: string | undefined;
}

export interface TraceSettings {
  readonly target: OtlpTarget;
  readonly sampler: (typeof SAMPLERS)[number];
  /** Of traces that are sampled by ratio, from 0 to 1. */
  readonly ratio: number;
  /** Whether a call's `traceparent` header says which trace it belongs to. */
  readonly followsCallers: boolean;
  readonly delayMs: number;
  readonly timeoutMs: number;
  /** Spans that may wait; further ones are dropped. */
  readonly queueSize: number;
  readonly batchSize: number;
}

export interface MetricSettings {
  readonly target: OtlpTarget;
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

export interface OtelSettings {
  /** What the telemetry is about, by OpenTelemetry's names of attributes. */
  readonly resource: Readonly<Record<string, string>>;
  /** Undefined when no traces are exported. */
  readonly traces: TraceSettings | undefined;
  /** Undefined when no metrics are exported. */
  readonly metrics: MetricSettings | undefined;
}

type Signal = "TRACES" | "METRICS";

const PREFIX = "OTEL_EXPORTER_OTLP_";
const PER_SIGNAL = [
  "ENDPOINT",
  "PROTOCOL",
  "HEADERS",
  "TIMEOUT",
  "COMPRESSION",
  "CERTIFICATE",
  "CLIENT_CERTIFICATE",
  "CLIENT_KEY",
  // Of gRPC only.
  "INSECURE",
];
const TEMPORALITY = `${PREFIX}METRICS_TEMPORALITY_PREFERENCE`;
const AGGREGATION = `${PREFIX}METRICS_DEFAULT_HISTOGRAM_AGGREGATION`;
const KNOWN = new Set([
  ...["", "TRACES_", "METRICS_", "LOGS_", "PROFILES_"].flatMap((signal) =>
    PER_SIGNAL.map((name) => PREFIX + signal + name),
  ),
  TEMPORALITY,
  AGGREGATION,
]);

const MAX_MS = 86_400_000;

/**
 * Reads and checks the variables.
 *
 * @param faults takes a line for each fault, without the values that may be secret
 * @returns undefined when nothing is exported, which is so until an endpoint or an exporter is set
 */
export function readOtelSettings(
  env: Readonly<Record<string, string | undefined>>,
  faults: string[],
): OtelSettings | undefined {
  // The specification counts an empty value as unset.
  const read = (name: string): string | undefined => {
    const value = env[name]?.trim();
    return value === "" ? undefined : value;
  };
  const oneOf = <T extends string>(name: string, allowed: readonly T[], fallback: T, because = ""): T => {
    const value = (read(name) ?? fallback).toLowerCase();
    if ((allowed as readonly string[]).includes(value)) return value as T;
    faults.push(
      `${name} must be ${allowed.length === 1 ? "" : "one of "}${allowed.join(", ")}, not ${value}${because}`,
    );
    return fallback;
  };
  const wholeNumber = (name: string, fallback: number, to = MAX_MS): number => {
    const value = read(name) ?? String(fallback);
    if (/^\d{1,9}$/.test(value) && Number(value) >= 1 && Number(value) <= to) return Number(value);
    faults.push(`${name} must be a whole number from 1 to ${to}, not ${value}`);
    return fallback;
  };

  if (oneOf("OTEL_SDK_DISABLED", ["true", "false"], "false") === "true") return undefined;
  for (const name of Object.keys(env)) {
    if (name.startsWith(PREFIX) && !KNOWN.has(name)) faults.push(`${name} is not a variable of OpenTelemetry`);
  }
  const isExported = (signal: Signal, because?: string): boolean => {
    const exporter = `OTEL_${signal}_EXPORTER`;
    const chosen = oneOf(exporter, ["otlp", "none"], "otlp", because);
    const hasEndpoint = [`${PREFIX}ENDPOINT`, `${PREFIX}${signal}_ENDPOINT`].some((name) => read(name) !== undefined);
    return chosen === "otlp" && (hasEndpoint || read(exporter) !== undefined);
  };
  const hasTraces = isExported("TRACES");
  const hasMetrics = isExported("METRICS", "; Prometheus reads /metrics of the operations port");
  if (!hasTraces && !hasMetrics) return undefined;

  if (read("OTEL_CONFIG_FILE") !== undefined) faults.push("OTEL_CONFIG_FILE is not read: set the variables instead");
  oneOf("OTEL_LOGS_EXPORTER", ["none"], "none", "; logs are JSON lines on the standard output");

  const target = (signal: Signal): OtlpTarget => {
    const nameOf = (name: string): string =>
      read(`${PREFIX}${signal}_${name}`) === undefined ? PREFIX + name : `${PREFIX}${signal}_${name}`;
    const valueOf = (name: string): string | undefined => read(nameOf(name));
    return {
      url: readUrl(nameOf("ENDPOINT"), valueOf("ENDPOINT"), signal, faults),
      protocol: oneOf(nameOf("PROTOCOL"), PROTOCOLS, "http/protobuf", "; collectors take both on port 4318"),
      headers: readPairs(nameOf("HEADERS"), valueOf("HEADERS"), faults),
      timeoutMs: wholeNumber(nameOf("TIMEOUT"), 10_000),
      isCompressed: oneOf(nameOf("COMPRESSION"), ["none", "gzip"], "none") === "gzip",
      certificate: valueOf("CERTIFICATE"),
      clientCertificate: valueOf("CLIENT_CERTIFICATE"),
      clientKey: valueOf("CLIENT_KEY"),
    };
  };

  const traces = (): TraceSettings => {
    const sampler = oneOf("OTEL_TRACES_SAMPLER", SAMPLERS, "parentbased_always_on");
    const argument = read("OTEL_TRACES_SAMPLER_ARG");
    const ratio = Number(argument ?? 1);
    if (argument !== undefined && !sampler.endsWith("traceidratio")) {
      faults.push(`OTEL_TRACES_SAMPLER_ARG is for traceidratio and parentbased_traceidratio, not for ${sampler}`);
    } else if (!(ratio >= 0 && ratio <= 1)) {
      faults.push(`OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1, not ${argument}`);
    }
    const propagators = (read("OTEL_PROPAGATORS") ?? "tracecontext,baggage").split(",").map((name) => name.trim());
    for (const name of propagators) {
      // Baggage goes through a service to those that it calls, and this one calls none.
      if (!["tracecontext", "baggage", "none"].includes(name)) {
        faults.push(`OTEL_PROPAGATORS must hold tracecontext, baggage or none, not ${name}`);
      }
    }
    const queueSize = wholeNumber("OTEL_BSP_MAX_QUEUE_SIZE", 2048, 1_000_000);
    return {
      target: target("TRACES"),
      sampler,
      ratio,
      followsCallers: propagators.includes("tracecontext"),
      delayMs: wholeNumber("OTEL_BSP_SCHEDULE_DELAY", 5_000),
      timeoutMs: wholeNumber("OTEL_BSP_EXPORT_TIMEOUT", 30_000),
      queueSize,
      batchSize: wholeNumber("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", Math.min(512, queueSize), queueSize),
    };
  };

  const metrics = (): MetricSettings => {
    oneOf(TEMPORALITY, ["cumulative"], "cumulative", "; collectors have a processor that makes deltas");
    oneOf(AGGREGATION, ["explicit_bucket_histogram"], "explicit_bucket_histogram");
    const intervalMs = wholeNumber("OTEL_METRIC_EXPORT_INTERVAL", 60_000);
    return {
      target: target("METRICS"),
      intervalMs,
      timeoutMs: wholeNumber("OTEL_METRIC_EXPORT_TIMEOUT", Math.min(30_000, intervalMs), intervalMs),
    };
  };

  const name = read("OTEL_SERVICE_NAME");
  const attributes = readPairs("OTEL_RESOURCE_ATTRIBUTES", read("OTEL_RESOURCE_ATTRIBUTES"), faults);
  return {
    resource: {
      "service.name": "latchkey",
      "service.instance.id": randomUUID(),
      ...attributes,
      ...(name === undefined ? {} : { "service.name": name }),
    },
    traces: hasTraces ? traces() : undefined,
    metrics: hasMetrics ? metrics() : undefined,
  };
}

/** The endpoint of all signals is a base, that of one is taken as it is. */
function readUrl(name: string, value: string | undefined, signal: Signal, faults: string[]): string {
  const path = `v1/${signal.toLowerCase()}`;
  const url = URL.parse(value ?? "http://localhost:4318");
  if (url === null || !/^https?:$/.test(url.protocol)) {
    // It may hold a password, so it isn't shown.
    faults.push(`${name} must be a URL such as http://localhost:4318`);
    return "";
  }
  if (name === `${PREFIX}ENDPOINT`) url.pathname = `${url.pathname.replace(/\/$/, "")}/${path}`;
  return url.href;
}

/** `name=value` pairs, percent-encoded and separated by commas. */
function readPairs(name: string, text: string | undefined, faults: string[]): Readonly<Record<string, string>> {
  const pairs = (text ?? "").split(",").filter((pair) => pair.trim() !== "");
  try {
    return Object.fromEntries(
      pairs.map((pair) => {
        const [, key = "", value = ""] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
        if (key.trim() === "") throw new URIError("no name");
        return [decodeURIComponent(key.trim()), decodeURIComponent(value.trim())];
      }),
    );
  } catch {
    faults.push(`${name} must hold pairs such as name=value, percent-encoded and separated by commas`);
    return {};
  }
}
