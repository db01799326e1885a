/** The operators' port: is the process alive, is it ready for traffic, and what is it doing? */
import { createServer } from "node:http";
import type { Logger } from "../domain/logger.ts";
import { listen } from "./listen.ts";

/** What `/readyz` is made of. */
export interface Readiness {
  readonly phase: "starting" | "running" | "stopping";
  readonly database: {
    /** Since when it can't be read; undefined while it can. */
    readonly readsFailSince: Date | undefined;
    readonly writesFailSince: Date | undefined;
    /** Also while it can't be read, if memory may decide alone. */
    readonly canIntrospect: boolean;
  };
}

/** Prometheus's text format. */
const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export interface OpsServer {
  readonly address: string;
  stop(): Promise<void>;
}

/** @throws StartError when the address can't be bound. */
export async function startOpsServer(options: {
  readonly address: string;
  readonly readiness: () => Readiness;
  /** Makes the page for Prometheus. */
  readonly metrics: () => Promise<string>;
  readonly logger: Logger;
}): Promise<OpsServer> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    const answer = (status: number, body: object): void => {
      response.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store" });
      response.end(JSON.stringify(body));
    };
    const [path] = (request.url ?? "").split("?");
    if (request.method !== "GET" && request.method !== "HEAD") return answer(405, { status: "method not allowed" });
    if (path === "/livez") return answer(200, { status: "alive" });
    if (path === "/readyz") {
      const readiness = options.readiness();
      return answer(isReady(readiness) ? 200 : 503, describe(readiness));
    }
    if (path === "/metrics") {
      return void options.metrics().then(
        (page) => {
          response.writeHead(200, { "Content-Type": METRICS_TYPE, "Cache-Control": "no-store" });
          response.end(page);
        },
        (err: unknown) => {
          options.logger.error({ err }, "metrics could not be read");
          answer(500, { status: "failed" });
        },
      );
    }
    return answer(404, { status: "not found" });
  });
  server.maxConnections = 100;
  const address = await listen(server, options.address, { name: "Operations", setting: "LATCHKEY_OPS_ADDR" });
  return {
    address,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Taking all instances away for a full disk, or while memory may decide alone, would take introspection away too. */
function isReady({ phase, database }: Readiness): boolean {
  return phase === "running" && database.canIntrospect;
}

function describe(readiness: Readiness): object {
  const { phase, database } = readiness;
  const { readsFailSince, writesFailSince } = database;
  const isWell = readsFailSince === undefined && writesFailSince === undefined;
  const running = isReady(readiness) ? (isWell ? "ready" : "degraded") : "not ready";
  return {
    status: phase === "running" ? running : phase,
    reads: describeSince(readsFailSince),
    writes: describeSince(writesFailSince),
  };
}

function describeSince(since: Date | undefined): string {
  return since === undefined ? "ok" : `failing since ${since.toISOString()}`;
}
