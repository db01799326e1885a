import { Agent, request as httpRequest } from "node:http";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { StartError } from "../../src/domain/start-error.ts";
import {
  AUTHORIZED,
  JSON_TYPE,
  RawClient,
  rawBody,
  startTestServer,
  type TestServer,
  type TestServerOptions,
} from "./test-server.ts";

const GET_LIST = `GET /api/v1/api-tokens HTTP/1.1\r\nHost: a\r\nAuthorization: ${AUTHORIZED.Authorization}\r\n`;

describe("the address", () => {
  it("is the one really bound", async () => {
    await using server = await startTestServer({ address: "[::1]:0" });
    expect(server.address).toMatch(/^\[::1\]:[1-9]\d*$/);
    expect((await fetch(`http://${server.address}/nowhere`)).status).toBe(404);
  });

  it("that is taken refuses the start and says what to do", async () => {
    await using server = await startTestServer();
    const { address } = server;
    await expect(startTestServer({ address })).rejects.toThrow(
      new StartError(`HTTP address ${address} is taken: stop what listens there, or set LATCHKEY_HTTP_ADDR`),
    );
  });

  it.each([
    "nonsense",
    "127.0.0.1",
    "127.0.0.1:99999",
    "127.0.0.1:-1",
    ":8080",
    "192.0.2.1:0",
    "no.such.host.invalid:0",
  ])("%s refuses the start", async (address) => {
    const failure = await startTestServer({ address }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(StartError);
    expect((failure as StartError).message).toMatch(/^HTTP address .*: set LATCHKEY_HTTP_ADDR$/);
  });
});

describe("every answer", () => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startTestServer();
  });

  afterAll(() => server.stop());

  const ways: readonly [number, string, string, Record<string, string>, string | undefined][] = [
    [200, "GET", "/api/v1/api-tokens", AUTHORIZED, undefined],
    [401, "GET", "/api/v1/api-tokens", {}, undefined],
    [404, "GET", "/nowhere", {}, undefined],
    [405, "PUT", "/api/v1/api-tokens", {}, undefined],
    [405, "OPTIONS", "/api/v1/api-tokens", {}, undefined],
    [413, "POST", "/api/v1/api-tokens", { ...AUTHORIZED, ...JSON_TYPE }, "x".repeat(70_000)],
    [200, "POST", "/latchkey.v1.TokenService/List", { ...AUTHORIZED, ...JSON_TYPE }, "{}"],
    [401, "POST", "/latchkey.v1.TokenService/List", JSON_TYPE, "{}"],
    [405, "GET", "/latchkey.v1.TokenService/List", AUTHORIZED, undefined],
    [415, "POST", "/latchkey.v1.TokenService/List", { ...AUTHORIZED, "Content-Type": "text/plain" }, "{}"],
  ];

  it.each(ways)(
    "carries the security headers and the request id (%i %s %s)",
    async (status, method, path, headers, body) => {
      const init = {
        method,
        headers: { ...headers, "X-Request-Id": "id-1:2.3" },
        ...(body === undefined ? {} : { body }),
      };
      const response = await fetch(server.url + path, init);
      expect(response.status).toBe(status);
      expect(Object.fromEntries(response.headers)).toMatchObject({
        "cache-control": "no-store",
        "content-security-policy": expect.stringContaining("default-src 'none'") as string,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "x-request-id": "id-1:2.3",
        "content-type": "application/json",
      });
      expect(response.headers.get("www-authenticate")).toBe(status === 401 ? 'Bearer realm="latchkey"' : null);
      expect(response.headers.has("access-control-allow-origin")).toBe(false);
      expect(response.headers.has("vary")).toBe(false);
      expect(response.headers.has("x-powered-by")).toBe(false);
    },
  );

  it.each(["", "has blank", "<script>", "x".repeat(129)])("gets a new request id for %j", async (id) => {
    const { headers } = await fetch(`${server.url}/nowhere`, { headers: { "X-Request-Id": id } });
    expect(headers.get("x-request-id")).toMatch(/^[\da-f]{8}-[\da-f-]{27}$/);
  });

  it("logs a call under the id that went out", async () => {
    const { headers } = await fetch(`${server.url}/api/v1/api-tokens`, { headers: AUTHORIZED });
    expect(await server.log.call(headers.get("x-request-id") ?? "")).toMatchObject({ code: "OK" });
  });
});

describe("a page of another origin", () => {
  const preflight = { Origin: "https://app.example.com", "Access-Control-Request-Method": "POST" };

  it("gets nothing by default", async () => {
    await using server = await startTestServer();
    const response = await fetch(`${server.url}/api/v1/api-tokens`, { method: "OPTIONS", headers: preflight });
    expect(response.status).toBe(405);
    expect([...response.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
    expect((await fetch(`${server.url}/nowhere`, { method: "OPTIONS", headers: preflight })).status).toBe(404);
  });

  it("may call when its origin is configured, without credentials of the browser's", async () => {
    await using server = await startTestServer({
      corsOrigins: ["https://other.example.com", "https://app.example.com"],
    });
    const url = `${server.url}/api/v1/api-tokens`;
    const allowed = await fetch(url, { method: "OPTIONS", headers: preflight });
    expect(allowed.status).toBe(204);
    const allow = (name: string): string[] => (allowed.headers.get(`access-control-allow-${name}`) ?? "").split(", ");
    expect(allow("origin")).toEqual(["https://app.example.com"]);
    expect(allow("methods")).toEqual(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]);
    expect(allow("headers")).toEqual(
      expect.arrayContaining(["Authorization", "X-Api-Key", "Content-Type", "Idempotency-Key", "X-Request-Id"]),
    );
    expect(allow("headers")).toEqual(
      expect.arrayContaining(["Connect-Protocol-Version", "Grpc-Timeout", "X-Grpc-Web"]),
    );
    expect(allowed.headers.has("access-control-allow-credentials")).toBe(false);
    expect(allowed.headers.get("vary")).toBe("Origin");

    const { headers } = await fetch(url, { headers: { ...AUTHORIZED, Origin: "https://app.example.com" } });
    expect(headers.get("access-control-allow-origin")).toBe("https://app.example.com");
    const exposed = (headers.get("access-control-expose-headers") ?? "").split(", ");
    expect(exposed).toEqual(
      expect.arrayContaining(["X-Request-Id", "Retry-After", "X-RateLimit-Remaining", "Grpc-Status"]),
    );
    expect(headers.has("access-control-allow-credentials")).toBe(false);
    expect(headers.get("vary")).toBe("Origin");
  });

  it.each(["https://app.example.com.evil.com", "http://app.example.com", "https://app.example.com:444", "null"])(
    "from %s isn't the one that is configured",
    async (origin) => {
      await using server = await startTestServer({ corsOrigins: ["https://app.example.com"] });
      const response = await fetch(`${server.url}/api/v1/api-tokens`, { headers: { ...AUTHORIZED, Origin: origin } });
      expect(response.status).toBe(200);
      expect(response.headers.has("access-control-allow-origin")).toBe(false);
      expect(response.headers.get("vary")).toBe("Origin");
      const refused = await fetch(response.url, { method: "OPTIONS", headers: { ...preflight, Origin: origin } });
      expect(refused.status).toBe(405);
    },
  );

  it("may be any with *, on errors too", async () => {
    await using server = await startTestServer({ corsOrigins: ["*"] });
    const { status, headers } = await fetch(`${server.url}/api/v1/api-tokens`, { headers: { Origin: "null" } });
    expect(status).toBe(401);
    expect(headers.get("access-control-allow-origin")).toBe("*");
    expect(headers.has("vary")).toBe(false);
  });
});

describe("the client's address", () => {
  async function peer(trustedProxies: readonly string[], forwardedFor: string): Promise<unknown> {
    await using server = await startTestServer({ trustedProxies });
    const headers = { ...AUTHORIZED, "X-Forwarded-For": forwardedFor, "X-Request-Id": "peer-1" };
    await fetch(`${server.url}/api/v1/api-tokens`, { headers });
    return (await server.log.call("peer-1"))["peer"];
  }

  it("is the connection's, whatever a stranger writes into X-Forwarded-For", async () => {
    expect(await peer([], "192.0.2.7")).toBe("127.0.0.1");
    expect(await peer(["10.0.0.0/8"], "192.0.2.7")).toBe("127.0.0.1");
  });

  it("is the one that a trusted proxy saw", async () => {
    expect(await peer(["127.0.0.0/8"], "203.0.113.9, 192.0.2.7")).toBe("192.0.2.7");
  });
});

/** A server that loses patience soon. */
const hasty = (options: TestServerOptions = {}) =>
  startTestServer({ ...options, limits: { headersMs: 100, requestMs: 200, checkMs: 20, ...options.limits } });

describe("a client", () => {
  it("that is slow to send its headers is told so and cut off", async () => {
    await using server = await hasty();
    using client = new RawClient(server.address);
    client.write("GET / HTTP/1.1\r\nX-Slow:");
    const text = await client.untilClosed();
    expect(text).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
    expect(text).toMatch(/\r\nConnection: close\r\n/);
    expect(text).toMatch(/\r\nX-Content-Type-Options: nosniff\r\n/);
    expect(rawBody(text)).toMatchObject({ error: { code: "DEADLINE_EXCEEDED" } });
  });

  it("that sends nothing at all is cut off", async () => {
    await using server = await hasty();
    using client = new RawClient(server.address);
    await client.untilClosed();
  });

  it("that is slow to send its body is told so and cut off", async () => {
    await using server = await hasty();
    using client = new RawClient(server.address);
    client.write(
      `POST /api/v1/api-tokens HTTP/1.1\r\nHost: a\r\nAuthorization: ${AUTHORIZED.Authorization}\r\nX-Request-Id: slow-1\r\nContent-Length: 20\r\n\r\n{"na`,
    );
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 408 /);
    expect(await server.log.call("slow-1")).toMatchObject({ code: "CANCELLED" });
  });

  it("that says nothing more is let go", async () => {
    await using server = await startTestServer({ limits: { keepAliveMs: 1 } });
    using client = new RawClient(server.address);
    client.write(`${GET_LIST}\r\n`);
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 200 /);
  });

  it("that doesn't take its answer is let go", async () => {
    const name = "x".repeat(1024 * 1024);
    await using server = await startTestServer({
      limits: { silenceMs: 100 },
      tokens: { list: async () => ({ tokens: Array.from({ length: 32 }, () => ({ name })) }) },
    });
    using client = new RawClient(server.address);
    client.socket.pause();
    client.write(`${GET_LIST}X-Request-Id: stuck-1\r\n\r\n`);
    // Finished because its connection is gone: the answer never fitted into what the system buffers.
    await server.log.call("stuck-1");
  });

  it("that waits on a silent stream is not", async () => {
    const release = Promise.withResolvers<void>();
    await using server = await startTestServer({
      limits: { silenceMs: 1000 },
      watch: async function* () {
        yield {};
        await release.promise;
        yield {};
      },
    });
    const health = createClient(Health, createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" }));
    let count = 0;
    for await (const _ of health.watch({})) {
      count += 1;
      // A connection that is silent for less long than the stream's, and is not exempt.
      await new RawClient(server.address).untilClosed();
      release.resolve();
    }
    expect(count).toBe(2);
  });

  it.each([
    ["garbage", "\u0016\u0003\u0001 hello\r\n\r\n", 400, "INVALID_ARGUMENT"],
    ["a header that is no header", "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400, "INVALID_ARGUMENT"],
    [
      "two lengths",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      400,
      "INVALID_ARGUMENT",
    ],
    [
      "a length and chunks",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      400,
      "INVALID_ARGUMENT",
    ],
    ["no host", "GET / HTTP/1.1\r\n\r\n", 400, "INVALID_ARGUMENT"],
    [
      "headers without end",
      `GET / HTTP/1.1\r\nHost: a\r\nX-Long: ${"x".repeat(20_000)}\r\n\r\n`,
      431,
      "RESOURCE_EXHAUSTED",
    ],
  ])("that sends %s is refused in the same shape as always", async (_, request, status, code) => {
    await using server = await startTestServer();
    using client = new RawClient(server.address);
    client.write(Buffer.from(request, "latin1"));
    const text = await client.untilClosed();
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(text).toMatch(/\r\ncache-control: no-store\r\n/i);
    expect(rawBody(text)).toMatchObject({ error: { code } });
  });

  it("that sends bad chunks in the middle of a body is refused", async () => {
    await using server = await startTestServer();
    using client = new RawClient(server.address);
    client.write(
      `POST /api/v1/api-tokens HTTP/1.1\r\nHost: a\r\nAuthorization: ${AUTHORIZED.Authorization}\r\nX-Request-Id: chunk-1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n`,
    );
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 400 /);
    expect(await server.log.call("chunk-1")).toMatchObject({ code: "CANCELLED" });
  });

  it("that asks first is asked for its body only when it may send one", async () => {
    await using server = await startTestServer();
    const ask = (headers: string): string =>
      `POST /api/v1/api-tokens HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Type: application/json\r\n${headers}\r\n\r\n`;
    using stranger = new RawClient(server.address);
    stranger.write(ask("Content-Length: 12"));
    expect(await stranger.until(/\}\}$/)).toMatch(/^HTTP\/1\.1 401 .*\r\nConnection: close\r\n/s);
    using known = new RawClient(server.address);
    known.write(ask(`Authorization: ${AUTHORIZED.Authorization}\r\nContent-Length: 12`));
    expect(await known.until(/\r\n\r\n/)).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    known.write('{"name":"x"}');
    expect(await known.until(/\}\}$/)).toMatch(/HTTP\/1\.1 201 Created/);
  });

  it("that expects anything else is served all the same", async () => {
    await using server = await startTestServer();
    using client = new RawClient(server.address);
    client.write(`${GET_LIST}Expect: wonders\r\nConnection: close\r\n\r\n`);
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 200 /);
  });

  it("that asks for an upgrade is answered as if it hadn't", async () => {
    await using server = await startTestServer();
    using client = new RawClient(server.address);
    client.write(`${GET_LIST}Connection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n`);
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 200 /);
  });

  it("may have a few requests open on a connection, answered in order, but not any number", async () => {
    await using server = await startTestServer({ limits: { pipelined: 3 } });
    using client = new RawClient(server.address);
    client.write(`${GET_LIST}\r\n`.repeat(2)).write(`${GET_LIST.replace("/api-tokens", "/nowhere")}\r\n`);
    const text = await client.until(/404[^]*\}\}$/);
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 200", "HTTP/1.1 404"]);
    using greedy = new RawClient(server.address);
    greedy.write(`${GET_LIST}\r\n`.repeat(1000));
    expect(await greedy.untilClosed()).not.toMatch(/HTTP/);
  });

  it("that leaves with requests in line leaves none of them open", async () => {
    const never = Promise.withResolvers<never>().promise;
    await using server = await startTestServer({ tokens: { list: () => never } });
    using client = new RawClient(server.address);
    client.write(`${GET_LIST}X-Request-Id: line-1\r\n\r\n${GET_LIST}X-Request-Id: line-2\r\n\r\n`);
    client.write(`GET /api/v1/api-tokens/tok_1 HTTP/1.1\r\nHost: a\r\nX-Request-Id: line-3\r\n\r\n`);
    client.socket.end();
    for (const id of ["line-1", "line-2"]) expect(await server.log.call(id)).toMatchObject({ code: "CANCELLED" });
    expect(await server.log.call("line-3")).toMatchObject({ code: "UNAUTHENTICATED" });
  });

  it("finds room when others have connections that they don't use", async () => {
    await using server = await startTestServer({ limits: { connections: 1 } });
    using idle = new RawClient(server.address);
    idle.write(`${GET_LIST}X-Request-Id: idle-1\r\n\r\n`);
    await server.log.call("idle-1");
    using turnedAway = new RawClient(server.address);
    await turnedAway.untilClosed();
    await idle.untilClosed();
    expect((await fetch(`${server.url}/nowhere`)).status).toBe(404);
  });

  it("keeps its connection over a body that nobody wanted", async () => {
    await using server = await startTestServer();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const { hostname, port } = new URL(server.url);
    const post = (body: string): Promise<{ status: number | undefined; localPort: number | undefined }> =>
      new Promise((resolve, reject) => {
        const request = httpRequest(
          { agent, hostname, port, method: "POST", path: "/api/v1/api-tokens" },
          (response) => {
            response.resume();
            response.on("end", () => resolve({ status: response.statusCode, localPort: request.socket?.localPort }));
          },
        );
        request.on("error", reject);
        request.end(body);
      });
    const first = await post("x".repeat(1000));
    const second = await post("");
    agent.destroy();
    expect(first.status).toBe(401);
    expect(second).toEqual(first);
  });
});

describe("a stop", () => {
  it("lets calls in flight finish, refuses new ones, and closes idle connections", async () => {
    const started = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    await using server = await startTestServer({
      shutdownGraceMs: 30_000,
      tokens: {
        list: async () => {
          started.resolve();
          await release.promise;
          return {};
        },
      },
    });
    using idle = new RawClient(server.address);
    idle.write("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    await idle.until(/\}\}$/);
    using busy = new RawClient(server.address);
    busy.write(`${GET_LIST}\r\n`);
    await started.promise;

    const stopped = server.stop();
    expect(server.stop()).toBe(stopped);
    await idle.untilClosed();
    await expect(fetch(`${server.url}/nowhere`)).rejects.toThrow("fetch failed");
    release.resolve();
    const text = await busy.untilClosed();
    expect(text).toMatch(/^HTTP\/1\.1 200 /);
    expect(text).toMatch(/\r\nConnection: close\r\n/);
    expect(rawBody(text)).toEqual({ data: [] });
    await stopped;
  });

  it("lets a client that is slow to take its answer have all of it", async () => {
    const name = "x".repeat(1024 * 1024);
    await using server = await startTestServer({
      shutdownGraceMs: 30_000,
      tokens: { list: async () => ({ tokens: Array.from({ length: 32 }, () => ({ name })) }) },
    });
    using client = new RawClient(server.address);
    client.write(`${GET_LIST}\r\n`);
    await client.until(/\r\n\r\n/);
    client.socket.pause();
    const stopped = server.stop();
    client.socket.resume();
    const text = await client.untilClosed();
    expect((rawBody(text) as { data: unknown[] }).data).toHaveLength(32);
    await stopped;
  });

  it("after the grace ends what is left, and says so", async () => {
    const started = Promise.withResolvers<void>();
    await using server = await startTestServer({
      shutdownGraceMs: 1,
      tokens: {
        list: () => {
          started.resolve();
          return Promise.withResolvers<never>().promise;
        },
      },
    });
    using client = new RawClient(server.address);
    client.write(`${GET_LIST}X-Request-Id: left-1\r\n\r\n`);
    await started.promise;
    await server.stop();
    const text = await client.untilClosed();
    expect(text).toMatch(/^HTTP\/1\.1 503 /);
    expect(rawBody(text)).toEqual({ error: { code: "UNAVAILABLE", message: "The server is stopping." } });
    expect(await server.log.call("left-1")).toMatchObject({ code: "UNAVAILABLE" });
  });

  it("after the grace ends streams and half-sent requests too", async () => {
    const started = Promise.withResolvers<void>();
    const aborted = Promise.withResolvers<unknown>();
    await using server = await startTestServer({
      shutdownGraceMs: 1,
      watch: async function* (_requests, _call, signal) {
        signal.addEventListener("abort", () => aborted.resolve(signal.reason));
        started.resolve();
        yield {};
        await aborted.promise;
      },
    });
    using half = new RawClient(server.address);
    half.write(
      `POST /api/v1/api-tokens HTTP/1.1\r\nHost: a\r\nAuthorization: ${AUTHORIZED.Authorization}\r\nExpect: 100-continue\r\nContent-Length: 20\r\n\r\n`,
    );
    await half.until(/100 Continue/);
    using streaming = new RawClient(server.address);
    streaming.write(
      "POST /grpc.health.v1.Health/Watch HTTP/1.1\r\nHost: a\r\nContent-Type: application/connect+json\r\nContent-Length: 7\r\n\r\n\0\0\0\0\u0002{}",
    );
    await started.promise;
    await server.stop();
    expect(await aborted.promise).toMatchObject({ kind: "unavailable" });
    expect(await streaming.untilClosed()).toContain('"code":"unavailable"');
    await half.untilClosed();
  });
});
