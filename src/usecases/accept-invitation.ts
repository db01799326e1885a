/** Makes somebody a member who was invited. */
import type { Actor } from "../domain/audit.ts";
import type { Clock, Entropy } from "../domain/clock.ts";
import type { User } from "../domain/entities.ts";
import { AppError } from "../domain/errors.ts";
import { toPublicId, uuidV7 } from "../domain/ids.ts";
import type { PasswordHasher } from "../domain/passwords.ts";
import type { Storage } from "../domain/storage.ts";
import { explainRefusal } from "./organization-access.ts";
import { changeOf, type Origin, originOfPerson } from "./origin.ts";
import { requireGoodPassword } from "./password-rules.ts";
import { deadLink, linkFingerprint } from "./restore-password.ts";

export interface AcceptInvitationDeps {
  readonly storage: Storage;
  readonly passwords: PasswordHasher;
  readonly clock: Clock;
  readonly entropy: Entropy;
}

/**
 * Accepts with a new password. An account that the address has already is taken over only where the link went to
 * the mailbox and nobody proved to have that mailbox before; whoever made that account is out then.
 *
 * @throws AppError: `invalid_argument` for a link that doesn't work or a password that is too weak;
 *   `failed_precondition` for somebody who has to sign in for it.
 */
export async function acceptInvitation(
  { storage, passwords, clock, entropy }: AcceptInvitationDeps,
  call: Origin,
  input: { readonly token: string; readonly password: string; readonly clientIp: string },
): Promise<{ readonly organizationId: string }> {
  const origin = originOfPerson(call, input.clientIp);
  const fingerprint = linkFingerprint(input.token);
  const invitation = await storage.findInvitation(fingerprint, new Date(clock()));
  if (invitation === undefined) throw deadLink();
  const { email } = invitation;
  requireGoodPassword("password", input.password, email);
  const passwordHash = await passwords.hash(input.password);
  const now = clock();
  const nameless = { firstName: "", lastName: "", displayName: "", avatarUrl: "" };
  const id = uuidV7(now, entropy(10));
  const user: User = { id, email, passwordHash, ...nameless, createdAt: new Date(now) };
  const known = await storage.findUserByEmail(email);
  // A stranger's call became that person's with the link.
  const actor: Actor | undefined =
    origin.caller.kind === "anonymous" ? { kind: "user", id: toPublicId("usr", known?.id ?? id) } : undefined;
  const member = await explainRefusal(
    storage.acceptInvitation(fingerprint, { kind: "newcomer", user }, changeOf(origin, now, actor)),
    "failed_precondition",
    "You have an account with this address: sign in, and join with it.",
  );
  if (member === undefined) throw deadLink();
  return { organizationId: toPublicId("org", member.membership.organizationId) };
}

/**
 * Accepts as the person who is signed in.
 *
 * @throws AppError: `permission_denied` for anybody but a person, and for one with another address;
 *   `invalid_argument` for a link that doesn't work.
 */
export async function joinOrganization(
  { storage, clock }: Pick<AcceptInvitationDeps, "storage" | "clock">,
  origin: Origin,
  input: { readonly token: string },
): Promise<{ readonly organizationId: string }> {
  const { caller } = origin;
  if (caller.kind !== "user") {
    throw new AppError("permission_denied", "Only people can join: sign in, and send the access token.");
  }
  const fingerprint = linkFingerprint(input.token);
  const now = new Date(clock());
  const [invitation, user] = await Promise.all([
    storage.findInvitation(fingerprint, now),
    storage.getUser(caller.userId),
  ]);
  if (invitation === undefined) throw deadLink();
  // Nothing of the invitation is told to somebody else.
  if (invitation.email !== user?.email) {
    throw new AppError("permission_denied", "The invitation is for another address than the one you sign in with.");
  }
  const guest = { kind: "person", userId: caller.userId } as const;
  const member = await storage.acceptInvitation(fingerprint, guest, changeOf(origin, now.getTime()));
  if (member === undefined) throw deadLink();
  return { organizationId: toPublicId("org", member.membership.organizationId) };
}
