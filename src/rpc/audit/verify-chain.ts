import type { AuditService } from "../../../gen/latchkey/v1/audit_pb.ts";
import * as useCase from "../../usecases/verify-chain.ts";
import type { Handlers } from "../handlers.ts";

/** `AuditService.VerifyChain` */
export const verifyChain =
  (deps: useCase.VerifyChainDeps): Handlers<typeof AuditService>["verifyChain"] =>
  async (request, call) => {
    const { count, head, broken } = await useCase.verifyChain(deps, call.caller, request);
    return {
      count: BigInt(count),
      revision: BigInt(head.revision),
      headHash: new Uint8Array(head.hash),
      ...(broken && {
        fault: { sequence: BigInt(broken.sequence), revision: BigInt(broken.revision), kind: broken.fault },
      }),
    };
  };
