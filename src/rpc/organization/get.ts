import type { OrganizationService } from "../../../gen/latchkey/v1/organization_pb.ts";
import { type GetOrganizationDeps, getOrganization } from "../../usecases/get-organization.ts";
import type { Handlers } from "../handlers.ts";
import { organizationMessage } from "../messages.ts";

/** `OrganizationService.Get` */
export const get =
  (deps: GetOrganizationDeps): Handlers<typeof OrganizationService>["get"] =>
  async (request, call) => ({ organization: organizationMessage(await getOrganization(deps, call.caller, request)) });
