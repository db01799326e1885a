import { once } from "node:events";
import { connect } from "node:net";
import { type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { StartError } from "../../src/domain/start-error.ts";
import { startGrpcServer } from "../../src/grpc/grpc-server.ts";
import { createHealth } from "../../src/grpc/health.ts";
import { Pipeline } from "../../src/rpc/pipeline.ts";
import { grpcClient } from "../helpers/grpc-client.ts";
import { KEY_HEADERS, startTestServer, TestLog, type TestServer } from "./test-server.ts";

const tokenClient = (server: TestServer) => grpcClient(TokenService, server.address, { headers: KEY_HEADERS });

const codeOf = (call: Promise<unknown>): Promise<number> =>
  call.then(
    () => status.OK,
    (error: unknown) => (error as ServiceError).code,
  );

const warnings = ({ log }: TestServer) => log.lines.filter(({ level }) => level === "warn");

/** A handler that answers when it is told to. */
function slowHandler() {
  const started = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<{ secret: string }>();
  const issue = () => {
    started.resolve();
    return answer.promise;
  };
  return { issue, started: started.promise, answer: () => answer.resolve({ secret: "late" }) };
}

describe("stop", () => {
  it("lets calls finish, and takes no new ones", async () => {
    const slow = slowHandler();
    const server = await startTestServer({ token: { issue: slow.issue } });
    using client = tokenClient(server);
    const call = client.issue({ name: "ci" });
    await slow.started;

    const stopped = server.stop();
    expect(await codeOf(client.get({ id: "x" }))).toBe(status.UNAVAILABLE);
    using latecomer = tokenClient(server);
    expect(await codeOf(latecomer.get({ id: "x" }))).toBe(status.UNAVAILABLE);

    slow.answer();
    expect((await call).secret).toBe("late");
    await stopped;
    expect(warnings(server)).toEqual([]);
  });

  it("is the same stop every time", async () => {
    const server = await startTestServer();
    expect(server.stop()).toBe(server.stop());
    await server.stop();
    await server.stop();
  });

  it("doesn't wait for connections without a call", async () => {
    const server = await startTestServer({ token: { issue: async () => ({}) } });
    using client = tokenClient(server);
    await client.issue({ name: "ci" });
    const silent = connect(Number(server.address.split(":")[1]), "127.0.0.1");
    await once(silent, "connect");
    silent.resume();
    await server.stop();
    expect(warnings(server)).toEqual([]);
  });

  it("cuts off a call that never ends, after the grace", async () => {
    const slow = slowHandler();
    const server = await startTestServer({ token: { issue: slow.issue }, shutdownGraceMs: 50 });
    using client = tokenClient(server);
    await codeOf(client.get({ id: "x" }));
    const call = codeOf(client.issue({ name: "ci" }));
    await slow.started;
    await server.stop();
    expect([status.UNAVAILABLE, status.CANCELLED]).toContain(await call);
    expect(warnings(server)).toMatchObject([{ fields: { calls: 1 } }]);
    expect(server.log.calls).toMatchObject([{ code: "UNIMPLEMENTED" }, { code: "CANCELLED" }]);
  });

  it("cuts off a watch that nobody ended", async () => {
    const health = createHealth([]);
    const server = await startTestServer({ services: [health.entry], shutdownGraceMs: 50 });
    using client = grpcClient(Health, server.address);
    const watch = client.watch({});
    const error = once(watch, "error");
    await once(watch, "data");
    await server.stop();
    await error;
    expect(server.log.calls).toMatchObject([{ code: "CANCELLED" }]);
  });

  it("is not held up by watches once health is shut down", async () => {
    const health = createHealth([]);
    const server = await startTestServer({ services: [health.entry] });
    using client = grpcClient(Health, server.address);
    const watch = client.watch({});
    await once(watch, "data");
    watch.resume();
    const ended = once(watch, "end");
    health.shutdown();
    await server.stop();
    await ended;
    expect(warnings(server)).toEqual([]);
  });
});

describe("an address", () => {
  const start = (address: string) => {
    const logger = new TestLog();
    const authenticate = () => Promise.reject(new Error("unused"));
    return startGrpcServer({ pipeline: new Pipeline([], { authenticate, logger }), address, logger });
  };
  const refusal = (address: string): Promise<unknown> =>
    start(address).then(
      () => expect.fail("it started"),
      (error: unknown) => error,
    );

  it("that is taken is refused with a line that says what to do", async () => {
    await using server = await startTestServer();
    const error = await refusal(server.address);
    expect(error).toBeInstanceOf(StartError);
    expect((error as StartError).message).toBe(
      `gRPC address ${server.address} is taken: stop what listens there, or set LATCHKEY_GRPC_ADDR`,
    );
  });

  it.each(["", "50051", ":50051", "localhost", "localhost:", "localhost:x", "localhost:65536", "::1:50051", "a b:1:2"])(
    'that is "%s" is not one',
    async (address) => {
      const error = await refusal(address);
      expect(error).toBeInstanceOf(StartError);
      expect((error as StartError).message).toMatch(/^gRPC address ".*" is not host:port: set LATCHKEY_GRPC_ADDR/);
    },
  );

  it.each(["192.0.2.1:0", "no-such-host.invalid:0", "[not-ipv6]:0"])(
    "that isn't this machine's, %s, is refused",
    async (address) => {
      const error = await refusal(address);
      expect(error).toBeInstanceOf(StartError);
      expect((error as StartError).message).toContain(`gRPC address ${address} can't be bound (`);
    },
  );

  it("with a name is told as it is bound", async () => {
    const server = await start("localhost:0");
    expect(server.address).toMatch(/^(?:127\.0\.0\.1|\[::1\]):[1-9]\d*$/);
    await server.stop();
  });
});
