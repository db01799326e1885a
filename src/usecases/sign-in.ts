/** Trades an address and a password for a session. */
import { createHash } from "node:crypto";
import type { AccessTokens } from "../domain/access-tokens.ts";
import type { Actor } from "../domain/audit.ts";
import type { Clock, Entropy } from "../domain/clock.ts";
import type { Membership, Session, User } from "../domain/entities.ts";
import { AppError, notFound } from "../domain/errors.ts";
import { fromPublicId, toPublicId, uuidV7 } from "../domain/ids.ts";
import type { PasswordHasher } from "../domain/passwords.ts";
import type { Storage } from "../domain/storage.ts";
import type { AttemptLimits } from "./attempt-limits.ts";
import { changeOf, type Origin, originOfPerson } from "./origin.ts";

const SESSION_LIFETIME_MS = 30 * 24 * 3600 * 1000;
const REFRESH_TOKEN_BYTES = 32;
const REFRESH_TOKEN_PREFIX = "lkr_";

export interface SignInDeps {
  readonly storage: Storage;
  readonly passwords: PasswordHasher;
  readonly accessTokens: AccessTokens;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly attemptLimits: AttemptLimits;
}

export interface SignInInput {
  readonly email: string;
  readonly password: string;
  /** Public id, or empty for the organization joined first. */
  readonly organizationId: string;
  /** Address of the person's client, where a backend states it; else empty. */
  readonly clientIp: string;
}

/** What a person holds while signed in. */
export interface TokenPair {
  readonly accessToken: string;
  readonly accessTokenExpiresAt: Date;
  /** Works once, for the next pair. */
  readonly refreshToken: string;
}

/**
 * Signs a person in. An anonymous caller may; the pipeline lets one through on the public port only.
 *
 * @throws AppError: `unauthenticated`, the same after the same work, for an unknown address and a wrong
 *   password; `rate_limited` for a client that tried too often; `not_found` for an organization that isn't the person's; `permission_denied` for a person
 *   without any.
 */
export async function signIn(
  deps: SignInDeps,
  call: Origin,
  input: SignInInput,
): Promise<TokenPair & { readonly user: User }> {
  const { storage, passwords, clock, entropy, attemptLimits } = deps;
  const origin = originOfPerson(call, input.clientIp);
  const { caller } = origin;
  await attemptLimits.ofAddress("login", origin.peer);
  const user = await storage.findUserByEmail(normalizeEmail(input.email));
  const matches = await passwords.verify(user?.passwordHash, input.password);
  if (user === undefined || !matches) {
    const reason = user === undefined ? "unknown_address" : "wrong_password";
    // Written for an unknown address too, else the time that it takes would tell one from the other.
    await storage.recordSignInFailure(user?.id, reason, changeOf(origin, clock()));
    throw new AppError("unauthenticated", "The email or the password is wrong.");
  }
  const now = clock();
  const memberships = await storage.listMembershipsOfUser(user.id);
  const membership = findMembership(memberships, input.organizationId);
  if (membership === undefined) {
    await storage.recordSignInFailure(user.id, "not_a_member", changeOf(origin, now));
    throw memberships.length === 0
      ? new AppError("permission_denied", "You are not a member of any organization.")
      : notFound("organization");
  }
  const { organizationId } = membership;
  const session: Session = {
    id: uuidV7(now, entropy(10)),
    userId: user.id,
    organizationId,
    createdAt: new Date(now),
    expiresAt: new Date(now + SESSION_LIFETIME_MS),
    endedAt: undefined,
  };
  const refreshToken = newRefreshToken(entropy);
  // A stranger's call became that person's with the password.
  const actor: Actor | undefined =
    caller.kind === "anonymous" ? { kind: "user", id: toPublicId("usr", user.id) } : undefined;
  // Whoever changes the password meanwhile wants nobody in who knew the old one.
  await storage.createSession(
    session,
    refreshFingerprint(refreshToken),
    changeOf(origin, now, actor),
    user.passwordHash,
  );
  return { ...(await issueAccessToken(deps, session)), refreshToken, user };
}

/** The one way that an address is written in the store. */
export function normalizeEmail(email: string): string {
  return email.trim().toLowerCase().normalize("NFC");
}

export function newRefreshToken(entropy: Entropy): string {
  return REFRESH_TOKEN_PREFIX + Buffer.from(entropy(REFRESH_TOKEN_BYTES)).toString("base64url");
}

export function refreshFingerprint(refreshToken: string): Uint8Array {
  return createHash("sha256").update(refreshToken).digest();
}

export async function issueAccessToken(
  { accessTokens }: Pick<SignInDeps, "accessTokens">,
  session: Session,
): Promise<Pick<TokenPair, "accessToken" | "accessTokenExpiresAt">> {
  const { userId, organizationId, id: sessionId } = session;
  const { token, expiresAt } = await accessTokens.issue({ userId, organizationId, sessionId });
  return { accessToken: token, accessTokenExpiresAt: expiresAt };
}

/** The membership of the organization that is named, or the first one. */
function findMembership(memberships: readonly Membership[], requested: string): Membership | undefined {
  if (requested === "") return memberships[0];
  const id = fromPublicId("org", requested);
  return memberships.find(({ organizationId }) => organizationId === id);
}
