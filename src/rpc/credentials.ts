/** Finds the credential that a call brings. */
import { invalidCredential } from "../domain/errors.ts";
import type { Credential } from "../usecases/authenticate.ts";
import type { IncomingCall } from "./call.ts";

/**
 * The call's one credential, or undefined when it brings none. A browser sends its session's cookie by itself, so
 * what a header says goes before it.
 *
 * @throws AppError of kind `unauthenticated` for a malformed header or for two credentials: which of
 *   them counts must not be a guess.
 */
export function readCredential(call: Pick<IncomingCall, "header" | "browser">): Credential | undefined {
  const authorization = call.header("authorization");
  const apiKey = call.header("x-api-key");
  if (authorization === undefined) {
    if (apiKey !== undefined) return { header: "x-api-key", value: apiKey };
    const session = call.browser?.session;
    return session === undefined ? undefined : { header: "cookie", value: session };
  }
  // Scheme names have no case (RFC 9110, section 11.1).
  const bearer = /^bearer +([^\s,]+)$/i.exec(authorization)?.[1];
  if (bearer === undefined || apiKey !== undefined) throw invalidCredential();
  return { header: "authorization", value: bearer };
}
