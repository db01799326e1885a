/** An OpenTelemetry collector for tests: takes OTLP over HTTP, and shows what came. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";

export interface Export {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly traceState: string | undefined;
  readonly name: string;
  readonly kind: number;
  readonly isError: boolean;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
  readonly durationNanos: bigint;
}

export interface CollectedPoint {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly value: number | undefined;
  readonly histogram: { readonly bounds: number[]; readonly counts: number[]; readonly sum: number } | undefined;
}

export interface CollectedMetric {
  readonly name: string;
  readonly description: string;
  readonly unit: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly isCumulative: boolean;
  readonly points: readonly CollectedPoint[];
}

export interface Collector extends AsyncDisposable {
  readonly url: string;
  readonly exports: readonly Export[];
  /** The spans that came as JSON so far, in the order of their ends. */
  readonly spans: readonly CollectedSpan[];
  /** The metrics of the newest export that came as JSON. */
  readonly metrics: readonly CollectedMetric[];
  /** Resolves with what `look` finds, as soon as enough has come for it to find anything. */
  until<T>(look: () => T | undefined): Promise<T>;
}

/** @param status what it answers with, if it answers at all */
export async function startCollector(status: number | "never" = 200): Promise<Collector> {
  const exports: Export[] = [];
  const spans: CollectedSpan[] = [];
  let metrics: readonly CollectedMetric[] = [];
  const waiting = new Set<() => void>();
  const server = createServer((request, response) => {
    void buffer(request).then((sent) => {
      const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(sent) : sent;
      const path = request.url ?? "";
      exports.push({ path, headers: request.headers, body });
      if (request.headers["content-type"] === "application/json") {
        const json = JSON.parse(body.toString()) as OtlpJson;
        spans.push(...spansOf(json));
        if (json.resourceMetrics !== undefined) metrics = metricsOf(json);
      }
      if (status !== "never") response.writeHead(status, { "content-type": "application/json" }).end("{}");
      for (const look of waiting) look();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exports,
    spans,
    get metrics() {
      return metrics;
    },
    until: (look) =>
      new Promise((resolve) => {
        const tryIt = (): void => {
          const found = look();
          if (found === undefined) return;
          waiting.delete(tryIt);
          resolve(found);
        };
        waiting.add(tryIt);
        tryIt();
      }),
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, "close");
    },
  };
}

interface OtlpValue {
  readonly stringValue?: string;
  readonly intValue?: number | string;
  readonly doubleValue?: number;
  readonly boolValue?: boolean;
}

interface Attributed {
  readonly attributes?: readonly { readonly key: string; readonly value: OtlpValue }[];
}

interface OtlpPoint extends Attributed {
  readonly asDouble?: number;
  readonly asInt?: number | string;
  readonly explicitBounds?: number[];
  readonly bucketCounts?: (number | string)[];
  readonly sum?: number;
  readonly count?: number | string;
}

interface OtlpPoints {
  readonly dataPoints: readonly OtlpPoint[];
  readonly aggregationTemporality?: number;
  readonly isMonotonic?: boolean;
}

/** The parts that are looked at, https://github.com/open-telemetry/opentelemetry-proto */
interface OtlpJson {
  readonly resourceSpans?: readonly {
    readonly resource: Attributed;
    readonly scopeSpans: readonly {
      readonly spans: readonly (Attributed & {
        readonly traceId: string;
        readonly spanId: string;
        readonly parentSpanId?: string;
        readonly traceState?: string;
        readonly name: string;
        readonly kind: number;
        readonly startTimeUnixNano: string;
        readonly endTimeUnixNano: string;
        readonly status?: { readonly code?: number };
      })[];
    }[];
  }[];
  readonly resourceMetrics?: readonly {
    readonly scopeMetrics: readonly {
      readonly metrics: readonly {
        readonly name: string;
        readonly description: string;
        readonly unit: string;
        readonly sum?: OtlpPoints;
        readonly gauge?: OtlpPoints;
        readonly histogram?: OtlpPoints;
      }[];
    }[];
  }[];
}

const STATUS_ERROR = 2;
const CUMULATIVE = 2;

function attributesOf({ attributes = [] }: Attributed): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    attributes.map(({ key, value: { stringValue, intValue, doubleValue, boolValue } }) => [
      key,
      stringValue ?? (intValue === undefined ? (doubleValue ?? boolValue) : Number(intValue)),
    ]),
  );
}

function spansOf({ resourceSpans = [] }: OtlpJson): readonly CollectedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap((scope) =>
      scope.spans.map((span) => ({
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId,
        traceState: span.traceState,
        name: span.name,
        kind: span.kind,
        isError: span.status?.code === STATUS_ERROR,
        attributes: attributesOf(span),
        resource: attributesOf(resource),
        durationNanos: BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano),
      })),
    ),
  );
}

function metricsOf({ resourceMetrics = [] }: OtlpJson): readonly CollectedMetric[] {
  return resourceMetrics.flatMap(({ scopeMetrics }) =>
    scopeMetrics.flatMap((scope) =>
      scope.metrics.map(({ name, description, unit, sum, gauge, histogram }): CollectedMetric => {
        const { dataPoints, aggregationTemporality, isMonotonic } = sum ?? gauge ?? histogram ?? { dataPoints: [] };
        if (sum !== undefined && isMonotonic !== true) throw new Error(`${name} isn't monotonic`);
        return {
          name,
          description,
          unit,
          type: sum !== undefined ? "counter" : gauge !== undefined ? "gauge" : "histogram",
          isCumulative: gauge !== undefined || aggregationTemporality === CUMULATIVE,
          points: dataPoints.map((point) => ({
            attributes: attributesOf(point),
            value: histogram === undefined ? Number(point.asDouble ?? point.asInt) : undefined,
            histogram:
              histogram === undefined
                ? undefined
                : {
                    bounds: point.explicitBounds ?? [],
                    counts: (point.bucketCounts ?? []).map(Number),
                    sum: point.sum ?? 0,
                  },
          })),
        };
      }),
    ),
  );
}
