/** Changes what a member may do. */
import type { Caller } from "../domain/caller.ts";
import type { Member } from "../domain/entities.ts";
import { notFound } from "../domain/errors.ts";
import type { Role } from "../domain/roles.ts";
import type { Storage } from "../domain/storage.ts";
import { explainRefusal, findMembership, findOrganization, requireMemberManager } from "./organization-access.ts";

export interface SetMemberRoleDeps {
  readonly storage: Storage;
}

export interface SetMemberRoleInput {
  /** Public id or UUID, or empty for the caller's own. */
  readonly organizationId: string;
  /** Public id or UUID. */
  readonly userId: string;
  readonly role: Role;
}

/**
 * Sets the role. The person's next call goes by the new one.
 *
 * @throws AppError: `permission_denied`, `not_found` for the organization or the member,
 *   `failed_precondition` when it would leave no owner.
 */
export async function setMemberRole(
  { storage }: SetMemberRoleDeps,
  caller: Caller,
  input: SetMemberRoleInput,
): Promise<Member> {
  const organization = await findOrganization({ storage }, caller, "organizations:write", input.organizationId);
  const { userId, role } = await findMembership({ storage }, organization, input.userId);
  requireMemberManager(caller, [role, input.role]);
  const member = await explainRefusal(
    storage.setMemberRole(organization.id, userId, input.role),
    "failed_precondition",
    "The last owner of the organization stays an owner; make somebody else an owner first.",
  );
  if (member === undefined) throw notFound("member");
  return member;
}
