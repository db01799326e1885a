import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { DashboardService, OfferedRateLimitSchema, OfferSchema } from "../../../gen/latchkey/v1/dashboard_pb.ts";
import type { Profile, RateLimit } from "../../domain/profile.ts";
import * as useCase from "../../usecases/get-context.ts";
import type { Handlers } from "../handlers.ts";
import { organizationMessage, roleMessage, userMessage } from "../messages.ts";

/** `DashboardService.GetContext` */
export const getContext =
  (deps: useCase.GetContextDeps): Handlers<typeof DashboardService>["getContext"] =>
  async (_request, { caller }) => {
    const { user, session, organization, role, profile, places } = await useCase.getContext(deps, caller);
    return {
      user: userMessage(user),
      organization: organizationMessage(organization),
      role: roleMessage(role),
      places: places.map((place) => ({
        organization: organizationMessage(place.organization),
        role: roleMessage(place.membership.role),
      })),
      offer: offerMessage(profile),
      sessionExpiresAt: timestampFromDate(session.expiresAt),
      signInMethod: session.method,
    };
  };

function offerMessage(profile: Profile): MessageInitShape<typeof OfferSchema> {
  const { access, dashboard, types, plans } = profile;
  const catalog = access.kind === "full" ? [] : access.catalog;
  const described = new Map(catalog.map(({ name, description }) => [name, description]));
  const scope = (name: string) => ({ name, description: described.get(name) ?? "" });
  return {
    profile: profile.id,
    productName: dashboard.productName,
    tokensTitle: dashboard.tokensTitle,
    tokenNoun: dashboard.tokenNoun,
    newTokenLabel: dashboard.newTokenLabel,
    scopes: access.kind === "scopes" ? access.catalog.map(({ name }) => scope(name)) : [],
    permissions:
      access.kind === "permissions"
        ? access.permissions.map(({ name, description, scopes }) => ({ name, description, scopes: scopes.map(scope) }))
        : [],
    types: types.map(({ name, description, managers, rateLimit }) => ({
      name,
      description,
      managers: managers.any.map(roleMessage),
      ownManagers: managers.own.map(roleMessage),
      ...limit(rateLimit),
    })),
    plans: plans.map(({ name, tokens, ipAllowlist, rateLimit }) => ({
      name,
      tokens,
      ipAllowlist,
      ...limit(rateLimit),
    })),
    expiry: profile.expiry === "optional",
    credentialHeaders: [...profile.credentialHeaders],
    basePath: profile.basePaths[0] ?? "",
  };
}

function limit(rateLimit: RateLimit | undefined): { rateLimit?: MessageInitShape<typeof OfferedRateLimitSchema> } {
  if (rateLimit === undefined) return {};
  return { rateLimit: { requests: BigInt(rateLimit.requests), window: durationFromMs(rateLimit.windowMs) } };
}
