import { OrganizationService } from "../../../gen/latchkey/v1/organization_pb.ts";
import type { IdempotencyDeps } from "../../usecases/idempotency.ts";
import * as useCase from "../../usecases/set-member-role.ts";
import { attemptOf } from "../attempt.ts";
import type { Handlers } from "../handlers.ts";
import { memberMessage, roleOf } from "../messages.ts";

/** `OrganizationService.SetMemberRole` */
export const setMemberRole =
  (deps: IdempotencyDeps): Handlers<typeof OrganizationService>["setMemberRole"] =>
  async (request, call) => {
    const attempt = attemptOf(OrganizationService.method.setMemberRole, request);
    const input = { ...request, role: roleOf(request.role), attempt };
    const member = await useCase.setMemberRole(deps, call, input);
    return { member: memberMessage(member) };
  };
