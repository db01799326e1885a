/** Takes a person who is signed in in a browser to another organization of theirs. */
import { AppError, invalidCredential } from "../domain/errors.ts";
import { type BrowserSession, type BrowserSessionDeps, startBrowserSession } from "./browser-session.ts";
import { findPlace } from "./check-password.ts";
import type { Origin } from "./origin.ts";

/**
 * Starts a session in that organization by the same proof, and ends the one that asks.
 *
 * @param before secret of the session that asks, in the browser
 * @throws AppError: `not_found` for an organization that isn't the person's, `unauthenticated` for a session that
 *   ended meanwhile, `permission_denied` for anybody but a person
 */
export async function switchOrganization(
  deps: BrowserSessionDeps,
  origin: Origin,
  input: { readonly organizationId: string },
  before: string | undefined,
): Promise<BrowserSession> {
  const { storage } = deps;
  const { caller } = origin;
  if (caller.kind !== "user") throw new AppError("permission_denied", "Only people belong to several organizations.");
  const user = await storage.getUser(caller.userId);
  // After the person, whose password goes into the new session: a change of it ends this one.
  const session = await storage.getSession(caller.sessionId);
  if (user === undefined || session === undefined || session.endedAt !== undefined) throw invalidCredential();
  const { organizationId } = await findPlace(deps, origin, user, input.organizationId);
  const arrival = { user, organizationId, origin, actor: undefined };
  return startBrowserSession(deps, arrival, { method: session.method, before });
}
