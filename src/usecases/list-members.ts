/** Reads who belongs to an organization, a page at a time. */
import type { Caller } from "../domain/caller.ts";
import type { Member } from "../domain/entities.ts";
import type { Storage } from "../domain/storage.ts";
import { findOrganization } from "./organization-access.ts";
import { type Page, type PageRequest, readPage } from "./page-token.ts";

export interface ListMembersDeps {
  readonly storage: Storage;
}

export interface ListMembersInput extends PageRequest {
  /** Public id or UUID, or empty for the caller's own. */
  readonly organizationId: string;
}

/**
 * Lists members, the oldest membership first.
 *
 * @throws AppError: `permission_denied`, `not_found`, `invalid_argument` for a page token that isn't one of
 *   this list.
 */
export async function listMembers(
  { storage }: ListMembersDeps,
  caller: Caller,
  input: ListMembersInput,
): Promise<Page<Member>> {
  const { id } = await findOrganization({ storage }, caller, "organizations:read", input.organizationId);
  return readPage(
    {
      identity: ["members", id],
      read: (after, limit) => storage.listMembers(id, after, limit),
      positionOf: ({ membership }) => ({ createdAt: membership.createdAt, id: membership.userId }),
    },
    input,
  );
}
