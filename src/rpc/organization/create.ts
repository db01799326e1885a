import { OrganizationService } from "../../../gen/latchkey/v1/organization_pb.ts";
import { type CreateOrganizationDeps, createOrganization } from "../../usecases/create-organization.ts";
import { attemptOf } from "../attempt.ts";
import type { Handlers } from "../handlers.ts";
import { organizationMessage } from "../messages.ts";

/** `OrganizationService.Create` */
export const create =
  (deps: CreateOrganizationDeps): Handlers<typeof OrganizationService>["create"] =>
  async (request, call) => {
    const attempt = attemptOf(OrganizationService.method.create, request);
    const organization = await createOrganization(deps, call, { ...request, attempt });
    return { organization: organizationMessage(organization) };
  };
