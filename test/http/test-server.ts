/** A real HTTP server on a free port, with small handlers behind the real services. */
import { connect, type Socket } from "node:net";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Health, HealthCheckResponse_ServingStatus } from "../../gen/grpc/health/v1/health_pb.ts";
import { AuthService } from "../../gen/latchkey/v1/auth_pb.ts";
import { IntrospectionService } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { AppError, invalidCredential, notFound } from "../../src/domain/errors.ts";
import type { Profile } from "../../src/domain/profile.ts";
import { type HttpServer, type HttpServerOptions, startHttpServer } from "../../src/http/http-server.ts";
import { loadProfiles } from "../../src/profiles/load-profiles.ts";
import type { Call } from "../../src/rpc/call.ts";
import { type Handlers, serviceEntry } from "../../src/rpc/handlers.ts";
import { Pipeline } from "../../src/rpc/pipeline.ts";

export const ACCESS_TOKEN = "good-access-token";
export const AUTHORIZED = { Authorization: `Bearer ${ACCESS_TOKEN}` };
export const JSON_TYPE = { "Content-Type": "application/json" };

/** Put where a secret may go by mistake; it must come out nowhere. */
export const CANARY = "cAnArY7";

const profiles = loadProfiles(undefined);
const watchplane = theProfile("watchplane");

const CREATED_AT = new Date("2025-01-15T10:00:00Z");

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** Keeps what is logged, and lets a test wait for a line. */
export class TestLog {
  readonly lines: LogLine[] = [];
  #waiting: (() => void)[] = [];

  #add(level: string, fields: object, message: string): void {
    this.lines.push({ ...fields, level, message });
    for (const check of this.#waiting.splice(0)) check();
  }

  readonly debug = (fields: object, message: string): void => this.#add("debug", fields, message);
  readonly info = (fields: object, message: string): void => this.#add("info", fields, message);
  readonly warn = (fields: object, message: string): void => this.#add("warn", fields, message);
  readonly error = (fields: object, message: string): void => this.#add("error", fields, message);

  async until(matches: (line: LogLine) => boolean): Promise<LogLine> {
    for (;;) {
      const found = this.lines.find(matches);
      if (found !== undefined) return found;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      await promise;
    }
  }

  /** The line of a finished call. */
  call(requestId: string): Promise<LogLine> {
    return this.until((line) => line.message === "call" && line["requestId"] === requestId);
  }

  /** Everything as text, errors with their messages and causes. */
  text(): string {
    return JSON.stringify(this.lines, (_, value: unknown) =>
      value instanceof Error ? { name: value.name, message: value.message, cause: value.cause } : value,
    );
  }
}

export interface TestServer extends HttpServer, AsyncDisposable {
  readonly url: string;
  readonly log: TestLog;
  /** Every call that reached a handler. */
  readonly handled: Call[];
}

export interface TestServerOptions extends Partial<Omit<HttpServerOptions, "pipeline" | "services" | "logger">> {
  readonly tokens?: Partial<Handlers<typeof TokenService>>;
  readonly auth?: Partial<Handlers<typeof AuthService>>;
  readonly watch?: Handlers<typeof Health>["watch"];
}

export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const log = new TestLog();
  const handled: Call[] = [];
  const token = (id: string, name = "CI pipeline") => ({ id, name, createdAt: timestampFromDate(CREATED_AT) });
  const services = [
    serviceEntry(TokenService, "nobody", {
      issue: async (request, call) => {
        handled.push(call);
        return { token: token("tok_1", request.name), secret: "wp_secret" };
      },
      get: async (request) => {
        if (request.id !== "tok_1") throw notFound("token");
        return { token: token("tok_1") };
      },
      list: async (request, call) => {
        handled.push(call);
        return { tokens: [token("tok_1")], nextPageToken: request.pageSize === 1 ? "more" : "" };
      },
      getSelf: async () => ({ token: token("tok_1") }),
      update: async (request) => {
        if (request.id !== "tok_1") throw notFound("token");
        return { token: token("tok_1", request.name) };
      },
      revoke: async (request) => {
        if (request.id !== "tok_1") throw notFound("token");
        return { token: token("tok_1") };
      },
      rotate: async () => ({ token: token("tok_1"), secret: "wp_rotated" }),
      finishRotation: async () => ({ token: token("tok_1") }),
      cancelRotation: async () => ({ token: token("tok_1") }),
      import: async () => ({}),
      revokeMany: async () => ({ count: 1 }),
      ...options.tokens,
    }),
    serviceEntry(AuthService, "public", {
      login: async (request, call) => {
        handled.push(call);
        return { accessToken: "access", refreshToken: "refresh", user: { id: "usr_1", email: request.email } };
      },
      refreshToken: async () => ({ accessToken: "access2", refreshToken: "refresh2" }),
      register: async () => ({}),
      restorePassword: async () => ({}),
      resetPassword: async () => ({}),
      acceptInvitation: async () => ({}),
      joinOrganization: async () => ({}),
      logout: async () => ({}),
      changePassword: async () => ({}),
      ...options.auth,
    }),
    serviceEntry(IntrospectionService, "nobody", {
      introspect: async () => ({ active: false }),
      batchIntrospect: async ({ requests }) => ({ responses: requests.map(() => ({ active: false })) }),
    }),
    serviceEntry(Health, "anybody", {
      check: async () => ({ status: HealthCheckResponse_ServingStatus.SERVING }),
      list: async () => ({}),
      watch:
        options.watch ??
        async function* () {
          yield { status: HealthCheckResponse_ServingStatus.NOT_SERVING };
          yield { status: HealthCheckResponse_ServingStatus.SERVING };
        },
    }),
  ];
  const pipeline = new Pipeline(services, {
    authenticate: async ({ value }) => {
      if (value === "broken-store") throw new Error("select * from tokens");
      if (value === "store-away") throw new AppError("unavailable", "Try again later.");
      if (value !== ACCESS_TOKEN) throw invalidCredential();
      const id = "019a0000-0000-7000-8000-000000000001";
      return { kind: "user", userId: id, organizationId: id, role: "admin", sessionId: id, profile: "watchplane" };
    },
    logger: log,
  });
  const server = await startHttpServer({
    publicKeys: () => [],
    products: { profiles, byHost: new Map(), fallback: watchplane },
    clock: Date.now,
    address: "127.0.0.1:0",
    corsOrigins: [],
    trustedProxies: [],
    // So that a test that hangs on to a connection ends soon.
    shutdownGraceMs: 100,
    ...options,
    pipeline,
    services,
    logger: log,
  });
  return { ...server, url: `http://${server.address}`, log, handled, [Symbol.asyncDispose]: () => server.stop() };
}

/** A connection that is written to byte by byte. */
export class RawClient {
  readonly socket: Socket;
  received = "";
  #waiting: (() => void)[] = [];

  constructor(address: string) {
    const { hostname, port } = new URL(`http://${address}`);
    this.socket = connect(Number(port), hostname);
    this.socket.setEncoding("latin1");
    // A reset is one of the ways in which a server may end it.
    this.socket.on("error", () => {});
    this.socket.on("data", (text: string) => {
      this.received += text;
      for (const check of this.#waiting.splice(0)) check();
    });
    this.socket.on("close", () => {
      for (const check of this.#waiting.splice(0)) check();
    });
  }

  write(text: string | Uint8Array): this {
    this.socket.write(text);
    return this;
  }

  /** Resolves with all that came so far once it matches, or at the end of the connection. */
  async until(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.received) && !this.socket.closed) await this.#change();
    return this.received;
  }

  /** Resolves with all that came once the server has closed the connection. */
  async untilClosed(): Promise<string> {
    while (!this.socket.closed) await this.#change();
    return this.received;
  }

  #change(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    return promise;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** The body of the last answer in a raw text of answers. */
export function rawBody(text: string): unknown {
  return JSON.parse(text.slice(text.lastIndexOf("\r\n\r\n") + 4));
}

function theProfile(id: string): Profile {
  const profile = profiles.get(id);
  if (profile === undefined) throw new Error(`no profile ${id}`);
  return profile;
}
