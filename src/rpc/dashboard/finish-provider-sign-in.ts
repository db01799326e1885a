import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { DashboardService } from "../../../gen/latchkey/v1/dashboard_pb.ts";
import { type SignInByProviderDeps, signInByProvider } from "../../usecases/sign-in-by-provider.ts";
import type { Handlers } from "../handlers.ts";
import { type Products, productOf } from "../product.ts";
import { requireBrowser } from "./browser.ts";

/** `DashboardService.FinishProviderSignIn` */
export const finishProviderSignIn =
  (
    deps: SignInByProviderDeps & { readonly products: Products },
  ): Handlers<typeof DashboardService>["finishProviderSignIn"] =>
  async (request, call) => {
    const browser = requireBrowser(call);
    const { signIn: kept, session: before } = browser;
    // It works once, whatever comes of it.
    browser.forgetSignIn();
    const profile = productOf(deps.products, { kind: "anonymous" }, call, undefined);
    const { secret, lifetimeMs, expiresAt } = await signInByProvider(deps, call, { ...request, kept, before, profile });
    browser.keepSession(secret, lifetimeMs);
    return { expiresAt: timestampFromDate(expiresAt) };
  };
