import type { AuthService } from "../../../gen/latchkey/v1/auth_pb.ts";
import { type SignOutDeps, signOut } from "../../usecases/sign-out.ts";
import type { Handlers } from "../handlers.ts";

/** `AuthService.Logout` */
export const logout =
  (deps: SignOutDeps): Handlers<typeof AuthService>["logout"] =>
  async (request, call) => {
    await signOut(deps, call, { secret: request.refreshToken });
    return {};
  };
