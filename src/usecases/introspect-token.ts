/** Answers whether a token is valid and what it may do. */
import { type Caller, callerOrganization } from "../domain/caller.ts";
import type { Clock } from "../domain/clock.ts";
import { type Decision, type DecisionRequest, decide } from "../domain/decision.ts";
import { fingerprint } from "../domain/fingerprint.ts";
import { type Profiles, SERVICE_PROFILE_ID } from "../domain/profile.ts";
import type { Storage } from "../domain/storage.ts";
import { requireServiceScope } from "./authorization.ts";
import type { UsageRecorder } from "./usage-recorder.ts";

export interface IntrospectTokenDeps {
  readonly storage: Storage;
  readonly profiles: Profiles;
  readonly usage: UsageRecorder;
  readonly clock: Clock;
}

export interface IntrospectTokenInput extends DecisionRequest {
  /** Any text. */
  readonly secret: string;
  /** Explain only: the token isn't marked as used. */
  readonly dryRun: boolean;
}

/**
 * Judges a token. Text that isn't a well-formed secret is refused without a look-up. A token of an
 * organization that the caller doesn't serve is unknown to it, and so is any service key: it opens
 * Latchkey, not a product.
 *
 * @throws AppError: `permission_denied` without the scope `introspect`, `unavailable` when the store
 *   can't be read. It never guesses.
 */
export async function introspectToken(
  { storage, profiles, usage, clock }: IntrospectTokenDeps,
  caller: Caller,
  { secret, dryRun, ...request }: IntrospectTokenInput,
): Promise<Decision> {
  requireServiceScope(caller, "introspect");
  const profile = profiles.ofSecret(secret);
  if (profile === undefined) return { active: false, reason: "malformed" };
  if (profile.id === SERVICE_PROFILE_ID) return { active: false, reason: "unknown" };
  const record = await storage.findTokenByFingerprint(fingerprint(secret));
  const own = callerOrganization(caller);
  if (record === undefined || (own !== undefined && own !== record.token.organizationId)) {
    return { active: false, reason: "unknown" };
  }
  const decision = decide(record, profile, request, clock());
  if (decision.active && !dryRun) usage.record(record.token.id);
  return decision;
}
