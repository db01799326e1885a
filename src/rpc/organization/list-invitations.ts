import type { OrganizationService } from "../../../gen/latchkey/v1/organization_pb.ts";
import * as useCase from "../../usecases/invite-member.ts";
import type { Handlers } from "../handlers.ts";
import { invitationMessage } from "../messages.ts";

/** `OrganizationService.ListInvitations` */
export const listInvitations =
  (deps: useCase.InviteMemberDeps): Handlers<typeof OrganizationService>["listInvitations"] =>
  async ({ organizationId }, call) => {
    const invitations = await useCase.listInvitations(deps, call, organizationId);
    return { invitations: invitations.map(invitationMessage) };
  };
