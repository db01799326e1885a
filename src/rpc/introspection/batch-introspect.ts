import type { IntrospectionService } from "../../../gen/latchkey/v1/introspection_pb.ts";
import { introspectToken } from "../../usecases/introspect-token.ts";
import type { Handlers } from "../handlers.ts";
import { type JudgementDeps, judgementMessage, question } from "./judgement.ts";

/** `IntrospectionService.BatchIntrospect` */
export const batchIntrospect =
  (deps: JudgementDeps): Handlers<typeof IntrospectionService>["batchIntrospect"] =>
  async (request, call) => {
    const judgements = request.requests.map(async (one) => introspectToken(deps, call.caller, question(one)));
    return { responses: (await Promise.all(judgements)).map((judgement) => judgementMessage(deps, judgement)) };
  };
