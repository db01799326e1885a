import type { AuthService } from "../../../gen/latchkey/v1/auth_pb.ts";
import * as useCase from "../../usecases/restore-password.ts";
import type { Handlers } from "../handlers.ts";

/** `AuthService.RestorePassword` */
export const restorePassword =
  (deps: useCase.RestorePasswordDeps): Handlers<typeof AuthService>["restorePassword"] =>
  async (request, call) => {
    await useCase.restorePassword(deps, call, request);
    return {};
  };
