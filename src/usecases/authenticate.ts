/** Finds out who sent a credential. */
import type { AccessTokens } from "../domain/access-tokens.ts";
import type { Caller } from "../domain/caller.ts";
import type { Clock } from "../domain/clock.ts";
import { decide, type TokenRecord } from "../domain/decision.ts";
import { addressNotAllowed, invalidCredential, rateLimited } from "../domain/errors.ts";
import { fingerprintKey } from "../domain/fingerprint.ts";
import type { Id } from "../domain/ids.ts";
import {
  type CredentialHeader,
  type Profile,
  type Profiles,
  type RateLimit,
  rateLimitOf,
  SERVICE_PROFILE_ID,
} from "../domain/profile.ts";
import type { Storage } from "../domain/storage.ts";
import type { RateLimiter, RateVerdict } from "./rate-limiter.ts";
import type { TokenCache } from "./token-cache.ts";
import type { UsageRecorder } from "./usage-recorder.ts";

/** A credential as it was sent. */
export interface Credential {
  readonly header: CredentialHeader;
  readonly value: string;
}

export interface AuthenticateDeps {
  readonly storage: Storage;
  readonly tokens: TokenCache;
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
export function authenticate(
  deps: AuthenticateDeps,
  credential: Credential,
  clientIp: string,
): Caller | Promise<Caller> {
  const { header, value } = credential;
  const profile = deps.profiles.ofSecret(value);
  if (profile === undefined) {
    if (header === "authorization") return authenticateUser(deps, value);
    throw invalidCredential();
  }
  if (!profile.credentialHeaders.includes(header)) throw invalidCredential();
  const found = deps.tokens.find(fingerprintKey(value));
  return found instanceof Promise
    ? found.then((record) => admit(deps, profile, record, clientIp))
    : admit(deps, profile, found, clientIp);
}

function admit(
  { usage, rateLimiter, clock }: AuthenticateDeps,
  profile: Profile,
  record: TokenRecord | undefined,
  clientIp: string,
): Caller | Promise<Caller> {
  if (record === undefined) throw invalidCredential();
  const decision = decide(record, profile, { requiredScopes: [], clientIp }, clock());
  if (!decision.active) throw invalidCredential();
  const { token, organization, secret } = decision.record;
  const limit = rateLimitOf(profile, token.type, organization.plan);
  // No scope was asked for, so it is the address.
  if (!decision.allowed) return refuseAddress(rateLimiter, token.id, limit);
  usage.record(token.id, secret.kind);
  if (profile.id === SERVICE_PROFILE_ID) return { kind: "service", token };
  if (limit === undefined) return { kind: "token", token, rateStatus: undefined };
  const counted = ({ admitted, status }: RateVerdict): Caller => {
    if (!admitted) throw rateLimited(status);
    return { kind: "token", token, rateStatus: status };
  };
  const verdict = rateLimiter.admit(token.id, limit, 1);
  return verdict instanceof Promise ? verdict.then(counted) : counted(verdict);
}

async function refuseAddress(rateLimiter: RateLimiter, tokenId: Id, limit: RateLimit | undefined): Promise<never> {
  throw addressNotAllowed(limit && (await rateLimiter.peek(tokenId, limit, 1)).status);
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
