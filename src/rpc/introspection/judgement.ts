/** Questions and judgements as protobuf messages. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type IntrospectRequest,
  type IntrospectResponseSchema,
  Reason,
} from "../../../gen/latchkey/v1/introspection_pb.ts";
import type { Decision, DenialReason } from "../../domain/decision.ts";
import { toPublicId } from "../../domain/ids.ts";
import type { IntrospectTokenInput } from "../../usecases/introspect-token.ts";
import { optionalTimestamp } from "../messages.ts";

const REASON: Readonly<Record<DenialReason, Reason>> = {
  unknown: Reason.UNKNOWN,
  malformed: Reason.MALFORMED,
  revoked: Reason.REVOKED,
  expired: Reason.EXPIRED,
  disabled: Reason.DISABLED,
  ip_not_allowed: Reason.IP_NOT_ALLOWED,
  insufficient_scope: Reason.INSUFFICIENT_SCOPE,
};

export function question(request: IntrospectRequest): IntrospectTokenInput {
  return {
    secret: request.token,
    requiredScopes: request.requiredScopes,
    clientIp: request.clientIp === "" ? undefined : request.clientIp,
    dryRun: request.dryRun,
  };
}

/** An inactive token's answer says why, and nothing else. */
export function judgementMessage(decision: Decision): MessageInitShape<typeof IntrospectResponseSchema> {
  if (!decision.active) return { active: false, allowed: false, reason: REASON[decision.reason] };
  const { token, organization } = decision.record;
  return {
    active: true,
    allowed: decision.allowed,
    reason: decision.allowed ? Reason.UNSPECIFIED : REASON[decision.reason],
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
  };
}
