import { TokenService } from "../../../gen/latchkey/v1/token_pb.ts";
import { type IssueTokenDeps, issueToken } from "../../usecases/issue-token.ts";
import { attemptOf } from "../attempt.ts";
import type { Handlers } from "../handlers.ts";
import { optionalDate, tokenMessage } from "../messages.ts";

/** `TokenService.Issue` */
export const issue =
  (deps: IssueTokenDeps): Handlers<typeof TokenService>["issue"] =>
  async (request, call) => {
    const { token, secret } = await issueToken(deps, call, {
      ...request,
      expiresAt: optionalDate(request.expiresAt),
      attempt: attemptOf(TokenService.method.issue, request),
    });
    // As it was when it was issued, for a retry is answered the same.
    return { token: tokenMessage(token, token.createdAt.getTime()), secret };
  };
