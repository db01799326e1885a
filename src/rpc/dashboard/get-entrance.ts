import type { DashboardService } from "../../../gen/latchkey/v1/dashboard_pb.ts";
import type { SignInProviders } from "../../domain/sign-in-providers.ts";
import type { Handlers } from "../handlers.ts";
import { type Products, productOf } from "../product.ts";

export interface GetEntranceDeps {
  readonly products: Products;
  readonly allowsRegistration: boolean;
  /** Undefined where the deployment sends no letters. */
  readonly post: object | undefined;
  readonly signInProviders: Pick<SignInProviders, "offered">;
}

/** `DashboardService.GetEntrance` */
export const getEntrance =
  ({
    products,
    allowsRegistration,
    post,
    signInProviders,
  }: GetEntranceDeps): Handlers<typeof DashboardService>["getEntrance"] =>
  async (_request, call) => {
    const { dashboard } = productOf(products, { kind: "anonymous" }, call, undefined);
    return {
      productName: dashboard.productName,
      registrationOpen: allowsRegistration,
      sendsMail: post !== undefined,
      signInProviders: [...signInProviders.offered],
    };
  };
