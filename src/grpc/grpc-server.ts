/** The gRPC listener: binds, limits what a connection may cost, and stops without dropping answers. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server as Listener, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { logVerbosity, ServerCredentials, type ServerOptions, setLogVerbosity } from "@grpc/grpc-js";
import type { Logger } from "../domain/logger.ts";
import { StartError } from "../domain/start-error.ts";
import { MAX_REQUEST_BYTES } from "../rpc/limits.ts";
import type { Pipeline } from "../rpc/pipeline.ts";
import { type ServerTls, secureContextOptions, serverOptions } from "../tls/server-tls.ts";
import { pipelineInterceptor, serviceDefinition } from "./adapter.ts";
import { refusalOf } from "./client-certificate.ts";
import { directCalls } from "./direct-calls.ts";
import { peerAddress } from "./exchange.ts";
import { OpenCalls } from "./open-calls.ts";
import { serverWithStreams } from "./stream-server.ts";
import { capTimeoutHeaders } from "./timeout-header.ts";

export interface GrpcServerOptions {
  readonly pipeline: Pipeline;
  /** `host:port`, with IPv6 hosts in brackets. Port 0 picks a free one. */
  readonly address: string;
  /** Whether other threads listen on the address too: the first of them finds out whether it is free. */
  readonly sharing?: "none" | "first" | "further";
  /** Undefined serves plain text. */
  readonly tls?: ServerTls | undefined;
  /** Whether a connection needs a client certificate of one of TLS's authorities. */
  readonly requiresClientCertificate?: boolean;
  readonly logger: Logger;
  /** How long calls may go on after `stop`, in milliseconds. */
  readonly shutdownGraceMs?: number;
}

export interface GrpcServer {
  /** `host:port` that is really bound. */
  readonly address: string;
  /** Serves new connections with another certificate. Open ones stay as they are. */
  renewTls(tls: ServerTls): void;
  /** Takes no new calls, lets those that run finish, then cuts what is left. Idempotent; never rejects. */
  stop(): Promise<void>;
}

/** Enough to keep a busy backend's connection full, and a bound on what one connection can hold open. */
const MAX_CONCURRENT_STREAMS = 100;

/** More than any fleet of backends keeps open; clients that only ever connect end here, and not at the open-file limit. */
const MAX_CONNECTIONS = 2_000;

const LIMITS: ServerOptions = {
  // The slack lets a request that is just over the limit reach our own answer, which says so plainly.
  "grpc.max_receive_message_length": MAX_REQUEST_BYTES + 1_024,
  // No answer comes near; only a fault of ours would.
  "grpc.max_send_message_length": 32 * 1024 * 1024,
  "grpc.max_concurrent_streams": MAX_CONCURRENT_STREAMS,
  // In MB. Holds what is queued for clients that read slowly.
  "grpc-node.max_session_memory": 64,
  "grpc.max_connection_idle_ms": 5 * 60_000,
  // Moves backends to new replicas, and ends streams whose client has forgotten them.
  "grpc.max_connection_age_ms": 30 * 60_000,
  "grpc.max_connection_age_grace_ms": 60_000,
  // Finds peers that vanished without a word.
  "grpc.keepalive_time_ms": 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
  // Nobody reads its statistics, and every call would pay for them.
  "grpc.enable_channelz": 0,
};

const ARRIVAL_CHECK_MS = 1_000;

/** How long calls that run may go on once the service stops. */
export const SHUTDOWN_GRACE_MS = 10_000;

/**
 * Serves the pipeline's services.
 *
 * @throws StartError when the address can't be parsed or bound.
 */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const { pipeline, logger, sharing = "none", shutdownGraceMs = SHUTDOWN_GRACE_MS } = options;
  // grpc-js prints headers that it can't read to stderr, and one of them may hold a token.
  setLogVerbosity(logVerbosity.NONE);
  capTimeoutHeaders();

  const calls = new OpenCalls();
  const deps = { pipeline, open: calls };
  const server = serverWithStreams({ ...LIMITS, interceptors: [pipelineInterceptor(deps)] }, directCalls(deps));
  // No implementations: the interceptor answers.
  for (const { service } of pipeline.services) server.addService(serviceDefinition(service), {});

  // The listener is ours and not grpc-js's, whose own has no `error` handler once it is bound.
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const sockets = new Set<Socket>();
  const serve = (socket: Socket): void => {
    // The session hears of it too; this one is for after the session let go of the socket.
    socket.on("error", (err) => logger.debug({ err }, "gRPC connection failed"));
    injector.injectConnection(socket);
  };
  const { listener, renewTls } = listenerOf(options, serve);
  // Also those in mid-handshake.
  listener.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  listener.maxConnections = MAX_CONNECTIONS;
  const address = await bind(
    listener,
    sharing === "first" ? await findFree(options.address) : options.address,
    sharing,
  );
  listener.on("error", (err) => logger.error({ err }, "gRPC listener failed"));

  // One look at all calls now and then is cheaper than a timer for each.
  const arrivals = setInterval(() => calls.expireLate(performance.now()), ARRIVAL_CHECK_MS).unref();

  const shutDown = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => {
      listener.close(() => resolve());
    });
    server.tryShutdown(() => {});
    const force = setTimeout(() => {
      logger.warn({ calls: calls.size, shutdownGraceMs }, "gRPC calls cut off at shutdown");
      for (const socket of sockets) socket.destroy();
    }, shutdownGraceMs);
    await closed;
    clearInterval(arrivals);
    clearTimeout(force);
    // Every connection is gone; grpc-js would tell these a moment later.
    calls.cancelAll();
  };
  let stopped: Promise<void> | undefined;
  return { address, renewTls, stop: () => (stopped ??= shutDown()) };
}

/** @param serve takes a connection whose bytes are HTTP/2 */
function listenerOf(
  { tls, requiresClientCertificate = false, logger }: GrpcServerOptions,
  serve: (socket: Socket) => void,
): { readonly listener: Listener } & Pick<GrpcServer, "renewTls"> {
  if (tls === undefined) return { listener: createServer(serve), renewTls: () => {} };
  // grpc-js would keep a certificate's reload and the look at the client's to itself.
  const listener = createTlsServer(serverOptions(tls, "h2"), (socket) => {
    const reason = refusalOf(socket, requiresClientCertificate);
    if (reason === undefined) return serve(socket);
    logger.info({ peer: peerAddress(socket.remoteAddress), reason }, "gRPC connection refused");
    socket.destroy();
  });
  listener.on("tlsClientError", (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    const { code = "unknown" } = error;
    logger.info({ peer: peerAddress(socket.remoteAddress), reason: code }, "TLS handshake for gRPC failed");
    socket.destroy();
  });
  return { listener, renewTls: (renewed) => listener.setSecureContext(secureContextOptions(renewed)) };
}

/** Who shares an address wouldn't notice that another program has it, and would share it with that one. */
async function findFree(address: string): Promise<string> {
  const probe = createServer();
  const free = await bind(probe, address, "none");
  probe.close();
  await once(probe, "close");
  return free;
}

/** Binds, and says what is really bound. */
async function bind(
  listener: Listener,
  address: string,
  sharing: NonNullable<GrpcServerOptions["sharing"]>,
): Promise<string> {
  const [, ipv6, name, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address) ?? [];
  const host = ipv6 ?? name;
  if (host === undefined || Number(port) > 65_535) {
    throw new StartError(
      `gRPC address "${address}" is not host:port: set LATCHKEY_GRPC_ADDR, for example to 127.0.0.1:50051`,
    );
  }
  try {
    listener.listen({ host, port: Number(port), reusePort: sharing !== "none" });
    await once(listener, "listening");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new StartError(
      code === "EADDRINUSE"
        ? `gRPC address ${address} is taken: stop what listens there, or set LATCHKEY_GRPC_ADDR`
        : `gRPC address ${address} can't be bound (${code}): set LATCHKEY_GRPC_ADDR to an address of this machine`,
      { cause },
    );
  }
  const bound = listener.address() as AddressInfo;
  return bound.family === "IPv6" ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`;
}
