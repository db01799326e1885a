/** The public listener: REST, Connect, gRPC-Web and the dashboard on one HTTP/1.1 port. */
import { createServer, type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../domain/clock.ts";
import { AppError } from "../domain/errors.ts";
import type { Logger } from "../domain/logger.ts";
import type { ServiceEntry } from "../rpc/handlers.ts";
import { type Pipeline, requestIdOf } from "../rpc/pipeline.ts";
import { presentFailure } from "../rpc/presentation.ts";
import { locate, type Products, productOf } from "../rpc/product.ts";
import { type ServerTls, secureContextOptions, serverOptions } from "../tls/server-tls.ts";
import { COMMON_HEADERS, send, sendJson, TRANSPORT_SECURITY } from "./answer.ts";
import { ConnectBridge } from "./connect-bridge.ts";
import { allowOrigin } from "./cors.ts";
import { Dashboard } from "./dashboard.ts";
import { Exchange } from "./exchange.ts";
import { listen } from "./listen.ts";
import { OpenApiDocuments } from "./openapi-documents.ts";
import { clientAddress } from "./peer.ts";
import { ProviderSignIn } from "./provider-sign-in.ts";
import { handleRest, nothingHere } from "./rest-handler.ts";
import { RestRoutes } from "./rest-routes.ts";

/** What a client may take of the listener. */
export interface HttpLimits {
  /** Time to send a request's headers. */
  readonly headersMs: number;
  /** Time to send a whole request. */
  readonly requestMs: number;
  /** Time between two requests on a connection. */
  readonly keepAliveMs: number;
  /** Time in which neither side sends anything. Open streams are exempt. */
  readonly silenceMs: number;
  /** How often connections are looked at for the first two. */
  readonly checkMs: number;
  readonly headerBytes: number;
  readonly connections: number;
  /** Requests that one connection may have open at a time. */
  readonly pipelined: number;
}

const DEFAULT_LIMITS: HttpLimits = {
  headersMs: 10_000,
  requestMs: 30_000,
  // Longer than the 60 s of common proxies, so that it's the proxy that closes and no request crosses a close.
  keepAliveMs: 65_000,
  silenceMs: 90_000,
  checkMs: 2000,
  headerBytes: 16 * 1024,
  connections: 10_000,
  pipelined: 32,
};

/** Where those who verify access tokens look for keys (RFC 8615). */
const JWKS_PATH = "/.well-known/jwks.json";

/** Shorter than a key is published before it signs. */
const JWKS_HEADERS = { "Cache-Control": "public, max-age=300" };

const SHUTDOWN_GRACE_MS = 10_000;

export interface HttpServerOptions {
  readonly pipeline: Pipeline;
  /** The services of the pipeline to serve here. */
  readonly services: readonly ServiceEntry[];
  /** Say how answers on the public routes look. */
  readonly products: Products;
  readonly clock: Clock;
  /** `host:port`; port 0 picks a free one. */
  readonly address: string;
  /** Undefined serves plain text. */
  readonly tls?: ServerTls | undefined;
  /** Origins of pages that may call, or `*`; none switches CORS off. */
  readonly corsOrigins: readonly string[];
  /** Addresses and CIDR blocks whose `X-Forwarded-For` counts. */
  readonly trustedProxies: readonly string[];
  /** Where people find the dashboard, without a slash at the end; undefined where only `Host` tells. */
  readonly publicUrl?: string | undefined;
  /** The keys that verify access tokens, for others who are shown one. */
  readonly publicKeys: () => readonly object[];
  readonly logger: Logger;
  /** How long a stop waits for calls in flight. */
  readonly shutdownGraceMs?: number;
  readonly limits?: Partial<HttpLimits>;
}

export interface HttpServer {
  /** `host:port` as really bound. */
  readonly address: string;
  /** Serves new connections with another certificate. Open ones stay as they are. */
  renewTls(tls: ServerTls): void;
  /**
   * Takes no new connections, lets calls in flight finish, and after the grace ends what is left.
   * Stopping twice is stopping once.
   */
  stop(): Promise<void>;
}

/** @throws StartError when the address can't be bound. */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { pipeline, services, products, clock, corsOrigins, trustedProxies, publicUrl, publicKeys, logger } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const bridge = new ConnectBridge({ pipeline, services, clock, publicUrl });
  const providerSignIn = new ProviderSignIn({ pipeline, services, publicUrl });
  const routes = new RestRoutes(services);
  const dashboard = new Dashboard();
  const documents = new OpenApiDocuments(routes.all, products);
  const exchanges = new WeakMap<Duplex, Set<Exchange>>();
  const open = new Set<Exchange>();
  let stopped: Promise<void> | undefined;

  const { tls } = options;
  const httpOptions = {
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: limits.checkMs,
    maxHeaderSize: limits.headerBytes,
    // Ours, because the answer should look like all others.
    requireHostHeader: false,
  };
  const tlsServer = tls && createTlsServer({ ...httpOptions, ...serverOptions(tls, "http/1.1") });
  const server = tlsServer ?? createServer(httpOptions);
  server.maxConnections = limits.connections;
  server.setTimeout(limits.silenceMs);

  async function answer(exchange: Exchange): Promise<void> {
    const { request, response, path } = exchange;
    const verb = request.method ?? "";
    const refuse = (error: AppError, status: number, headers?: Readonly<Record<string, string>>): Promise<void> => {
      logger.debug({ status, requestId: exchange.requestId, peer: exchange.peer }, "request without a route");
      const product = productOf(products, { kind: "anonymous" }, exchange, undefined);
      return sendJson(exchange, { status, body: presentFailure(product, error, clock()).body }, headers);
    };

    for (const [name, value] of Object.entries(COMMON_HEADERS)) response.setHeader(name, value);
    response.setHeader("X-Request-Id", exchange.requestId);
    if (exchange.isTls && !isLocalhost(request)) response.setHeader("Strict-Transport-Security", TRANSPORT_SECURITY);
    if (request.httpVersion === "1.1" && request.headers.host === undefined) {
      response.shouldKeepAlive = false;
      return refuse(new AppError("invalid_argument", "The Host header is missing."), 400);
    }
    if (allowOrigin(request, response, corsOrigins)) return send(exchange, 204, {}, []);

    const notAllowed = (allow: readonly string[]): Promise<void> =>
      refuse(new AppError("unimplemented", `This path takes ${allow.join(", ")}.`), 405, { Allow: allow.join(", ") });
    if (bridge.serves(path)) return verb === "POST" ? bridge.handle(exchange) : notAllowed(["POST"]);
    if (providerSignIn.serves(path)) return verb === "GET" ? providerSignIn.handle(exchange) : notAllowed(["GET"]);
    if (dashboard.serves(path)) {
      return verb === "GET" || verb === "HEAD" ? dashboard.handle(exchange) : notAllowed(["GET", "HEAD"]);
    }
    const guess = productOf(products, { kind: "anonymous" }, exchange, undefined);
    const document = documents.at(path, guess);
    if (document !== undefined) {
      if (verb !== "GET" && verb !== "HEAD") return notAllowed(["GET", "HEAD"]);
      return sendJson(exchange, { status: 200, body: document });
    }
    if (path === JWKS_PATH) {
      if (verb !== "GET" && verb !== "HEAD") return notAllowed(["GET", "HEAD"]);
      return sendJson(exchange, { status: 200, body: { keys: publicKeys() } }, JWKS_HEADERS);
    }
    const located = locate(products, path);
    const match = located && routes.match(verb, located.path);
    if (located === undefined || match === undefined) return refuse(nothingHere(), 404);
    return "allow" in match
      ? notAllowed(match.allow)
      : handleRest({ pipeline, products, clock }, exchange, located.basePath, match);
  }

  function take(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void {
    const { socket } = request;
    const own = exchanges.get(socket);
    // Requests that came in one packet with the one that went too far still arrive here.
    if (own === undefined || socket.destroyed) return;
    if (own.size >= limits.pipelined) {
      socket.destroy();
      return;
    }
    // An error on either is the client leaving, which the close that follows tells.
    request.on("error", () => {});
    response.on("error", () => {});
    if (stopped !== undefined) response.shouldKeepAlive = false;
    const forwardedFor = request.headersDistinct["x-forwarded-for"]?.join(",");
    const peer = clientAddress(socket.remoteAddress, forwardedFor, trustedProxies);
    const exchange = new Exchange(request, response, peer, awaitsContinue);
    own.add(exchange);
    open.add(exchange);
    exchange.onClose(() => {
      own.delete(exchange);
      open.delete(exchange);
      if (stopped !== undefined) server.closeIdleConnections();
    });
    response.once("close", () => exchange.close());
    answer(exchange).catch((error: unknown) => {
      logger.error({ err: error, requestId: exchange.requestId }, "answer failed");
      response.destroy();
    });
  }

  /** Answers what isn't a request: malformed, too long, or too slow. */
  function refuseConnection(error: NodeJS.ErrnoException, socket: Duplex): void {
    // Its handshake failed.
    if (!exchanges.has(socket)) {
      const { code = "unknown" } = error;
      if (tls !== undefined) logger.debug({ reason: code }, "TLS handshake for HTTP failed");
      socket.destroy();
      return;
    }
    const isAnswering = [...(exchanges.get(socket) ?? [])].some(({ response }) => response.headersSent);
    if (socket.writable && !isAnswering && error.code !== "ECONNRESET") {
      const { status, failure } = CONNECTION_ERRORS[error.code ?? ""] ?? MALFORMED;
      const body = JSON.stringify(presentFailure(products.fallback, failure, clock()).body);
      const headers = {
        ...COMMON_HEADERS,
        "X-Request-Id": requestIdOf(undefined),
        "Content-Type": "application/json",
        "Content-Length": `${Buffer.byteLength(body)}`,
        Connection: "close",
      };
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}\r\n${body}`);
    }
    if (socket instanceof Socket) socket.destroySoon();
    else socket.destroy();
  }

  server.on(tls === undefined ? "connection" : "secureConnection", (socket: Socket) => {
    const own = new Set<Exchange>();
    exchanges.set(socket, own);
    // An answer that waits behind another one on its connection isn't told of its end.
    socket.once("close", () => {
      for (const exchange of own) exchange.close();
    });
  });
  server.on("request", (request, response) => take(request, response, false));
  server.on("checkContinue", (request, response) => take(request, response, true));
  server.on("checkExpectation", (request, response) => take(request, response, false));
  server.on("clientError", refuseConnection);
  // Idle connections make room for those that are turned away.
  server.on("drop", () => server.closeIdleConnections());

  const address = await listen(server, options.address, { name: "HTTP", setting: "LATCHKEY_HTTP_ADDR" });
  server.on("error", (error) => logger.error({ err: error }, "HTTP listener failed"));

  async function drain(): Promise<void> {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    server.close(() => resolve());
    for (const { response } of open) response.shouldKeepAlive = false;
    const timer = setTimeout(() => {
      for (const exchange of open) exchange.abort(new AppError("unavailable", "The server is stopping."));
      // One turn later, so that the calls just ended can still say so.
      setImmediate(() => server.closeAllConnections());
    }, options.shutdownGraceMs ?? SHUTDOWN_GRACE_MS);
    await closed;
    clearTimeout(timer);
  }

  return {
    address,
    renewTls: (renewed) => tlsServer?.setSecureContext(secureContextOptions(renewed)),
    stop: () => {
      stopped ??= drain();
      return stopped;
    },
  };
}

/** A browser would keep to TLS for whatever else is tried out there. */
function isLocalhost({ headers }: IncomingMessage): boolean {
  return /^(?:.*\.)?localhost(?::\d+)?$/i.test(headers.host ?? "");
}

interface ConnectionError {
  readonly status: number;
  readonly failure: AppError;
}

const MALFORMED: ConnectionError = {
  status: 400,
  failure: new AppError("invalid_argument", "This is not an HTTP request that can be read."),
};

const CONNECTION_ERRORS: Readonly<Record<string, ConnectionError>> = {
  HPE_HEADER_OVERFLOW: { status: 431, failure: new AppError("too_large", "The request's headers are too large.") },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: 413,
    failure: new AppError("too_large", "The chunk extensions are too large."),
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    failure: new AppError("deadline_exceeded", "The request took too long to arrive."),
  },
};
