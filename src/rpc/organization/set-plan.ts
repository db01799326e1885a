import { OrganizationService } from "../../../gen/latchkey/v1/organization_pb.ts";
import * as useCase from "../../usecases/set-plan.ts";
import { attemptOf } from "../attempt.ts";
import type { Handlers } from "../handlers.ts";
import { organizationMessage } from "../messages.ts";

/** `OrganizationService.SetPlan` */
export const setPlan =
  (deps: useCase.SetPlanDeps): Handlers<typeof OrganizationService>["setPlan"] =>
  async (request, call) => {
    const attempt = attemptOf(OrganizationService.method.setPlan, request);
    const organization = await useCase.setPlan(deps, call, { ...request, attempt });
    return { organization: organizationMessage(organization) };
  };
