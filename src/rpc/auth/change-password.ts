import type { AuthService } from "../../../gen/latchkey/v1/auth_pb.ts";
import * as useCase from "../../usecases/change-password.ts";
import type { Handlers } from "../handlers.ts";

/** `AuthService.ChangePassword` */
export const changePassword =
  (deps: useCase.ChangePasswordDeps): Handlers<typeof AuthService>["changePassword"] =>
  async (request, call) => {
    await useCase.changePassword(deps, call, request);
    return {};
  };
