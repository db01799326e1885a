/** Reads organizations, a page at a time. */
import { type Caller, callerOrganization } from "../domain/caller.ts";
import type { Organization } from "../domain/entities.ts";
import { SYSTEM_ORGANIZATION_ID } from "../domain/ids.ts";
import type { Storage } from "../domain/storage.ts";
import { requireServiceScope } from "./authorization.ts";
import { type Page, type PageRequest, readPage } from "./page-token.ts";

export interface ListOrganizationsDeps {
  readonly storage: Storage;
}

/**
 * Lists organizations, newest first. A service key of one organization is shown that one.
 *
 * @throws AppError: `permission_denied`, `invalid_argument` for a page token that isn't one of this list.
 */
export async function listOrganizations(
  { storage }: ListOrganizationsDeps,
  caller: Caller,
  request: PageRequest,
): Promise<Page<Organization>> {
  requireServiceScope(caller, "organizations:read");
  const own = callerOrganization(caller);
  return readPage(
    {
      identity: ["organizations", own ?? "all"],
      read: async (after, limit) => {
        if (own !== undefined) {
          const organization = await storage.getOrganization(own);
          return organization === undefined ? [] : [organization];
        }
        // One more, since the organization of the service keys may be among them, and is no tenant.
        const found = await storage.listOrganizations(after, limit + 1);
        return found.filter(({ id }) => id !== SYSTEM_ORGANIZATION_ID).slice(0, limit);
      },
      positionOf: (organization) => organization,
    },
    request,
  );
}
