import type { OrganizationService } from "../../../gen/latchkey/v1/organization_pb.ts";
import { type CreateOrganizationDeps, createOrganization } from "../../usecases/create-organization.ts";
import type { Handlers } from "../handlers.ts";
import { organizationMessage } from "../messages.ts";

/** `OrganizationService.Create` */
export const create =
  (deps: CreateOrganizationDeps): Handlers<typeof OrganizationService>["create"] =>
  async (request, call) => ({
    organization: organizationMessage(await createOrganization(deps, call.caller, request)),
  });
