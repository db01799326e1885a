/** Finds out whether one of our own pages makes a request, and keeps the session of its browser in a cookie. */
import type { Browser } from "../rpc/call.ts";
import type { Exchange } from "./exchange.ts";

/** A header that no form can send, nor a page of another site that `cors.ts` doesn't let. */
const PAGE_HEADER = "x-latchkey-dashboard";

const COOKIE = "latchkey-session";

/** A browser takes a cookie with this prefix from its own host only, over TLS, and for no other (RFC 6265bis, 4.1.3). */
const HOST_PREFIX = "__Host-";

const SECRET = /^lkb_[\w-]{43}$/;

/**
 * The browser behind a request, if it is certain that a page of this very origin makes it: the request says so in a
 * header of ours, and the browser in `Origin` and `Sec-Fetch-Site`, which pages can't set. Otherwise undefined, and
 * then no cookie counts.
 *
 * @param publicUrl where people find the dashboard, which a proxy may hide from the `Host` header
 */
export function browserOf(exchange: Exchange, publicUrl: string | undefined): Browser | undefined {
  const origin = URL.parse(exchange.header("origin") ?? "");
  if (exchange.header(PAGE_HEADER) !== "1" || origin === null) return undefined;
  if ((exchange.header("sec-fetch-site") ?? "same-origin") !== "same-origin") return undefined;
  const isOurs =
    origin.host === exchange.header("host")?.toLowerCase() ||
    (publicUrl !== undefined && origin.origin === URL.parse(publicUrl)?.origin);
  if (!isOurs) return undefined;
  // It is the browser that knows whether it came by TLS, whatever stands in between.
  const isSecure = origin.protocol === "https:";
  const name = isSecure ? HOST_PREFIX + COOKIE : COOKIE;
  const set = (value: string, maxAgeSeconds: number): void => {
    const attributes = [
      "Path=/",
      `Max-Age=${maxAgeSeconds}`,
      "HttpOnly",
      "SameSite=Strict",
      ...(isSecure ? ["Secure"] : []),
    ];
    exchange.response.setHeader("Set-Cookie", [`${name}=${value}`, ...attributes].join("; "));
  };
  return {
    session: cookieIn(exchange.header("cookie"), name),
    keepSession: (secret, lifetimeMs) => set(secret, Math.floor(lifetimeMs / 1000)),
    forgetSession: () => set("", 0),
  };
}

/** The secret in a cookie of that name. Of several none: one of them may be somebody else's. */
function cookieIn(header: string | undefined, name: string): string | undefined {
  const values = (header ?? "")
    .split(/; */)
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
  const [value = ""] = values;
  return values.length === 1 && SECRET.test(value) ? value : undefined;
}
