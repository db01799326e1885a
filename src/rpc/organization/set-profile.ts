import { OrganizationService } from "../../../gen/latchkey/v1/organization_pb.ts";
import * as useCase from "../../usecases/set-profile.ts";
import { attemptOf } from "../attempt.ts";
import type { Handlers } from "../handlers.ts";
import { organizationMessage } from "../messages.ts";

/** `OrganizationService.SetProfile` */
export const setProfile =
  (deps: useCase.SetProfileDeps): Handlers<typeof OrganizationService>["setProfile"] =>
  async (request, call) => {
    const attempt = attemptOf(OrganizationService.method.setProfile, request);
    const organization = await useCase.setProfile(deps, call, { ...request, attempt });
    return { organization: organizationMessage(organization) };
  };
