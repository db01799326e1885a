import { request as httpRequest } from "node:http";
import { Readable } from "node:stream";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TokenState, type UpdateRequest } from "../../gen/latchkey/v1/token_pb.ts";
import { AppError } from "../../src/domain/errors.ts";
import { AUTHORIZED, CANARY, JSON_TYPE, RawClient, rawBody, startTestServer, type TestServer } from "./test-server.ts";

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(() => server.stop());

async function call(
  verb: string,
  path: string,
  init: RequestInit = {},
): Promise<{ status: number; headers: Headers; body: unknown }> {
  const response = await fetch(server.url + path, { method: verb, headers: AUTHORIZED, ...init });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === "" ? undefined : JSON.parse(text) };
}

const post = (path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
  call("POST", path, { headers: { ...AUTHORIZED, ...JSON_TYPE, ...headers }, body });

const error = (code: string, message: string) => ({ error: { code, message } });

describe("the documented Watchplane routes", () => {
  it("issue answers 201 with the token, this once", async () => {
    const { status, body } = await post("/api/v1/api-tokens", '{"name":"CI pipeline"}');
    expect(status).toBe(201);
    expect(body).toEqual({
      data: { id: "tok_1", name: "CI pipeline", token: "wp_secret", createdAt: "2025-01-15T10:00:00Z" },
    });
  });

  it("list answers metadata and never a token", async () => {
    const { status, body } = await call("GET", "/api/v1/api-tokens");
    expect(status).toBe(200);
    expect(body).toEqual({
      data: [{ id: "tok_1", name: "CI pipeline", lastUsedAt: null, createdAt: "2025-01-15T10:00:00Z" }],
    });
  });

  it("list names the next page beside the data, only when there is one", async () => {
    const { body } = await call("GET", "/api/v1/api-tokens?pageSize=1");
    expect(body).toMatchObject({ nextPageToken: "more" });
  });

  it("get answers metadata", async () => {
    const { status, body } = await call("GET", "/api/v1/api-tokens/tok_1");
    expect(status).toBe(200);
    expect(body).toEqual({
      data: { id: "tok_1", name: "CI pipeline", lastUsedAt: null, createdAt: "2025-01-15T10:00:00Z" },
    });
  });

  it("revoke answers 200 with a message", async () => {
    const { status, body } = await call("DELETE", "/api/v1/api-tokens/tok_1");
    expect(status).toBe(200);
    expect(body).toEqual({ message: "API token revoked" });
  });

  it("login and refresh need no credential and answer a session", async () => {
    const login = await call("POST", "/api/v1/auth/login", {
      headers: JSON_TYPE,
      body: '{"email":"you@example.com","password":"your-password"}',
    });
    expect(login.status).toBe(200);
    expect(login.body).toEqual({
      data: { accessToken: "access", refreshToken: "refresh", user: { id: "usr_1", email: "you@example.com" } },
    });
    const refresh = await call("POST", "/api/v1/auth/refresh-token", {
      headers: JSON_TYPE,
      body: '{"refreshToken":"refresh"}',
    });
    expect(refresh.body).toEqual({ data: { accessToken: "access2", refreshToken: "refresh2" } });
  });
});

describe("times", () => {
  it("print whole seconds without a fraction, others with milliseconds, in UTC", async () => {
    const at = (text: string) => timestampFromDate(new Date(text));
    await using other = await startTestServer({
      tokens: {
        get: async () => ({
          token: { createdAt: at("2025-01-15T12:00:00+02:00"), lastUsedAt: at("2025-01-15T10:30:00.250Z") },
        }),
      },
    });
    const response = await fetch(`${other.url}/api/v1/api-tokens/tok_1`, { headers: AUTHORIZED });
    expect(await response.json()).toMatchObject({
      data: { createdAt: "2025-01-15T10:00:00Z", lastUsedAt: "2025-01-15T10:30:00.250Z" },
    });
  });
});

describe("credentials", () => {
  it("are asked for before the body is read", async () => {
    using client = new RawClient(server.address);
    // The body never comes.
    client.write("POST /api/v1/api-tokens HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n");
    const text = await client.until(/\}\}$/);
    expect(text).toMatch(/^HTTP\/1\.1 401 /);
    expect(text).toMatch(/\r\nWWW-Authenticate: Bearer realm="latchkey"\r\n/);
    expect(rawBody(text)).toMatchObject({ error: { code: "UNAUTHENTICATED" } });
  });

  it("that don't work get one answer, whatever is asked", async () => {
    for (const path of ["/api/v1/api-tokens", "/api/v1/api-tokens/nope", "/api/v1/api-tokens?nope=1"]) {
      const { status, body } = await call("GET", path, { headers: { Authorization: "Bearer nope" } });
      expect(status).toBe(401);
      expect(body).toEqual(error("UNAUTHENTICATED", "The credential is not valid."));
    }
  });

  it("that are sent twice don't count, whichever header it is", async () => {
    for (const header of ["Authorization: Bearer good-access-token", "X-Api-Key: good-access-token"]) {
      using client = new RawClient(server.address);
      client.write(`GET /api/v1/api-tokens HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${header}\r\n${header}\r\n\r\n`);
      expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 401 /);
    }
  });

  it("that can't be checked say nothing of why", async () => {
    const { status, body } = await call("GET", "/api/v1/api-tokens", {
      headers: { Authorization: "Bearer broken-store", "X-Request-Id": "broken-1" },
    });
    expect(status).toBe(500);
    expect(body).toEqual(error("INTERNAL", "Something went wrong here. The request id is broken-1."));
    const away = await call("GET", "/api/v1/api-tokens", { headers: { Authorization: "Bearer store-away" } });
    expect(away.status).toBe(503);
  });
});

describe("a body", () => {
  const issue = (body: string, headers?: Record<string, string>) => post("/api/v1/api-tokens", body, headers);

  it("of nothing is an empty object", async () => {
    const { status, body } = await call("POST", "/api/v1/api-tokens");
    expect(status).toBe(400);
    expect(body).toEqual(error("INVALID_ARGUMENT", "name: is required"));
  });

  it("may come in chunks", async () => {
    const body = Readable.toWeb(Readable.from(['{"name"', ':"in chunks"}'].map((text) => Buffer.from(text))));
    const response = await fetch(`${server.url}/api/v1/api-tokens`, {
      method: "POST",
      headers: { ...AUTHORIZED, ...JSON_TYPE },
      body: body as ReadableStream,
      duplex: "half",
    });
    expect(await response.json()).toMatchObject({ data: { name: "in chunks" } });
  });

  it.each([
    ["{", "The request body is not JSON."],
    ['{"name": NaN}', "The request body is not JSON."],
    ['{"name": Infinity}', "The request body is not JSON."],
    ["not json", "The request body is not JSON."],
    ["[]", "The request body must be a JSON object."],
    ["null", "The request body must be a JSON object."],
    ['"text"', "The request body must be a JSON object."],
    ["1", "The request body must be a JSON object."],
    ['{"nme":"x"}', "nme: is not a field of the request"],
    ['{"name":1}', "name: must be a string of valid Unicode"],
    [String.raw`{"name":"\ud800"}`, "name: must be a string of valid Unicode"],
    ['{"name":"x","name":"y"}', "name: is given twice"],
    [String.raw`{"name":"x","n\u0061me":"y"}`, "name: is given twice"],
    ['{"expires_at":null,"expiresAt":null}', "expiresAt: is given twice"],
    ['{"scopes":"x"}', "scopes: must be an array"],
    [
      '{"scopes":["x",{},2]}',
      "scopes[1]: must be a string of valid Unicode; scopes[2]: must be a string of valid Unicode",
    ],
    ['{"metadata":{"a":1}}', "metadata: must be an object with values of the right type"],
    ['{"expiresAt":"tomorrow"}', "expiresAt: must be a time like 2025-01-15T10:00:00Z"],
    ['{"expires_at":{"seconds":1}}', "expires_at: must be a time like 2025-01-15T10:00:00Z"],
    ['{"__proto__":{"name":"x"}}', "__proto__: is not a field of the request"],
    ['{"constructor":{}}', "constructor: is not a field of the request"],
    ['{"a":1,"b":2}', "a: is not a field of the request; b: is not a field of the request"],
  ])("%s is refused by name, not by value", async (body, message) => {
    const answer = await issue(body);
    expect(answer.status).toBe(400);
    expect(answer.body).toEqual(error("INVALID_ARGUMENT", message));
  });

  it.each([
    `{"name":{"${CANARY}":1}}`,
    `{"name":["${CANARY}"]}`,
    `{"scopes":[["${CANARY}"]]}`,
    `{"expiresAt":"${CANARY}"}`,
    `{"metadata":{"${CANARY}":{}}}`,
    `{"metadata":{"a":["${CANARY}"]}}`,
    `{"name":"${CANARY}"`,
    CANARY,
    `"${CANARY}"`,
    `{"ipAllowlist":{"a":"${CANARY}"}}`,
    `{"wp_${CANARY.repeat(7)}":1}`,
    `{"${CANARY} with a blank":1}`,
  ])("%s doesn't come back, nor into the log", async (body) => {
    const { status, body: answer } = await issue(body, { "X-Request-Id": "canary-1" });
    expect(status).toBe(400);
    expect(JSON.stringify(answer)).not.toContain(CANARY);
    await server.log.call("canary-1");
    expect(server.log.text().includes(CANARY)).toBe(false);
  });

  it("names at most a handful of faults", async () => {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`f${index}`, 0]));
    const { status, body } = await issue(JSON.stringify(many));
    expect(status).toBe(400);
    expect(JSON.stringify(body).length).toBeLessThan(1000);
  });

  it("doesn't change the prototype of anything", async () => {
    const { status } = await issue('{"name":"x","metadata":{"__proto__":"polluted","toString":"x"}}');
    expect(status).toBe(201);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });

  it("nested without end is refused", async () => {
    const depth = 30_000;
    for (const body of [
      "[".repeat(depth) + "]".repeat(depth),
      `{"metadata":${'{"a":'.repeat(depth / 3)}1${"}".repeat(depth / 3)}}`,
    ]) {
      expect((await issue(body)).status).toBe(400);
    }
  });

  it("that isn't UTF-8 is refused", async () => {
    const bytes = Buffer.concat([Buffer.from('{"name":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    const { status, body } = await post("/api/v1/api-tokens", new Uint8Array(bytes));
    expect(status).toBe(400);
    expect(body).toEqual(error("INVALID_ARGUMENT", "The request body is not UTF-8."));
  });

  it.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/jsonp",
    "application/json; charset=latin1",
    "",
  ])("of type %j is refused", async (type) => {
    const { status, body } = await issue('{"name":"x"}', { "Content-Type": type });
    expect(status).toBe(415);
    expect(body).toEqual(error("INVALID_ARGUMENT", "The body must be application/json."));
  });

  it.each(["application/json; charset=utf-8", "application/json;charset=UTF-8", 'Application/JSON; charset="utf-8"'])(
    "of type %s is taken",
    async (type) => expect((await issue('{"name":"x"}', { "Content-Type": type })).status).toBe(201),
  );

  it("that is compressed is refused", async () => {
    expect((await issue('{"name":"x"}', { "Content-Encoding": "gzip" })).status).toBe(415);
  });

  it("on a route without one is refused", async () => {
    const { status, body } = await call("DELETE", "/api/v1/api-tokens/tok_1", {
      headers: { ...AUTHORIZED, ...JSON_TYPE },
      body: '{"id":"tok_2"}',
    });
    expect(status).toBe(400);
    expect(body).toEqual(error("INVALID_ARGUMENT", "This route takes no body."));
  });

  it("up to the limit is taken, one byte more is not", async () => {
    const ofLength = (length: number): string => `{"name":"x"${" ".repeat(length - 12)}}`;
    expect((await issue(ofLength(64 * 1024))).status).toBe(201);
    const { status, body } = await issue(ofLength(64 * 1024 + 1));
    expect(status).toBe(413);
    expect(body).toEqual(error("RESOURCE_EXHAUSTED", "The request is larger than 65536 bytes."));
  });

  it("of a megabyte is refused by its length, and the client gets the answer", async () => {
    const { status, headers } = await issue("x".repeat(1024 * 1024));
    expect(status).toBe(413);
    expect(headers.get("connection")).toBe("close");
  });

  it("in chunks is refused once it is over the limit", async () => {
    const { hostname, port } = new URL(server.url);
    const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
    const request = httpRequest(
      { hostname, port, method: "POST", path: "/api/v1/api-tokens", headers: { ...AUTHORIZED, ...JSON_TYPE } },
      (response) => {
        resolve(response.statusCode);
        response.resume();
        request.destroy();
      },
    );
    request.on("error", reject);
    const more = (): void => {
      if (!request.destroyed) request.write("x".repeat(8 * 1024), more);
    };
    more();
    expect(await promise).toBe(413);
  });

  it("is taken by introspection up to a larger limit", async () => {
    const path = "/latchkey.v1.IntrospectionService/Introspect";
    expect((await post(path, JSON.stringify({ token: "x".repeat(1024 * 1024) }))).status).toBe(200);
  });
});

describe("the body of a change", () => {
  const received: string[][] = [];
  let other: TestServer;

  beforeAll(async () => {
    const update = async ({ updateMask }: UpdateRequest) => {
      received.push(updateMask?.paths.toSorted() ?? []);
      return { token: {} };
    };
    other = await startTestServer({ tokens: { update } });
  });

  afterAll(() => other.stop());

  const patch = async (body: string): Promise<{ status: number; body: unknown }> => {
    const init = { method: "PATCH", headers: { ...AUTHORIZED, ...JSON_TYPE }, body };
    const response = await fetch(`${other.url}/api/v1/api-tokens/tok_1`, init);
    return { status: response.status, body: await response.json() };
  };

  it.each([
    ['{"name":"x"}', ["name"]],
    ['{"expires_at":null,"ipAllowlist":[],"enabled":false}', ["enabled", "expires_at", "ip_allowlist"]],
    ['{"metadata":{"name":"x"},"scopes":null}', ["metadata", "scopes"]],
    ['{"id":"tok_2","organizationId":"x","idempotencyKey":"k","name":"x"}', ["name"]],
    ['{"name":"x","updateMask":"ip_allowlist,expiresAt"}', ["expires_at", "ip_allowlist"]],
    ['{"name":"x","update_mask":"name"}', ["name"]],
    ['{"name":"x","updateMask":""}', ["name"]],
    ['{"name":"x","updateMask":null}', ["name"]],
    ['{"updateMask":""}', []],
    ["{}", []],
    ["", []],
  ])("%s changes %j", async (body, paths) => {
    expect((await patch(body)).status).toBe(200);
    expect(received.pop()).toEqual(paths);
  });

  const allowed = "name, enabled, permission, scopes, ipAllowlist, expiresAt, metadata";

  it.each([
    ['{"name":"x","name":"y"}', "name: is given twice"],
    ['{"metadata":{"a":"1","a":"2"}}', "a: is given twice"],
    ['{"expiresAt":null,"expires_at":null}', "expires_at: is given twice"],
    ['{"updateMask":"name","update_mask":"name"}', "update_mask: is given twice"],
    ['{"updateMask":"name,,scopes"}', `updateMask: must be among ${allowed}`],
    ['{"updateMask":"name, scopes"}', `updateMask: must be among ${allowed}`],
    ['{"updateMask":"id"}', `updateMask: must be among ${allowed}`],
    ['{"updateMask":"*"}', `updateMask: must be among ${allowed}`],
    [`{"updateMask":"wp_${CANARY}"}`, `updateMask: must be among ${allowed}`],
    ['{"updateMask":["name"]}', "updateMask: must be a list of fields like name,ipAllowlist"],
    ['{"__proto__":{"name":"x"}}', "__proto__: is not a field of the request"],
    ['{"enabled":"false"}', "enabled: must be true or false"],
    ['{"type":"x"}', "type: is not a field of the request"],
    ["[]", "The request body must be a JSON object."],
    ["null", "The request body must be a JSON object."],
    ['{"name":"x"', "The request body is not JSON."],
  ])("%s is refused", async (body, message) => {
    expect(await patch(body)).toEqual({ status: 400, body: error("INVALID_ARGUMENT", message) });
    expect(received).toEqual([]);
  });
});

describe("a query", () => {
  const list = (query: string) => call("GET", `/api/v1/api-tokens?${query}`);

  it("takes both spellings, repeats lists, and knows enum values by name and number", async () => {
    await using other = await startTestServer({
      tokens: {
        list: async (request) => ({
          nextPageToken: JSON.stringify([request.pageSize, request.pageToken, request.states]),
        }),
      },
    });
    const answer = async (query: string): Promise<unknown> => {
      const response = await fetch(`${other.url}/api/v1/api-tokens?${query}`, { headers: AUTHORIZED });
      return JSON.parse(((await response.json()) as { nextPageToken: string }).nextPageToken);
    };
    const { ACTIVE, REVOKED } = TokenState;
    expect(await answer("page_size=3&pageToken=a%20b+c%2B")).toEqual([3, "a b c+", []]);
    expect(await answer("states=TOKEN_STATE_ACTIVE&states=4")).toEqual([0, "", [ACTIVE, REVOKED]]);
    expect(await answer("&pageSize=3&&")).toEqual([3, "", []]);
  });

  it.each([
    ["nope=1", "nope: is not a parameter here"],
    ["page_size=1&nope", "nope: is not a parameter here"],
    ["pageSize=1&page_size=2", "page_size: must be given once"],
    ["pageSize=x", "pageSize: must be a 32-bit integer"],
    ["page_size=99999999999", "page_size: must be a 32-bit integer"],
    ["page_size=", "page_size: must be a 32-bit integer"],
    ["pageToken=%ff", "pageToken: must be percent-encoded UTF-8"],
    ["__proto__=1", "__proto__: is not a parameter here"],
    ["pageSize.x=1", "pageSize.x: is not a parameter here"],
    ["=1", "(a name not shown): is not a parameter here"],
    ["%ff=1", "(a name not shown): is not a parameter here"],
    ["page_size=-1", "page_size: must be greater than or equal to 0"],
  ])("%s is refused by name", async (query, message) => {
    const { status, body } = await list(query);
    expect(status).toBe(400);
    expect(body).toEqual(error("INVALID_ARGUMENT", message));
  });

  it("with unknown enum values names the known ones", async () => {
    const { body } = await list("states=GONE");
    expect(body).toMatchObject({
      error: { message: expect.stringMatching(/^states: must be one of .*TOKEN_STATE_ACTIVE/) as string },
    });
  });

  it("can't name what the path names", async () => {
    const { status, body } = await call("GET", "/api/v1/api-tokens/tok_1?id=tok_2");
    expect(status).toBe(400);
    expect(body).toEqual(error("INVALID_ARGUMENT", "id: is not a parameter here"));
  });

  it("is nothing on a route that takes everything from the body", async () => {
    const { status, body } = await post("/api/v1/api-tokens?name=x", '{"name":"x"}');
    expect(status).toBe(400);
    expect(body).toEqual(error("INVALID_ARGUMENT", "name: is not a parameter here"));
  });
});

describe("a path", () => {
  it("may end in a slash", async () => {
    expect((await call("GET", "/api/v1/api-tokens/")).status).toBe(200);
    expect((await call("GET", "/api/v1/api-tokens/tok_1/")).status).toBe(200);
  });

  it("is percent-decoded in its variables", async () => {
    expect((await call("GET", "/api/v1/api-tokens/%74ok_1")).status).toBe(200);
  });

  it.each(["tok_2", "%zz", "%ff", "tok%2F1", "..%2f..", "%00", "a%0d%0ab", "%F0%9F%94%91"])(
    "with %s for an id is the same 404 as any unknown id",
    async (id) => {
      const { status, body } = await call("GET", `/api/v1/api-tokens/${id}`);
      expect(status).toBe(404);
      expect(body).toEqual(error("NOT_FOUND", "No such token."));
    },
  );

  it.each([
    "/api/v1",
    "/api/v1/api-tokens//",
    "/api/v1/api-tokens/a/b",
    "/API/v1/api-tokens",
    "//api/v1/api-tokens",
    "/latchkey.v1.TokenService/Nope",
  ])("%s is nowhere", async (path) => {
    using client = new RawClient(server.address);
    client.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    const text = await client.untilClosed();
    expect(text).toMatch(/^HTTP\/1\.1 404 /);
    expect(rawBody(text)).toEqual(error("NOT_FOUND", "There is nothing at this path."));
  });

  it("may come in the absolute form that proxies use", async () => {
    using client = new RawClient(server.address);
    client.write(
      `GET http://api.example.com/api/v1/api-tokens HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: ${AUTHORIZED.Authorization}\r\n\r\n`,
    );
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 200 /);
  });

  it("with another method answers 405 and says which there are", async () => {
    const collection = await call("PUT", "/api/v1/api-tokens");
    expect(collection.status).toBe(405);
    expect(collection.headers.get("allow")).toBe("GET, HEAD, POST");
    expect(collection.body).toEqual(error("UNIMPLEMENTED", "This path takes GET, HEAD, POST."));
    expect((await call("POST", "/api/v1/api-tokens/tok_1")).headers.get("allow")).toBe("DELETE, GET, HEAD, PATCH");
    expect((await call("GET", "/api/v1/auth/login")).headers.get("allow")).toBe("POST");
    expect((await call("OPTIONS", "/api/v1/api-tokens")).status).toBe(405);
  });

  it("with HEAD is GET without the body", async () => {
    const [head, get] = await Promise.all([call("HEAD", "/api/v1/api-tokens"), call("GET", "/api/v1/api-tokens")]);
    expect(head.status).toBe(200);
    expect(head.body).toBeUndefined();
    expect(head.headers.get("content-length")).toBe(get.headers.get("content-length"));
  });
});

describe("a failing handler", () => {
  it("leaks nothing, and the log says what it was", async () => {
    await using other = await startTestServer({
      tokens: {
        list: () => Promise.reject(new Error(`select * from ${CANARY}`)),
        get: () => {
          throw new TypeError(`${CANARY} is not a function`);
        },
        revoke: () => Promise.reject(new AppError("failed_precondition", "Not now.", { cause: new Error(CANARY) })),
        // What no client asked for: a time that has no RFC 3339 form.
        issue: async () => ({ token: { createdAt: { seconds: 10n ** 17n, nanos: 0 } }, secret: CANARY }),
      },
    });
    const answers = await Promise.all(
      [
        ["GET", "/api/v1/api-tokens"],
        ["GET", "/api/v1/api-tokens/tok_1"],
        ["DELETE", "/api/v1/api-tokens/tok_1"],
        ["POST", "/api/v1/api-tokens", '{"name":"x"}'],
      ].map(async ([method = "", path = "", body], index) => {
        const headers = { ...AUTHORIZED, ...JSON_TYPE, "X-Request-Id": `fail-${index}` };
        const response = await fetch(other.url + path, { method, headers, ...(body === undefined ? {} : { body }) });
        return [response.status, await response.text()];
      }),
    );
    expect(answers.map(([status]) => status)).toEqual([500, 500, 400, 500]);
    expect(JSON.stringify(answers)).not.toContain(CANARY);
    expect(other.log.lines.filter(({ message }) => message === "call failed")).toHaveLength(4);
  });
});

describe("a call", () => {
  it("carries what the transport knows", async () => {
    await post("/api/v1/api-tokens", '{"name":"x"}', { "X-Request-Id": "know-1", "Idempotency-Key": "k" });
    const handled = server.handled.find(({ requestId }) => requestId === "know-1");
    expect(handled).toMatchObject({ surface: "public", protocol: "rest", peer: "127.0.0.1" });
    expect(handled?.header("idempotency-key")).toBe("k");
  });

  it("is logged once, however it ends", async () => {
    const ends: [string, string, RequestInit][] = [
      ["OK", "/api/v1/api-tokens", {}],
      ["UNAUTHENTICATED", "/api/v1/api-tokens", {}],
      ["NOT_FOUND", "/api/v1/api-tokens/tok_2", {}],
      ["INVALID_ARGUMENT", "/api/v1/api-tokens", { method: "POST", body: "{" }],
      ["RESOURCE_EXHAUSTED", "/api/v1/api-tokens", { method: "POST", body: "x".repeat(100_000) }],
    ];
    for (const [index, [code, path, init]] of ends.entries()) {
      const requestId = `once-${index}`;
      const credential = code === "UNAUTHENTICATED" ? {} : AUTHORIZED;
      const headers = { ...credential, ...JSON_TYPE, "X-Request-Id": requestId };
      await (await fetch(server.url + path, { ...init, headers })).text();
      expect(await server.log.call(requestId)).toMatchObject({ code, protocol: "rest", peer: "127.0.0.1" });
      expect(
        server.log.lines.filter((line) => line.message === "call" && line["requestId"] === requestId),
      ).toHaveLength(1);
    }
  });

  it("ends when its client leaves", async () => {
    const started = Promise.withResolvers<void>();
    await using other = await startTestServer({
      tokens: {
        list: () => {
          started.resolve();
          return Promise.withResolvers<never>().promise;
        },
      },
    });
    const controller = new AbortController();
    const headers = { ...AUTHORIZED, "X-Request-Id": "gone-1" };
    const answer = fetch(`${other.url}/api/v1/api-tokens`, { headers, signal: controller.signal });
    await started.promise;
    controller.abort();
    await expect(answer).rejects.toThrow("This operation was aborted");
    expect(await other.log.call("gone-1")).toMatchObject({ code: "CANCELLED" });
    expect(other.log.lines.filter(({ level }) => level === "error")).toEqual([]);
  });

  it("ends when its client leaves in the middle of the body", async () => {
    using client = new RawClient(server.address);
    client.write(
      `POST /api/v1/api-tokens HTTP/1.1\r\nHost: a\r\nX-Request-Id: half-1\r\nExpect: 100-continue\r\nAuthorization: ${AUTHORIZED.Authorization}\r\nContent-Length: 50\r\n\r\n`,
    );
    // Asked for the body, so the server is reading it.
    expect(await client.until(/\r\n\r\n/)).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    client.write('{"name');
    client.socket.destroy();
    expect(await server.log.call("half-1")).toMatchObject({ code: "CANCELLED" });
  });
});
