import type { OrganizationService } from "../../../gen/latchkey/v1/organization_pb.ts";
import * as useCase from "../../usecases/remove-member.ts";
import type { Handlers } from "../handlers.ts";

/** `OrganizationService.RemoveMember` */
export const removeMember =
  (deps: useCase.RemoveMemberDeps): Handlers<typeof OrganizationService>["removeMember"] =>
  async (request, call) => {
    await useCase.removeMember(deps, call.caller, request);
    return {};
  };
