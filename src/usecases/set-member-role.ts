/** Changes what a member may do. */
import type { Member } from "../domain/entities.ts";
import { notFound } from "../domain/errors.ts";
import type { Role } from "../domain/roles.ts";
import { type Attempt, type IdempotencyDeps, once } from "./idempotency.ts";
import { explainRefusal, findMembership, findOrganization, requireMemberManager } from "./organization-access.ts";
import { changeOf, type Origin } from "./origin.ts";

export interface SetMemberRoleInput {
  /** Public id or UUID, or empty for the caller's own. */
  readonly organizationId: string;
  /** Public id or UUID. */
  readonly userId: string;
  readonly role: Role;
  readonly attempt: Attempt | undefined;
}

/**
 * Sets the role. The person's next call goes by the new one.
 *
 * @throws AppError: `permission_denied`, `not_found` for the organization or the member,
 *   `failed_precondition` when it would leave no owner, `already_exists` for an idempotency key that served
 *   another request.
 */
export async function setMemberRole(deps: IdempotencyDeps, origin: Origin, input: SetMemberRoleInput): Promise<Member> {
  const { caller } = origin;
  const organization = await findOrganization(deps, caller, "organizations:write", input.organizationId);
  const membership = await findMembership(deps, organization, input.userId);
  // A retry may come when the member is gone.
  if (membership === undefined && input.attempt === undefined) throw notFound("member");
  requireMemberManager(caller, membership === undefined ? [input.role] : [membership.role, input.role]);
  const { result } = await once(deps, caller, input.attempt, async () => {
    if (membership === undefined) throw notFound("member");
    return {
      confidential: undefined,
      async write(record) {
        const change = changeOf(origin, deps.clock());
        const member = await explainRefusal(
          deps.storage.setMemberRole(organization.id, membership.userId, input.role, change, record),
          "failed_precondition",
          "The last owner of the organization stays an owner; make somebody else an owner first.",
        );
        if (member === undefined) throw notFound("member");
        return member;
      },
    };
  });
  return result;
}
