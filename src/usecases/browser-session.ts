/** The session of a browser: a random secret in a cookie, looked up at each call, and nothing to refresh. */
import type { Clock, Entropy } from "../domain/clock.ts";
import type { Session } from "../domain/entities.ts";
import { uuidV7 } from "../domain/ids.ts";
import type { Storage } from "../domain/storage.ts";
import type { Arrival } from "./check-password.ts";
import { changeOf } from "./origin.ts";
import { secretFingerprint } from "./sign-in.ts";

const LIFETIME_MS = 7 * 24 * 3600 * 1000;
const SECRET_BYTES = 32;
export const BROWSER_SECRET_PREFIX = "lkb_";

export interface BrowserSessionDeps {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly entropy: Entropy;
}

/** What a browser is to keep, and no page of it to see. */
export interface BrowserSession {
  readonly secret: string;
  /** How long, from now on. */
  readonly lifetimeMs: number;
  readonly expiresAt: Date;
}

/**
 * Starts a session for somebody who proved who they are, and ends the one that the browser had.
 *
 * @param method how they proved it: `password`, or the name of who vouches for them
 * @param before secret of the session that the browser has so far, if it has one
 * @throws AppError of kind `failed_precondition` where they aren't a member any more, or have another password
 *   than the one that `arrival` was made by
 */
export async function startBrowserSession(
  deps: BrowserSessionDeps,
  { user, organizationId, origin, actor }: Arrival,
  { method, before }: { readonly method: string; readonly before: string | undefined },
): Promise<BrowserSession> {
  const { storage, clock, entropy } = deps;
  const now = clock();
  const secret = BROWSER_SECRET_PREFIX + Buffer.from(entropy(SECRET_BYTES)).toString("base64url");
  const session: Session = {
    id: uuidV7(now, entropy(10)),
    userId: user.id,
    organizationId,
    createdAt: new Date(now),
    expiresAt: new Date(now + LIFETIME_MS),
    endedAt: undefined,
    client: "browser",
    method,
  };
  // Whoever changes the password meanwhile wants nobody in who came before.
  await storage.createSession(session, secretFingerprint(secret), changeOf(origin, now, actor), user.passwordHash);
  const left = before === undefined ? undefined : await storage.findSession(secretFingerprint(before));
  if (left !== undefined && left.userId === user.id) {
    await storage.endSession(left.id, changeOf(origin, clock(), actor));
  }
  return { secret, lifetimeMs: LIFETIME_MS, expiresAt: session.expiresAt };
}
