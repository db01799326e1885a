import type { UserService } from "../../../gen/latchkey/v1/auth_pb.ts";
import * as useCase from "../../usecases/get-me.ts";
import type { Handlers } from "../handlers.ts";
import { userMessage } from "../messages.ts";

/** `UserService.GetMe` */
export const getMe =
  (deps: useCase.GetMeDeps): Handlers<typeof UserService>["getMe"] =>
  async (_, call) => ({ user: userMessage(await useCase.getMe(deps, call.caller)) });
