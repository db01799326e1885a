import { OrganizationService } from "../../../gen/latchkey/v1/organization_pb.ts";
import * as useCase from "../../usecases/remove-member.ts";
import { attemptOf } from "../attempt.ts";
import type { Handlers } from "../handlers.ts";

/** `OrganizationService.RemoveMember` */
export const removeMember =
  (deps: useCase.RemoveMemberDeps): Handlers<typeof OrganizationService>["removeMember"] =>
  async (request, call) => {
    const attempt = attemptOf(OrganizationService.method.removeMember, request);
    return useCase.removeMember(deps, call, { ...request, attempt });
  };
