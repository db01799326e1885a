/** Port: the signed, short-lived tokens of people who are signed in. */
import type { Id } from "./ids.ts";

/** What an access token says. */
export interface AccessClaims {
  readonly userId: Id;
  readonly organizationId: Id;
  readonly sessionId: Id;
}

/** How access tokens are signed: by a key that the service makes and keeps, or by a shared secret. */
export type AccessTokenAlgorithm = { readonly name: "EdDSA" } | { readonly name: "HS256"; readonly secret: string };

export interface AccessTokens {
  issue(claims: AccessClaims): Promise<{ readonly token: string; readonly expiresAt: Date }>;
  /** What a token says; undefined for one that is malformed, expired, not ours or not signed by us. */
  verify(token: string): Promise<AccessClaims | undefined>;
}
