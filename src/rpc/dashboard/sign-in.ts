import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { DashboardService } from "../../../gen/latchkey/v1/dashboard_pb.ts";
import type { SignInDeps } from "../../usecases/sign-in.ts";
import { signInBrowser } from "../../usecases/sign-in-browser.ts";
import type { Handlers } from "../handlers.ts";
import { requireBrowser } from "./browser.ts";

/** `DashboardService.SignIn` */
export const signIn =
  (deps: SignInDeps): Handlers<typeof DashboardService>["signIn"] =>
  async (request, call) => {
    const browser = requireBrowser(call);
    const { secret, lifetimeMs, expiresAt } = await signInBrowser(deps, call, request, browser.session);
    browser.keepSession(secret, lifetimeMs);
    return { expiresAt: timestampFromDate(expiresAt) };
  };
