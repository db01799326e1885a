import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.ts";
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus,
} from "../../gen/grpc/health/v1/health_pb.ts";
import { AuthService } from "../../gen/latchkey/v1/auth_pb.ts";
import { IssueRequestSchema, TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { AppError } from "../../src/domain/errors.ts";
import {
  ACCESS_TOKEN,
  AUTHORIZED,
  CANARY,
  JSON_TYPE,
  RawClient,
  startTestServer,
  type TestServer,
} from "./test-server.ts";

const ISSUE = "/latchkey.v1.TokenService/Issue";

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(() => server.stop());

type Protocol = "Connect JSON" | "Connect binary" | "gRPC-Web" | "gRPC-Web JSON";

const PROTOCOLS: readonly Protocol[] = ["Connect JSON", "Connect binary", "gRPC-Web", "gRPC-Web JSON"];

function transport(protocol: Protocol, url: string, credential = ACCESS_TOKEN): Transport {
  const options = {
    baseUrl: url,
    httpVersion: "1.1" as const,
    useBinaryFormat: !protocol.endsWith("JSON"),
    interceptors: [
      (next) => (request) => {
        if (credential !== "") request.header.set("Authorization", `Bearer ${credential}`);
        return next(request);
      },
    ] satisfies Parameters<typeof createConnectTransport>[0]["interceptors"],
  };
  return protocol.startsWith("Connect") ? createConnectTransport(options) : createGrpcWebTransport(options);
}

const tokens = (protocol: Protocol, url = server.url, credential = ACCESS_TOKEN): Client<typeof TokenService> =>
  createClient(TokenService, transport(protocol, url, credential));

async function failure(work: Promise<unknown>): Promise<ConnectError> {
  return work.then(
    () => expect.fail("no error"),
    (error: unknown) => ConnectError.from(error),
  );
}

function envelope(message: Uint8Array, flags = 0): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(5 + message.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, flags);
  view.setUint32(1, message.length);
  bytes.set(message, 5);
  return bytes;
}

/** A POST of exactly these bytes; gRPC-Web's status is read from the trailers in the body. */
async function post(
  path: string,
  contentType: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
  url = server.url,
): Promise<{ status: number; text: string; headers: Headers }> {
  const response = await fetch(url + path, {
    method: "POST",
    headers: { ...AUTHORIZED, "Content-Type": contentType, ...headers },
    body,
  });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

describe.each(PROTOCOLS)("%s", (protocol) => {
  it("calls a unary method", async () => {
    const { token, secret } = await tokens(protocol).issue({ name: "CI" });
    expect(token?.name).toBe("CI");
    expect(secret).toBe("wp_secret");
  });

  it("calls a server-streaming method", async () => {
    const health = createClient(Health, transport(protocol, server.url, ""));
    const statuses = [];
    for await (const { status } of health.watch({})) statuses.push(status);
    expect(statuses).toEqual([
      HealthCheckResponse_ServingStatus.NOT_SERVING,
      HealthCheckResponse_ServingStatus.SERVING,
    ]);
  });

  it("needs no credential where one gets one", async () => {
    const { user } = await createClient(AuthService, transport(protocol, server.url, "")).login({
      email: "you@example.com",
      password: "x",
    });
    expect(user?.email).toBe("you@example.com");
  });

  it("refuses a credential that doesn't work, or none", async () => {
    expect(await failure(tokens(protocol, server.url, "nope").list({}))).toMatchObject({
      code: Code.Unauthenticated,
      rawMessage: "The credential is not valid.",
    });
    expect((await failure(tokens(protocol, server.url, "").list({}))).code).toBe(Code.Unauthenticated);
  });

  it("says which fields are at fault, in words and as details", async () => {
    const error = await failure(tokens(protocol).issue({}));
    expect(error).toMatchObject({ code: Code.InvalidArgument, rawMessage: "name: is required" });
    expect(error.findDetails(BadRequestSchema)).toMatchObject([
      { fieldViolations: [{ field: "name", description: "is required" }] },
    ]);
  });

  it("refuses a message over the limit", async () => {
    expect(await failure(tokens(protocol).issue({ name: "x".repeat(70_000) }))).toMatchObject({
      code: Code.ResourceExhausted,
      rawMessage: "The request is larger than 65536 bytes.",
    });
  });

  it("carries errors of handlers as they are, and nothing else of them", async () => {
    await using other = await startTestServer({
      tokens: {
        get: () => Promise.reject(new AppError("permission_denied", "Only owners and admins may.")),
        list: () => Promise.reject(new Error(CANARY)),
        revoke: () => Promise.reject(new ConnectError(CANARY, Code.DataLoss)),
        // Not to be had without a lie to the compiler: a field that holds something else than its type.
        issue: async () => ({ token: { createdAt: { seconds: CANARY as never, nanos: 0 } }, secret: CANARY }),
      },
    });
    const client = tokens(protocol, other.url);
    expect(await failure(client.get({ id: "tok_1" }))).toMatchObject({
      code: Code.PermissionDenied,
      rawMessage: "Only owners and admins may.",
    });
    for (const work of [client.list({}), client.revoke({ id: "tok_1" }), client.issue({ name: "x" })]) {
      const error = await failure(work);
      expect(error.code).toBe(Code.Internal);
      expect(error.rawMessage).toMatch(/^Something went wrong here\. The request id is [\w-]+\.$/);
    }
    await other.log.until(({ message, method }) => message === "call" && method === "latchkey.v1.TokenService/Issue");
    const calls = other.log.lines.filter(({ message }) => message === "call").map(({ code }) => code);
    expect(calls).toEqual(["PERMISSION_DENIED", "INTERNAL", "INTERNAL", "INTERNAL"]);
    expect(other.log.lines.filter(({ message }) => message === "call failed")).toHaveLength(3);
  });

  it("tells a stream's handler that its client has gone", async () => {
    const aborted = Promise.withResolvers<unknown>();
    await using other = await startTestServer({
      watch: async function* (_requests, _call, signal) {
        signal.addEventListener("abort", () => aborted.resolve(signal.reason));
        yield {};
        await aborted.promise;
      },
    });
    const health = createClient(Health, transport(protocol, other.url));
    const controller = new AbortController();
    const options = { headers: { "X-Request-Id": "gone-1" }, signal: controller.signal };
    for await (const _ of health.watch({}, options)) {
      controller.abort();
      break;
    }
    expect(await aborted.promise).toMatchObject({ kind: "cancelled" });
    expect(await other.log.call("gone-1")).toMatchObject({ code: "CANCELLED" });
  });

  it("sends an error in the middle of a stream", async () => {
    await using other = await startTestServer({
      watch: async function* () {
        yield {};
        throw new AppError("unavailable", "Come back later.");
      },
    });
    const health = createClient(Health, transport(protocol, other.url));
    const drained = async (): Promise<void> => {
      for await (const _ of health.watch({}));
    };
    expect(await failure(drained())).toMatchObject({ code: Code.Unavailable, rawMessage: "Come back later." });
  });
});

/** The status and the message in gRPC-Web's trailers, which stand at the end of the body. */
function trailers(text: string): { code: string | undefined; message: string } {
  const value = (name: string): string | undefined => new RegExp(`${name}: (.*)\r\n`).exec(text)?.[1];
  return { code: CODES[value("grpc-status") ?? ""], message: decodeURIComponent(value("grpc-message") ?? "") };
}

/** Names of the codes by their numbers. */
const CODES: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(Code)
    .filter(([, code]) => typeof code === "number")
    .map(([name, code]) => [`${code}`, name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase()]),
);

describe("a deadline", () => {
  it.each(["9999999999", "2147483648"])("of %s ms is fine, if far off", async (timeout) => {
    expect((await post(ISSUE, "application/json", '{"name":"x"}', { "Connect-Timeout-Ms": timeout })).status).toBe(200);
  });

  it("of 99999999 hours is fine, if far off", async () => {
    const body = envelope(toBinary(IssueRequestSchema, create(IssueRequestSchema, { name: "x" })));
    const { text } = await post(ISSUE, "application/grpc-web+proto", body, { "Grpc-Timeout": "99999999H" });
    expect(text).toContain("grpc-status: 0");
  });

  // Not with a client of Connect's, whose own timer would hang up first.
  const late = { code: "DEADLINE_EXCEEDED", message: "The call took longer than its deadline." };

  it("that passes ends a call as that", async () => {
    await using other = await startTestServer({ tokens: { list: () => Promise.withResolvers<never>().promise } });
    const path = "/latchkey.v1.TokenService/List";
    const connect = await post(path, "application/json", "{}", { "Connect-Timeout-Ms": "50" }, other.url);
    expect(connect.status).toBe(504);
    expect(JSON.parse(connect.text)).toEqual({ code: "deadline_exceeded", message: late.message });
    const headers = { "Grpc-Timeout": "50m", "X-Request-Id": "late-1" };
    const grpcWeb = await post(path, "application/grpc-web+proto", envelope(new Uint8Array()), headers, other.url);
    expect(trailers(grpcWeb.text)).toEqual(late);
    expect(await other.log.call("late-1")).toMatchObject({ code: "DEADLINE_EXCEEDED" });
  });

  it("that passes ends a stream as that", async () => {
    await using other = await startTestServer({
      watch: async function* (_requests, _call, signal) {
        yield {};
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    });
    const path = "/grpc.health.v1.Health/Watch";
    const body = envelope(new Uint8Array());
    const headers = { "Connect-Timeout-Ms": "50", "X-Request-Id": "late-2" };
    const connect = await post(path, "application/connect+proto", body, headers, other.url);
    expect(connect.text).toContain(`{"code":"deadline_exceeded","message":"${late.message}"}`);
    expect(await other.log.call("late-2")).toMatchObject({ code: "DEADLINE_EXCEEDED" });
    const grpcWeb = await post(path, "application/grpc-web+proto", body, { "Grpc-Timeout": "50m" }, other.url);
    expect(trailers(grpcWeb.text)).toEqual(late);
  });

  it.each(["soon", "-1", "1.5", "99999999999", ""])("of %j is refused", async (timeout) => {
    const { status, text } = await post(ISSUE, "application/json", '{"name":"x"}', { "Connect-Timeout-Ms": timeout });
    expect(status).toBe(400);
    expect(JSON.parse(text)).toMatchObject({
      code: "invalid_argument",
      message: "connect-timeout-ms: is not a timeout",
    });
  });
});

describe("a body", () => {
  const bodies: readonly [string, string, Uint8Array<ArrayBuffer>][] = [
    ["JSON that is cut off", "application/json", utf8(`{"name":"${CANARY}`)],
    ["JSON of another type", "application/json", utf8(`{"name":["${CANARY}"]}`)],
    ["JSON with a number for an enum", "application/json", utf8(`{"expiresAt":"${CANARY}"}`)],
    ["JSON with an unknown field", "application/json", utf8(`{"nope":"${CANARY}"}`)],
    ["JSON with a field twice", "application/json", utf8(`{"name":"${CANARY}","name":""}`)],
    ["JSON that isn't an object", "application/json", utf8(`"${CANARY}"`)],
    ["nothing for JSON", "application/json", utf8("")],
    ["bytes that aren't UTF-8", "application/json", new Uint8Array([0x22, 0xff, 0x22])],
    ["bytes that aren't protobuf", "application/proto", utf8(CANARY)],
    ["protobuf that is cut off", "application/proto", new Uint8Array([0x12, 0x20, 0x41])],
    ["protobuf with a string that isn't UTF-8", "application/proto", new Uint8Array([0x12, 0x01, 0xff])],
    ["no envelope", "application/grpc-web+proto", utf8("")],
    ["half an envelope", "application/grpc-web+proto", new Uint8Array([0, 0, 0])],
    ["an envelope cut off", "application/grpc-web+proto", envelope(new Uint8Array(9)).subarray(0, 9)],
    ["an envelope with bytes that aren't protobuf", "application/grpc-web+proto", envelope(utf8(CANARY))],
    ["an envelope with bad JSON", "application/grpc-web+json", envelope(utf8(`{"nope":"${CANARY}"}`))],
    ["two envelopes", "application/grpc-web+proto", concat(envelope(new Uint8Array()), envelope(new Uint8Array()))],
    ["an envelope that says it is compressed", "application/grpc-web+proto", envelope(new Uint8Array(), 1)],
    ["an envelope of trailers", "application/grpc-web+proto", envelope(new Uint8Array(), 0x80)],
  ];

  it.each(bodies)("of %s is the caller's fault, and isn't quoted", async (_, contentType, body) => {
    const requestId = crypto.randomUUID();
    const { status, text } = await post(ISSUE, contentType, body, { "X-Request-Id": requestId });
    if (contentType.startsWith("application/grpc-web")) {
      expect(status).toBe(200);
      expect(trailers(text).code).toBe("INVALID_ARGUMENT");
    } else {
      expect(status).toBe(400);
      expect(JSON.parse(text)).toMatchObject({ code: "invalid_argument" });
    }
    expect(text).not.toContain(CANARY);
    expect(await server.log.call(requestId)).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(server.log.text().includes(CANARY)).toBe(false);
  });

  it("of a stream's request is held to the same", async () => {
    const watch = (body: Uint8Array<ArrayBuffer>) =>
      post("/grpc.health.v1.Health/Watch", "application/connect+json", body);
    const bad = await watch(envelope(utf8(`{"service":{"${CANARY}":1}}`)));
    expect(bad.text).toContain('"code":"invalid_argument"');
    expect(bad.text).not.toContain(CANARY);
    const good = await watch(envelope(utf8(toJsonString(HealthCheckRequestSchema, create(HealthCheckRequestSchema)))));
    expect(good.text).toContain('"SERVING"');
  });

  it("with a thousand faults is told of a few", async () => {
    const requests = Array.from({ length: 1000 }, () => ({ token: "x", clientIp: "nowhere" }));
    const path = "/latchkey.v1.IntrospectionService/BatchIntrospect";
    const { status, text } = await post(path, "application/json", JSON.stringify({ requests }));
    expect(status).toBe(400);
    expect(text.length).toBeLessThan(10_000);
  });

  it("that is compressed is refused", async () => {
    const { status, text } = await post(ISSUE, "application/json", "{}", { "Content-Encoding": "gzip" });
    expect(status).toBe(400);
    expect(JSON.parse(text)).toMatchObject({ message: "The request is compressed: send it as it is." });
  });

  it.each(["text/plain", "application/grpc", "application/grpc-web-text", "application/connect+json", ""])(
    "of type %j is refused, but only to those who may call",
    async (contentType) => {
      const answer = await post(ISSUE, contentType, "{}");
      expect(answer.status).toBe(415);
      expect(JSON.parse(answer.text)).toMatchObject({ code: "invalid_argument" });
      const stranger = await post(ISSUE, contentType, "{}", { Authorization: "Bearer x" });
      expect(stranger.status).toBe(401);
      expect(stranger.headers.get("www-authenticate")).toBe('Bearer realm="latchkey"');
    },
  );

  it("is not read before the caller is known", async () => {
    using client = new RawClient(server.address);
    client.write(`POST ${ISSUE} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n`);
    const text = await client.until(/\}$/);
    expect(text).toMatch(/^HTTP\/1\.1 401 /);
    expect(text).toMatch(/\r\nWWW-Authenticate: Bearer realm="latchkey"\r\n/);
  });

  it("that the client doesn't finish ends the call as cancelled", async () => {
    using client = new RawClient(server.address);
    client.write(
      `POST ${ISSUE} HTTP/1.1\r\nHost: a\r\nAuthorization: ${AUTHORIZED.Authorization}\r\nX-Request-Id: half-1\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n`,
    );
    await client.until(/100 Continue/);
    client.socket.destroy();
    expect(await server.log.call("half-1")).toMatchObject({ code: "CANCELLED", protocol: "connect" });
    expect(server.log.lines.filter(({ level }) => level === "error")).toEqual([]);
  });
});

describe("other ways in", () => {
  it("GET isn't one, though the method has no side effects", async () => {
    const response = await fetch(`${server.url}/latchkey.v1.TokenService/List?encoding=json&message={}`, {
      headers: AUTHORIZED,
    });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("POST");
  });

  it("answers say that nobody may store them", async () => {
    const { headers } = await post(ISSUE, "application/json", '{"name":"x"}');
    expect(headers.get("cache-control")).toBe("no-store");
  });
});

describe("the same case", () => {
  const cases: readonly [string, Parameters<Client<typeof TokenService>["get"]>[0], string][] = [
    ["an unknown token", { id: "tok_2" }, "/tok_2"],
    ["an id that is too long", { id: "x".repeat(1001) }, `/${"x".repeat(1001)}`],
    [
      "an organization that is too long",
      { id: "a", organizationId: "x".repeat(1001) },
      `/a?organizationId=${"x".repeat(1001)}`,
    ],
  ];

  it.each(cases)("%s has one code and one message everywhere", async (_, request, path) => {
    const rest = await fetch(`${server.url}/api/v1/api-tokens${path}`, { headers: AUTHORIZED });
    const { error } = (await rest.json()) as { error: { code: string; message: string } };
    for (const protocol of PROTOCOLS) {
      const { code, rawMessage } = await failure(tokens(protocol).get(request));
      expect({ code: CODES[code], message: rawMessage }).toEqual(error);
    }
  });

  it.each([
    ["an unknown field", '{"nope":1}'],
    ["a value of another type", '{"name":1}'],
    ["a body that isn't JSON", "{"],
    ["a missing field", "{}"],
    ["a body over the limit", " ".repeat(70_000)],
  ])("%s in JSON has one code and one message everywhere", async (_, body) => {
    const rest = await fetch(`${server.url}/api/v1/api-tokens`, {
      method: "POST",
      headers: { ...AUTHORIZED, ...JSON_TYPE },
      body,
    });
    const { error } = (await rest.json()) as { error: { code: string; message: string } };
    const connect = JSON.parse((await post(ISSUE, "application/json", body)).text) as { code: string; message: string };
    expect({ code: connect.code.toUpperCase(), message: connect.message }).toEqual(error);
    const { text } = await post(ISSUE, "application/grpc-web+json", envelope(utf8(body)));
    expect(trailers(text)).toEqual(error);
  });
});

function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts));
}
