/** Gives a person another password. */
import type { Clock } from "../domain/clock.ts";
import { AppError, invalidArgument } from "../domain/errors.ts";
import type { PasswordHasher } from "../domain/passwords.ts";
import type { Storage } from "../domain/storage.ts";
import type { AttemptLimits } from "./attempt-limits.ts";
import { changeOf, type Origin } from "./origin.ts";
import { requireGoodPassword } from "./password-rules.ts";

export interface ChangePasswordDeps {
  readonly storage: Storage;
  readonly passwords: PasswordHasher;
  readonly clock: Clock;
  readonly attemptLimits: AttemptLimits;
}

/**
 * Changes the caller's password, and ends all their sessions but this one, in every organization: whoever
 * else knew the old password is out.
 *
 * @throws AppError: `permission_denied` for anybody but a person; `invalid_argument` for a current password
 *   that is wrong, which isn't `unauthenticated`, for the session is good; and for a new one that is too weak;
 *   `rate_limited` for a session with as many attempts as a client has to sign in.
 */
export async function changePassword(
  { storage, passwords, clock, attemptLimits }: ChangePasswordDeps,
  origin: Origin,
  input: { readonly currentPassword: string; readonly newPassword: string },
): Promise<void> {
  const { caller } = origin;
  if (caller.kind !== "user") {
    throw new AppError("permission_denied", "Only people have a password: sign in, and send the access token.");
  }
  const user = await storage.getUser(caller.userId);
  requireGoodPassword("new_password", input.newPassword, user?.email ?? "");
  // Whoever stole a session can't try out passwords in it, and the person can sign in for another one.
  await attemptLimits.ofSession("login", caller.sessionId);
  const matches = await passwords.verify(user?.passwordHash, input.currentPassword);
  if (user === undefined || !matches) {
    await storage.recordSignInFailure(caller.userId, "wrong_current_password", changeOf(origin, clock()));
    throw wrongPassword();
  }
  const password = {
    before: user.passwordHash,
    after: await passwords.hash(input.newPassword),
    keptSessionId: caller.sessionId,
  };
  // Another change came first, so what was the current password isn't any more.
  if (!(await storage.changePassword(user.id, password, changeOf(origin, clock())))) throw wrongPassword();
}

function wrongPassword(): AppError {
  return invalidArgument({ field: "current_password", description: "is wrong" });
}
