/** Ends a membership, and with it what was the member's own. */
import { notFound } from "../domain/errors.ts";
import { isPersonal, type Profiles } from "../domain/profile.ts";
import type { RemovedMember } from "../domain/storage.ts";
import { profileOf, requireManager } from "./authorization.ts";
import { type Attempt, type IdempotencyDeps, once } from "./idempotency.ts";
import { explainRefusal, findMembership, findOrganization, requireMemberManager } from "./organization-access.ts";
import { changeOf, type Origin } from "./origin.ts";

export interface RemoveMemberDeps extends IdempotencyDeps {
  readonly profiles: Profiles;
}

export interface RemoveMemberInput {
  /** Public id or UUID, or empty for the caller's own. */
  readonly organizationId: string;
  /** Public id or UUID. */
  readonly userId: string;
  /** Whether all of the person's tokens in the organization end, and not only the personal ones. */
  readonly revokeTokens: boolean;
  readonly attempt: Attempt | undefined;
}

/**
 * Removes a member; anybody may leave. Their account stays. The person's sessions in the organization and
 * their personal tokens end at once: those of types that somebody may look after for themselves. Other tokens
 * that they issued are the organization's, and stay unless they are to be revoked too.
 *
 * @throws AppError: `permission_denied`, `not_found` for the organization or the member,
 *   `failed_precondition` when it would leave no owner, or when the organization's profile, which says what is
 *   personal, isn't part of this deployment; `already_exists` for an idempotency key that served another request.
 */
export async function removeMember(
  deps: RemoveMemberDeps,
  origin: Origin,
  input: RemoveMemberInput,
): Promise<RemovedMember> {
  const { caller } = origin;
  const organization = await findOrganization(deps, caller, "organizations:write", input.organizationId);
  const membership = await findMembership(deps, organization, input.userId);
  // A retry comes when the member is gone.
  if (membership === undefined && input.attempt === undefined) throw notFound("member");
  const leaves = caller.kind === "user" && caller.userId === membership?.userId;
  if (!leaves) requireMemberManager(caller, membership === undefined ? [] : [membership.role]);
  const profile = profileOf(deps.profiles, organization);
  if (input.revokeTokens) {
    // What is the organization's doesn't go with somebody who may not revoke it.
    for (const { name } of profile.types) requireManager(caller, profile, name, { userId: membership?.userId });
  }
  const personal = profile.types.filter(isPersonal).map(({ name }) => name);
  const tokens = { profile: profile.id, types: input.revokeTokens ? undefined : personal };
  const { result } = await once(deps, caller, input.attempt, async () => {
    if (membership === undefined) throw notFound("member");
    return {
      confidential: undefined,
      async write(record) {
        const change = changeOf(origin, deps.clock());
        const removed = await explainRefusal(
          deps.storage.removeMember(organization.id, membership.userId, tokens, change, record),
          "failed_precondition",
          "The last owner of the organization can't go; make somebody else an owner first.",
        );
        if (removed === undefined) throw notFound("member");
        return removed;
      },
    };
  });
  return result;
}
