/** Trades an address and a password for a session of a browser. */
import { type BrowserSession, type BrowserSessionDeps, startBrowserSession } from "./browser-session.ts";
import { type CheckPasswordDeps, checkPassword, type SignInInput } from "./check-password.ts";
import type { Origin } from "./origin.ts";

/**
 * Signs a person in where a page of the dashboard asks for it.
 *
 * @param before secret of the session that the browser has so far, if it has one
 * @throws AppError as `checkPassword`
 */
export async function signInBrowser(
  deps: CheckPasswordDeps & BrowserSessionDeps,
  call: Origin,
  input: Omit<SignInInput, "clientIp">,
  before: string | undefined,
): Promise<BrowserSession> {
  const arrival = await checkPassword(deps, call, { ...input, clientIp: "" });
  return startBrowserSession(deps, arrival, { method: "password", before });
}
