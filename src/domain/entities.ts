/** The things that are stored. Times are whole milliseconds; an absent value is `undefined`. */
import type { Id } from "./ids.ts";
import type { Role } from "./roles.ts";

/** A tenant. */
export interface Organization {
  readonly id: Id;
  readonly name: string;
  /** Id of the profile whose conventions its tokens follow. */
  readonly profile: string;
  readonly plan: string;
  readonly createdAt: Date;
}

/** A person who can sign in. */
export interface User {
  readonly id: Id;
  /** In lower case; unique. */
  readonly email: string;
  /** PHC string of argon2id. */
  readonly passwordHash: string;
  /** Empty where it isn't known, like the three that follow. */
  readonly firstName: string;
  readonly lastName: string;
  readonly displayName: string;
  readonly avatarUrl: string;
  readonly createdAt: Date;
}

export interface Membership {
  readonly organizationId: Id;
  readonly userId: Id;
  readonly role: Role;
  readonly createdAt: Date;
}

/** A person in an organization. */
export interface Member {
  readonly membership: Membership;
  readonly user: User;
}

/** An offer to become a member, which works once. */
export interface Invitation {
  readonly id: Id;
  readonly organizationId: Id;
  /** As a user's. */
  readonly email: string;
  readonly role: Role;
  /** Whether its link went to the mailbox, so that whoever has the link has the mailbox. */
  readonly isMailed: boolean;
  /** Public id. */
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** An API token's metadata. Its secret is nowhere; its fingerprint never leaves the store. */
export interface Token {
  readonly id: Id;
  readonly organizationId: Id;
  readonly profile: string;
  /** Empty where the profile has one type only. */
  readonly type: string;
  readonly name: string;
  readonly hint: string;
  readonly permission: string;
  /** Sorted, without repeats. */
  readonly scopes: readonly string[];
  readonly ipAllowlist: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly enabled: boolean;
  /** Public id of the user, token or service key that issued it. */
  readonly createdBy: string;
  /** The person behind it, where there is one. */
  readonly userId: Id | undefined;
  readonly createdAt: Date;
  readonly expiresAt: Date | undefined;
  readonly lastUsedAt: Date | undefined;
  /** Where its last use came from; empty where that isn't known. */
  readonly lastUsedAddress: string;
  readonly revokedAt: Date | undefined;
  readonly revokedBy: string | undefined;
  /** Its last rotation; undefined for one that was never rotated, and after a rotation that was cancelled. */
  readonly rotation: Rotation | undefined;
  /** The store's change number at the token's last change. Last use is not a change. */
  readonly revision: number;
}

/** As much of a token as it takes to judge it, and to tell of it what an introspection does. */
export type KnownToken = Pick<
  Token,
  | "id"
  | "organizationId"
  | "userId"
  | "profile"
  | "type"
  | "name"
  | "permission"
  | "scopes"
  | "ipAllowlist"
  | "enabled"
  | "expiresAt"
  | "revokedAt"
  | "revision"
>;

/** The last time that a token got a new secret. */
export interface Rotation {
  readonly startedAt: Date;
  /** When the secret before stops working, or stopped; at `startedAt` where there was no overlap. */
  readonly overlapEndsAt: Date;
  /** The token's hint before. */
  readonly previousHint: string;
  /** When the secret before was last used since the rotation. */
  readonly previousLastUsedAt: Date | undefined;
}

/** What of a token can change after it is issued, but for its end. */
export type TokenSettings = Pick<
  Token,
  "name" | "enabled" | "permission" | "scopes" | "ipAllowlist" | "expiresAt" | "metadata"
>;

export function settingsOf(token: TokenSettings): TokenSettings {
  const { name, enabled, permission, scopes, ipAllowlist, expiresAt, metadata } = token;
  return { name, enabled, permission, scopes, ipAllowlist, expiresAt, metadata };
}

/** Who holds a session: a program with access and refresh tokens, or a browser with a cookie. */
export type SessionClient = "api" | "browser";

/** A sign-in, and every refresh token that descends from it where its client has those. */
export interface Session {
  readonly id: Id;
  readonly userId: Id;
  readonly organizationId: Id;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  /** Set when it was ended before its time. */
  readonly endedAt: Date | undefined;
  readonly client: SessionClient;
  /** How the person proved who they are: `password`, or the name of who vouched for them. */
  readonly method: string;
}

/** Who a person is to another service that vouches for them. */
export interface Identity {
  /** The issuer of its ID tokens, to the character. */
  readonly issuer: string;
  readonly subject: string;
}

/** A key that signs access tokens. */
export interface SigningKey {
  /** The `kid` of the tokens that it signs. */
  readonly id: string;
  /** The private key, sealed under the root key. */
  readonly sealedPrivateKey: Uint8Array;
  readonly createdAt: Date;
}

export type TokenState = "active" | "disabled" | "expired" | "revoked";

/** The token's state at a moment. A token expires at its `expiresAt`, to the millisecond. */
export function tokenState(token: Pick<Token, "revokedAt" | "expiresAt" | "enabled">, nowMs: number): TokenState {
  if (token.revokedAt !== undefined) return "revoked";
  if (token.expiresAt !== undefined && token.expiresAt.getTime() <= nowMs) return "expired";
  return token.enabled ? "active" : "disabled";
}
