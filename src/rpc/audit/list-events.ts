import type { AuditService } from "../../../gen/latchkey/v1/audit_pb.ts";
import * as useCase from "../../usecases/list-events.ts";
import type { Handlers } from "../handlers.ts";
import { eventMessage, optionalDate } from "../messages.ts";

/** `AuditService.ListEvents` */
export const listEvents =
  (deps: useCase.ListEventsDeps): Handlers<typeof AuditService>["listEvents"] =>
  async (request, call) => {
    const { items, nextPageToken } = await useCase.listEvents(deps, call.caller, {
      ...request,
      from: optionalDate(request.from),
      until: optionalDate(request.until),
    });
    return { events: items.map(eventMessage), nextPageToken };
  };
