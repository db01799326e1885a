import type { AuditService } from "../../../gen/latchkey/v1/audit_pb.ts";
import * as useCase from "../../usecases/get-checkpoint.ts";
import type { Handlers } from "../handlers.ts";

/** `AuditService.GetCheckpoint` */
export const getCheckpoint =
  (deps: useCase.GetCheckpointDeps): Handlers<typeof AuditService>["getCheckpoint"] =>
  (_request, call) =>
    useCase.getCheckpoint(deps, call.caller);
