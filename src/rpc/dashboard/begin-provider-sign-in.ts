import type { DashboardService } from "../../../gen/latchkey/v1/dashboard_pb.ts";
import type { SignInProviders } from "../../domain/sign-in-providers.ts";
import type { Handlers } from "../handlers.ts";
import { requireBrowser } from "./browser.ts";

/** `DashboardService.BeginProviderSignIn` */
export const beginProviderSignIn =
  ({
    signInProviders,
  }: {
    readonly signInProviders: SignInProviders;
  }): Handlers<typeof DashboardService>["beginProviderSignIn"] =>
  async ({ provider }, call) => {
    const browser = requireBrowser(call);
    const { url, kept, lifetimeMs } = await signInProviders.begin(provider);
    browser.keepSignIn(kept, lifetimeMs);
    return { url };
  };
