/** Calls that are answered on their HTTP/2 streams, without grpc-js. */
import { connect } from "node:http2";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { afterEach, describe, expect, it, vi } from "vitest";
import { IntrospectRequestSchema } from "../../gen/latchkey/v1/introspection_pb.ts";
import { callerId } from "../../src/domain/caller.ts";
import { AppError, type ErrorKind } from "../../src/domain/errors.ts";
import { MAX_REQUEST_BYTES } from "../../src/rpc/limits.ts";
import { STATUS } from "../../src/rpc/status.ts";
import { frame, rawCall } from "./raw-grpc.ts";
import { CALLER, KEY_HEADERS, startTestServer } from "./test-server.ts";

const PATH = "/latchkey.v1.IntrospectionService/Introspect";
const request = Buffer.from(toBinary(IntrospectRequestSchema, create(IntrospectRequestSchema, { token: "wp_1" })));
const question = { path: PATH, headers: KEY_HEADERS, body: frame(request) };
const ANSWER = Buffer.from("an answer");
const answer = () => ANSWER;
const never = (): Promise<never> => new Promise(() => {});

afterEach(() => {
  vi.useRealTimers();
});

describe("a good call", () => {
  it.each([
    ["at once", answer],
    ["later", async () => ANSWER],
  ])("is answered %s", async (_, encodedIntrospect) => {
    await using server = await startTestServer({ encodedIntrospect });
    const { header, trailer, body } = await rawCall(server.address, question);
    expect(header).toMatchObject({ ":status": 200, "content-type": "application/grpc+proto" });
    expect(header).not.toHaveProperty("x-request-id");
    expect(trailer["grpc-status"]).toBe("0");
    expect(body).toEqual(frame(ANSWER));
  });

  it("hears what was asked, however it was cut, and whose question it is", async () => {
    const asked: Buffer[] = [];
    await using server = await startTestServer({
      encodedIntrospect: (message, call) => {
        asked.push(message);
        expect(call).toMatchObject({ caller: CALLER, peer: "127.0.0.1", protocol: "grpc", surface: "internal" });
        return ANSWER;
      },
    });
    const long = Buffer.alloc(300_000, "long");
    await rawCall(server.address, question);
    await rawCall(server.address, { ...question, body: frame(long) });
    await rawCall(server.address, { ...question, body: frame(Buffer.alloc(0)) });
    expect(asked).toEqual([request, long, Buffer.alloc(0)]);
  });

  it("that brings an id gets it back, and a line in the log", async () => {
    await using server = await startTestServer({ encodedIntrospect: answer });
    const headers = { ...KEY_HEADERS, "x-request-id": "mine-1" };
    const { header } = await rawCall(server.address, { ...question, headers });
    expect(header["x-request-id"]).toBe("mine-1");
    expect(server.log.calls).toMatchObject([{ code: "OK", requestId: "mine-1", caller: callerId(CALLER) }]);
  });
});

describe("a failure", () => {
  it.each(Object.keys(STATUS) as ErrorKind[])("of kind %s keeps its code and message", async (kind) => {
    const encodedIntrospect = (): never => {
      throw new AppError(kind, `Not now: 100 % "${kind}" ✗`);
    };
    await using server = await startTestServer({ encodedIntrospect });
    const { trailer } = await rawCall(server.address, question);
    const line = await server.log.call();
    expect(trailer).toMatchObject({ "grpc-status": String(STATUS[kind].code), "x-request-id": line["requestId"] });
    expect(decodeURI(String(trailer["grpc-message"]))).toBe(`Not now: 100 % "${kind}" ✗`);
    expect(server.log.calls).toMatchObject([{ code: STATUS[kind].name }]);
  });

  it.each([
    ["a throw", () => expect.unreachable("SELECT")],
    ["a rejection", () => Promise.reject(new Error("SELECT"))],
  ])("that nobody expects leaks nothing: %s", async (_, encodedIntrospect) => {
    await using server = await startTestServer({ encodedIntrospect });
    const { trailer } = await rawCall(server.address, question);
    const { requestId } = await server.log.call();
    expect(trailer["grpc-status"]).toBe(String(status.INTERNAL));
    expect(decodeURI(String(trailer["grpc-message"]))).toBe(
      `Something went wrong here. The request id is ${String(requestId)}.`,
    );
    expect(JSON.stringify(trailer)).not.toContain("SELECT");
  });

  it("of one call leaves the connection to others", async () => {
    await using server = await startTestServer({ encodedIntrospect: answer });
    const session = connect(`http://${server.address}`);
    const ask = (key: string): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const headers = { ":method": "POST", ":path": PATH, "content-type": "application/grpc", "x-api-key": key };
        const stream = session.request(headers);
        let code: unknown;
        stream.on("response", (heard) => (code = heard["grpc-status"] ?? code));
        stream.on("trailers", (heard: Record<string, unknown>) => (code = heard["grpc-status"]));
        stream.on("error", reject);
        stream.on("close", () => resolve(code));
        stream.resume();
        stream.end(frame(request));
      });
    const good = KEY_HEADERS["x-api-key"];
    const codes = await Promise.all(["wrong", good, "wrong", good].map(ask));
    session.close();
    expect(codes.map(Number)).toEqual([status.UNAUTHENTICATED, status.OK, status.UNAUTHENTICATED, status.OK]);
  });
});

describe("the credential", () => {
  it.each([
    ["none", {}],
    ["a wrong one", { authorization: "Bearer wrong" }],
    ["two", { ...KEY_HEADERS, authorization: "Bearer wrong" }],
  ])("is asked for before the request is sent: %s", async (_, headers) => {
    const encodedIntrospect = vi.fn<typeof answer>(answer);
    await using server = await startTestServer({ encodedIntrospect });
    const { trailer } = await rawCall(server.address, { path: PATH, headers });
    expect(trailer).toMatchObject({
      "grpc-status": String(status.UNAUTHENTICATED),
      "www-authenticate": 'Bearer realm="latchkey"',
    });
    expect(encodedIntrospect).not.toHaveBeenCalled();
  });
});

describe("the request", () => {
  it.each([
    ["no message", Buffer.alloc(0), status.UNIMPLEMENTED],
    ["a part of a prefix", frame(request).subarray(0, 3), status.UNIMPLEMENTED],
    ["half a message", frame(request).subarray(0, 8), status.UNIMPLEMENTED],
    ["two messages", Buffer.concat([frame(request), frame(request)]), status.UNIMPLEMENTED],
    // As gRPC's protocol says: the flag without a `grpc-encoding` is an internal error.
    ["a compressed message that doesn't say how", frame(gzipSync(request), 1), status.INTERNAL],
    ["too long a message", frame(Buffer.alloc(MAX_REQUEST_BYTES + 1)), status.RESOURCE_EXHAUSTED],
  ])("must not be %s", async (_, body, code) => {
    const encodedIntrospect = vi.fn<typeof answer>(answer);
    await using server = await startTestServer({ encodedIntrospect });
    const { trailer } = await rawCall(server.address, { ...question, body });
    expect(trailer["grpc-status"]).toBe(String(code));
    expect(encodedIntrospect).not.toHaveBeenCalled();
  });

  it("may be compressed, which is left to grpc-js", async () => {
    const encodedIntrospect = vi.fn<(message: Buffer) => Buffer>(answer);
    await using server = await startTestServer({ encodedIntrospect });
    const headers = { ...KEY_HEADERS, "grpc-encoding": "gzip" };
    const { trailer, body } = await rawCall(server.address, {
      ...question,
      headers,
      body: frame(gzipSync(request), 1),
    });
    expect(trailer["grpc-status"]).toBe("0");
    expect(body).toEqual(frame(ANSWER));
    expect(encodedIntrospect.mock.calls[0]?.[0]).toEqual(request);
  });

  it("must be gRPC", async () => {
    await using server = await startTestServer({ encodedIntrospect: answer });
    const { header } = await rawCall(server.address, {
      ...question,
      headers: { ...KEY_HEADERS, "content-type": "application/json" },
    });
    expect(header[":status"]).toBe(415);
  });
});

describe("time", () => {
  it.each(["20m", "20000u", "20000000n"])("runs out at the client's deadline of %s", async (timeout) => {
    await using server = await startTestServer({ encodedIntrospect: never });
    const headers = { ...KEY_HEADERS, "grpc-timeout": timeout };
    const { trailer } = await rawCall(server.address, { ...question, headers });
    expect(trailer["grpc-status"]).toBe(String(status.DEADLINE_EXCEEDED));
    expect(server.log.calls).toMatchObject([{ code: "DEADLINE_EXCEEDED" }]);
  });

  it.each(["99999999H", "8H", "1S"])("is enough for an answer, of a deadline of %s", async (timeout) => {
    await using server = await startTestServer({ encodedIntrospect: answer });
    const headers = { ...KEY_HEADERS, "grpc-timeout": timeout };
    expect((await rawCall(server.address, { ...question, headers })).trailer["grpc-status"]).toBe("0");
  });

  it("that can't be read is refused", async () => {
    await using server = await startTestServer({ encodedIntrospect: answer });
    const headers = { ...KEY_HEADERS, "grpc-timeout": "soon" };
    const { trailer } = await rawCall(server.address, { ...question, headers });
    expect(trailer["grpc-status"]).toBe(String(status.INTERNAL));
  });

  it("runs out after 30 seconds when the client names no deadline", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    await using server = await startTestServer({
      encodedIntrospect: () => {
        queueMicrotask(() => vi.advanceTimersByTime(30_000));
        return never();
      },
    });
    const { trailer } = await rawCall(server.address, question);
    expect(trailer["grpc-status"]).toBe(String(status.DEADLINE_EXCEEDED));
  });

  it.each([
    ["a request that never arrives", {}],
    ["a credential that can't be checked", { authenticate: never }],
  ])("runs out for %s", async (_, options) => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
    await using server = await startTestServer({ encodedIntrospect: answer, ...options });
    const { trailer } = await rawCall(server.address, {
      path: PATH,
      headers: KEY_HEADERS,
      onSent: () => vi.advanceTimersByTime(30_000),
    });
    expect(trailer["grpc-status"]).toBe(String(status.DEADLINE_EXCEEDED));
    expect(server.log.calls).toMatchObject([{ code: "DEADLINE_EXCEEDED" }]);
  });
});

describe("a client that goes away", () => {
  it("before its request is in, or before its answer is, has its call cancelled", async () => {
    let isAsked: () => void = () => {};
    await using server = await startTestServer({
      encodedIntrospect: () => {
        isAsked();
        return never();
      },
    });
    for (const body of [undefined, frame(request)]) {
      server.log.lines.length = 0;
      const asked = new Promise<void>((resolve) => {
        isAsked = resolve;
      });
      const session = connect(`http://${server.address}`);
      session.on("error", () => {});
      const headers = { ":method": "POST", ":path": PATH, "content-type": "application/grpc", ...KEY_HEADERS };
      const stream = session.request(headers, { endStream: false });
      stream.on("error", () => {});
      if (body === undefined) stream.on("ready", () => session.ping(isAsked));
      else stream.end(body);
      await asked;
      session.destroy();
      expect(await server.log.call()).toMatchObject({ code: "CANCELLED" });
    }
  });

  it("is waited for at a stop until the grace is over", async () => {
    const server = await startTestServer({ encodedIntrospect: never, shutdownGraceMs: 50 });
    const call = rawCall(server.address, { ...question, onSent: () => void server.stop() }).catch(() => undefined);
    await Promise.all([call, server.log.call()]);
    await server.stop();
    expect(server.log.calls).toMatchObject([{ code: "CANCELLED" }]);
  });
});
