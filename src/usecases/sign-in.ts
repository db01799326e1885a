/** Trades an address and a password for a session. */
import { createHash } from "node:crypto";
import type { AccessTokens } from "../domain/access-tokens.ts";
import type { Caller } from "../domain/caller.ts";
import type { Clock, Entropy } from "../domain/clock.ts";
import type { Membership, Session, User } from "../domain/entities.ts";
import { AppError, notFound } from "../domain/errors.ts";
import { fromPublicId, uuidV7 } from "../domain/ids.ts";
import type { PasswordHasher } from "../domain/passwords.ts";
import type { Storage } from "../domain/storage.ts";
import { requireServiceScope } from "./authorization.ts";

const SESSION_LIFETIME_MS = 30 * 24 * 3600 * 1000;
const REFRESH_TOKEN_BYTES = 32;
const REFRESH_TOKEN_PREFIX = "lkr_";

export interface SignInDeps {
  readonly storage: Storage;
  readonly passwords: PasswordHasher;
  readonly accessTokens: AccessTokens;
  readonly clock: Clock;
  readonly entropy: Entropy;
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
 *   password; `not_found` for an organization that isn't the person's; `permission_denied` for a person
 *   without any.
 */
export async function signIn(
  deps: SignInDeps,
  caller: Caller,
  input: { readonly email: string; readonly password: string; readonly organizationId: string },
): Promise<TokenPair & { readonly user: User }> {
  if (caller.kind !== "anonymous") requireServiceScope(caller, "auth");
  const { storage, passwords, clock, entropy } = deps;
  const user = await storage.findUserByEmail(normalizeEmail(input.email));
  const matches = await passwords.verify(user?.passwordHash, input.password);
  if (user === undefined || !matches) {
    throw new AppError("unauthenticated", "The email or the password is wrong.");
  }
  const { organizationId } = chooseMembership(await storage.listMembershipsOfUser(user.id), input.organizationId);
  const now = clock();
  const session: Session = {
    id: uuidV7(now, entropy(10)),
    userId: user.id,
    organizationId,
    createdAt: new Date(now),
    expiresAt: new Date(now + SESSION_LIFETIME_MS),
    endedAt: undefined,
  };
  const refreshToken = newRefreshToken(entropy);
  await storage.createSession(session, refreshFingerprint(refreshToken));
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

function chooseMembership(memberships: readonly Membership[], requested: string): Membership {
  const [first] = memberships;
  if (first === undefined) throw new AppError("permission_denied", "You are not a member of any organization.");
  if (requested === "") return first;
  const id = fromPublicId("org", requested);
  const chosen = memberships.find(({ organizationId }) => organizationId === id);
  if (chosen === undefined) throw notFound("organization");
  return chosen;
}
