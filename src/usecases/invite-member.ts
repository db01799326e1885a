/** Invites somebody to an organization, and manages what was offered. */
import { callerId } from "../domain/caller.ts";
import type { Invitation } from "../domain/entities.ts";
import { notFound } from "../domain/errors.ts";
import { uuidV7 } from "../domain/ids.ts";
import type { Role } from "../domain/roles.ts";
import type { AttemptLimits } from "./attempt-limits.ts";
import { normalizeEmail } from "./check-password.ts";
import { type Attempt, type IdempotencyDeps, once } from "./idempotency.ts";
import { invitationLetter } from "./letters.ts";
import { explainRefusal, findOrganization, requireMemberManager } from "./organization-access.ts";
import { changeOf, type Origin } from "./origin.ts";
import { linkFingerprint, newLinkToken, type Post } from "./restore-password.ts";

const LIFETIME_MS = 7 * 24 * 3_600_000;

export interface InviteMemberDeps extends IdempotencyDeps {
  readonly attemptLimits: AttemptLimits;
  /** Undefined where the deployment sends no letters. */
  readonly post: Post | undefined;
  readonly publicUrl: string | undefined;
}

export interface InviteMemberInput {
  /** Public id or UUID, or empty for the caller's own. */
  readonly organizationId: string;
  readonly email: string;
  readonly role: Role;
  readonly attempt: Attempt | undefined;
}

export interface Invited {
  readonly invitation: Invitation;
  /** Empty where the link went out by mail. */
  readonly token: string;
  readonly link: string;
}

/**
 * Invites by mail, or answers the token where no mail is sent. It doesn't tell whether the address has an account.
 *
 * @throws AppError: `permission_denied`, `not_found`, `rate_limited`, `already_exists` for somebody who is a
 *   member, and for an idempotency key that served another request; `failed_precondition` for too many.
 */
export async function inviteMember(deps: InviteMemberDeps, origin: Origin, input: InviteMemberInput): Promise<Invited> {
  const { storage, clock, entropy, attemptLimits, post, publicUrl } = deps;
  const { caller } = origin;
  const { id: organizationId } = await findOrganization(deps, caller, "organizations:write", input.organizationId);
  requireMemberManager(caller, [input.role]);
  const { result, confidential } = await once(deps, caller, input.attempt, async () => {
    await attemptLimits.ofOrganization("invite", organizationId);
    const now = clock();
    const invitation: Invitation = {
      id: uuidV7(now, entropy(10)),
      organizationId,
      email: normalizeEmail(input.email),
      role: input.role,
      isMailed: post !== undefined,
      createdBy: callerId(caller),
      createdAt: new Date(now),
      expiresAt: new Date(now + LIFETIME_MS),
    };
    const token = newLinkToken(entropy);
    const linkTo = (url: string): string => `${url}/accept-invitation#token=${token}`;
    const shown = publicUrl === undefined ? { token, link: "" } : { token, link: linkTo(publicUrl) };
    return {
      // What goes to the mailbox isn't for whoever invites: it proves that somebody has the mailbox.
      confidential: post === undefined ? shown : { token: "", link: "" },
      async write(record) {
        const made = await explainRefusal(
          storage.createInvitation({ invitation, fingerprint: linkFingerprint(token) }, changeOf(origin, now), record),
          "already_exists",
          "This person is a member of the organization already.",
        );
        post?.outbox.post(() => invitationLetter(made.email, linkTo(post.publicUrl), post.publicUrl));
        return made;
      },
    };
  });
  return { invitation: result, ...confidential };
}

/** @throws AppError: `permission_denied`, `not_found` */
export async function listInvitations(
  deps: Pick<InviteMemberDeps, "storage" | "clock">,
  { caller }: Origin,
  requested: string,
): Promise<readonly Invitation[]> {
  const { id } = await findOrganization(deps, caller, "organizations:write", requested);
  requireMemberManager(caller, []);
  return deps.storage.listInvitations(id, new Date(deps.clock()));
}

/** @throws AppError: `permission_denied`, `not_found`, `already_exists` for an idempotency key of another request */
export async function revokeInvitation(
  deps: IdempotencyDeps,
  origin: Origin,
  input: { readonly organizationId: string; readonly id: string; readonly attempt: Attempt | undefined },
): Promise<Invitation> {
  const { caller } = origin;
  const { id: organizationId } = await findOrganization(deps, caller, "organizations:write", input.organizationId);
  requireMemberManager(caller, []);
  const { result } = await once(deps, caller, input.attempt, async () => ({
    confidential: undefined,
    async write(record) {
      const change = changeOf(origin, deps.clock());
      const revoked = await deps.storage.revokeInvitation(organizationId, input.id, change, record);
      if (revoked === undefined) throw notFound("invitation");
      return revoked;
    },
  }));
  return result;
}
