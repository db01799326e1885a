import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AuthService } from "../../../gen/latchkey/v1/auth_pb.ts";
import { type SignInDeps, signIn } from "../../usecases/sign-in.ts";
import type { Handlers } from "../handlers.ts";
import { userMessage } from "../messages.ts";

/** `AuthService.Login` */
export const login =
  (deps: SignInDeps): Handlers<typeof AuthService>["login"] =>
  async (request, call) => {
    const { accessToken, refreshToken, accessTokenExpiresAt, user } = await signIn(deps, call, request);
    return {
      accessToken,
      refreshToken,
      accessTokenExpiresAt: timestampFromDate(accessTokenExpiresAt),
      user: userMessage(user),
    };
  };
