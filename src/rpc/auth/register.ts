import type { AuthService } from "../../../gen/latchkey/v1/auth_pb.ts";
import * as useCase from "../../usecases/register.ts";
import type { Handlers } from "../handlers.ts";
import { type Products, productOf } from "../product.ts";

/** `AuthService.Register` */
export const register =
  (deps: useCase.RegisterDeps & { readonly products: Products }): Handlers<typeof AuthService>["register"] =>
  async (request, call) => {
    const profile = call.product ?? productOf(deps.products, call.caller, call, undefined);
    await useCase.register(deps, call, { ...request, profile });
    return {};
  };
