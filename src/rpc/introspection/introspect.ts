import type { IntrospectionService } from "../../../gen/latchkey/v1/introspection_pb.ts";
import { type IntrospectTokenDeps, introspectToken } from "../../usecases/introspect-token.ts";
import type { Handlers } from "../handlers.ts";
import { judgementMessage, question } from "./judgement.ts";

/** `IntrospectionService.Introspect` */
export const introspect =
  (deps: IntrospectTokenDeps): Handlers<typeof IntrospectionService>["introspect"] =>
  async (request, call) =>
    judgementMessage(await introspectToken(deps, call.caller, question(request)));
