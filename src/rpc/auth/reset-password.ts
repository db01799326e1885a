import type { AuthService } from "../../../gen/latchkey/v1/auth_pb.ts";
import * as useCase from "../../usecases/restore-password.ts";
import type { Handlers } from "../handlers.ts";

/** `AuthService.ResetPassword` */
export const resetPassword =
  (deps: useCase.ResetPasswordDeps): Handlers<typeof AuthService>["resetPassword"] =>
  async (request, call) => {
    await useCase.resetPassword(deps, call, request);
    return {};
  };
