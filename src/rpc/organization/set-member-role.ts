import type { OrganizationService } from "../../../gen/latchkey/v1/organization_pb.ts";
import * as useCase from "../../usecases/set-member-role.ts";
import type { Handlers } from "../handlers.ts";
import { memberMessage, roleOf } from "../messages.ts";

/** `OrganizationService.SetMemberRole` */
export const setMemberRole =
  (deps: useCase.SetMemberRoleDeps): Handlers<typeof OrganizationService>["setMemberRole"] =>
  async (request, call) => {
    const member = await useCase.setMemberRole(deps, call.caller, { ...request, role: roleOf(request.role) });
    return { member: memberMessage(member) };
  };
