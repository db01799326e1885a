import type { TokenService } from "../../../gen/latchkey/v1/token_pb.ts";
import { type GetTokenDeps, getToken } from "../../usecases/get-token.ts";
import type { Handlers } from "../handlers.ts";
import { dailyUseMessage, tokenMessage } from "../messages.ts";

/** `TokenService.Get` */
export const get =
  (deps: GetTokenDeps): Handlers<typeof TokenService>["get"] =>
  async (request, call) => {
    const { token, dailyUses } = await getToken(deps, call.caller, request);
    return { token: tokenMessage(token, deps.clock()), dailyUses: dailyUses.map(dailyUseMessage) };
  };
