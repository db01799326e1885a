/** Traces calls, and the writes that they wait for, with OpenTelemetry. Imported only where traces are exported. */
import { AsyncLocalStorage } from "node:async_hooks";
import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  trace,
} from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import type { Logger } from "../domain/logger.ts";
import type { OtelSettings, TraceSettings } from "./otel-settings.ts";
import { ExportReport, exporterOptions, hearWarnings, reporting, resourceOf, stopInTime } from "./otlp.ts";

/** A call, as it comes in. */
interface IncomingCall {
  readonly surface: "internal" | "public";
  readonly protocol: "grpc" | "grpc-web" | "connect" | "rest";
  /** Where it came by a route. */
  readonly route?: Route | undefined;
  header(name: string): string | undefined;
}

interface Route {
  readonly verb: string;
  readonly template: string;
  readonly answeredStatus: () => number | undefined;
}

/** A call that is traced. */
export interface CallSpan {
  /** Both as in W3C Trace Context. */
  readonly traceId: string;
  readonly spanId: string;
  /** Runs work whose writes belong to the call. */
  run<T>(work: () => T): T;
  /** @param status the gRPC code that the call ended with */
  end(status: { readonly name: string }): void;
}

export interface Tracing {
  /**
   * Begins a call's span. Undefined for a call whose trace isn't sampled.
   *
   * @param method full name, as in `latchkey.v1.TokenService/Issue`
   */
  readonly startCall: (method: string, call: IncomingCall) => CallSpan | undefined;
  /** Begins the span of a write and answers what ends it; undefined for one that no traced call waits for. */
  readonly startWrite: (command: string) => ((failed: boolean) => void) | undefined;
  /** Sends what is left, for 2 s at most. Never rejects. */
  stop(): Promise<void>;
}

export interface TracingOptions {
  readonly version: string;
  readonly logger: Logger;
  /** `host:port` of the listeners, as they are set. */
  readonly addresses: Readonly<Record<IncomingCall["surface"], string>>;
}

/** The codes that are the server's fault, https://opentelemetry.io/docs/specs/semconv/rpc/grpc/ */
const FAULTS: ReadonlySet<string> = new Set([
  "UNKNOWN",
  "DEADLINE_EXCEEDED",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
]);

const HEADERS: TextMapGetter<IncomingCall> = {
  keys: () => [],
  get: (call, name) => call.header(name),
};

/**
 * Starts tracing on this thread.
 *
 * Names follow https://opentelemetry.io/docs/specs/semconv/rpc/ and, of REST routes, /http/, but for what a caller
 * has written: no path, no query, no address.
 *
 * @throws StartError when a certificate or a key can't be read
 */
export async function startTracing(
  settings: OtelSettings,
  traces: TraceSettings,
  { version, logger, addresses }: TracingOptions,
): Promise<Tracing> {
  hearWarnings(logger);
  const options = await exporterOptions(traces.target);
  const exporter = traces.target.protocol === "http/json" ? new JsonExporter(options) : new ProtobufExporter(options);
  const provider = new TracerProvider({
    resource: resourceOf(settings, version),
    sampler: samplerOf(traces),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: reporting(exporter, new ExportReport(logger, "traces")),
        scheduledDelayMillis: traces.delayMs,
        exportTimeoutMillis: traces.timeoutMs,
        maxQueueSize: traces.queueSize,
        maxExportBatchSize: traces.batchSize,
      }),
    ],
  });
  const tracer = provider.getTracer("latchkey", version);
  const propagator = new W3CTraceContextPropagator();
  const servers = { internal: serverAttributes(addresses.internal), public: serverAttributes(addresses.public) };
  const active = new AsyncLocalStorage<Context>();
  let stopped: Promise<void> | undefined;
  return {
    startCall(method, call) {
      const { route, surface, protocol } = call;
      const parent = traces.followsCallers ? propagator.extract(ROOT_CONTEXT, call, HEADERS) : ROOT_CONTEXT;
      const span = tracer.startSpan(
        route === undefined ? method : `${route.verb} ${route.template}`,
        {
          kind: SpanKind.SERVER,
          attributes: {
            ...(route === undefined
              ? { "rpc.system.name": protocol === "connect" ? "connectrpc" : "grpc", "rpc.method": method }
              : { "http.request.method": route.verb, "http.route": route.template, "url.scheme": "http" }),
            ...servers[surface],
          },
        },
        parent,
      );
      if (!span.isRecording()) return undefined;
      const { traceId, spanId } = span.spanContext();
      const context = trace.setSpan(parent, span);
      return {
        traceId,
        spanId,
        run: (work) => active.run(context, work),
        end: (status) => endCall(span, status.name, route),
      };
    },
    startWrite(command) {
      const parent = active.getStore();
      // A timer that a call has set may write long after its end.
      if (parent === undefined || trace.getSpan(parent)?.isRecording() !== true) return undefined;
      const attributes = { "db.system.name": "sqlite", "db.operation.name": command };
      const span = tracer.startSpan(command, { kind: SpanKind.CLIENT, attributes }, parent);
      return (failed) => {
        if (failed) span.setStatus({ code: SpanStatusCode.ERROR });
        span.end();
      };
    },
    stop: () => (stopped ??= stopInTime(provider.shutdown())),
  };
}

function endCall(span: Span, code: string, route: Route | undefined): void {
  const status = route?.answeredStatus();
  if (route === undefined) span.setAttribute("rpc.status_code", code);
  else if (status !== undefined) span.setAttribute("http.response.status_code", status);
  const isFault = route === undefined ? FAULTS.has(code) : status !== undefined && status >= 500;
  if (isFault) {
    span.setAttribute("error.type", route === undefined ? code : String(status));
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}

function serverAttributes(address: string): Attributes {
  const { hostname, port } = new URL(`tcp://${address}`);
  return { "server.address": hostname.replace(/^\[|\]$/g, ""), ...(port !== "0" && { "server.port": Number(port) }) };
}

function samplerOf({ sampler, ratio }: TraceSettings): Sampler {
  switch (sampler) {
    case "always_on":
      return new AlwaysOnSampler();
    case "always_off":
      return new AlwaysOffSampler();
    case "traceidratio":
      return new TraceIdRatioBasedSampler(ratio);
    case "parentbased_always_on":
      return new ParentBasedSampler({ root: new AlwaysOnSampler() });
    case "parentbased_always_off":
      return new ParentBasedSampler({ root: new AlwaysOffSampler() });
    case "parentbased_traceidratio":
      return new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) });
  }
}
