import type { TokenService } from "../../../gen/latchkey/v1/token_pb.ts";
import { type ListTokensDeps, listTokens } from "../../usecases/list-tokens.ts";
import type { Handlers } from "../handlers.ts";
import { dailyUseMessage, optionalDate, tokenMessage, tokenStates } from "../messages.ts";

/** `TokenService.List` */
export const list =
  (deps: ListTokensDeps): Handlers<typeof TokenService>["list"] =>
  async (request, call) => {
    const page = await listTokens(deps, call.caller, {
      ...request,
      states: tokenStates(request.states),
      unusedSince: optionalDate(request.unusedSince),
    });
    const now = deps.clock();
    return {
      tokens: page.items.map((token) => tokenMessage(token, now)),
      nextPageToken: page.nextPageToken,
      uses: page.uses.map((dailyUses) => ({ dailyUses: dailyUses.map(dailyUseMessage) })),
    };
  };
