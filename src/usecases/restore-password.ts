/** Gets a person who forgot their password back in, by a link in a letter. */
import { createHash } from "node:crypto";
import type { Clock, Entropy } from "../domain/clock.ts";
import { AppError, invalidArgument } from "../domain/errors.ts";
import { toPublicId } from "../domain/ids.ts";
import type { PasswordHasher } from "../domain/passwords.ts";
import type { Storage } from "../domain/storage.ts";
import type { AttemptLimits } from "./attempt-limits.ts";
import { normalizeEmail } from "./check-password.ts";
import { restoreLetter } from "./letters.ts";
import { changeOf, type Origin, originOfPerson } from "./origin.ts";
import type { Outbox } from "./outbox.ts";
import { requireGoodPassword } from "./password-rules.ts";

const LINK_LIFETIME_MS = 30 * 60_000;
const LINK_TOKEN_BYTES = 32;
const LINK_TOKEN_PREFIX = "lkl_";

/** Where letters go out, and where their links lead. */
export interface Post {
  readonly outbox: Outbox;
  /** Without a slash at its end. It is a setting: no header of a request makes a link. */
  readonly publicUrl: string;
}

export interface RestorePasswordDeps {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly attemptLimits: AttemptLimits;
  /** Undefined where the deployment sends no letters. */
  readonly post: Post | undefined;
}

/**
 * Sends a link to the address, if somebody has it. Whether somebody does is looked up when the answer is on
 * its way, so neither the answer nor its time tells.
 *
 * @throws AppError: `failed_precondition` where no letters are sent, `rate_limited`.
 */
export async function restorePassword(
  { storage, clock, entropy, attemptLimits, post }: RestorePasswordDeps,
  call: Origin,
  input: { readonly email: string; readonly clientIp: string },
): Promise<void> {
  const origin = originOfPerson(call, input.clientIp);
  await attemptLimits.ofAddress("restorePassword", origin.peer);
  if (post === undefined) {
    throw new AppError("failed_precondition", "This deployment sends no mail: ask an admin of your organization.");
  }
  const email = normalizeEmail(input.email);
  const { outbox, publicUrl } = post;
  outbox.post(async () => {
    const user = await storage.findUserByEmail(email);
    if (user === undefined) return undefined;
    const token = newLinkToken(entropy);
    const now = clock();
    const link = { fingerprint: linkFingerprint(token), userId: user.id, expiresAt: new Date(now + LINK_LIFETIME_MS) };
    return (await storage.createPasswordLink(link, changeOf(origin, now)))
      ? restoreLetter(user.email, publicUrl, token)
      : undefined;
  });
}

export type ResetPasswordDeps = Pick<RestorePasswordDeps, "storage" | "clock"> & { readonly passwords: PasswordHasher };

/**
 * Gives the person of a link another password, uses the link up, and ends all their sessions.
 *
 * @throws AppError of kind `invalid_argument`, the same for every link that doesn't work, and for a password
 *   that is too weak, with which the link stays.
 */
export async function resetPassword(
  { storage, passwords, clock }: ResetPasswordDeps,
  call: Origin,
  input: { readonly token: string; readonly newPassword: string; readonly clientIp: string },
): Promise<void> {
  const origin = originOfPerson(call, input.clientIp);
  const fingerprint = linkFingerprint(input.token);
  const user = await storage.findPasswordLink(fingerprint, new Date(clock()));
  if (user === undefined) throw deadLink();
  requireGoodPassword("new_password", input.newPassword, user.email);
  const passwordHash = await passwords.hash(input.newPassword);
  // A stranger's call became that person's with the link.
  const actor =
    origin.caller.kind === "anonymous" ? ({ kind: "user", id: toPublicId("usr", user.id) } as const) : undefined;
  if (!(await storage.resetPassword(fingerprint, passwordHash, changeOf(origin, clock(), actor)))) throw deadLink();
}

export function deadLink(): AppError {
  return invalidArgument({ field: "token", description: "is used up, too old, or never was: ask for another link" });
}

export function newLinkToken(entropy: Entropy): string {
  return LINK_TOKEN_PREFIX + Buffer.from(entropy(LINK_TOKEN_BYTES)).toString("base64url");
}

export function linkFingerprint(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}
