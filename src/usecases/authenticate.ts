/** Finds out who sent a credential. */
import type { AccessTokens } from "../domain/access-tokens.ts";
import type { Caller } from "../domain/caller.ts";
import type { Clock } from "../domain/clock.ts";
import { decide } from "../domain/decision.ts";
import { invalidCredential } from "../domain/errors.ts";
import { fingerprint } from "../domain/fingerprint.ts";
import { type CredentialHeader, type Profile, type Profiles, SERVICE_PROFILE_ID } from "../domain/profile.ts";
import type { Storage } from "../domain/storage.ts";
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
  readonly clock: Clock;
}

/**
 * Says who the caller is: a service key, an API token in a header that its profile accepts, or a person
 * with an access token. Roles are read anew each time, so a change takes effect at once.
 *
 * @param clientIp address that the credential came from
 * @throws AppError of kind `unauthenticated`, always the same, for anything that isn't certain.
 */
export async function authenticate(deps: AuthenticateDeps, credential: Credential, clientIp: string): Promise<Caller> {
  const profile = deps.profiles.ofSecret(credential.value);
  if (profile) return authenticateToken(deps, credential, profile, clientIp);
  if (credential.header === "authorization") return authenticateUser(deps, credential.value);
  throw invalidCredential();
}

async function authenticateToken(
  deps: AuthenticateDeps,
  { header, value }: Credential,
  profile: Profile,
  clientIp: string,
): Promise<Caller> {
  if (!profile.credentialHeaders.includes(header)) throw invalidCredential();
  const record = await deps.storage.findTokenByFingerprint(fingerprint(value));
  if (record === undefined) throw invalidCredential();
  const decision = decide(record, profile, { requiredScopes: [], clientIp }, deps.clock());
  if (!decision.active || !decision.allowed) throw invalidCredential();
  const { token } = decision.record;
  deps.usage.record(token.id);
  return { kind: profile.id === SERVICE_PROFILE_ID ? "service" : "token", token };
}

async function authenticateUser({ storage, accessTokens, clock }: AuthenticateDeps, value: string): Promise<Caller> {
  const claims = await accessTokens.verify(value);
  if (claims === undefined) throw invalidCredential();
  const { userId, organizationId, sessionId } = claims;
  const [session, membership] = await Promise.all([
    storage.getSession(sessionId),
    storage.getMembership(organizationId, userId),
  ]);
  if (session === undefined || session.endedAt !== undefined || session.expiresAt.getTime() <= clock()) {
    throw invalidCredential();
  }
  if (membership === undefined) throw invalidCredential();
  return { kind: "user", userId, organizationId, role: membership.role };
}
