import type { AuthService } from "../../../gen/latchkey/v1/auth_pb.ts";
import * as useCase from "../../usecases/accept-invitation.ts";
import type { Handlers } from "../handlers.ts";

/** `AuthService.AcceptInvitation` */
export const acceptInvitation =
  (deps: useCase.AcceptInvitationDeps): Handlers<typeof AuthService>["acceptInvitation"] =>
  (request, call) =>
    useCase.acceptInvitation(deps, call, request);
