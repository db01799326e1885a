/** How exports fail: what the log says of it, and what stops the start. */
import { diag } from "@opentelemetry/api";
import { ExportResultCode } from "@opentelemetry/core";
import { afterEach, expect, it, vi } from "vitest";
import { StartError } from "../../src/domain/start-error.ts";
import { readOtelSettings } from "../../src/telemetry/otel-settings.ts";
import { ExportReport, exporterOptions, hearWarnings } from "../../src/telemetry/otlp.ts";
import { startTracing } from "../../src/telemetry/tracing.ts";
import { TestLog } from "../grpc/test-server.ts";

const MINUTE_MS = 60_000;

afterEach(() => {
  vi.restoreAllMocks();
  diag.disable();
});

const said = (log: TestLog): readonly string[] =>
  log.lines.map(({ level, message, fields }) => `${level} ${message} ${JSON.stringify(fields)}`);

it("says that exports fail once a minute, and when they work again", () => {
  const now = vi.spyOn(performance, "now").mockReturnValue(1_000);
  const log = new TestLog();
  const report = new ExportReport(log, "metrics");
  const refused = { code: ExportResultCode.FAILED, error: Object.assign(new Error("no"), { code: "ECONNREFUSED" }) };
  report.take({ code: ExportResultCode.SUCCESS });
  for (const _ of ["first", "second", "third"]) report.take(refused);
  now.mockReturnValue(1_000 + MINUTE_MS);
  report.take({ code: ExportResultCode.FAILED, error: new Error("Request timed out") });
  report.take({ code: ExportResultCode.SUCCESS });
  report.take({ code: ExportResultCode.SUCCESS });
  report.take(refused);
  expect(said(log)).toEqual([
    'warn metrics can\'t be exported {"reason":"ECONNREFUSED","failed":1}',
    'warn metrics can\'t be exported {"reason":"Request timed out","failed":4}',
    'info metrics are exported again {"failed":4}',
    'warn metrics can\'t be exported {"reason":"ECONNREFUSED","failed":1}',
  ]);
});

it("passes warnings on once a minute, and nothing else", () => {
  const now = vi.spyOn(performance, "now").mockReturnValue(1_000);
  const log = new TestLog();
  hearWarnings(log);
  diag.error("failed");
  diag.debug("detail");
  diag.warn("Received Partial Success response:", '{"rejectedSpans":2}', new Uint8Array(9));
  diag.warn("Dropped 1 spans");
  now.mockReturnValue(1_000 + MINUTE_MS);
  diag.warn("Dropped 2 spans");
  expect(said(log)).toEqual([
    'warn a warning of OpenTelemetry {"detail":"Received Partial Success response: {\\"rejectedSpans\\":2}"}',
    'warn a warning of OpenTelemetry {"detail":"Dropped 2 spans"}',
  ]);
});

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" };

it("refuses to start without a certificate that it can read", async () => {
  const settings = readOtelSettings({ ...ENDPOINT, OTEL_EXPORTER_OTLP_CERTIFICATE: "/nowhere/ca.pem" }, []);
  const refusal = exporterOptions(settings!.traces!.target);
  await expect(refusal).rejects.toThrow(StartError);
  await expect(refusal).rejects.toThrow("/nowhere/ca.pem");
});

it("traces the writes of a call as long as it lasts, and no others", async () => {
  const settings = readOtelSettings(ENDPOINT, [])!;
  const addresses = { internal: "[::1]:50051", public: "localhost:8080" };
  const tracing = await startTracing(settings, settings.traces!, { version: "1", logger: new TestLog(), addresses });
  const call = tracing.startCall("a.Service/Method", {
    surface: "internal",
    protocol: "grpc",
    header: () => undefined,
  });
  expect(tracing.startWrite("outside")).toBeUndefined();
  call?.run(() => {
    expect(tracing.startWrite("during")).toBeDefined();
    call.end({ name: "OK" });
    expect(tracing.startWrite("after")).toBeUndefined();
  });
});
