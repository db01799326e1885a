/** Ends a membership. */
import { notFound } from "../domain/errors.ts";
import { type Attempt, type IdempotencyDeps, once } from "./idempotency.ts";
import { explainRefusal, findMembership, findOrganization, requireMemberManager } from "./organization-access.ts";
import { changeOf, type Origin } from "./origin.ts";

export interface RemoveMemberInput {
  /** Public id or UUID, or empty for the caller's own. */
  readonly organizationId: string;
  /** Public id or UUID. */
  readonly userId: string;
  readonly attempt: Attempt | undefined;
}

/**
 * Removes a member; anybody may leave. The person's access tokens for the organization stop working at
 * once. Their account stays, and so do the API tokens that they issued: those are the organization's.
 *
 * @throws AppError: `permission_denied`, `not_found` for the organization or the member,
 *   `failed_precondition` when it would leave no owner, `already_exists` for an idempotency key that served
 *   another request.
 */
export async function removeMember(deps: IdempotencyDeps, origin: Origin, input: RemoveMemberInput): Promise<void> {
  const { caller } = origin;
  const organization = await findOrganization(deps, caller, "organizations:write", input.organizationId);
  const membership = await findMembership(deps, organization, input.userId);
  // A retry comes when the member is gone.
  if (membership === undefined && input.attempt === undefined) throw notFound("member");
  const leaves = caller.kind === "user" && caller.userId === membership?.userId;
  if (!leaves) requireMemberManager(caller, membership === undefined ? [] : [membership.role]);
  await once(deps, caller, input.attempt, async () => {
    if (membership === undefined) throw notFound("member");
    return {
      confidential: undefined,
      async write(record) {
        const removed = await explainRefusal(
          deps.storage.removeMember(organization.id, membership.userId, changeOf(origin, deps.clock()), record),
          "failed_precondition",
          "The last owner of the organization can't go; make somebody else an owner first.",
        );
        if (!removed) throw notFound("member");
        return removed;
      },
    };
  });
}
