/** Finds out whether one of our own pages makes a request, and keeps the session of its browser in a cookie. */
import type { Browser } from "../rpc/call.ts";
import type { Exchange } from "./exchange.ts";

/** A header that no form can send, nor a page of another site that `cors.ts` doesn't let. */
const PAGE_HEADER = "x-latchkey-dashboard";

const SESSION_COOKIE = "latchkey-session";
const SIGN_IN_COOKIE = "latchkey-sign-in";

/** A browser takes a cookie with this prefix from its own host only, over TLS, and for no other (RFC 6265bis, 4.1.3). */
const HOST_PREFIX = "__Host-";

const SECRET = /^lkb_[\w-]{43}$/;
const SEALED = /^[\w-]{1,2000}$/;

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
  // Whoever is in between could have made up a page in plain text.
  if (!isOurs || (exchange.isTls && origin.protocol !== "https:")) return undefined;
  // It is the browser that knows whether it came by TLS, whatever stands in between.
  return browserAt(exchange, origin.protocol === "https:");
}

/** @param isSecure whether the browser came by TLS */
export function browserAt(exchange: Exchange, isSecure: boolean): Browser {
  const prefix = isSecure ? HOST_PREFIX : "";
  const set = (name: string, value: string, lifetimeMs: number, sameSite: "Strict" | "Lax"): void => {
    const attributes = [
      "Path=/",
      `Max-Age=${Math.floor(lifetimeMs / 1000)}`,
      "HttpOnly",
      `SameSite=${sameSite}`,
      ...(isSecure ? ["Secure"] : []),
    ];
    exchange.response.appendHeader("Set-Cookie", [`${prefix}${name}=${value}`, ...attributes].join("; "));
  };
  const sent = exchange.header("cookie");
  return {
    session: cookieIn(sent, prefix + SESSION_COOKIE, SECRET),
    keepSession: (secret, lifetimeMs) => set(SESSION_COOKIE, secret, lifetimeMs, "Strict"),
    forgetSession: () => set(SESSION_COOKIE, "", 0, "Strict"),
    signIn: cookieIn(sent, prefix + SIGN_IN_COOKIE, SEALED),
    // It has to come along when the other service sends the browser back.
    keepSignIn: (kept, lifetimeMs) => set(SIGN_IN_COOKIE, kept, lifetimeMs, "Lax"),
    forgetSignIn: () => set(SIGN_IN_COOKIE, "", 0, "Lax"),
  };
}

/** What is in a cookie of that name. Of several none: one of them may be somebody else's. */
function cookieIn(header: string | undefined, name: string, form: RegExp): string | undefined {
  const values = (header ?? "")
    .split(/; */)
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
  const [value = ""] = values;
  return values.length === 1 && form.test(value) ? value : undefined;
}
