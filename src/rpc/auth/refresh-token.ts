import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AuthService } from "../../../gen/latchkey/v1/auth_pb.ts";
import { type RefreshSessionDeps, refreshSession } from "../../usecases/refresh-session.ts";
import type { Handlers } from "../handlers.ts";

/** `AuthService.RefreshToken` */
export const refreshToken =
  (deps: RefreshSessionDeps): Handlers<typeof AuthService>["refreshToken"] =>
  async (request, call) => {
    const { accessTokenExpiresAt, ...pair } = await refreshSession(deps, call, request);
    return { ...pair, accessTokenExpiresAt: timestampFromDate(accessTokenExpiresAt) };
  };
