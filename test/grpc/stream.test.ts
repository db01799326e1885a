/** Streams, with the reflection service's bidirectional method and health's server-streaming one as stand-ins. */
import { once } from "node:events";
import { connect } from "node:http2";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type ClientDuplexStream, type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import {
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { AppError } from "../../src/domain/errors.ts";
import { type StreamHandler, serviceEntry } from "../../src/rpc/handlers.ts";
import { grpcClient } from "../helpers/grpc-client.ts";
import { frame, rawCall } from "./raw-grpc.ts";
import { KEY_HEADERS, startTestServer, type TestServer } from "./test-server.ts";

type Chat = StreamHandler<typeof ServerReflection.method.serverReflectionInfo>;
type Watch = StreamHandler<typeof Health.method.watch>;

const CHAT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

const chatServer = (serverReflectionInfo: Chat): Promise<TestServer> =>
  startTestServer({ services: [serviceEntry(ServerReflection, "nobody", { serverReflectionInfo })] });

const watchServer = (watch: Watch): Promise<TestServer> =>
  startTestServer({
    services: [serviceEntry(Health, "nobody", { check: async () => ({}), list: async () => ({}), watch })],
  });

const chatClient = (server: TestServer) => grpcClient(ServerReflection, server.address, { headers: KEY_HEADERS });
const healthClient = (server: TestServer) => grpcClient(Health, server.address, { headers: KEY_HEADERS });

const endOf = async (stream: { once(event: "error", hear: (error: ServiceError) => void): unknown }) =>
  new Promise<ServiceError>((resolve) => stream.once("error", resolve));

const hostsOf = async (
  stream: ClientDuplexStream<
    MessageInitShape<typeof ServerReflection.method.serverReflectionInfo.input>,
    ServerReflectionResponse
  >,
): Promise<string[]> => {
  const hosts: string[] = [];
  for await (const { validHost } of stream as AsyncIterable<ServerReflectionResponse>) hosts.push(validHost);
  return hosts;
};

async function* echo(requests: AsyncIterable<ServerReflectionRequest>) {
  for await (const { host } of requests) yield { validHost: host };
}

describe("a bidirectional call", () => {
  it("answers while the client still asks, and ends when it is done asking", async () => {
    await using server = await chatServer(echo);
    using client = chatClient(server);
    const stream = client.serverReflectionInfo();
    const answers = (stream as AsyncIterable<ServerReflectionResponse, undefined>)[Symbol.asyncIterator]();
    for (const host of ["a", "b", "c"]) {
      stream.write({ host });
      const answer = await answers.next();
      expect(answer.value?.validHost).toBe(host);
    }
    stream.end();
    expect(await answers.next()).toMatchObject({ done: true });
    expect(server.log.calls).toMatchObject([{ code: "OK" }]);
  });

  it("ends when the handler has heard enough", async () => {
    await using server = await chatServer(async function* (requests) {
      for await (const { host } of requests) {
        yield { validHost: host };
        if (host === "bye") break;
      }
      yield { validHost: "last word" };
    });
    using client = chatClient(server);
    const stream = client.serverReflectionInfo();
    stream.write({ host: "hello" });
    stream.write({ host: "bye" });
    expect(await hostsOf(stream)).toEqual(["hello", "bye", "last word"]);
    expect(server.log.calls).toMatchObject([{ code: "OK" }]);
  });

  it("needs a credential before anything is read", async () => {
    await using server = await chatServer(echo);
    const { trailer } = await rawCall(server.address, { path: CHAT });
    expect(trailer["grpc-status"]).toBe(String(status.UNAUTHENTICATED));
  });

  it.each([
    ["can't be decoded", Buffer.from("ffffff", "hex"), status.INVALID_ARGUMENT],
    ["is too large", Buffer.alloc(70_000), status.RESOURCE_EXHAUSTED],
  ])("fails at the message that %s, after the answers before it", async (_, message, code) => {
    await using server = await chatServer(echo);
    const good = frame(Buffer.from([0x0a, 1, 0x61]));
    const { header, trailer, body } = await rawCall(server.address, {
      path: CHAT,
      headers: KEY_HEADERS,
      body: Buffer.concat([good, good, frame(message), good]),
    });
    const line = await server.log.call();
    expect(body).toEqual(Buffer.concat([good, good]));
    expect(trailer).toMatchObject({ "grpc-status": String(code), "x-request-id": line["requestId"] });
    expect(header["x-request-id"]).toBe(line["requestId"]);
    expect(server.log.calls).toHaveLength(1);
  });
});

describe("a handler that fails", () => {
  it.each([
    ["an expected error", new AppError("not_found", "No such thing."), status.NOT_FOUND, /^No such thing\.$/],
    ["any other", new Error("SELECT"), status.INTERNAL, /^Something went wrong here\. The request id is [\w-]+\.$/],
  ])("ends the call with %s, after what it said before", async (_, thrown, code, details) => {
    await using server = await watchServer(async function* () {
      for (let said = 0; said < 100; said++) yield { status: 1 };
      throw thrown;
    });
    using client = healthClient(server);
    const stream = client.watch({});
    let heard = 0;
    stream.on("data", () => (heard += 1));
    const error = await endOf(stream);
    expect(heard).toBe(100);
    expect(error.code).toBe(code);
    expect(error.details).toMatch(details);
    expect(error.metadata.get("x-request-id")).toEqual([(await server.log.call())["requestId"]]);
    expect(server.log.calls).toHaveLength(1);
  });

  it("before it says anything, or by a throw that isn't a generator's, ends it too", async () => {
    await using server = await watchServer(() => {
      throw new Error("no generator at all");
    });
    using client = healthClient(server);
    const stream = client.watch({});
    stream.resume();
    expect((await endOf(stream)).code).toBe(status.INTERNAL);
  });
});

describe("a client that reads slowly", () => {
  it("holds the handler back, and misses nothing", async () => {
    const total = 1_000;
    const validHost = "x".repeat(65_536);
    let produced = 0;
    await using server = await chatServer(async function* (requests) {
      for await (const { host } of requests) {
        if (host === "ping") yield { validHost: host };
        else for (; produced < total; produced++) yield { validHost };
      }
    });
    using client = chatClient(server);
    const stream = client.serverReflectionInfo();
    stream.end({ host: "everything" });
    await once(stream, "metadata");
    // While another call goes back and forth, a handler that nobody holds back would get to its end.
    const other = client.serverReflectionInfo();
    for (let round = 0; round < 20; round++) {
      other.write({ host: "ping" });
      await once(other, "data");
    }
    other.end();
    // What fits into the client's flow-control window, and a few messages more.
    expect(produced).toBeGreaterThan(0);
    expect(produced).toBeLessThan(total / 2);

    expect(await hostsOf(stream)).toHaveLength(total);
  });
});

describe("a client that goes away", () => {
  it("ends the handler, which can clean up", async () => {
    const cleanedUp = Promise.withResolvers<boolean>();
    await using server = await watchServer(async function* (_requests, _call, signal) {
      try {
        yield { status: 1 };
        await once(signal, "abort");
      } finally {
        cleanedUp.resolve(signal.aborted);
      }
    });
    using client = healthClient(server);
    const stream = client.watch({});
    await once(stream, "data");
    stream.cancel();
    expect((await endOf(stream)).code).toBe(status.CANCELLED);
    expect(await cleanedUp.promise).toBe(true);
    expect(server.log.calls).toMatchObject([{ code: "CANCELLED" }]);
  });

  it("in the middle of its requests isn't taken for one that is done", async () => {
    const heard = Promise.withResolvers<boolean>();
    await using server = await chatServer(async function* (requests, _call, signal) {
      yield* echo(requests);
      heard.resolve(signal.aborted);
    });
    const session = connect(`http://${server.address}`);
    const stream = session.request({
      ":method": "POST",
      ":path": CHAT,
      "content-type": "application/grpc",
      ...KEY_HEADERS,
    });
    stream.on("error", () => {});
    stream.write(frame(Buffer.alloc(0)));
    await once(stream, "data");
    // The connection breaks. (grpc-js's own `cancel` sends an orderly end first, which nobody could tell apart.)
    session.destroy();
    expect(await heard.promise).toBe(true);
    expect(server.log.calls).toMatchObject([{ code: "CANCELLED" }]);
  });

  it("ends a handler that never looks at the signal", async () => {
    const cleanedUp = Promise.withResolvers<void>();
    await using server = await chatServer(async function* () {
      try {
        for (;;) yield { validHost: "on and on" };
      } finally {
        cleanedUp.resolve();
      }
    });
    using client = chatClient(server);
    const stream = client.serverReflectionInfo();
    await once(stream, "data");
    stream.cancel();
    await endOf(stream);
    await cleanedUp.promise;
    expect(server.log.calls).toMatchObject([{ code: "CANCELLED" }]);
  });

  it("doesn't turn a read that nobody waits for into a crash", async () => {
    const cleanedUp = Promise.withResolvers<void>();
    await using server = await chatServer(async function* (requests, _call, signal) {
      void requests[Symbol.asyncIterator]().next();
      yield { validHost: "ready" };
      await once(signal, "abort");
      cleanedUp.resolve();
    });
    using client = chatClient(server);
    const stream = client.serverReflectionInfo();
    await once(stream, "data");
    stream.cancel();
    await endOf(stream);
    await cleanedUp.promise;
  });
});

describe("a deadline", () => {
  it("ends a stream", async () => {
    await using server = await watchServer(async function* (_requests, _call, signal) {
      await once(signal, "abort");
      yield { status: 1 };
    });
    const { trailer } = await rawCall(server.address, {
      path: "/grpc.health.v1.Health/Watch",
      headers: { ...KEY_HEADERS, "grpc-timeout": "20m" },
      body: frame(Buffer.alloc(0)),
    });
    expect(trailer["grpc-status"]).toBe(String(status.DEADLINE_EXCEEDED));
    expect(server.log.calls).toMatchObject([{ code: "DEADLINE_EXCEEDED" }]);
  });

  it("ends a handler that waits for the next request", async () => {
    const cleanedUp = Promise.withResolvers<boolean>();
    await using server = await chatServer(async function* (requests, _call, signal) {
      yield* echo(requests);
      cleanedUp.resolve(signal.aborted);
    });
    const headers = { ...KEY_HEADERS, "grpc-timeout": "20m" };
    const { trailer } = await rawCall(server.address, { path: CHAT, headers });
    expect(trailer["grpc-status"]).toBe(String(status.DEADLINE_EXCEEDED));
    expect(await cleanedUp.promise).toBe(true);
  });
});
