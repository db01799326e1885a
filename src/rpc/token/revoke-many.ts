import { TokenService } from "../../../gen/latchkey/v1/token_pb.ts";
import { type RevokeManyTokensDeps, revokeManyTokens } from "../../usecases/revoke-many-tokens.ts";
import { attemptOf } from "../attempt.ts";
import type { Handlers } from "../handlers.ts";
import { optionalDate } from "../messages.ts";

/** `TokenService.RevokeMany` */
export const revokeMany =
  (deps: RevokeManyTokensDeps): Handlers<typeof TokenService>["revokeMany"] =>
  async (request, call) => {
    const count = await revokeManyTokens(deps, call, {
      ...request,
      unusedSince: optionalDate(request.unusedSince),
      attempt: attemptOf(TokenService.method.revokeMany, request),
    });
    return { count };
  };
