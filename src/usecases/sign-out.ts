/** Ends a person's session. */
import type { Actor } from "../domain/audit.ts";
import type { Clock } from "../domain/clock.ts";
import { toPublicId } from "../domain/ids.ts";
import type { Storage } from "../domain/storage.ts";
import { changeOf, type Origin, originOfPerson } from "./origin.ts";
import { secretFingerprint } from "./sign-in.ts";

export interface SignOutDeps {
  readonly storage: Storage;
  readonly clock: Clock;
}

/**
 * Ends the session that a secret belongs to: that of a browser, or a refresh token, used up or not. Whoever holds
 * one may: a thief who signs the person out does them a favour. It never tells whether there was a session
 * (RFC 7009, section 2.2).
 *
 * @throws AppError of kind `permission_denied` for a service key without the scope
 */
export async function signOut(
  { storage, clock }: SignOutDeps,
  origin: Origin,
  input: { readonly secret: string },
): Promise<void> {
  const { caller } = originOfPerson(origin);
  const session = await storage.findSession(secretFingerprint(input.secret));
  if (session === undefined) return;
  // A stranger's call became that person's with the secret.
  const actor: Actor | undefined =
    caller.kind === "anonymous" ? { kind: "user", id: toPublicId("usr", session.userId) } : undefined;
  await storage.endSession(session.id, changeOf(origin, clock(), actor));
}
