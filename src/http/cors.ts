/** Cross-origin requests from browsers (Fetch standard, CORS protocol). */
import type { IncomingMessage, ServerResponse } from "node:http";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].join(", ");

const REQUEST_HEADERS = [
  "Authorization",
  "X-Api-Key",
  "Content-Type",
  "Idempotency-Key",
  "X-Request-Id",
  "Connect-Protocol-Version",
  "Connect-Timeout-Ms",
  "Connect-Accept-Encoding",
  "Connect-Content-Encoding",
  "Grpc-Timeout",
  "Grpc-Accept-Encoding",
  "Grpc-Encoding",
  "X-Grpc-Web",
  "X-User-Agent",
].join(", ");

const EXPOSED_HEADERS = [
  "X-Request-Id",
  "WWW-Authenticate",
  "Retry-After",
  "RateLimit",
  "RateLimit-Policy",
  "X-RateLimit-Limit",
  "X-RateLimit-Remaining",
  "X-RateLimit-Reset",
  "Grpc-Status",
  "Grpc-Message",
  "Grpc-Status-Details-Bin",
].join(", ");

/** Browsers keep the answer to a preflight no longer than two hours. */
const PREFLIGHT_SECONDS = 7200;

/**
 * Sets the headers that let the page that sent the request read the answer, where its origin may. Never
 * allows credentials: tokens travel in headers that the page sets itself.
 *
 * @param origins exact origins, or `*` for any; none switches CORS off
 * @returns whether the request is a preflight that may be answered with these headers alone
 */
export function allowOrigin(request: IncomingMessage, response: ServerResponse, origins: readonly string[]): boolean {
  if (origins.length === 0) return false;
  const any = origins.includes("*");
  // Also for requests without an origin: a cache must not hand their answer to one that has it.
  if (!any) response.setHeader("Vary", "Origin");
  const { origin } = request.headers;
  if (origin === undefined || !(any || origins.includes(origin))) return false;
  response.setHeader("Access-Control-Allow-Origin", any ? "*" : origin);
  if (request.method !== "OPTIONS" || request.headers["access-control-request-method"] === undefined) {
    response.setHeader("Access-Control-Expose-Headers", EXPOSED_HEADERS);
    return false;
  }
  response.setHeader("Access-Control-Allow-Methods", METHODS);
  response.setHeader("Access-Control-Allow-Headers", REQUEST_HEADERS);
  response.setHeader("Access-Control-Max-Age", PREFLIGHT_SECONDS);
  return true;
}
