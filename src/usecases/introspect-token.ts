/** Answers whether a token is valid and what it may do. */
import { type Caller, callerOrganization } from "../domain/caller.ts";
import type { Clock } from "../domain/clock.ts";
import { type Decision, type DecisionRequest, type DenialReason, decide } from "../domain/decision.ts";
import { type Profile, type Profiles, SERVICE_PROFILE_ID } from "../domain/profile.ts";
import type { RateStatus } from "../domain/rate-window.ts";
import { requireServiceScope } from "./authorization.ts";
import type { RateLimiter, RateVerdict } from "./rate-limiter.ts";
import type { EncodedText, FoundToken, TokenFinder } from "./token-finder.ts";
import type { UsageRecorder } from "./usage-recorder.ts";

export interface IntrospectTokenDeps {
  readonly tokenFinder: TokenFinder;
  readonly profiles: Profiles;
  readonly usage: UsageRecorder;
  readonly rateLimiter: RateLimiter;
  readonly clock: Clock;
  readonly decisions: DecisionCounts;
}

/** How often each answer was given, for operators. Dry runs count too. */
export type DecisionCounts = Record<"allowed" | DenialReason, number>;

export function noDecisions(): DecisionCounts {
  return {
    allowed: 0,
    unknown: 0,
    malformed: 0,
    revoked: 0,
    expired: 0,
    disabled: 0,
    ip_not_allowed: 0,
    insufficient_scope: 0,
    rate_limited: 0,
  };
}

export interface IntrospectTokenInput extends DecisionRequest {
  /** Any text. */
  readonly secret: string | EncodedText;
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
 * Judges a token. Text that isn't a well-formed secret is malformed, unless it is an imported key; until
 * keys were imported, that takes no look-up. A token of an organization that the caller doesn't serve is as
 * if it weren't there, and so is any service key: it opens Latchkey, not a product. Units of a rate limit are
 * taken last, so that a refused call costs none.
 *
 * @throws AppError: `permission_denied` without the scope `introspect`, `unavailable` when the store
 *   can't be read. It never guesses.
 */
export function introspectToken(
  deps: IntrospectTokenDeps,
  caller: Caller,
  input: IntrospectTokenInput,
): Judgement | Promise<Judgement> {
  requireServiceScope(caller, "introspect");
  const judgement = findAndJudge(deps, caller, input);
  return judgement instanceof Promise
    ? judgement.then((later) => count(deps.decisions, later))
    : count(deps.decisions, judgement);
}

function count(decisions: DecisionCounts, judgement: Judgement): Judgement {
  const { decision } = judgement;
  decisions[decision.active && decision.allowed ? "allowed" : decision.reason]++;
  return judgement;
}

function findAndJudge(
  deps: IntrospectTokenDeps,
  caller: Caller,
  input: IntrospectTokenInput,
): Judgement | Promise<Judgement> {
  const { profiles, tokenFinder } = deps;
  const known = tokenFinder.recall(input.secret);
  if (known !== undefined) return judge(deps, caller, known, input);
  const secret = input.secret.toString();
  const format = profiles.ofSecret(secret);
  if (format?.id === SERVICE_PROFILE_ID) return refusal("unknown", undefined);
  const judgeFound = (found: FoundToken | undefined): Judgement | Promise<Judgement> =>
    found === undefined ? refuse(profiles, format, secret) : judge(deps, caller, found, input);
  const found = tokenFinder.find(secret, format);
  return found instanceof Promise ? found.then(judgeFound) : judgeFound(found);
}

/** As if there were no token. @param format the profile whose format the secret has */
function refuse(profiles: Profiles, format: Profile | undefined, secret: string | EncodedText): Judgement {
  return format === undefined ? refusal("malformed", profiles.ofPrefix(secret.toString())) : refusal("unknown", format);
}

function judge(
  { profiles, usage, rateLimiter, clock }: IntrospectTokenDeps,
  caller: Caller,
  found: FoundToken,
  input: IntrospectTokenInput,
): Judgement | Promise<Judgement> {
  const own = caller.kind === "anonymous" ? undefined : callerOrganization(caller);
  if (own !== undefined && own !== found.token.organizationId) return refuse(profiles, found.format, input.secret);
  const { token, profile, limit } = found;
  const { clientIp = "", cost, dryRun } = input;
  const now = clock();
  const decision = decide(found, profile, input, now);
  if (!decision.active) return { decision, profile, rateStatus: undefined };
  if (!dryRun) usage.record(found, clientIp, now);
  if (limit === undefined) return { decision, profile, rateStatus: undefined };
  const spends = decision.allowed && !dryRun;
  const counted = ({ admitted, status }: RateVerdict): Judgement =>
    admitted || !decision.allowed
      ? { decision, profile, rateStatus: status }
      : {
          decision: { active: true, allowed: false, reason: "rate_limited", record: found },
          profile,
          rateStatus: status,
        };
  const verdict = spends ? rateLimiter.admit(token.id, limit, cost) : rateLimiter.peek(token.id, limit, cost);
  return verdict instanceof Promise ? verdict.then(counted) : counted(verdict);
}

function refusal(reason: "malformed" | "unknown", profile: Profile | undefined): Judgement {
  return {
    decision: { active: false, reason },
    profile: profile?.id === SERVICE_PROFILE_ID ? undefined : profile,
    rateStatus: undefined,
  };
}
