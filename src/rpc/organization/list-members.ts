import type { OrganizationService } from "../../../gen/latchkey/v1/organization_pb.ts";
import * as useCase from "../../usecases/list-members.ts";
import type { Handlers } from "../handlers.ts";
import { memberMessage } from "../messages.ts";

/** `OrganizationService.ListMembers` */
export const listMembers =
  (deps: useCase.ListMembersDeps): Handlers<typeof OrganizationService>["listMembers"] =>
  async (request, call) => {
    const { items, nextPageToken } = await useCase.listMembers(deps, call.caller, request);
    return { members: items.map(memberMessage), nextPageToken };
  };
