/** Trades an address and a password for a session of a program: an access token and a refresh token. */
import { createHash } from "node:crypto";
import type { AccessTokens } from "../domain/access-tokens.ts";
import type { Entropy } from "../domain/clock.ts";
import type { Session, User } from "../domain/entities.ts";
import { uuidV7 } from "../domain/ids.ts";
import { type CheckPasswordDeps, checkPassword, type SignInInput } from "./check-password.ts";
import { changeOf, type Origin } from "./origin.ts";

const SESSION_LIFETIME_MS = 30 * 24 * 3600 * 1000;
const REFRESH_TOKEN_BYTES = 32;
const REFRESH_TOKEN_PREFIX = "lkr_";

export interface SignInDeps extends CheckPasswordDeps {
  readonly accessTokens: AccessTokens;
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
 * @throws AppError as `checkPassword`
 */
export async function signIn(
  deps: SignInDeps,
  call: Origin,
  input: SignInInput,
): Promise<TokenPair & { readonly user: User }> {
  const { storage, clock, entropy } = deps;
  const { user, organizationId, origin, actor } = await checkPassword(deps, call, input);
  const now = clock();
  const session: Session = {
    id: uuidV7(now, entropy(10)),
    userId: user.id,
    organizationId,
    createdAt: new Date(now),
    expiresAt: new Date(now + SESSION_LIFETIME_MS),
    endedAt: undefined,
    client: "api",
    method: "password",
  };
  const refreshToken = newRefreshToken(entropy);
  // Whoever changes the password meanwhile wants nobody in who knew the old one.
  await storage.createSession(
    session,
    secretFingerprint(refreshToken),
    changeOf(origin, now, actor),
    user.passwordHash,
  );
  return { ...(await issueAccessToken(deps, session)), refreshToken, user };
}

export function newRefreshToken(entropy: Entropy): string {
  return REFRESH_TOKEN_PREFIX + Buffer.from(entropy(REFRESH_TOKEN_BYTES)).toString("base64url");
}

/** The only trace that the store has of a session's secret. */
export function secretFingerprint(secret: string): Uint8Array {
  return createHash("sha256").update(secret).digest();
}

export async function issueAccessToken(
  { accessTokens }: Pick<SignInDeps, "accessTokens">,
  session: Session,
): Promise<Pick<TokenPair, "accessToken" | "accessTokenExpiresAt">> {
  const { userId, organizationId, id: sessionId } = session;
  const { token, expiresAt } = await accessTokens.issue({ userId, organizationId, sessionId });
  return { accessToken: token, accessTokenExpiresAt: expiresAt };
}
