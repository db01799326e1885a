/** Port: access tokens of people whom another issuer vouches for. */
import type { Id } from "./ids.ts";
import type { Role } from "./roles.ts";

/** The signature algorithms of JSON Web Tokens that others can verify without being able to sign. */
export const ASYMMETRIC_ALGORITHMS = [
  "EdDSA",
  "Ed25519",
  "ES256",
  "ES384",
  "ES512",
  "PS256",
  "PS384",
  "PS512",
  "RS256",
  "RS384",
  "RS512",
] as const;

export type AsymmetricAlgorithm = (typeof ASYMMETRIC_ALGORITHMS)[number];

/** Where in a token's claims something stands: the claim's name, then those of the objects inside it. */
export type ClaimPath = readonly string[];

/** An issuer whose access tokens are accepted, and what their claims mean here. */
export interface IssuerSettings {
  /** What the audit log calls it; stays when its URL changes. */
  readonly name: string;
  /** `iss`, to the character. */
  readonly issuer: string;
  /** A token is for us when its `aud` has one of these. */
  readonly audiences: readonly string[];
  readonly algorithms: readonly AsymmetricAlgorithm[];
  /** `at+jwt` as RFC 9068 wants it; `jwt` for issuers whose access tokens say `JWT` or nothing. */
  readonly tokenType: "at+jwt" | "jwt";
  /** Undefined where the issuer's metadata says it. */
  readonly jwksUri: string | undefined;
  /** How long after its `iat` a token is accepted at most, whatever its `exp`. */
  readonly maxAgeSeconds: number;
  readonly organization:
    | { readonly kind: "fixed"; readonly id: Id }
    /** @property ids by the claim's value; undefined where the claim has the organization's own id */
    | { readonly kind: "claim"; readonly claim: ClaimPath; readonly ids: Readonly<Record<string, Id>> | undefined };
  readonly role:
    | { readonly kind: "fixed"; readonly role: Role }
    | {
        readonly kind: "claim";
        readonly claim: ClaimPath;
        /** By the claim's value, or one of its values. */
        readonly roles: Readonly<Record<string, Role>>;
        /** For a token with none of them; undefined gives it none. */
        readonly fallback: Role | undefined;
      };
}

/** What an external access token says. */
export interface ExternalClaims {
  /** The issuer's `name`. */
  readonly issuer: string;
  /** `sub`: whom it is about, in the issuer's own terms. */
  readonly subject: string;
  /** Undefined where the claims name none. */
  readonly organizationId: Id | undefined;
  /** As `organizationId`. */
  readonly role: Role | undefined;
}

export interface ExternalTokens {
  /**
   * What a token says; undefined for one that is malformed, expired, not for us, or not signed by a
   * configured issuer.
   *
   * @throws AppError of kind `unavailable` when that can't be told, because the issuer's keys can't be had.
   */
  verify(token: string): Promise<ExternalClaims | undefined>;
}
