/** What is too much, or can't be served right now, on the real service. */
import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import { AppError } from "../../src/domain/errors.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { expectOk, openSurface, RPC_SURFACES, SURFACES } from "../helpers/surfaces.ts";
import { startTestApp } from "../helpers/test-app.ts";

describe.each(SURFACES)("through %s", (name) => {
  it("refuses a request over its limit, and serves on", async () => {
    await using test = await startTestApp();
    const surface = openSurface(test.app, name);
    const admin = expectOk(
      await openSurface(test.app, "rest").login({}, test.credentials.adminEmail, test.credentials.adminPassword),
    );
    const credential = { bearer: admin.accessToken };
    expect(await surface.issue(credential, { name: "x".repeat(1024 * 1024) })).toMatchObject({
      ok: false,
      code: "RESOURCE_EXHAUSTED",
    });
    expect(await surface.issue(credential, { name: "x".repeat(60 * 1024) })).toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    expectOk(await surface.issue(credential, { name: "fine" }));
    surface.close();
  });

  it("says UNAVAILABLE when the database can't be written, and never guesses", async () => {
    let broken = false;
    const failing = (storage: Storage): Storage =>
      new Proxy(storage, {
        get(target, property, receiver) {
          const method = (Reflect.get(target, property, receiver) as (...args: unknown[]) => unknown).bind(target);
          return (...args: unknown[]) =>
            broken && !["close", "recordUses", "changeCount"].includes(String(property))
              ? Promise.reject(new AppError("unavailable", "The database can't be read at the moment."))
              : method(...args);
        },
      });
    await using test = await startTestApp({ surroundings: { aroundStorage: failing } });
    const surface = openSurface(test.app, name);
    const grpc = openSurface(test.app, "grpc");
    const { serviceKey, organizationId } = test.credentials;
    const { secret } = expectOk(await grpc.issue({ bearer: serviceKey }, { name: "x", organizationId }));
    expectOk(await surface.list({ apiKey: secret }));
    broken = true;
    expect(await surface.list({ apiKey: secret })).toEqual({
      ok: false,
      code: "UNAVAILABLE",
      message: "The database can't be read at the moment.",
    });
    expect(await grpc.introspect({ bearer: serviceKey }, { token: secret })).toMatchObject({ code: "UNAVAILABLE" });
    broken = false;
    expectOk(await surface.list({ apiKey: secret }));
    surface.close();
    grpc.close();
  });
});

describe.each(RPC_SURFACES)("through %s", (name) => {
  it("answers a question about a token of 1 MB, and refuses one of 3 MB", async () => {
    await using test = await startTestApp();
    const surface = openSurface(test.app, name);
    const backend = { bearer: test.credentials.serviceKey };
    const judgement = expectOk(await surface.introspect(backend, { token: "a".repeat(1024 * 1024) }));
    expect(judgement).toMatchObject({ active: false });
    expect(await surface.introspect(backend, { token: "a".repeat(3 * 1024 * 1024) })).toMatchObject({
      code: "RESOURCE_EXHAUSTED",
    });
    expectOk(await surface.introspect(backend, { token: "a" }));
    surface.close();
  });
});

describe("a stranger on the gRPC port", () => {
  it("who talks no HTTP/2 is hung up on, and hurts nobody", async () => {
    await using test = await startTestApp();
    const [host = "", port = ""] = test.app.grpcAddress.split(":");
    const socket = connect(Number(port), host);
    await once(socket, "connect");
    socket.on("error", () => {});
    socket.end("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    socket.resume();
    await once(socket, "close");
    const grpc = openSurface(test.app, "grpc");
    expectOk(await grpc.introspect({ bearer: test.credentials.serviceKey }, { token: "x" }));
    grpc.close();
  });
});
