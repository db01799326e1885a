/** Finds out who sent a credential. */
import type { AccessClaims, AccessTokens } from "../domain/access-tokens.ts";
import type { Caller } from "../domain/caller.ts";
import type { Clock } from "../domain/clock.ts";
import { decide } from "../domain/decision.ts";
import type { Session, SessionClient } from "../domain/entities.ts";
import { AppError, addressNotAllowed, invalidCredential, rateLimited } from "../domain/errors.ts";
import type { ExternalClaims, ExternalTokens } from "../domain/external-tokens.ts";
import type { Id } from "../domain/ids.ts";
import {
  type CredentialHeader,
  type Profile,
  type Profiles,
  type RateLimit,
  SERVICE_PROFILE_ID,
} from "../domain/profile.ts";
import type { SignInProviders } from "../domain/sign-in-providers.ts";
import type { Storage } from "../domain/storage.ts";
import { BROWSER_SECRET_PREFIX } from "./browser-session.ts";
import type { RateLimiter, RateVerdict } from "./rate-limiter.ts";
import { secretFingerprint } from "./sign-in.ts";
import type { FoundToken, TokenFinder } from "./token-finder.ts";
import type { UsageRecorder } from "./usage-recorder.ts";

/** A credential as it was sent: in a header, or as the cookie of a page of ours. */
export interface Credential {
  readonly header: CredentialHeader | "cookie";
  readonly value: string;
}

export interface AuthenticateDeps {
  readonly storage: Storage;
  readonly tokenFinder: TokenFinder;
  readonly profiles: Profiles;
  readonly accessTokens: AccessTokens;
  readonly externalTokens: ExternalTokens;
  readonly signInProviders: Pick<SignInProviders, "issued">;
  readonly usage: UsageRecorder;
  readonly rateLimiter: RateLimiter;
  readonly clock: Clock;
}

/**
 * Says who the caller is: a service key, an API token in a header that its profile accepts, or a person
 * with an access token. Roles are read anew each time, so a change takes effect at once; those of a person
 * whom another issuer vouches for stand in that issuer's token. A call by an API token counts against its rate
 * limit and marks it as used.
 *
 * A bearer credential that isn't a well-formed secret is an access token if we or a configured issuer signed
 * it, and else may be a key that was imported: other systems' keys can look like anything, JSON Web Tokens
 * included.
 *
 * A cookie is the secret of a browser's session, and nothing else.
 *
 * @param clientIp address that the credential came from
 * @throws AppError of kind `unauthenticated`, always the same, for anything that isn't certain;
 *   `permission_denied` for a token that works, but not from this address, and for a person elsewhere
 *   who has no role here; `rate_limited` for a token over its limit; `unavailable` when who it is can't be
 *   found out.
 */
export function authenticate(
  deps: AuthenticateDeps,
  credential: Credential,
  clientIp: string,
): Caller | Promise<Caller> {
  const { header, value } = credential;
  if (header === "cookie") return authenticateBrowser(deps, value);
  if (value.startsWith(BROWSER_SECRET_PREFIX)) throw dashboardOnly();
  const known = deps.tokenFinder.recall(value);
  if (known?.format !== undefined) return admit(deps, header, known, clientIp);
  const format = deps.profiles.ofSecret(value);
  if (format === undefined && header === "authorization") return authenticateBearer(deps, value, clientIp);
  return authenticateToken(deps, { header, value }, format, clientIp);
}

async function authenticateBearer(deps: AuthenticateDeps, value: string, clientIp: string): Promise<Caller> {
  const claims = await deps.accessTokens.verify(value);
  if (claims !== undefined) return authenticateUser(deps, claims, deps.storage.getSession(claims.sessionId), "api");
  const external = await deps.externalTokens.verify(value);
  if (external === undefined && deps.signInProviders.issued(value)) throw dashboardOnly();
  return external === undefined
    ? authenticateToken(deps, { header: "authorization", value }, undefined, clientIp)
    : authenticateExternal(deps, external);
}

async function authenticateBrowser(deps: AuthenticateDeps, secret: string): Promise<Caller> {
  const session = await deps.storage.findSession(secretFingerprint(secret));
  if (session === undefined) throw invalidCredential();
  return authenticateUser(deps, session, session, "browser");
}

/** Says the same of what works in the dashboard and what doesn't work anywhere. */
function dashboardOnly(): AppError {
  return new AppError(
    "unauthenticated",
    "A sign-in to the dashboard, by Google or another service too, is no way into the API or the command line: send an API key, or the access token of a sign-in with a password.",
  );
}

function authenticateToken(
  deps: AuthenticateDeps,
  { header, value }: { readonly header: CredentialHeader; readonly value: string },
  format: Profile | undefined,
  clientIp: string,
): Caller | Promise<Caller> {
  const found = deps.tokenFinder.find(value, format);
  return found instanceof Promise
    ? found.then((later) => admit(deps, header, later, clientIp))
    : admit(deps, header, found, clientIp);
}

function admit(
  { usage, rateLimiter, clock }: AuthenticateDeps,
  header: CredentialHeader,
  found: FoundToken | undefined,
  clientIp: string,
): Caller | Promise<Caller> {
  // The token's own profile says where it may stand: an imported key's text doesn't tell.
  if (found === undefined || !found.profile.credentialHeaders.includes(header)) throw invalidCredential();
  const { profile, limit } = found;
  const now = clock();
  const decision = decide(found, profile, { requiredScopes: [], clientIp }, now);
  if (!decision.active) throw invalidCredential();
  const { token } = found;
  // No scope was asked for, so it is the address.
  if (!decision.allowed) return refuseAddress(rateLimiter, token.id, limit);
  usage.record(found, clientIp, now);
  if (profile.id === SERVICE_PROFILE_ID) return { kind: "service", service: token };
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

/** @param client whose session it has to be: a refresh token is no cookie, and a cookie no refresh token */
async function authenticateUser(
  { storage, clock }: AuthenticateDeps,
  { userId, organizationId }: Pick<AccessClaims, "userId" | "organizationId">,
  found: Session | Promise<Session | undefined>,
  client: SessionClient,
): Promise<Caller> {
  const [session, membership, organization] = await Promise.all([
    found,
    storage.getMembership(organizationId, userId),
    storage.getOrganization(organizationId),
  ]);
  if (session?.client !== client || session.endedAt !== undefined || session.expiresAt.getTime() <= clock()) {
    throw invalidCredential();
  }
  if (membership === undefined || organization === undefined) throw invalidCredential();
  return {
    kind: "user",
    userId,
    organizationId,
    role: membership.role,
    sessionId: session.id,
    profile: organization.profile,
  };
}

/** The issuer's word is all there is of such a person, so it is taken whole or not at all. */
async function authenticateExternal({ storage }: AuthenticateDeps, claims: ExternalClaims): Promise<Caller> {
  const { issuer, subject, organizationId, role } = claims;
  const organization = organizationId === undefined ? undefined : await storage.getOrganization(organizationId);
  if (organization === undefined || role === undefined) {
    throw new AppError(
      "permission_denied",
      "Your access token is good, but gives you no role in an organization here.",
    );
  }
  return { kind: "external", issuer, subject, organizationId: organization.id, role, profile: organization.profile };
}
