import type { AuthService } from "../../../gen/latchkey/v1/auth_pb.ts";
import * as useCase from "../../usecases/accept-invitation.ts";
import type { Handlers } from "../handlers.ts";

/** `AuthService.JoinOrganization` */
export const joinOrganization =
  (deps: useCase.AcceptInvitationDeps): Handlers<typeof AuthService>["joinOrganization"] =>
  (request, call) =>
    useCase.joinOrganization(deps, call, request);
