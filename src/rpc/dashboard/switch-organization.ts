import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { DashboardService } from "../../../gen/latchkey/v1/dashboard_pb.ts";
import type { BrowserSessionDeps } from "../../usecases/browser-session.ts";
import * as useCase from "../../usecases/switch-organization.ts";
import type { Handlers } from "../handlers.ts";
import { requireBrowser } from "./browser.ts";

/** `DashboardService.SwitchOrganization` */
export const switchOrganization =
  (deps: BrowserSessionDeps): Handlers<typeof DashboardService>["switchOrganization"] =>
  async (request, call) => {
    const browser = requireBrowser(call);
    const { secret, lifetimeMs, expiresAt } = await useCase.switchOrganization(deps, call, request, browser.session);
    browser.keepSession(secret, lifetimeMs);
    return { expiresAt: timestampFromDate(expiresAt) };
  };
