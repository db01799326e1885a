import { OrganizationService } from "../../../gen/latchkey/v1/organization_pb.ts";
import * as useCase from "../../usecases/invite-member.ts";
import { attemptOf } from "../attempt.ts";
import type { Handlers } from "../handlers.ts";
import { invitationMessage, roleOf } from "../messages.ts";

/** `OrganizationService.InviteMember` */
export const inviteMember =
  (deps: useCase.InviteMemberDeps): Handlers<typeof OrganizationService>["inviteMember"] =>
  async (request, call) => {
    const attempt = attemptOf(OrganizationService.method.inviteMember, request);
    const input = { ...request, role: roleOf(request.role), attempt };
    const { invitation, token, link } = await useCase.inviteMember(deps, call, input);
    return { invitation: invitationMessage(invitation), token, link };
  };
