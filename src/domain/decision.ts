/** The judgement on a token: from what is known of it to what it may do. Fails closed. */
import { addressMatches } from "./address.ts";
import { type KnownToken, type Organization, tokenState } from "./entities.ts";
import { grants, type Profile, planOf } from "./profile.ts";
import { type PresentedSecret, secretWorks } from "./rotation.ts";

export type DenialReason =
  | "unknown"
  | "malformed"
  | "revoked"
  | "expired"
  | "disabled"
  | "ip_not_allowed"
  | "insufficient_scope"
  | "rate_limited";

/** What a judgement takes of a token that was found by a secret, and of the organization that it belongs to. */
export interface KnownRecord {
  readonly token: KnownToken;
  readonly organization: Pick<Organization, "id" | "plan">;
  readonly secret: PresentedSecret;
}

export type Decision =
  /** The token doesn't work, and nothing else may be said of it. */
  | { readonly active: false; readonly reason: DenialReason }
  /** The token works, but may not make this call. */
  | { readonly active: true; readonly allowed: false; readonly reason: DenialReason; readonly record: KnownRecord }
  | { readonly active: true; readonly allowed: true; readonly record: KnownRecord };

export interface DecisionRequest {
  readonly requiredScopes: readonly string[];
  /** Undefined when the caller doesn't know it. */
  readonly clientIp: string | undefined;
}

/** Judges a token that was found. The positive answer is built last. */
export function decide(record: KnownRecord, profile: Profile, request: DecisionRequest, nowMs: number): Decision {
  const { token, organization } = record;
  if (!secretWorks(record.secret, nowMs)) return { active: false, reason: "revoked" };
  const state = tokenState(token, nowMs);
  if (state !== "active") return { active: false, reason: state };
  // A plan without tokens, or one that the profile doesn't know, switches them off.
  if (planOf(profile, organization.plan)?.tokens !== true) return { active: false, reason: "disabled" };
  if (token.ipAllowlist.length > 0) {
    const { clientIp } = request;
    // An address that nobody told can't be on the list.
    if (clientIp === undefined || !token.ipAllowlist.some((block) => addressMatches(block, clientIp))) {
      return { active: true, allowed: false, reason: "ip_not_allowed", record };
    }
  }
  for (const scope of request.requiredScopes) {
    if (!grants(profile.access, token, scope)) {
      return { active: true, allowed: false, reason: "insufficient_scope", record };
    }
  }
  return { active: true, allowed: true, record };
}
