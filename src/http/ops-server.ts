/** The operators' port: is the process alive, and is it ready for traffic? */
import { createServer } from "node:http";
import { listen } from "./listen.ts";

export interface OpsServer {
  readonly address: string;
  stop(): Promise<void>;
}

/** @throws StartError when the address can't be bound. */
export async function startOpsServer(options: {
  readonly address: string;
  readonly isReady: () => boolean;
}): Promise<OpsServer> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    const answer = (status: number, body: object): void => {
      response.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store" });
      response.end(JSON.stringify(body));
    };
    const [path] = (request.url ?? "").split("?");
    if (request.method !== "GET" && request.method !== "HEAD") return answer(405, { status: "method not allowed" });
    if (path === "/livez") return answer(200, { status: "alive" });
    if (path === "/readyz")
      return options.isReady() ? answer(200, { status: "ready" }) : answer(503, { status: "not ready" });
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
