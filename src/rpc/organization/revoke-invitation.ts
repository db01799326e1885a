import { OrganizationService } from "../../../gen/latchkey/v1/organization_pb.ts";
import type { IdempotencyDeps } from "../../usecases/idempotency.ts";
import * as useCase from "../../usecases/invite-member.ts";
import { attemptOf } from "../attempt.ts";
import type { Handlers } from "../handlers.ts";
import { invitationMessage } from "../messages.ts";

/** `OrganizationService.RevokeInvitation` */
export const revokeInvitation =
  (deps: IdempotencyDeps): Handlers<typeof OrganizationService>["revokeInvitation"] =>
  async (request, call) => {
    const attempt = attemptOf(OrganizationService.method.revokeInvitation, request);
    return { invitation: invitationMessage(await useCase.revokeInvitation(deps, call, { ...request, attempt })) };
  };
