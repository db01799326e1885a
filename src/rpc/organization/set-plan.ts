import type { OrganizationService } from "../../../gen/latchkey/v1/organization_pb.ts";
import * as useCase from "../../usecases/set-plan.ts";
import type { Handlers } from "../handlers.ts";
import { organizationMessage } from "../messages.ts";

/** `OrganizationService.SetPlan` */
export const setPlan =
  (deps: useCase.SetPlanDeps): Handlers<typeof OrganizationService>["setPlan"] =>
  async (request, call) => ({ organization: organizationMessage(await useCase.setPlan(deps, call.caller, request)) });
