import { OrganizationService } from "../../../gen/latchkey/v1/organization_pb.ts";
import * as useCase from "../../usecases/add-member.ts";
import { attemptOf } from "../attempt.ts";
import type { Handlers } from "../handlers.ts";
import { memberMessage, roleOf } from "../messages.ts";

/** `OrganizationService.AddMember` */
export const addMember =
  (deps: useCase.AddMemberDeps): Handlers<typeof OrganizationService>["addMember"] =>
  async (request, call) => {
    const { member, initialPassword } = await useCase.addMember(deps, call, {
      ...request,
      role: roleOf(request.role),
      attempt: attemptOf(OrganizationService.method.addMember, request),
    });
    return { member: memberMessage(member), initialPassword: initialPassword ?? "" };
  };
