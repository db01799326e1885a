import { TokenService } from "../../../gen/latchkey/v1/token_pb.ts";
import * as useCase from "../../usecases/cancel-rotation.ts";
import { attemptOf } from "../attempt.ts";
import type { Handlers } from "../handlers.ts";
import { tokenMessage } from "../messages.ts";

/** `TokenService.CancelRotation` */
export const cancelRotation =
  (deps: useCase.CancelRotationDeps): Handlers<typeof TokenService>["cancelRotation"] =>
  async (request, call) => {
    const attempt = attemptOf(TokenService.method.cancelRotation, request);
    const { token, asOfMs } = await useCase.cancelRotation(deps, call, { ...request, attempt });
    return { token: tokenMessage(token, asOfMs) };
  };
