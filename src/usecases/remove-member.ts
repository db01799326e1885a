/** Ends a membership. */
import type { Caller } from "../domain/caller.ts";
import { notFound } from "../domain/errors.ts";
import type { Storage } from "../domain/storage.ts";
import { explainRefusal, findMembership, findOrganization, requireMemberManager } from "./organization-access.ts";

export interface RemoveMemberDeps {
  readonly storage: Storage;
}

export interface RemoveMemberInput {
  /** Public id or UUID, or empty for the caller's own. */
  readonly organizationId: string;
  /** Public id or UUID. */
  readonly userId: string;
}

/**
 * Removes a member; anybody may leave. The person's access tokens for the organization stop working at
 * once. Their account stays, and so do the API tokens that they issued: those are the organization's.
 *
 * @throws AppError: `permission_denied`, `not_found` for the organization or the member,
 *   `failed_precondition` when it would leave no owner.
 */
export async function removeMember(
  { storage }: RemoveMemberDeps,
  caller: Caller,
  input: RemoveMemberInput,
): Promise<void> {
  const organization = await findOrganization({ storage }, caller, "organizations:write", input.organizationId);
  const { userId, role } = await findMembership({ storage }, organization, input.userId);
  const leaves = caller.kind === "user" && caller.userId === userId;
  if (!leaves) requireMemberManager(caller, [role]);
  const removed = await explainRefusal(
    storage.removeMember(organization.id, userId),
    "failed_precondition",
    "The last owner of the organization can't go; make somebody else an owner first.",
  );
  if (!removed) throw notFound("member");
}
