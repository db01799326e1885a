import type { OrganizationService } from "../../../gen/latchkey/v1/organization_pb.ts";
import * as useCase from "../../usecases/set-profile.ts";
import type { Handlers } from "../handlers.ts";
import { organizationMessage } from "../messages.ts";

/** `OrganizationService.SetProfile` */
export const setProfile =
  (deps: useCase.SetProfileDeps): Handlers<typeof OrganizationService>["setProfile"] =>
  async (request, call) => ({
    organization: organizationMessage(await useCase.setProfile(deps, call.caller, request)),
  });
