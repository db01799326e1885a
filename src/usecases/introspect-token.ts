/** Answers whether a token is valid and what it may do. */
import { type Caller, callerOrganization } from "../domain/caller.ts";
import type { Clock } from "../domain/clock.ts";
import { type Decision, type DecisionRequest, decide } from "../domain/decision.ts";
import { fingerprint } from "../domain/fingerprint.ts";
import { type Profile, type Profiles, rateLimitOf, SERVICE_PROFILE_ID } from "../domain/profile.ts";
import type { RateStatus } from "../domain/rate-window.ts";
import type { Storage } from "../domain/storage.ts";
import { requireServiceScope } from "./authorization.ts";
import type { RateLimiter } from "./rate-limiter.ts";
import type { UsageRecorder } from "./usage-recorder.ts";

export interface IntrospectTokenDeps {
  readonly storage: Storage;
  readonly profiles: Profiles;
  readonly usage: UsageRecorder;
  readonly rateLimiter: RateLimiter;
  readonly clock: Clock;
}

export interface IntrospectTokenInput extends DecisionRequest {
  /** Any text. */
  readonly secret: string;
  /** Units that the call takes of the rate limit. */
  readonly cost: number;
  /** Explain only: nothing is spent, and the token isn't marked as used. */
  readonly dryRun: boolean;
}

export interface Judgement {
  readonly decision: Decision;
  /** The product whose token it is, or was meant to be; undefined when nothing tells. */
  readonly profile: Profile | undefined;
  /** Where the token stands; undefined when it has no limit, or isn't one that works. */
  readonly rateStatus: RateStatus | undefined;
}

/**
 * Judges a token. Text that isn't a well-formed secret is refused without a look-up. A token of an
 * organization that the caller doesn't serve is unknown to it, and so is any service key: it opens
 * Latchkey, not a product. Units of a rate limit are taken last, so that a refused call costs none.
 *
 * @throws AppError: `permission_denied` without the scope `introspect`, `unavailable` when the store
 *   can't be read. It never guesses.
 */
export async function introspectToken(
  { storage, profiles, usage, rateLimiter, clock }: IntrospectTokenDeps,
  caller: Caller,
  { secret, cost, dryRun, ...request }: IntrospectTokenInput,
): Promise<Judgement> {
  requireServiceScope(caller, "introspect");
  const profile = profiles.ofSecret(secret);
  if (profile === undefined) return refusal("malformed", profiles.ofPrefix(secret));
  if (profile.id === SERVICE_PROFILE_ID) return refusal("unknown", undefined);
  const record = await storage.findTokenByFingerprint(fingerprint(secret));
  const own = callerOrganization(caller);
  if (record === undefined || (own !== undefined && own !== record.token.organizationId)) {
    return refusal("unknown", profile);
  }
  const { token, organization } = record;
  const decision = decide(record, profile, request, clock());
  if (decision.active && !dryRun) usage.record(token.id);
  const limit = decision.active ? rateLimitOf(profile, token.type, organization.plan) : undefined;
  if (limit === undefined) return { decision, profile, rateStatus: undefined };
  const spends = decision.active && decision.allowed && !dryRun;
  const { admitted, status } = await (spends
    ? rateLimiter.admit(token.id, limit, cost)
    : rateLimiter.peek(token.id, limit, cost));
  if (admitted || !decision.active || !decision.allowed) return { decision, profile, rateStatus: status };
  return { decision: { active: true, allowed: false, reason: "rate_limited", record }, profile, rateStatus: status };
}

function refusal(reason: "malformed" | "unknown", profile: Profile | undefined): Judgement {
  return {
    decision: { active: false, reason },
    profile: profile?.id === SERVICE_PROFILE_ID ? undefined : profile,
    rateStatus: undefined,
  };
}
