import type { TokenService } from "../../../gen/latchkey/v1/token_pb.ts";
import { type IssueTokenDeps, issueToken } from "../../usecases/issue-token.ts";
import type { Handlers } from "../handlers.ts";
import { optionalDate, tokenMessage } from "../messages.ts";

/** `TokenService.Issue` */
export const issue =
  (deps: IssueTokenDeps): Handlers<typeof TokenService>["issue"] =>
  async (request, call) => {
    const { token, secret } = await issueToken(deps, call.caller, {
      ...request,
      expiresAt: optionalDate(request.expiresAt),
    });
    return { token: tokenMessage(token, deps.clock()), secret };
  };
