import { TokenService } from "../../../gen/latchkey/v1/token_pb.ts";
import * as useCase from "../../usecases/finish-rotation.ts";
import { attemptOf } from "../attempt.ts";
import type { Handlers } from "../handlers.ts";
import { tokenMessage } from "../messages.ts";

/** `TokenService.FinishRotation` */
export const finishRotation =
  (deps: useCase.FinishRotationDeps): Handlers<typeof TokenService>["finishRotation"] =>
  async (request, call) => {
    const attempt = attemptOf(TokenService.method.finishRotation, request);
    const { token, asOfMs } = await useCase.finishRotation(deps, call, { ...request, attempt });
    return { token: tokenMessage(token, asOfMs) };
  };
