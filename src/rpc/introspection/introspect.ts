import type { IntrospectionService } from "../../../gen/latchkey/v1/introspection_pb.ts";
import { introspectToken } from "../../usecases/introspect-token.ts";
import type { Handlers } from "../handlers.ts";
import { type JudgementDeps, judgementMessage, question } from "./judgement.ts";

/** `IntrospectionService.Introspect` */
export const introspect =
  (deps: JudgementDeps): Handlers<typeof IntrospectionService>["introspect"] =>
  async (request, call) =>
    judgementMessage(deps, await introspectToken(deps, call.caller, question(request)));
