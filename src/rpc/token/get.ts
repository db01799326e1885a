import type { TokenService } from "../../../gen/latchkey/v1/token_pb.ts";
import type { Clock } from "../../domain/clock.ts";
import { type GetTokenDeps, getToken } from "../../usecases/get-token.ts";
import type { Handlers } from "../handlers.ts";
import { tokenMessage } from "../messages.ts";

/** `TokenService.Get` */
export const get =
  (deps: GetTokenDeps & { readonly clock: Clock }): Handlers<typeof TokenService>["get"] =>
  async (request, call) => ({ token: tokenMessage(await getToken(deps, call.caller, request), deps.clock()) });
