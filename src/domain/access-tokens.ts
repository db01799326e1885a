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

export interface PublicKey {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  /** The key itself, base64url. */
  readonly x: string;
  readonly kid: string;
  readonly use: "sig";
  readonly alg: "EdDSA";
}

export interface AccessTokens {
  /** @throws AppError of kind `unavailable` when the keys are to be read again, and can't be */
  issue(claims: AccessClaims): Promise<{ readonly token: string; readonly expiresAt: Date }>;
  /** The keys that verify tokens which others may have, as JSON Web Keys (RFC 7517); none with a shared secret. */
  publicKeys(): readonly PublicKey[];
  /** Gets a new signing key where the newest one is old, and lets go of those that signed nothing that still works. */
  renew(): Promise<void>;
  /** What a token says; undefined for one that is malformed, expired, not ours or not signed by us. @throws as `issue` */
  verify(token: string): Promise<AccessClaims | undefined>;
}
