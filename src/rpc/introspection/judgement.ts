/** Questions and judgements as protobuf messages. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type DenialSchema,
  type IntrospectRequest,
  type IntrospectResponseSchema,
  type RateLimitSchema,
  Reason,
} from "../../../gen/latchkey/v1/introspection_pb.ts";
import type { DenialReason } from "../../domain/decision.ts";
import { AppError, addressNotAllowed, invalidCredential, rateLimited } from "../../domain/errors.ts";
import { toPublicId } from "../../domain/ids.ts";
import type { Profile } from "../../domain/profile.ts";
import type { RateStatus } from "../../domain/rate-window.ts";
import type { IntrospectTokenDeps, IntrospectTokenInput, Judgement } from "../../usecases/introspect-token.ts";
import { optionalTimestamp } from "../messages.ts";
import { presentFailure, rateLimitHeaders } from "../presentation.ts";

const REASON: Readonly<Record<DenialReason, Reason>> = {
  unknown: Reason.UNKNOWN,
  malformed: Reason.MALFORMED,
  revoked: Reason.REVOKED,
  expired: Reason.EXPIRED,
  disabled: Reason.DISABLED,
  ip_not_allowed: Reason.IP_NOT_ALLOWED,
  insufficient_scope: Reason.INSUFFICIENT_SCOPE,
  rate_limited: Reason.RATE_LIMITED,
};

export interface JudgementDeps extends IntrospectTokenDeps {
  /** Shapes the denial of what nobody's token could be. */
  readonly defaultProfile: Profile;
}

export function question(request: IntrospectRequest): IntrospectTokenInput {
  return {
    secret: request.token,
    requiredScopes: request.requiredScopes,
    clientIp: request.clientIp === "" ? undefined : request.clientIp,
    cost: Math.max(1, request.cost),
    dryRun: request.dryRun,
  };
}

/** An inactive token's answer says why, what to tell the client, and nothing else. */
export function judgementMessage(
  { defaultProfile, clock }: JudgementDeps,
  { decision, profile, rateStatus }: Judgement,
): MessageInitShape<typeof IntrospectResponseSchema> {
  const denied = decision.active && decision.allowed ? undefined : decision.reason;
  const denial = denied && { denial: denialMessage(profile ?? defaultProfile, denied, rateStatus, clock()) };
  if (!decision.active) return { active: false, allowed: false, reason: REASON[decision.reason], ...denial };
  const { token, organization } = decision.record;
  return {
    active: true,
    allowed: decision.allowed,
    reason: denied === undefined ? Reason.UNSPECIFIED : REASON[denied],
    tokenId: toPublicId("tok", token.id),
    organizationId: toPublicId("org", organization.id),
    userId: token.userId === undefined ? "" : toPublicId("usr", token.userId),
    profile: token.profile,
    type: token.type,
    name: token.name,
    permission: token.permission,
    scopes: [...token.scopes],
    plan: organization.plan,
    ...optionalTimestamp("expiresAt", token.expiresAt),
    revision: BigInt(token.revision),
    ...(rateStatus === undefined ? {} : { rateLimit: rateLimitMessage(rateStatus) }),
    ...denial,
  };
}

function rateLimitMessage({ limit, remaining, resetMs }: RateStatus): MessageInitShape<typeof RateLimitSchema> {
  return { limit: BigInt(limit), remaining: BigInt(remaining), reset: BigInt(Math.ceil(resetMs / 1000)) };
}

function denialMessage(
  profile: Profile,
  reason: DenialReason,
  rateStatus: RateStatus | undefined,
  nowMs: number,
): MessageInitShape<typeof DenialSchema> {
  const { status, headers, body } = presentFailure(profile, denialError(reason, rateStatus), nowMs);
  return {
    status,
    headers: {
      "Cache-Control": "no-store",
      "Content-Type": "application/json",
      ...(rateStatus === undefined ? {} : rateLimitHeaders(profile, rateStatus)),
      ...headers,
    },
    body: JSON.stringify(body),
  };
}

function denialError(reason: DenialReason, rateStatus: RateStatus | undefined): AppError {
  switch (reason) {
    case "insufficient_scope":
      return new AppError("permission_denied", "The API token's scopes don't allow this operation.");
    case "ip_not_allowed":
      return addressNotAllowed(rateStatus);
    case "rate_limited":
      if (rateStatus !== undefined) return rateLimited(rateStatus);
      return new AppError("rate_limited", "The rate limit is exceeded.");
    case "unknown":
    case "malformed":
    case "revoked":
    case "expired":
    case "disabled":
      return invalidCredential();
  }
}
