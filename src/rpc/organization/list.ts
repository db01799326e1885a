import type { OrganizationService } from "../../../gen/latchkey/v1/organization_pb.ts";
import { type ListOrganizationsDeps, listOrganizations } from "../../usecases/list-organizations.ts";
import type { Handlers } from "../handlers.ts";
import { organizationMessage } from "../messages.ts";

/** `OrganizationService.List` */
export const list =
  (deps: ListOrganizationsDeps): Handlers<typeof OrganizationService>["list"] =>
  async (request, call) => {
    const { items, nextPageToken } = await listOrganizations(deps, call.caller, request);
    return { organizations: items.map(organizationMessage), nextPageToken };
  };
