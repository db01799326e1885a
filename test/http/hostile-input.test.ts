import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AUTHORIZED, RawClient, startTestServer, type TestServer } from "./test-server.ts";

let server: TestServer;

beforeAll(async () => {
  // A request that promises more than it sends doesn't hold a test up for long.
  server = await startTestServer({ limits: { headersMs: 100, requestMs: 100, checkMs: 10 } });
});

afterAll(() => server.stop());

const ROUTES = [
  "POST /api/v1/api-tokens",
  "GET /api/v1/api-tokens",
  "DELETE /api/v1/api-tokens/tok_1",
  "POST /api/v1/auth/login",
  "POST /latchkey.v1.TokenService/Issue",
  "POST /latchkey.v1.TokenService/List",
  "POST /latchkey.v1.IntrospectionService/BatchIntrospect",
  "POST /grpc.health.v1.Health/Watch",
];

const TYPES = [
  "application/json",
  "application/proto",
  "application/connect+json",
  "application/connect+proto",
  "application/grpc-web+proto",
  "application/grpc-web+json",
  "text/plain",
];

/** Sends the bytes as one request on its own connection, and gives its answer back. */
async function answer(head: string, body: Uint8Array = new Uint8Array()): Promise<string> {
  using client = new RawClient(server.address);
  client.write(Buffer.concat([Buffer.from(head, "latin1"), body]));
  return await client.untilClosed();
}

function expectNoFault(text: string): void {
  for (const [, status] of text.matchAll(/^HTTP\/1\.1 (\d+)/gm)) expect(Number(status)).toBeLessThan(500);
  expect(text).not.toMatch(/"code":"(?:INTERNAL|internal|unknown)"|grpc-status: (?:13|2)\r/);
  expect(server.log.lines.filter(({ level }) => level === "error")).toEqual([]);
}

/** Text that is almost what some part of the server expects. */
const almost = fc.oneof(
  fc.json(),
  fc.string({ unit: "binary" }),
  fc
    .record({ name: fc.jsonValue(), scopes: fc.jsonValue(), expiresAt: fc.jsonValue(), metadata: fc.jsonValue() })
    .map((value) => JSON.stringify(value)),
  fc.record({ email: fc.string(), password: fc.string({ unit: "binary" }) }).map((value) => JSON.stringify(value)),
  fc.constantFrom(
    '{"__proto__":{}}',
    '{"metadata":{"__proto__":"x"}}',
    '{"expiresAt":"9999-12-31T23:59:59.999999999Z"}',
    "{}",
    "",
  ),
);

const bodies = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  almost.map((text) => new TextEncoder().encode(text)),
  // In an envelope, mostly a right one.
  fc
    .tuple(
      fc.constantFrom(0, 0, 0, 1, 2, 0x80, 0xff),
      fc.uint8Array({ maxLength: 60 }),
      fc.constantFrom(0, 0, 0, 1, -1),
    )
    .map(([flags, message, error]) => {
      const bytes = Buffer.alloc(5 + message.length);
      bytes.writeUInt8(flags);
      bytes.writeUInt32BE(Math.max(0, message.length + error), 1);
      bytes.set(message, 5);
      return new Uint8Array(bytes);
    }),
);

describe("whatever is sent, the server is not at fault", () => {
  it("as a body", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...ROUTES), fc.constantFrom(...TYPES), bodies, async (route, type, body) => {
        const head = `${route} HTTP/1.1\r\nHost: a\r\nAuthorization: ${AUTHORIZED.Authorization}\r\nContent-Type: ${type}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`;
        const text = await answer(head, body);
        expect(text).toMatch(/^HTTP\/1\.1 \d/);
        expectNoFault(text);
      }),
      { numRuns: 500 },
    );
  });

  it("as a path and a query", async () => {
    const piece = fc.oneof(
      fc.string({ unit: "binary-ascii" }),
      fc.string(),
      fc.constantFrom(
        "api",
        "v1",
        "api-tokens",
        "tok_1",
        "pageSize",
        "states",
        "%",
        "%2F",
        "%00",
        "..",
        "",
        "?",
        "&",
        "=",
        "#",
      ),
    );
    const targets = fc.tuple(fc.array(piece, { maxLength: 6 }), fc.array(piece, { maxLength: 6 }));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("GET", "POST", "HEAD", "DELETE", "OPTIONS"),
        targets,
        async (verb, [path, query]) => {
          const target = `/api/v1/api-tokens/${path.join("/")}?${query.join("=")}`;
          const text = await answer(
            `${verb} ${target} HTTP/1.1\r\nHost: a\r\nAuthorization: ${AUTHORIZED.Authorization}\r\nConnection: close\r\n\r\n`,
          );
          expectNoFault(text);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("as headers", async () => {
    const names = fc.constantFrom(
      "Authorization",
      "X-Api-Key",
      "X-Request-Id",
      "X-Forwarded-For",
      "Content-Type",
      "Content-Length",
      "Content-Encoding",
      "Transfer-Encoding",
      "Connect-Timeout-Ms",
      "Grpc-Timeout",
      "Grpc-Encoding",
      "Expect",
      "Origin",
      "Host",
    );
    const values = fc.oneof(
      fc.string(),
      fc.string({ unit: "binary" }),
      fc.nat().map(String),
      fc.constantFrom("1S", "gzip", "chunked"),
    );
    const headers = fc.array(fc.tuple(names, values), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...ROUTES), headers, async (route, pairs) => {
        const lines = pairs.map(([name, value]) => `${name}: ${value}\r\n`).join("");
        expectNoFault(await answer(`${route} HTTP/1.1\r\nHost: a\r\n${lines}Connection: close\r\n\r\n`));
      }),
      { numRuns: 500 },
    );
  });

  it("as anything at all", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 500 }), async (bytes) => {
        using client = new RawClient(server.address);
        client.write(bytes).socket.end();
        expectNoFault(await client.untilClosed());
      }),
      { numRuns: 200 },
    );
  });

  it("and it still serves", async () => {
    const response = await fetch(`${server.url}/api/v1/api-tokens`, { headers: AUTHORIZED });
    expect(response.status).toBe(200);
  });
});
