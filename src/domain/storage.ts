/**
 * The storage port: what the service needs of a database, in domain terms.
 *
 * Every engine keeps these clauses; each has a test that names it in `test/contract`. Clauses of all
 * methods:
 *
 * - S1. A write that has resolved is durable: it survives the process being killed at once.
 * - S2. A read that starts after a write has resolved sees that write.
 * - S3. A write is whole or not at all, whatever else runs at the same time.
 * - S4. Values come back as they went in: text to the code point, times to the millisecond, absent as
 *   `undefined`. Text compares exactly, byte for byte; only `User.email` was lowered by the caller. No text holds
 *   U+0000, which callers see to.
 * - S5. An engine's own errors don't leave it. A conflict is an AppError of the kind named at the method;
 *   a database that can't be reached, written or read is an AppError of kind `unavailable`.
 * - S6. An unknown id is answered with `undefined` or an empty list, never with an error.
 *
 * Clauses of the writes that take a record of the call, so that a repeat of the call changes nothing:
 *
 * - I1. The record, the change and its event are stored as one write.
 * - I2. Where a record with this `keyHash` is stored already, whose time isn't over at the new one's
 *   `createdAt`, nothing changes, and the write is `already_exists` with the reason
 *   `idempotency_key_reused`, whatever else it would be refused for. Of several at once exactly one
 *   changes something.
 * - I3. A write that is refused, or answers `undefined` or `false` for there was nothing to change,
 *   stores no record.
 *
 *
 * Clauses of the methods that take a `Change`, which are those whose writes belong to an organization:
 *
 * - E1. A change and its event in the audit log are one write: what changed something has its event, what
 *   was refused or changed nothing has none, and where the event can't be stored nothing is changed.
 * - E2. The events of an organization are numbered 1, 2, 3 …, and each holds the hash of the one before it,
 *   however many are written at once.
 * - E3. Revisions strictly increase in the order of writing, over all organizations. A token's revision is
 *   that of the event of its last change.
 * - E4. What is stored of an event can't be changed or deleted, not by the database's own means either.
 */
import type { Action, AuditEvent, Change, ChangeNotice } from "./audit.ts";
import type { DailyUse } from "./daily-uses.ts";
import type { KnownRecord } from "./decision.ts";
import type { DigestAlgorithm, DigestScheme, ImportKey } from "./digest-scheme.ts";
import type {
  Identity,
  Invitation,
  Member,
  Membership,
  Organization,
  Session,
  SigningKey,
  Token,
  TokenSettings,
  TokenState,
  User,
} from "./entities.ts";
import type { IdempotencyRecord, RecordedCall } from "./idempotency.ts";
import type { Id } from "./ids.ts";
import type { SignInFailure } from "./occurrences.ts";
import type { Role } from "./roles.ts";
import type { SecretKind } from "./rotation.ts";

/** A token to store. The engine sets the revision. */
export interface NewToken {
  readonly token: Omit<Token, "revision">;
  /** SHA-256 of the secret, 32 bytes. */
  readonly fingerprint: Uint8Array;
  /** Whether it must not be stored unless its user is a member of its organization. */
  readonly isPersonal?: boolean;
}

/** A new secret for a token. */
export interface SecretRotation {
  /** The token's revision when it was decided to rotate it. */
  readonly revision: number;
  /** SHA-256 of the new secret, 32 bytes. */
  readonly fingerprint: Uint8Array;
  /** The token's hint from now on. */
  readonly hint: string;
  /** Until then the secret before it goes on working. */
  readonly overlapEndsAt: Date;
}

/** How the fingerprints of imported tokens were made. */
export interface NewDigestScheme {
  readonly algorithm: DigestAlgorithm;
  /** Undefined for an algorithm without one. */
  readonly key: ImportKey | undefined;
}

/** Everything that a new deployment starts with. */
export interface SetUp {
  readonly organizations: readonly Organization[];
  readonly users: readonly User[];
  readonly memberships: readonly Membership[];
  readonly tokens: readonly NewToken[];
}

/**
 * Which tokens of an organization are meant. What is undefined doesn't matter.
 *
 * - TF1. A token matches that has all that is named. A name starts with a prefix when its first bytes are
 *   those of the prefix: no character stands for another one, or for any.
 * - TF2. A token is unused since a moment when its last use, or its creation if it was never used, is before
 *   that moment.
 */
export interface TokenFilter {
  readonly type: string | undefined;
  readonly namePrefix: string | undefined;
  /** Public id. */
  readonly createdBy: string | undefined;
  /** The person behind it. */
  readonly userId: Id | undefined;
  readonly unusedSince: Date | undefined;
}

/** Tokens of one organization and one profile. */
export interface TokenSelection extends TokenFilter {
  readonly organizationId: Id;
  readonly profile: string;
}

/** Which tokens of a member end with the membership: those of one profile and some of its types. */
export interface TokensOfMember {
  readonly profile: string;
  /** Undefined means all. */
  readonly types: readonly string[] | undefined;
}

/** What went with a membership. */
export interface RemovedMember {
  readonly revokedTokens: number;
}

export interface TokenQuery extends TokenFilter {
  readonly organizationId: Id;
  /** Only tokens of this profile; undefined means of any. */
  readonly profile: string | undefined;
  /** Only tokens in one of these states at `now`; undefined means in any. */
  readonly states: readonly TokenState[] | undefined;
  readonly now: Date;
  /** Only tokens that come after this one in the order; undefined starts at the newest. */
  readonly after: Position | undefined;
  /** At least 1. */
  readonly limit: number;
}

/** A place in the order of lists: newest first, and by descending id within a millisecond. */
export interface Position {
  readonly createdAt: Date;
  readonly id: Id;
}

export interface EventQuery {
  /** Only events of this organization; undefined means of any. */
  readonly organizationId: Id | undefined;
  /** Only events of one of these actions; undefined means of any. Those that follow likewise. */
  readonly actions: readonly Action[] | undefined;
  /** Public id of the actor. */
  readonly actor: string | undefined;
  /** Public id of the target. */
  readonly target: string | undefined;
  /** Only events at this moment or later. */
  readonly from: Date | undefined;
  /** Only events before this moment. */
  readonly until: Date | undefined;
  /** Only events that come after the one with this revision; undefined starts at the first of the order. */
  readonly after: number | undefined;
  /** Whether the order is by descending revision. */
  readonly newestFirst?: boolean;
  /** At least 1. */
  readonly limit: number;
}

/** What a tree over the log takes of an event. */
export type EventHash = Pick<AuditEvent, "revision" | "hash">;

export interface LeaseRequest {
  readonly tokenId: Id;
  readonly windowStart: Date;
  readonly windowEnd: Date;
  /** Units that the window may give in all. */
  readonly limit: number;
  /** Units wanted, at least 1. */
  readonly units: number;
}

export interface Lease {
  /** Units granted, from 0 to what was wanted. */
  readonly granted: number;
  /** Units of the window that are taken, these included. */
  readonly taken: number;
}

export interface LeaseReturn {
  readonly tokenId: Id;
  readonly windowStart: Date;
  readonly units: number;
}

/** Uses of a token since they were recorded last. */
export interface TokenUse {
  readonly tokenId: Id;
  /** Which secret was used. */
  readonly secret: SecretKind;
  /** When it was used last. */
  readonly usedAt: Date;
  /** Where that use came from; empty where it isn't known. */
  readonly address: string;
  /** How often it was used on which days, at least once on each. */
  readonly daily: readonly DailyUse[];
}

/** Invitations of one organization that work at a time. */
export const MAX_INVITATIONS = 100;

export interface NewInvitation {
  readonly invitation: Invitation;
  /** SHA-256 of its token, 32 bytes. */
  readonly fingerprint: Uint8Array;
}

/** Who accepts an invitation: somebody with a new password, or the person of an account. */
export type Guest =
  | { readonly kind: "newcomer"; readonly user: User }
  | { readonly kind: "person"; readonly userId: Id };

/** A link by which a person may choose another password, once. */
export interface PasswordLink {
  /** SHA-256 of its token, 32 bytes. */
  readonly fingerprint: Uint8Array;
  readonly userId: Id;
  readonly expiresAt: Date;
}

/** Links of one person that work at a time: whoever asks for more gets no letters, and takes none away. */
export const MAX_PASSWORD_LINKS = 5;

/** Another password for a user. */
export interface PasswordChange {
  /** The hash that it takes the place of. */
  readonly before: string;
  readonly after: string;
  /** The one session that goes on. */
  readonly keptSessionId: Id;
}

export interface RefreshTokenRotation {
  /** SHA-256 of the refresh token that was presented. */
  readonly presented: Uint8Array;
  /** SHA-256 of the one to hand out in its place. */
  readonly next: Uint8Array;
}

export type RefreshTokenOutcome =
  | { readonly kind: "rotated"; readonly session: Session }
  /** It was used before, so the session was ended now. */
  | { readonly kind: "reused"; readonly session: Session }
  /** No such refresh token, or its session is over. */
  | { readonly kind: "refused" };

export interface Storage {
  /**
   * Stores the first contents of an empty deployment, as one write.
   *
   * - SU1. Answers true when it stored them, false when an organization was there already; then nothing
   *   changed. Of several at once exactly one answers true.
   */
  setUp(contents: SetUp, change: Change): Promise<boolean>;

  /** - SU2. Whether `setUp` has not happened yet. */
  isEmpty(): Promise<boolean>;

  /** - O1. Stores an organization and answers it; an id that is taken is `already_exists`. */
  createOrganization(organization: Organization, change: Change, record?: IdempotencyRecord): Promise<Organization>;

  /** - O2. Reads an organization. */
  getOrganization(id: Id): Promise<Organization | undefined>;

  /** - O3. Reads organizations that come after `after` in the order of `Position`, at most `limit`. */
  listOrganizations(after: Position | undefined, limit: number): Promise<readonly Organization[]>;

  /** - O4. Changes the plan, and answers the organization; `undefined` if unknown. */
  setPlan(id: Id, plan: string, change: Change, record?: IdempotencyRecord): Promise<Organization | undefined>;

  /**
   * - O5. Changes the profile and the plan, and answers the organization; `undefined` if unknown. One that
   *   has a token of its profile, in whatever state, is `failed_precondition`. No token can be issued in
   *   between.
   */
  setProfile(
    id: Id,
    profile: string,
    plan: string,
    change: Change,
    record?: IdempotencyRecord,
  ): Promise<Organization | undefined>;

  /** - U1. Stores a user, who is in no organization yet; an id or an email that is taken is `already_exists`. */
  createUser(user: User): Promise<void>;

  /** - U2. Reads a user by id. */
  getUser(id: Id): Promise<User | undefined>;

  /** - U3. Reads a user by email, which the caller has put in lower case. */
  findUserByEmail(email: string): Promise<User | undefined>;

  /**
   * - U4. Gives a user another password, ends their sessions in all organizations that are neither ended nor
   *   expired at the change's time, but for the one that is kept, and answers true. It has an event in each
   *   organization of the user; where there is none, in the system organization.
   * - U5. False, and nothing changes, where the user's hash isn't `before`, or there is no such user. Of several
   *   changes at once of one hash exactly one is made.
   * - U8. It uses up the password links of the user.
   */
  changePassword(userId: Id, password: PasswordChange, change: Change): Promise<boolean>;

  /**
   * - PL1. Stores a password link and answers true. It has an event in each organization of the user; where
   *   there is none, in the system organization. A user who doesn't exist is `failed_precondition`.
   * - PL2. False, and nothing is stored, where the user has `MAX_PASSWORD_LINKS` that work at the change's time.
   */
  createPasswordLink(link: PasswordLink, change: Change): Promise<boolean>;

  /** - PL3. Reads the user of a link that works at `now`: one that was stored, not used up, and whose time isn't over. */
  findPasswordLink(fingerprint: Uint8Array, now: Date): Promise<User | undefined>;

  /**
   * - PL4. Uses up a link that works at the change's time, and all others of its user, gives the user this hash,
   *   ends all their sessions as U4 has it, and answers true; false, and nothing changes, for any other link.
   *   Of several uses of one link at once exactly one answers true.
   */
  resetPassword(fingerprint: Uint8Array, passwordHash: string, change: Change): Promise<boolean>;

  /** - PL5. Forgets the links whose time is over at `now`, at most `limit`; answers how many. */
  sweepPasswordLinks(now: Date, limit: number): Promise<number>;

  /** - ID1. Reads the user that an identity is linked to. Only the exact texts match. */
  findUserByIdentity(identity: Identity): Promise<User | undefined>;

  /**
   * - ID2. Links an identity, whose issuer vouches for the email, to the user who has the email, and answers that
   *   user; `undefined`, and nothing changes, where nobody has it. It has an event in each organization of the
   *   user; where there is none, in the system organization. From then on it is certain that they have the mailbox.
   * - ID3. One that is linked already stays as it is, and its user is answered.
   * - ID4. A user to whom another identity of that issuer is linked is `failed_precondition`.
   * - ID5. Where it wasn't certain that the user has the mailbox, the account gets this hash, and its sessions
   *   and password links end as U4 and U8 have it: whoever made it may be somebody else.
   */
  linkIdentity(identity: Identity, email: string, passwordHash: string, change: Change): Promise<User | undefined>;

  /**
   * - U6. Stores an organization, a user and the user's membership as its owner, as one write, and answers true.
   *   An id that is taken is `already_exists`.
   * - U7. Where somebody has the email it stores none of them and answers false, with an event in each
   *   organization of that person; where there is none, in the system organization.
   */
  register(organization: Organization, user: User, change: Change): Promise<boolean>;

  /**
   * - M1. Stores a membership, or changes the role of the one that is there. An organization or a user
   *   that doesn't exist is `failed_precondition`.
   */
  putMembership(membership: Membership, change: Change): Promise<void>;

  /**
   * - M4. Adds a member, and answers it. Somebody who has the email already keeps their account and its
   *   password; else the user is stored. Somebody who is a member already is `already_exists`; an
   *   organization that doesn't exist is `failed_precondition`.
   * - M10. With `confirmedOnly`, so is an account of which it isn't certain that its person has the mailbox:
   *   it is by `resetPassword`, and by an invitation that was mailed.
   */
  addMember(
    membership: Omit<Membership, "userId">,
    user: User,
    change: Change,
    record?: IdempotencyRecord,
    confirmedOnly?: boolean,
  ): Promise<Member>;

  /**
   * - IV1. Stores an invitation and answers it. It takes the place of the one for the email in that organization.
   *   An id or a fingerprint that is taken, and somebody who is a member, are `already_exists`; an organization
   *   that doesn't exist, or has `MAX_INVITATIONS` others that work at the change's time, is
   *   `failed_precondition`.
   */
  createInvitation(invitation: NewInvitation, change: Change, record?: IdempotencyRecord): Promise<Invitation>;

  /** - IV2. Reads the invitations of an organization that work at `now`, the oldest first and by id within a millisecond. */
  listInvitations(organizationId: Id, now: Date): Promise<readonly Invitation[]>;

  /** - IV3. Ends an invitation of this organization that works at the change's time, and answers it; else `undefined`. */
  revokeInvitation(
    organizationId: Id,
    id: Id,
    change: Change,
    record?: IdempotencyRecord,
  ): Promise<Invitation | undefined>;

  /** - IV4. Reads an invitation that works at `now` by its token's fingerprint. */
  findInvitation(fingerprint: Uint8Array, now: Date): Promise<Invitation | undefined>;

  /**
   * - IV5. Uses up an invitation that works at the change's time, makes the guest a member with its role, and
   *   answers the member; `undefined` otherwise. Somebody who is a member already stays as they are. Of several
   *   uses at once exactly one is answered with a member.
   * - IV6. A newcomer is stored where nobody has the email. Where somebody does, of whom it isn't certain that
   *   they have the mailbox, and the invitation was mailed, the account gets the newcomer's hash, and its
   *   sessions and password links end as U4 and U8 have it. Anybody else is `failed_precondition`, and so is a
   *   person with another email.
   */
  acceptInvitation(fingerprint: Uint8Array, guest: Guest, change: Change): Promise<Member | undefined>;

  /** - IV7. Forgets the invitations whose time is over at `now`, at most `limit`; answers how many. */
  sweepInvitations(now: Date, limit: number): Promise<number>;

  /**
   * - M5. Changes a member's role, and answers the member; `undefined` if there is no such member. Taking
   *   the role from the last owner is `failed_precondition`.
   */
  setMemberRole(
    organizationId: Id,
    userId: Id,
    role: Role,
    change: Change,
    record?: IdempotencyRecord,
  ): Promise<Member | undefined>;

  /**
   * - M6. Ends a membership; `undefined` if there is none. Removing the last owner is
   *   `failed_precondition`.
   * - M8. In the same write it revokes the member's tokens of that profile and those types in that
   *   organization, as B1 has it, and answers how many; and it ends their sessions there that are neither
   *   ended nor expired at the change's time.
   * - IV8. The invitations there that the member made end with it.
   */
  removeMember(
    organizationId: Id,
    userId: Id,
    tokens: TokensOfMember,
    change: Change,
    record?: IdempotencyRecord,
  ): Promise<RemovedMember | undefined>;

  /** - M7. Reads members after `after`, the oldest membership first and by user id within a millisecond. */
  listMembers(organizationId: Id, after: Position | undefined, limit: number): Promise<readonly Member[]>;

  /** - M2. Reads a membership. */
  getMembership(organizationId: Id, userId: Id): Promise<Membership | undefined>;

  /** - M3. Reads a user's memberships, the oldest first, by organization id within a millisecond. */
  listMembershipsOfUser(userId: Id): Promise<readonly Membership[]>;

  /**
   * - T1. Stores a token and answers it with its revision, which is higher than any before it. An id or
   *   a fingerprint that is taken, be it by a former secret, is `already_exists`; an organization that
   *   doesn't exist, or whose profile is another one and the token's isn't that of service keys, is
   *   `failed_precondition`.
   * - M9. A personal token whose user isn't a member of its organization is `failed_precondition`.
   */
  createToken(token: NewToken, change: Change, record?: IdempotencyRecord): Promise<Token>;

  /** - T2. Reads a token. */
  getToken(id: Id): Promise<Token | undefined>;

  /**
   * - T3. Reads what a judgement takes of the token that has this fingerprint, or had it, and of its organization,
   *   and says which of the token's secrets that is. Only the exact 32 bytes match.
   *
   * At once, without a promise, where the engine reads on the calling thread; failures reject all the same.
   */
  findTokenByFingerprint(fingerprint: Uint8Array): KnownRecord | undefined | Promise<KnownRecord | undefined>;

  /**
   * - T4. Reads tokens of one organization only, in the order of `Position`, those that match, at
   *   most `limit`.
   * - T5. Pages that follow each other by `after` hold every token that was there throughout exactly
   *   once, whatever is issued or revoked meanwhile.
   */
  listTokens(query: TokenQuery): Promise<readonly Token[]>;

  /**
   * - T6. Marks a token revoked, by the change's actor at its time, and answers it with a new revision. A
   *   token that is revoked already is answered as it is: the first revoke's time, author and revision stay.
   *   `undefined` if unknown.
   */
  revokeToken(id: Id, change: Change, record?: IdempotencyRecord): Promise<Token | undefined>;

  /**
   * - TU1. Gives a token these settings, changes nothing else of it, and answers it with a new revision.
   *   Settings that it has already change nothing, and it is answered as it is.
   * - TU2. `undefined`, and nothing changes, if the token's revision isn't `ifRevision`, or it is unknown. Of
   *   several changes at once that go by one revision at most one is made.
   * - TU3. A revoked token is `failed_precondition`, whatever its revision.
   */
  updateToken(
    id: Id,
    settings: TokenSettings,
    ifRevision: number,
    change: Change,
    record?: IdempotencyRecord,
  ): Promise<Token | undefined>;

  /**
   * Stores tokens whose keys another system made, and the schemes that their fingerprints were made by.
   *
   * - IM1. It is one write, and answers for each token in order: the token with its revision, higher than
   *   any before it, or `taken` where its fingerprint is that of a token that is stored, or that stands
   *   before it. Of several at once exactly one gets a fingerprint.
   * - IM2. An organization that doesn't exist, or has another profile than the token, and an id that is
   *   taken, are as for `createToken`; a service key is `failed_precondition`. Then nothing is stored.
   * - IM3. Where a token was stored, the schemes are in use from then on, each once. Of an HMAC key that is
   *   there already the first one stays.
   * - IM4. Where it would keep more than `MAX_IMPORT_KEYS`, it is `failed_precondition` and nothing is
   *   stored.
   */
  importTokens(
    tokens: readonly NewToken[],
    schemes: readonly NewDigestScheme[],
    change: Change,
    record?: IdempotencyRecord,
  ): Promise<readonly (Token | "taken")[]>;

  /** - IM5. Reads the schemes in use, always in one order, SHA-256 first. */
  listDigestSchemes(): Promise<readonly DigestScheme[]>;

  /** - IM6. Reads an HMAC key. */
  getImportKey(id: string): Promise<ImportKey | undefined>;

  /**
   * - B1. Revokes, as one write, every token of the selection that is neither revoked nor expired at the
   *   change's time, by the change's actor at that time, and answers how many. All others stay as they are.
   * - B2. The event of the whole comes before those of the tokens. Where there was nothing to revoke there is
   *   no event, and the answer is 0, which a record keeps as any other.
   */
  revokeTokens(selection: TokenSelection, change: Change, record?: IdempotencyRecord): Promise<number>;

  /** - B3. Counts the tokens that `revokeTokens` would revoke at `now`. */
  countTokens(selection: TokenSelection, now: Date): Promise<number>;

  /**
   * - P1. Deletes the tokens that ended before `endedBefore`, with all that belongs to them except their
   *   events, the longest ended first, at most `limit`; answers how many. A token ends when it is revoked
   *   or expires, whichever comes first.
   * - P2. A token that hasn't ended at the change's time stays, whatever `endedBefore` is.
   */
  purgeTokens(endedBefore: Date, limit: number, change: Change): Promise<number>;

  /**
   * - T7. Records uses, as one write. A token's last use, which has its own address, never moves back;
   *   unknown tokens are passed over; the revision stays.
   * - T8. What is counted is added to what the token's day has already, however many record at once.
   * - TR7. A use of a former secret is also the rotation's, where it isn't from before the rotation.
   *   `previousLastUsedAt` never moves back, and a token without a rotation gets none.
   */
  recordUses(uses: readonly TokenUse[]): Promise<void>;

  /**
   * - T9. Reads how often a token was used on the days from `first` to `last`, both included, the oldest
   *   first. Days without use are left out.
   */
  readUses(tokenId: Id, first: number, last: number): Promise<readonly DailyUse[]>;

  /** - T11. Reads what `readUses` reads of each of these tokens, in their order, all at one moment. */
  readUsesOfTokens(tokenIds: readonly Id[], first: number, last: number): Promise<readonly (readonly DailyUse[])[]>;

  /** - T10. Forgets the uses of days before this one, the oldest first, at most `limit`; answers how many. */
  sweepUses(before: number, limit: number): Promise<number>;

  /**
   * Gives a token a new secret. The one that it has becomes a former secret, which works before
   * `overlapEndsAt`; where that isn't after the change's time, it has ended for good.
   *
   * - TR1. Answers the token with its new hint, its `rotation` and a new revision; `undefined` if unknown.
   * - TR2. A token that is revoked or expired at the change's time, that has another revision, or whose
   *   former secret still works is `failed_precondition`. Of several for one revision at once exactly
   *   one is made.
   * - TR3. A fingerprint that any token has or had is `already_exists`.
   * - TR6. Whatever is called in whatever order, at most one former secret of a token works. One that has
   *   ended for good never works again, whatever the clock says.
   */
  rotateToken(id: Id, rotation: SecretRotation, change: Change, record?: IdempotencyRecord): Promise<Token | undefined>;

  /**
   * - TR4. Ends the former secret that still works, for good and at the change's time, and answers the token
   *   with a new revision. A token that is revoked, or has none, is answered as it is. `undefined` if
   *   unknown.
   */
  finishRotation(id: Id, change: Change, record?: IdempotencyRecord): Promise<Token | undefined>;

  /**
   * - TR5. Makes the former secret that still works the token's own again, ends the one that it has for
   *   good, and answers the token with the hint that it had, without a rotation, with a new revision. A token
   *   that is revoked, or has none, is `failed_precondition`. `undefined` if unknown.
   */
  cancelRotation(id: Id, change: Change, record?: IdempotencyRecord): Promise<Token | undefined>;

  /**
   * Takes a slice of a rate limit, to be spent from memory.
   *
   * - L1. Grants as many of the wanted units as the window has left under this limit, and answers how many
   *   of the window are taken now. The units granted in a window never exceed the limit, whoever takes
   *   them and however many at once.
   * - L2. Of two limits for one window each grant holds to its own: a lower one grants nothing while more
   *   than that is taken.
   */
  takeLease(request: LeaseRequest): Promise<Lease>;

  /** - L3. Gives unspent units back, as one write. A window that is unknown is passed over. */
  returnLeases(returns: readonly LeaseReturn[]): Promise<void>;

  /** - L4. Reads how many units of a window are taken. */
  readWindow(tokenId: Id, windowStart: Date): Promise<number>;

  /** - L5. Forgets the windows that ended before this moment, at most `limit`; answers how many. */
  sweepWindows(endedBefore: Date, limit: number): Promise<number>;

  /**
   * - I4. Reads the record with this `keyHash`, unless its time is over at `now`.
   * - I5. `openAnswer` opens its `sealedAnswer` with the record's key: to what the write answered then,
   *   whatever changed since, and the record's `confidential`.
   */
  findRecordedCall(keyHash: Uint8Array, now: Date): Promise<RecordedCall | undefined>;

  /** - I6. Forgets records whose time is over at `now`, at most `limit`; answers how many. */
  sweepRecordedCalls(now: Date, limit: number): Promise<number>;

  /**
   * - R1. Stores a session with its first refresh token, or with the one secret of a browser's. A user who isn't a member of its organization is
   *   `failed_precondition`.
   * - R9. So is one whose password hash isn't `passwordHash` any more, where that is given.
   */
  createSession(session: Session, refreshFingerprint: Uint8Array, change: Change, passwordHash?: string): Promise<void>;

  /** - R2. Reads a session. */
  getSession(id: Id): Promise<Session | undefined>;

  /**
   * - R3. Uses up a refresh token and stores the next one, if the session is neither ended nor expired at the
   *   change's time. It goes on with a session, and has no event.
   * - R4. Of several uses of one refresh token exactly one is `rotated`; any other is `reused` and ends
   *   the session, whose newest refresh token is `refused` from then on.
   * - R10. The secret of a browser's session is `refused`, and the session goes on.
   */
  rotateRefreshToken(rotation: RefreshTokenRotation, change: Change): Promise<RefreshTokenOutcome>;

  /** - R7. Reads the session that a refresh token, used or not, or a browser's secret belongs to. */
  findSession(refreshFingerprint: Uint8Array): Promise<Session | undefined>;

  /**
   * - R8. Ends a session at the change's time, and answers it. One that is ended or expired already is answered
   *   as it is; `undefined` if unknown.
   */
  endSession(id: Id, change: Change): Promise<Session | undefined>;

  /**
   * - R6. Forgets the sessions that were ended or expired before this moment, with their refresh tokens, at
   *   most `limit`; answers how many. What is presented of them is `refused` from then on.
   */
  sweepSessions(overBefore: Date, limit: number): Promise<number>;

  /**
   * - R5. Records that somebody tried to sign in and was refused, in each organization of the user; where
   *   there is none, or no such user, in the system organization.
   */
  recordSignInFailure(userId: Id | undefined, reason: SignInFailure, change: Change): Promise<void>;

  /**
   * - E5. Reads the events that match, by ascending revision, at most `limit`.
   * - E8. With `newestFirst`, by descending revision.
   */
  listEvents(query: EventQuery): Promise<readonly AuditEvent[]>;

  /** - E6. Reads the revision of the newest event; 0 when there is none. */
  latestRevision(): Promise<number>;

  /** - E9. Reads what every event after a revision changed, by ascending revision, at most `limit`. */
  listChanges(after: number, limit: number): Promise<readonly ChangeNotice[]>;

  /**
   * What caches go by, at the price of reading a variable.
   *
   * - F1. Once a write has resolved that made an event, in whatever thread of this process, this is another
   *   number than any that was read before that write began.
   * - F2. It is undefined where the engine can't be sure of that.
   */
  changeCount(): number | undefined;

  /**
   * - E7. Reads the revisions and hashes of the events of all organizations with a revision higher than
   *   `after`, by ascending revision, at most `limit`; undefined starts at the first.
   */
  listEventHashes(after: number | undefined, limit: number): Promise<readonly EventHash[]>;

  /**
   * - K1. Stores a signing key if there is none, and answers the keys that are stored, the oldest first.
   *   Of several at once exactly one is kept.
   */
  ensureSigningKey(key: SigningKey): Promise<readonly SigningKey[]>;

  /**
   * - K3. Stores another signing key where the newest one has this id, and answers whether it did. Of several at
   *   once for one id exactly one is stored. A key isn't older than the one that it follows: where its time is
   *   earlier, it gets the millisecond after the other's.
   */
  replaceSigningKey(newestId: string, key: SigningKey): Promise<boolean>;

  /** - K4. Forgets the signing keys whose successor is older than this moment; the newest one always stays. */
  deleteSigningKeys(succeededBefore: Date): Promise<void>;

  /** - K2. Reads the signing keys, the oldest first. */
  listSigningKeys(): Promise<readonly SigningKey[]>;

  /** - H1. Resolves when the database can be read, and rejects with `unavailable` otherwise. Writes nothing. */
  ping(): Promise<void>;

  /**
   * - H3. Resolves when a small write of its own is durable, and rejects with `unavailable` when it can't be.
   *   The write changes nothing that can be read, and has no event.
   */
  pingWrites(): Promise<void>;

  /**
   * - H2. Waits for writes that were accepted, then lets go of the database. Every call after it rejects
   *   with `unavailable`. Closing twice is closing once.
   */
  close(): Promise<void>;
}
