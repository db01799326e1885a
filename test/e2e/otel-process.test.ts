/** OpenTelemetry in a process of its own: what it loads, and when it ends. */
import { expect, it } from "vitest";
import { startCollector } from "../helpers/collector.ts";
import { runProgram, startServiceProcess, temporaryFolder } from "../helpers/service-process.ts";

/** Names every module of OpenTelemetry that is loaded. */
const WATCH = `
  import { registerHooks } from "node:module";
  registerHooks({
    load(url, context, next) {
      if (url.includes("opentelemetry")) process.stderr.write(url + "\\n");
      return next(url, context);
    },
  });
`;
const NODE_ARGS = ["--import", `data:text/javascript,${encodeURIComponent(WATCH)}`];

it.each([
  ["nothing is set", {}],
  ["nothing says where to", { OTEL_SERVICE_NAME: "keys", OTEL_TRACES_SAMPLER: "always_on" }],
  ["it is switched off", { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1", OTEL_SDK_DISABLED: "true" }],
  [
    "neither signal is wanted",
    { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1", OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none" },
  ],
])("loads none of it when %s", async (_, env) => {
  await using folder = await temporaryFolder();
  await using service = await startServiceProcess(
    ["--dev"],
    { LATCHKEY_DATA_DIR: folder.path, ...env },
    {
      nodeArgs: NODE_ARGS,
    },
  );
  expect(await service.stop()).toBe(0);
  expect(service.stderr.join("")).not.toContain("opentelemetry");
});

it("loads it when it is wanted, and ends although the collector never answers", async () => {
  await using folder = await temporaryFolder();
  await using collector = await startCollector("never");
  const env = {
    LATCHKEY_DATA_DIR: folder.path,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_TIMEOUT: "3600000",
    OTEL_BSP_EXPORT_TIMEOUT: "3600000",
  };
  await using service = await startServiceProcess(["--dev"], env, { nodeArgs: NODE_ARGS });
  expect(service.stderr.join("")).toContain("@opentelemetry/sdk-trace");
  expect(service.stderr.join("")).toContain("@opentelemetry/sdk-metrics");
  expect(await service.stop()).toBe(0);
  expect(service.stdout.at(-1)).toContain('"msg":"stopped"');
});

it("stops the start when a variable would be ignored", async () => {
  const { code, stderr } = await runProgram(["serve"], {
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:4317",
    OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
  });
  expect(code).not.toBe(0);
  expect(stderr).toContain("OTEL_EXPORTER_OTLP_PROTOCOL must be one of http/protobuf, http/json, not grpc");
});
