import type { DashboardService } from "../../../gen/latchkey/v1/dashboard_pb.ts";
import * as useCase from "../../usecases/sign-out.ts";
import type { Handlers } from "../handlers.ts";
import { requireBrowser } from "./browser.ts";

/** `DashboardService.SignOut` */
export const signOut =
  (deps: useCase.SignOutDeps): Handlers<typeof DashboardService>["signOut"] =>
  async (_request, call) => {
    const browser = requireBrowser(call);
    if (browser.session !== undefined) await useCase.signOut(deps, call, { secret: browser.session });
    browser.forgetSession();
    return {};
  };
