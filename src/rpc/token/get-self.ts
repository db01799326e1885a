import type { TokenService } from "../../../gen/latchkey/v1/token_pb.ts";
import type { Clock } from "../../domain/clock.ts";
import * as useCase from "../../usecases/get-self.ts";
import type { Handlers } from "../handlers.ts";
import { tokenMessage } from "../messages.ts";

/** `TokenService.GetSelf` */
export const getSelf =
  (deps: useCase.GetSelfDeps & { readonly clock: Clock }): Handlers<typeof TokenService>["getSelf"] =>
  async (_, call) => ({ token: tokenMessage(await useCase.getSelf(deps, call.caller), deps.clock()) });
