import { once } from "node:events";
import { connect as connectHttp2, type OutgoingHttpHeaders } from "node:http2";
import { connect as connectTcp } from "node:net";
import { gzipSync } from "node:zlib";
import { create, createFileRegistry, type DescService, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { type ClientOptions, compressionAlgorithms, type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, describe, expect, it, vi } from "vitest";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { IntrospectionService } from "../../gen/latchkey/v1/introspection_pb.ts";
import { IssueRequestSchema, TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { type Caller, callerId } from "../../src/domain/caller.ts";
import { AppError, type ErrorKind } from "../../src/domain/errors.ts";
import { pipelineInterceptor } from "../../src/grpc/adapter.ts";
import { peerAddress } from "../../src/grpc/exchange.ts";
import { OpenCalls } from "../../src/grpc/open-calls.ts";
import { MAX_REQUEST_BYTES } from "../../src/rpc/limits.ts";
import { Pipeline } from "../../src/rpc/pipeline.ts";
import { STATUS } from "../../src/rpc/status.ts";
import { grpcClient } from "../helpers/grpc-client.ts";
import { frame, rawCall } from "./raw-grpc.ts";
import { CALLER, KEY_HEADERS, startTestServer, TestLog, type TestServer } from "./test-server.ts";

const ISSUE = "/latchkey.v1.TokenService/Issue";
const garbage = Buffer.from("ffffffffffff", "hex");
const issueRequest = frame(toBinary(IssueRequestSchema, create(IssueRequestSchema, { name: "ci" })));

const failure = (call: Promise<unknown>): Promise<ServiceError> =>
  call.then(
    () => expect.fail("the call succeeded"),
    (error: unknown) => error as ServiceError,
  );

const tokenClient = (server: TestServer, options: ClientOptions = {}) =>
  grpcClient(TokenService, server.address, { ...options, headers: KEY_HEADERS });

/** Whose messages may be compressed is left to grpc-js; all others are answered without it, and nobody sees which. */
const WAYS: readonly (readonly [string, OutgoingHttpHeaders, ClientOptions])[] = [
  ["that is answered on its stream", {}, {}],
  [
    "that grpc-js answers",
    { "grpc-encoding": "gzip" },
    { "grpc.default_compression_algorithm": compressionAlgorithms.gzip },
  ],
];

const never = (): Promise<never> => new Promise(() => {});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe.each(WAYS)("a call %s", (_way, encoding, options) => {
  const keyHeaders = { ...KEY_HEADERS, ...encoding };

  describe("a good call", () => {
    it("is answered, and finished once", async () => {
      await using server = await startTestServer({
        token: { issue: async ({ name }) => ({ token: { name }, secret: "s3cret" }) },
      });
      using client = tokenClient(server, options);
      let header: Metadata | undefined;
      const answer = await client.issue({ name: "ci" }, { onHeader: (metadata) => (header = metadata) });

      expect(answer.token?.name).toBe("ci");
      expect(answer.secret).toBe("s3cret");
      expect(server.log.calls).toHaveLength(1);
      const line = await server.log.call();
      expect(line).toMatchObject({
        method: "latchkey.v1.TokenService/Issue",
        code: "OK",
        protocol: "grpc",
        peer: "127.0.0.1",
        caller: callerId(CALLER),
      });
      expect(header?.get("x-request-id")).toEqual([line["requestId"]]);
    });

    it("keeps the request id that the caller sent", async () => {
      await using server = await startTestServer({ token: { issue: async () => ({}) } });
      using client = tokenClient(server, options);
      let header: Metadata | undefined;
      await client.issue(
        { name: "ci" },
        { headers: { "x-request-id": "mine-1" }, onHeader: (metadata) => (header = metadata) },
      );
      expect(header?.get("x-request-id")).toEqual(["mine-1"]);
    });

    it("names IPv4 peers that come in over IPv6 by their IPv4 address", () => {
      expect(peerAddress("::ffff:192.0.2.7")).toBe("192.0.2.7");
      expect(peerAddress("2001:db8::1")).toBe("2001:db8::1");
      expect(peerAddress(undefined)).toBe("unknown");
    });
  });

  describe("an expected failure", () => {
    it.each(Object.keys(STATUS) as ErrorKind[])("of kind %s keeps its code and message", async (kind) => {
      await using server = await startTestServer({
        token: {
          issue: async () => {
            throw new AppError(kind, `Not now: 100 % "${kind}" ✗`);
          },
        },
      });
      using client = tokenClient(server, options);
      const error = await failure(client.issue({ name: "ci" }));
      const line = await server.log.call();
      expect(error).toMatchObject({ code: STATUS[kind].code, details: `Not now: 100 % "${kind}" ✗` });
      expect(error.metadata.get("x-request-id")).toEqual([line["requestId"]]);
      expect(line["code"]).toBe(STATUS[kind].name);
      expect(server.log.calls).toHaveLength(1);
    });

    it("of bad input names the fields in its details", async () => {
      await using server = await startTestServer();
      using client = tokenClient(server, options);
      const error = await failure(client.issue({ name: "", scopes: ["a", "a"] }));
      expect(error.code).toBe(status.INVALID_ARGUMENT);

      const [bytes] = error.metadata.get("grpc-status-details-bin");
      const rich = fromBinary(StatusSchema, bytes as Buffer);
      expect(rich).toMatchObject({ code: status.INVALID_ARGUMENT, message: error.details });
      const { fieldViolations } = anyUnpack(rich.details[0]!, BadRequestSchema)!;
      expect(fieldViolations.map(({ field }) => field)).toEqual(["name", "scopes"]);
      expect(fieldViolations[0]?.description).toBe("is required");
    });

    it("fits into headers, whatever it has to say", async () => {
      const violations = Array.from({ length: 1_000 }, (_, index) => ({
        field: `f[${index}]`,
        description: "is wrong",
      }));
      await using server = await startTestServer({
        token: {
          issue: async () => {
            throw new AppError("invalid_argument", "\u{1f511}".repeat(100_000), { violations });
          },
          // Cut in the middle of a pair.
          get: async () => {
            throw new AppError("invalid_argument", "half a key: \ud83d");
          },
        },
      });
      using client = tokenClient(server, options);
      const error = await failure(client.issue({ name: "ci" }));
      expect(error.code).toBe(status.INVALID_ARGUMENT);
      const [bytes] = error.metadata.get("grpc-status-details-bin");
      expect(encodeURI(error.details).length + (bytes as Buffer).toString("base64").length).toBeLessThan(8 * 1_024);
      expect(await failure(client.get({ id: "x" }))).toMatchObject({ code: status.INVALID_ARGUMENT });
    });
  });

  describe("an unexpected failure", () => {
    const secretive = new Error("SELECT * FROM secrets");
    it.each<[string, () => Promise<never>]>([
      ["a rejection", () => Promise.reject(secretive)],
      [
        "a throw",
        () => {
          throw secretive;
        },
      ],
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- what a careless dependency may do
      ["a rejection with nothing", () => Promise.reject(undefined)],
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- what a careless dependency may do
      ["a rejection that poses as a status", () => Promise.reject({ code: 5, details: "SELECT" })],
      ["an answer that can't be encoded", async () => ({ token: { revision: "x" } }) as unknown as never],
    ])("leaks nothing: %s", async (_, issue) => {
      await using server = await startTestServer({ token: { issue } });
      using client = tokenClient(server, options);
      const error = await failure(client.issue({ name: "ci" }));
      const { requestId } = await server.log.call();
      expect(error.code).toBe(status.INTERNAL);
      expect(error.details).toBe(`Something went wrong here. The request id is ${String(requestId)}.`);
      expect(JSON.stringify([error.message, error.metadata])).not.toContain("SELECT");
      expect(server.log.calls).toMatchObject([{ code: "INTERNAL" }]);
    });

    it("is logged with the request id", async () => {
      await using server = await startTestServer({ token: { issue: () => Promise.reject(secretive) } });
      using client = tokenClient(server, options);
      await failure(client.issue({ name: "ci" }));
      const { requestId } = await server.log.call();
      const logged = server.log.lines.filter(({ level }) => level === "error");
      expect(logged).toMatchObject([{ fields: { err: secretive, requestId } }]);
    });
  });

  describe("the credential", () => {
    it("is asked for before the request is decoded", async () => {
      await using server = await startTestServer();
      const { trailer } = await rawCall(server.address, { path: ISSUE, headers: encoding, body: frame(garbage) });
      expect(trailer).toMatchObject({
        "grpc-status": String(status.UNAUTHENTICATED),
        "www-authenticate": 'Bearer realm="latchkey"',
      });
      expect(trailer["x-request-id"]).toBe((await server.log.call())["requestId"]);
    });

    it("is asked for before the request is even sent", async () => {
      await using server = await startTestServer();
      const { trailer } = await rawCall(server.address, { path: ISSUE, headers: encoding });
      expect(trailer["grpc-status"]).toBe(String(status.UNAUTHENTICATED));
    });

    it("must be a good one", async () => {
      await using server = await startTestServer();
      const { trailer } = await rawCall(server.address, {
        path: ISSUE,
        headers: { ...encoding, authorization: "Bearer wrong" },
        body: issueRequest,
      });
      expect(trailer["grpc-status"]).toBe(String(status.UNAUTHENTICATED));
      expect(decodeURI(String(trailer["grpc-message"]))).toBe("The credential is not valid.");
    });

    it("that nobody can check makes an internal error without a cause", async () => {
      await using server = await startTestServer({
        authenticate: () => Promise.reject(new Error("connection to 10.0.0.7")),
      });
      using client = tokenClient(server, options);
      const error = await failure(client.issue({ name: "ci" }));
      expect(error.code).toBe(status.INTERNAL);
      expect(error.details).not.toContain("10.0.0.7");
    });

    it("is never printed, not even when its header can't be read", async () => {
      const printed = vi.spyOn(console, "error").mockImplementation(() => {});
      await using server = await startTestServer();
      const { trailer } = await rawCall(server.address, {
        path: ISSUE,
        headers: { ...encoding, "x-api-key": "wp_\u00e9very-secret" },
        body: issueRequest,
      });
      expect(trailer["grpc-status"]).toBe(String(status.UNAUTHENTICATED));
      expect(printed).not.toHaveBeenCalled();
    });
  });

  describe("the request", () => {
    it("that can't be decoded is refused without details", async () => {
      await using server = await startTestServer();
      const { trailer } = await rawCall(server.address, { path: ISSUE, headers: keyHeaders, body: frame(garbage) });
      expect(trailer["grpc-status"]).toBe(String(status.INVALID_ARGUMENT));
      expect(decodeURI(String(trailer["grpc-message"]))).toBe(
        "The request is not a valid latchkey.v1.IssueRequest message.",
      );
      expect(server.log.lines.filter(({ level }) => level === "error")).toEqual([]);
    });

    it("over its method's limit is refused, while an over-long token gets its answer", async () => {
      await using server = await startTestServer({ introspection: { introspect: async () => ({ active: false }) } });
      using tokens = tokenClient(server, options);
      using introspection = grpcClient(IntrospectionService, server.address, { ...options, headers: KEY_HEADERS });
      const error = await failure(tokens.issue({ name: "x".repeat(65_536) }));
      expect(error).toMatchObject({
        code: status.RESOURCE_EXHAUSTED,
        details: "The request is larger than 65536 bytes.",
      });
      expect((await introspection.introspect({ token: "x".repeat(1_000_000) })).active).toBe(false);
      expect(await failure(introspection.introspect({ token: "x".repeat(MAX_REQUEST_BYTES) }))).toMatchObject({
        code: status.RESOURCE_EXHAUSTED,
        details: `The request is larger than ${MAX_REQUEST_BYTES} bytes.`,
      });
    });

    it.each([
      ["as it is", {}, frame(Buffer.alloc(2 * MAX_REQUEST_BYTES))],
      ["compressed", { "grpc-encoding": "gzip" }, frame(gzipSync(Buffer.alloc(2 * MAX_REQUEST_BYTES)), 1)],
    ])(
      "over every limit is stopped by grpc-js, and still has an id and a line in the log: %s",
      async (_, headers, body) => {
        await using server = await startTestServer();
        const { trailer } = await rawCall(server.address, {
          path: ISSUE,
          headers: { ...keyHeaders, ...headers },
          body,
        });
        const line = await server.log.call();
        expect(trailer).toMatchObject({
          "grpc-status": String(status.RESOURCE_EXHAUSTED),
          "x-request-id": line["requestId"],
        });
        expect(line["code"]).toBe("RESOURCE_EXHAUSTED");
      },
    );

    it.each([
      ["no message", Buffer.alloc(0)],
      ["half a message", issueRequest.subarray(0, 6)],
      ["two messages", Buffer.concat([issueRequest, issueRequest])],
    ])("must be one message, not %s", async (_, body) => {
      const issue = vi.fn<() => Promise<object>>(async () => ({}));
      await using server = await startTestServer({ token: { issue } });
      const { trailer } = await rawCall(server.address, { path: ISSUE, headers: keyHeaders, body });
      expect(trailer["grpc-status"]).toBe(String(status.UNIMPLEMENTED));
      expect(issue).not.toHaveBeenCalled();
    });

    it.each(["/latchkey.v1.TokenService/Steal", "/latchkey.v9.NoService/Issue", "/"])(
      "to %s is UNIMPLEMENTED",
      async (path) => {
        await using server = await startTestServer();
        const { trailer } = await rawCall(server.address, { path, headers: keyHeaders, body: issueRequest });
        expect(trailer["grpc-status"]).toBe(String(status.UNIMPLEMENTED));
      },
    );
  });

  describe("time", () => {
    it("runs out at the client's deadline", async () => {
      await using server = await startTestServer({ token: { issue: never } });
      const { trailer } = await rawCall(server.address, {
        path: ISSUE,
        headers: { ...keyHeaders, "grpc-timeout": "20m" },
        body: issueRequest,
      });
      const line = await server.log.call();
      expect(trailer).toMatchObject({
        "grpc-status": String(status.DEADLINE_EXCEEDED),
        "x-request-id": line["requestId"],
      });
      expect(server.log.calls).toMatchObject([{ code: "DEADLINE_EXCEEDED" }]);
    });

    it("that runs out on the client's side is logged as such", async () => {
      await using server = await startTestServer({ token: { issue: never } });
      using client = tokenClient(server, options);
      // A call that isn't sent by then, for it takes a connection first, would be no call to the server.
      const error = await failure(client.issue({ name: "ci" }, { timeoutMs: 500 }));
      expect(error.code).toBe(status.DEADLINE_EXCEEDED);
      expect(await server.log.call()).toMatchObject({ code: "DEADLINE_EXCEEDED" });
    });

    it("runs out after 30 seconds when the client names no deadline", async () => {
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
      await using server = await startTestServer({
        token: {
          issue: () => {
            queueMicrotask(() => vi.advanceTimersByTime(30_000));
            return never();
          },
        },
      });
      const { trailer } = await rawCall(server.address, { path: ISSUE, headers: keyHeaders, body: issueRequest });
      expect(trailer["grpc-status"]).toBe(String(status.DEADLINE_EXCEEDED));
    });

    it.each([
      ["a request that never arrives", {}],
      ["a credential that can't be checked", { authenticate: never }],
    ])("runs out for %s", async (_, serverOptions) => {
      vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
      await using server = await startTestServer(serverOptions);
      const { trailer } = await rawCall(server.address, {
        path: ISSUE,
        headers: keyHeaders,
        onSent: () => vi.advanceTimersByTime(30_000),
      });
      expect(trailer["grpc-status"]).toBe(String(status.DEADLINE_EXCEEDED));
      expect(server.log.calls).toMatchObject([{ code: "DEADLINE_EXCEEDED" }]);
    });

    // grpc-js reads these as a random or negative time, unless its internals are still where they are wrapped.
    it.each(["99999999H", "99999999M", "99999999S", "2147484S", "597H", "1193H"])(
      "of %s is more than enough",
      async (timeout) => {
        vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
        await using server = await startTestServer({
          token: {
            issue: async () => {
              await Promise.resolve();
              vi.advanceTimersByTime(29_000);
              return {};
            },
          },
        });
        const { trailer } = await rawCall(server.address, {
          path: ISSUE,
          headers: { ...keyHeaders, "grpc-timeout": timeout },
          body: issueRequest,
        });
        expect(trailer["grpc-status"]).toBe(String(status.OK));
      },
    );

    it("that makes no sense is refused", async () => {
      await using server = await startTestServer({ token: { issue: never } });
      const { trailer } = await rawCall(server.address, {
        path: ISSUE,
        headers: { ...keyHeaders, "grpc-timeout": "soon" },
        body: issueRequest,
      });
      expect(trailer["grpc-status"]).toBe(String(status.INTERNAL));
      expect(server.log.calls).toHaveLength(1);
    });
  });

  describe("a client that goes away", () => {
    it("ends its call once, and what the handler does later is lost on nobody", async () => {
      const started = Promise.withResolvers<void>();
      const handled = Promise.withResolvers<never>();
      await using server = await startTestServer({
        token: {
          issue: () => {
            started.resolve();
            return handled.promise;
          },
        },
      });
      using client = tokenClient(server, options);
      const gone = new AbortController();
      const call = failure(client.issue({ name: "ci" }, { signal: gone.signal }));
      await started.promise;
      gone.abort();
      expect((await call).code).toBe(status.CANCELLED);
      expect(await server.log.call()).toMatchObject({ code: "CANCELLED" });
      handled.reject(new Error("too late"));
      // A second call shows that the server has been through the first one's end.
      await failure(client.get({ id: "x" }));
      expect(server.log.calls.map(({ code }) => code)).toEqual(["CANCELLED", "UNIMPLEMENTED"]);
    });

    it("while its credential is checked never reaches a handler", async () => {
      const checking = Promise.withResolvers<void>();
      const checked = Promise.withResolvers<Caller>();
      const issue = vi.fn<() => Promise<object>>(async () => ({}));
      await using server = await startTestServer({
        token: { issue },
        authenticate: () => {
          checking.resolve();
          return checked.promise;
        },
      });
      const gone = new AbortController();
      using client = tokenClient(server, options);
      const call = failure(client.issue({ name: "ci" }, { signal: gone.signal }));
      await checking.promise;
      gone.abort();
      await call;
      expect(await server.log.call()).toMatchObject({ code: "CANCELLED", caller: "anonymous" });
      checked.resolve(CALLER);
      // By the time that another call is through, so is the first.
      await client.issue({ name: "ci" });
      expect(issue).toHaveBeenCalledTimes(1);
    });
  });
});

describe("the connection", () => {
  it("may hold 100 streams", async () => {
    await using server = await startTestServer();
    const session = connectHttp2(`http://${server.address}`);
    const [settings] = (await once(session, "remoteSettings")) as [{ maxConcurrentStreams: number }];
    session.destroy();
    expect(settings.maxConcurrentStreams).toBe(100);
  });

  it("that speaks something else, or breaks off, harms nobody", async () => {
    await using server = await startTestServer({ token: { issue: async () => ({ secret: "s" }) } });
    const port = Number(server.address.split(":")[1]);
    const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    const settingsOfOneByte = Buffer.from("00000104000000000000", "hex");
    for (const bytes of [
      Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
      Buffer.alloc(100_000),
      Buffer.concat([preface, settingsOfOneByte]),
    ]) {
      const socket = connectTcp(port, "127.0.0.1");
      socket.on("error", () => {});
      socket.write(bytes);
      socket.resume();
      await once(socket, "close");
    }
    const broken = connectTcp(port, "127.0.0.1");
    await once(broken, "connect");
    broken.resetAndDestroy();
    using client = tokenClient(server);
    expect((await client.issue({ name: "ci" })).secret).toBe("s");
  });
});

describe("services that can't be served are refused at the start", () => {
  const logger = new TestLog();
  const authenticate = () => Promise.reject(new Error("unused"));

  it("without a handler", () => {
    const pipeline = new Pipeline([{ service: TokenService, openTo: "nobody", handlers: {} }], {
      authenticate,
      logger,
    });
    expect(() => pipelineInterceptor({ pipeline, open: new OpenCalls() })).toThrow(
      "/latchkey.v1.TokenService/Issue has no handler",
    );
  });

  it("with a client-streaming method", () => {
    const file = create(FileDescriptorProtoSchema, {
      name: "upload.proto",
      syntax: "proto3",
      messageType: [{ name: "Chunk" }],
      service: [
        {
          name: "Files",
          method: [{ name: "Upload", inputType: ".Chunk", outputType: ".Chunk", clientStreaming: true }],
        },
      ],
    });
    const service = createFileRegistry(file, () => undefined).getService("Files") as DescService;
    const handlers = { upload: async () => ({}) };
    const pipeline = new Pipeline([{ service, openTo: "nobody", handlers }], { authenticate, logger });
    expect(() => pipelineInterceptor({ pipeline, open: new OpenCalls() })).toThrow(
      "/Files/Upload: client streaming is not supported",
    );
  });
});
