import { TokenService } from "../../../gen/latchkey/v1/token_pb.ts";
import { type RevokeTokenDeps, revokeToken } from "../../usecases/revoke-token.ts";
import { attemptOf } from "../attempt.ts";
import type { Handlers } from "../handlers.ts";
import { tokenMessage } from "../messages.ts";

/** `TokenService.Revoke` */
export const revoke =
  (deps: RevokeTokenDeps): Handlers<typeof TokenService>["revoke"] =>
  async (request, call) => {
    const attempt = attemptOf(TokenService.method.revoke, request);
    const token = await revokeToken(deps, call, { ...request, attempt });
    return { token: tokenMessage(token, deps.clock()) };
  };
