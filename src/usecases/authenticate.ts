/** Finds out who sent a credential. */
import type { AccessTokens } from "../domain/access-tokens.ts";
import type { Caller } from "../domain/caller.ts";
import type { Clock } from "../domain/clock.ts";
import { decide } from "../domain/decision.ts";
import { addressNotAllowed, invalidCredential, rateLimited } from "../domain/errors.ts";
import { fingerprint } from "../domain/fingerprint.ts";
import {
  type CredentialHeader,
  type Profile,
  type Profiles,
  rateLimitOf,
  SERVICE_PROFILE_ID,
} from "../domain/profile.ts";
import type { Storage } from "../domain/storage.ts";
import type { RateLimiter } from "./rate-limiter.ts";
import type { UsageRecorder } from "./usage-recorder.ts";

/** A credential as it was sent. */
export interface Credential {
  readonly header: CredentialHeader;
  readonly value: string;
}

export interface AuthenticateDeps {
  readonly storage: Storage;
  readonly profiles: Profiles;
  readonly accessTokens: AccessTokens;
  readonly usage: UsageRecorder;
  readonly rateLimiter: RateLimiter;
  readonly clock: Clock;
}

/**
 * Says who the caller is: a service key, an API token in a header that its profile accepts, or a person
 * with an access token. Roles are read anew each time, so a change takes effect at once. A call by an API
 * token counts against its rate limit and marks it as used.
 *
 * @param clientIp address that the credential came from
 * @throws AppError of kind `unauthenticated`, always the same, for anything that isn't certain;
 *   `permission_denied` for a token that works, but not from this address; `rate_limited` for one over
 *   its limit.
 */
export async function authenticate(deps: AuthenticateDeps, credential: Credential, clientIp: string): Promise<Caller> {
  const profile = deps.profiles.ofSecret(credential.value);
  if (profile) return authenticateToken(deps, credential, profile, clientIp);
  if (credential.header === "authorization") return authenticateUser(deps, credential.value);
  throw invalidCredential();
}

async function authenticateToken(
  { storage, usage, rateLimiter, clock }: AuthenticateDeps,
  { header, value }: Credential,
  profile: Profile,
  clientIp: string,
): Promise<Caller> {
  if (!profile.credentialHeaders.includes(header)) throw invalidCredential();
  const record = await storage.findTokenByFingerprint(fingerprint(value));
  if (record === undefined) throw invalidCredential();
  const decision = decide(record, profile, { requiredScopes: [], clientIp }, clock());
  if (!decision.active) throw invalidCredential();
  const { token, organization } = decision.record;
  const limit = rateLimitOf(profile, token.type, organization.plan);
  if (!decision.allowed) {
    // No scope was asked for, so it is the address.
    throw addressNotAllowed(limit && (await rateLimiter.peek(token.id, limit, 1)).status);
  }
  usage.record(token.id);
  if (profile.id === SERVICE_PROFILE_ID) return { kind: "service", token };
  const verdict = limit === undefined ? undefined : await rateLimiter.admit(token.id, limit, 1);
  if (verdict?.admitted === false) throw rateLimited(verdict.status);
  return { kind: "token", token, rateStatus: verdict?.status };
}

async function authenticateUser({ storage, accessTokens, clock }: AuthenticateDeps, value: string): Promise<Caller> {
  const claims = await accessTokens.verify(value);
  if (claims === undefined) throw invalidCredential();
  const { userId, organizationId, sessionId } = claims;
  const [session, membership, organization] = await Promise.all([
    storage.getSession(sessionId),
    storage.getMembership(organizationId, userId),
    storage.getOrganization(organizationId),
  ]);
  if (session === undefined || session.endedAt !== undefined || session.expiresAt.getTime() <= clock()) {
    throw invalidCredential();
  }
  if (membership === undefined || organization === undefined) throw invalidCredential();
  return { kind: "user", userId, organizationId, role: membership.role, profile: organization.profile };
}
