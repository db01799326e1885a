import { create } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import {
  Health,
  HealthCheckRequestSchema,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../gen/grpc/health/v1/health_pb.ts";
import { createHealth } from "../../src/grpc/health.ts";
import type { Call } from "../../src/rpc/call.ts";
import type { StreamHandler } from "../../src/rpc/handlers.ts";
import { grpcClient } from "../helpers/grpc-client.ts";
import { startTestServer } from "./test-server.ts";

const TOKENS = "latchkey.v1.TokenService";
const INTROSPECTION = "latchkey.v1.IntrospectionService";

async function startHealth() {
  const health = createHealth([TOKENS, INTROSPECTION]);
  const server = await startTestServer({ services: [health.entry] });
  // Nobody needs a credential to ask.
  const client = grpcClient(Health, server.address);
  const watch = (service: string) => {
    const stream = client.watch({ service });
    const statuses = (stream as AsyncIterable<HealthCheckResponse, undefined>)[Symbol.asyncIterator]();
    return { stream, next: async () => (await statuses.next()).value?.status };
  };
  return {
    health,
    client,
    watch,
    log: server.log,
    [Symbol.asyncDispose]: async () => {
      client[Symbol.dispose]();
      health.shutdown();
      await server.stop();
    },
  };
}

describe("Check", () => {
  it.each(["", TOKENS])('of "%s" follows the status', async (service) => {
    await using test = await startHealth();
    const check = async () => (await test.client.check({ service })).status;
    expect(await check()).toBe(ServingStatus.NOT_SERVING);
    test.health.set("SERVING");
    expect(await check()).toBe(ServingStatus.SERVING);
    test.health.set("NOT_SERVING");
    expect(await check()).toBe(ServingStatus.NOT_SERVING);
  });

  it("tells services apart where some are down", async () => {
    await using test = await startHealth();
    test.health.set("SERVING", [TOKENS]);
    const check = async (service: string) => (await test.client.check({ service })).status;
    expect(await check(TOKENS)).toBe(ServingStatus.NOT_SERVING);
    expect(await check(INTROSPECTION)).toBe(ServingStatus.SERVING);
    expect(await check("")).toBe(ServingStatus.SERVING);
    test.health.set("SERVING");
    expect(await check(TOKENS)).toBe(ServingStatus.SERVING);
  });

  it("of an unknown service is NOT_FOUND", async () => {
    await using test = await startHealth();
    await expect(test.client.check({ service: "other" })).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  it("after the shutdown is NOT_SERVING for good", async () => {
    await using test = await startHealth();
    test.health.set("SERVING");
    test.health.shutdown();
    test.health.set("SERVING");
    expect((await test.client.check({})).status).toBe(ServingStatus.NOT_SERVING);
  });
});

describe("List", () => {
  it("has every service and the server as a whole", async () => {
    await using test = await startHealth();
    test.health.set("SERVING");
    const { statuses } = await test.client.list({});
    expect(Object.entries(statuses).map(([name, { status: one }]) => [name, one])).toEqual([
      ["", ServingStatus.SERVING],
      [TOKENS, ServingStatus.SERVING],
      [INTROSPECTION, ServingStatus.SERVING],
    ]);
  });
});

describe("Watch", () => {
  it("tells the status at once, and then every change, once", async () => {
    await using test = await startHealth();
    const watch = test.watch(TOKENS);
    expect(await watch.next()).toBe(ServingStatus.NOT_SERVING);
    test.health.set("SERVING");
    test.health.set("SERVING");
    expect(await watch.next()).toBe(ServingStatus.SERVING);
    test.health.set("NOT_SERVING");
    expect(await watch.next()).toBe(ServingStatus.NOT_SERVING);
  });

  it("of one service hears nothing of another", async () => {
    await using test = await startHealth();
    test.health.set("SERVING");
    const watch = test.watch(INTROSPECTION);
    expect(await watch.next()).toBe(ServingStatus.SERVING);
    test.health.set("SERVING", [TOKENS]);
    test.health.set("NOT_SERVING");
    expect(await watch.next()).toBe(ServingStatus.NOT_SERVING);
  });

  it("ends at the shutdown, after it told of it", async () => {
    await using test = await startHealth();
    test.health.set("SERVING");
    const known = test.watch("");
    const unknown = test.watch("other");
    expect(await known.next()).toBe(ServingStatus.SERVING);
    expect(await unknown.next()).toBe(ServingStatus.SERVICE_UNKNOWN);
    test.health.shutdown();
    expect(await known.next()).toBe(ServingStatus.NOT_SERVING);
    expect(await known.next()).toBeUndefined();
    expect(await unknown.next()).toBeUndefined();
    expect(test.log.calls.map(({ code }) => code)).toEqual(["OK", "OK"]);
  });

  it("of an unknown service goes on without a change", async () => {
    await using test = await startHealth();
    const watch = test.watch("other");
    expect(await watch.next()).toBe(ServingStatus.SERVICE_UNKNOWN);
    test.health.set("SERVING");
    const next = watch.next();
    test.health.shutdown();
    expect(await next).toBeUndefined();
  });

  it("is open to so many, and whoever goes makes room", async () => {
    const { entry } = createHealth([]);
    const handler = entry.handlers["watch"] as StreamHandler<typeof Health.method.watch>;
    const gone = new AbortController();
    const watch = (signal = gone.signal) => {
      const requests = async function* () {
        yield create(HealthCheckRequestSchema, {});
      };
      return handler(requests(), {} as Call, signal)[Symbol.asyncIterator]();
    };
    const leaving = new AbortController();
    const first = watch(leaving.signal);
    const watches = [first, ...Array.from({ length: 999 }, () => watch())];
    for (const each of watches) expect((await each.next()).value).toMatchObject({ status: ServingStatus.NOT_SERVING });
    await expect(watch().next()).rejects.toMatchObject({ kind: "rate_limited" });

    const waiting = first.next();
    leaving.abort();
    expect((await waiting).done).toBe(true);
    expect((await watch().next()).done).toBe(false);
    gone.abort();
  });
});
