/** What exports to an OpenTelemetry collector have in common: whose they are, how they are sent, and how they fail. */
import { readFile } from "node:fs/promises";
import { diag } from "@opentelemetry/api";
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import type { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { defaultResource, type Resource, resourceFromAttributes } from "@opentelemetry/resources";
import type { Logger } from "../domain/logger.ts";
import { StartError } from "../domain/start-error.ts";
import type { OtelSettings, OtlpTarget } from "./otel-settings.ts";

type ExporterOptions = NonNullable<ConstructorParameters<typeof OTLPTraceExporter>[0]>;

/** How long a stop waits for what is still to be sent. */
const STOP_LIMIT_MS = 2_000;

/** There is one line in this time that says that exports fail, and one of each other kind of trouble. */
const REPORT_INTERVAL_MS = 60_000;

/** Characters of a warning, which may quote the collector. */
const MAX_DETAIL = 500;

export function resourceOf({ resource }: OtelSettings, version: string): Resource {
  return defaultResource().merge(resourceFromAttributes({ "service.version": version, ...resource }));
}

/** @throws StartError when a certificate or a key can't be read */
export async function exporterOptions(target: OtlpTarget): Promise<ExporterOptions> {
  const read = async (path: string | undefined): Promise<Buffer | undefined> => {
    if (path === undefined) return undefined;
    return readFile(path).catch((cause: unknown) => {
      const { code } = cause as NodeJS.ErrnoException;
      throw new StartError(`${path}, a certificate or key for OpenTelemetry, can't be read (${code})`, { cause });
    });
  };
  const [ca, cert, key] = await Promise.all([
    read(target.certificate),
    read(target.clientCertificate),
    read(target.clientKey),
  ]);
  const tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
  return {
    url: target.url,
    headers: { ...target.headers },
    timeoutMillis: target.timeoutMs,
    compression: (target.isCompressed ? "gzip" : "none") as NonNullable<ExporterOptions["compression"]>,
    httpAgentOptions: { keepAlive: true, ...tls },
  };
}

/** Says in the log, now and then, that exports fail, and once that they work again. */
export class ExportReport {
  readonly #logger: Logger;
  readonly #signal: string;
  #failed = 0;
  #reportedAtMs = Number.NEGATIVE_INFINITY;

  constructor(logger: Logger, signal: "traces" | "metrics") {
    this.#logger = logger;
    this.#signal = signal;
  }

  /** Hears of each export's end. */
  take({ code, error }: ExportResult): void {
    if (code === ExportResultCode.SUCCESS) {
      if (this.#failed > 0) this.#logger.info({ failed: this.#failed }, `${this.#signal} are exported again`);
      this.#failed = 0;
      this.#reportedAtMs = Number.NEGATIVE_INFINITY;
      return;
    }
    this.#failed += 1;
    const now = performance.now();
    if (now < this.#reportedAtMs + REPORT_INTERVAL_MS) return;
    this.#reportedAtMs = now;
    // The code is that of the connection or of the collector's answer, whose text isn't ours to log.
    const { code: reason } = (error ?? {}) as { readonly code?: string | number };
    this.#logger.warn({ reason: reason ?? error?.message, failed: this.#failed }, `${this.#signal} can't be exported`);
  }
}

/** Makes an exporter report how its exports end. */
export function reporting<T extends { export(items: never, done: (result: ExportResult) => void): void }>(
  exporter: T,
  report: ExportReport,
): T {
  const send = exporter.export.bind(exporter) as (items: unknown, done: (result: ExportResult) => void) => void;
  exporter.export = (items: unknown, done: (result: ExportResult) => void) =>
    send(items, (result) => {
      report.take(result);
      done(result);
    });
  return exporter;
}

/** Lets the packages' other warnings into the log now and then, such as that spans were dropped. For this thread. */
export function hearWarnings(logger: Logger): void {
  const pass = (): void => {};
  let quietUntilMs = 0;
  const warn = (message: string, ...more: unknown[]): void => {
    if (performance.now() < quietUntilMs) return;
    quietUntilMs = performance.now() + REPORT_INTERVAL_MS;
    const detail = [message, ...more.filter((one) => typeof one === "string")].join(" ").slice(0, MAX_DETAIL);
    logger.warn({ detail }, "a warning of OpenTelemetry");
  };
  // What they call errors are failed exports, which are reported already.
  diag.setLogger({ error: pass, warn, info: pass, debug: pass, verbose: pass }, { suppressOverrideMessage: true });
}

/** Sends what is left, within a limit. Never rejects. */
export async function stopInTime(stop: Promise<void>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, STOP_LIMIT_MS);
  await Promise.race([stop.catch(() => {}), late]);
  clearTimeout(timer);
}
