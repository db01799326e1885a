import type { IntrospectionService } from "../../../gen/latchkey/v1/introspection_pb.ts";
import { type IntrospectTokenDeps, introspectToken } from "../../usecases/introspect-token.ts";
import type { Handlers } from "../handlers.ts";
import { judgementMessage, question } from "./judgement.ts";

/** `IntrospectionService.BatchIntrospect` */
export const batchIntrospect =
  (deps: IntrospectTokenDeps): Handlers<typeof IntrospectionService>["batchIntrospect"] =>
  async (request, call) => {
    const decisions = request.requests.map((one) => introspectToken(deps, call.caller, question(one)));
    return { responses: (await Promise.all(decisions)).map(judgementMessage) };
  };
