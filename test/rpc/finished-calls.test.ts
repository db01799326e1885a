/** What a call leaves behind when it ends: a count, and the right line in the log, or none. */
import type { DescMethod } from "@bufbuild/protobuf";
import { afterEach, expect, it, vi } from "vitest";
import { IntrospectionService } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { AppError } from "../../src/domain/errors.ts";
import type { EncodedHandler, ServiceEntry } from "../../src/rpc/handlers.ts";
import { Pipeline, type PipelineDeps } from "../../src/rpc/pipeline.ts";
import { OK, type Status } from "../../src/rpc/status.ts";
import { CALLER, TestLog } from "../grpc/test-server.ts";

const encoded: EncodedHandler = (request) => request;
const SERVICES: readonly ServiceEntry[] = [
  { service: TokenService, openTo: "nobody", handlers: {} },
  {
    service: IntrospectionService,
    openTo: "nobody",
    handlers: {},
    encoded: { introspect: encoded, introspectStream: encoded },
  },
];
const { introspect, introspectStream } = IntrospectionService.method;
const { list } = TokenService.method;
const denied = new AppError("permission_denied", "No.");

afterEach(() => void vi.restoreAllMocks());

function finishAfter(
  durationMs: number,
  method: DescMethod,
  outcome: AppError | Status,
  options: Partial<PipelineDeps> = {},
  requestId?: string,
): { readonly log: TestLog; readonly pipeline: Pipeline } {
  const log = new TestLog();
  const pipeline = new Pipeline(SERVICES, { authenticate: () => CALLER, logger: log, slowCallMs: 1000, ...options });
  const now = vi.spyOn(performance, "now").mockReturnValue(5_000);
  const peer = { surface: "internal", protocol: "grpc", peer: "192.0.2.7", header: () => requestId } as const;
  const call = pipeline.open({ method, ...peer });
  now.mockReturnValue(5_000 + durationMs);
  pipeline.finish(call, outcome);
  pipeline.finish(call, OK);
  return { log, pipeline };
}

it.each([
  ["a quick one", 999.9, list, OK, {}, ["info call"]],
  ["a slow one", 1000, list, OK, {}, ["warn slow call"]],
  ["a slow one that failed", 1000, list, denied, {}, ["warn slow call"]],
  ["a slow one, where none counts as slow", 1e6, list, OK, { slowCallMs: undefined }, ["info call"]],
  ["an introspection", 1, introspect, OK, {}, []],
  ["an introspection, when debugging", 1, introspect, OK, { logsQuietCalls: true }, ["debug call"]],
  ["an introspection that failed", 1, introspect, denied, {}, ["info call"]],
  ["a slow introspection", 1000, introspect, OK, {}, ["warn slow call"]],
  ["a slow introspection, when debugging", 1000, introspect, OK, { logsQuietCalls: true }, ["warn slow call"]],
  ["a stream that lived long", 1e6, introspectStream, OK, {}, []],
  ["a stream that lived long and failed", 1e6, introspectStream, denied, {}, ["info call"]],
] as const)("logs %s as it should", (_, durationMs, method, outcome, options, lines) => {
  const { log } = finishAfter(durationMs, method, outcome, options);
  expect(log.lines.map(({ level, message }) => `${level} ${message}`)).toEqual(lines);
});

it("logs an introspection that its caller gave an id", () => {
  const { log } = finishAfter(1, introspect, OK, {}, "the-request");
  expect(log.lines).toMatchObject([{ level: "info", message: "call", fields: { requestId: "the-request" } }]);
});

it("says of a slow call what it says of any, and nothing of the request", () => {
  const { log } = finishAfter(1234.5678, introspect, denied, {}, "the-request");
  expect(log.lines[0]?.fields).toEqual({
    method: "latchkey.v1.IntrospectionService/Introspect",
    code: "PERMISSION_DENIED",
    durationMs: 1234.568,
    caller: "anonymous",
    requestId: "the-request",
    protocol: "grpc",
    peer: "192.0.2.7",
  });
});

it("counts each call once, with its duration in seconds", () => {
  const { pipeline } = finishAfter(250, introspect, denied);
  const [counts, ...others] = pipeline.calls.filter((one) => [...one].length > 0);
  expect(others).toEqual([]);
  expect(counts?.method).toBe("latchkey.v1.IntrospectionService/Introspect");
  expect([...(counts ?? [])]).toEqual([{ protocol: "grpc", code: "PERMISSION_DENIED", calls: 1 }]);
  expect(counts?.seconds?.sum).toBe(0.25);
});

it("counts a stream, and doesn't measure it", () => {
  const { pipeline } = finishAfter(1e6, introspectStream, OK);
  const [counts] = pipeline.calls.filter((one) => [...one].length > 0);
  expect([...(counts ?? [])]).toEqual([{ protocol: "grpc", code: "OK", calls: 1 }]);
  expect(counts?.seconds).toBeUndefined();
});
