import { durationMs } from "@bufbuild/protobuf/wkt";
import { TokenService } from "../../../gen/latchkey/v1/token_pb.ts";
import { type RotateTokenDeps, rotateToken } from "../../usecases/rotate-token.ts";
import { attemptOf } from "../attempt.ts";
import type { Handlers } from "../handlers.ts";
import { tokenMessage } from "../messages.ts";

/** `TokenService.Rotate` */
export const rotate =
  (deps: RotateTokenDeps): Handlers<typeof TokenService>["rotate"] =>
  async (request, call) => {
    const { token, secret } = await rotateToken(deps, call, {
      ...request,
      overlapMs: request.overlap === undefined ? 0 : Math.floor(durationMs(request.overlap)),
      attempt: attemptOf(TokenService.method.rotate, request),
    });
    // As it was when it was rotated, for a retry is answered the same.
    return { token: tokenMessage(token, token.rotation?.startedAt.getTime() ?? deps.clock()), secret };
  };
