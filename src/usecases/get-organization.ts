/** Reads one organization. */
import type { Caller } from "../domain/caller.ts";
import type { Organization } from "../domain/entities.ts";
import type { Storage } from "../domain/storage.ts";
import { findOrganization } from "./organization-access.ts";

export interface GetOrganizationDeps {
  readonly storage: Storage;
}

/** @throws AppError: `permission_denied`, `not_found`, `invalid_argument` when none is named. */
export function getOrganization(
  deps: GetOrganizationDeps,
  caller: Caller,
  request: { readonly id: string },
): Promise<Organization> {
  return findOrganization(deps, caller, "organizations:read", request.id, "id");
}
