/** The storage port on an engine that speaks SQL. */
import type { AuditEvent, Change, ChangeNotice } from "../domain/audit.ts";
import type { DailyUse } from "../domain/daily-uses.ts";
import type { KnownRecord } from "../domain/decision.ts";
import type { DigestScheme, ImportKey } from "../domain/digest-scheme.ts";
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
  User,
} from "../domain/entities.ts";
import { AppError } from "../domain/errors.ts";
import type { IdempotencyRecord, RecordedCall } from "../domain/idempotency.ts";
import type { Id } from "../domain/ids.ts";
import type { SignInFailure } from "../domain/occurrences.ts";
import type { Role } from "../domain/roles.ts";
import type {
  EventHash,
  EventQuery,
  Guest,
  Lease,
  LeaseRequest,
  LeaseReturn,
  NewDigestScheme,
  NewInvitation,
  NewToken,
  PasswordChange,
  PasswordLink,
  Position,
  RefreshTokenOutcome,
  RefreshTokenRotation,
  RemovedMember,
  SecretRotation,
  SetUp,
  Storage,
  TokenQuery,
  TokenSelection,
  TokensOfMember,
  TokenUse,
} from "../domain/storage.ts";
import type { CommandInput, CommandName, CommandResult } from "./commands.ts";
import { encodeUses } from "./encoded-uses.ts";
import { toInvitation } from "./invitation-rows.ts";
import type { Reads } from "./reads.ts";
import {
  toChangeNotice,
  toDigestScheme,
  toEvent,
  toImportKey,
  toKnownRecord,
  toMember,
  toMembership,
  toMillis,
  toOrganization,
  toRecordedCall,
  toSession,
  toSigningKey,
  toToken,
  toUser,
} from "./rows.ts";
import type { Work } from "./statement.ts";
import { filterParameters } from "./token-filter.ts";

/** Later than any Date, and earlier than any. */
const END_OF_TIME_MS = 8_640_000_000_000_001;
const START_OF_TIME_MS = -END_OF_TIME_MS;

const MIN_INTEGER = -(2n ** 63n);
const MAX_INTEGER = 2n ** 63n - 1n;

/** What of the port is each engine's own. Failures are those of the port. */
export interface Engine {
  /** Throws, or rejects, with `unavailable` when the database can't be read. */
  read<Result>(query: (reads: Reads) => Work<Result>): Result | Promise<Result>;
  /**
   * The same for what nothing changes that isn't counted by `changeCount`. An engine may read it as it was a moment
   * ago where there was no change since.
   */
  readCounted<Result>(query: (reads: Reads) => Work<Result>): Result | Promise<Result>;
  /** Resolves when the command is durable. The input must not be changed after that. */
  write<Name extends CommandName>(
    name: Name,
    input: CommandInput<Name>,
    record?: IdempotencyRecord,
  ): Promise<CommandResult<Name>>;
  /** See `Storage`. */
  changeCount(): number | undefined;
  /** Waits for the writes that were accepted. */
  close(): Promise<void>;
}

export class SqlStorage implements Storage {
  readonly #engine: Engine;
  #closing: Promise<void> | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  setUp(contents: SetUp, change: Change): Promise<boolean> {
    return this.#write("setUp", { contents: { ...contents, tokens: contents.tokens.map(compactToken) }, change });
  }

  async isEmpty(): Promise<boolean> {
    return (await this.#read(({ isEmpty }) => isEmpty.get())) === 1;
  }

  createOrganization(organization: Organization, change: Change, record?: IdempotencyRecord): Promise<Organization> {
    return this.#write("createOrganization", { organization, change }, record);
  }

  async getOrganization(id: Id): Promise<Organization | undefined> {
    return this.#readCounted(({ getOrganization }) => one(getOrganization.get(id), toOrganization));
  }

  async listOrganizations(after: Position | undefined, limit: number): Promise<readonly Organization[]> {
    const parameters = {
      beforeCreatedAt: after === undefined ? END_OF_TIME_MS : toMillis(after.createdAt),
      beforeId: after?.id ?? "",
      limit,
    };
    return this.#read(({ listOrganizations }) => each(listOrganizations.all(parameters), toOrganization));
  }

  setPlan(id: Id, plan: string, change: Change, record?: IdempotencyRecord): Promise<Organization | undefined> {
    return this.#write("setPlan", { id, plan, change }, record);
  }

  setProfile(
    id: Id,
    profile: string,
    plan: string,
    change: Change,
    record?: IdempotencyRecord,
  ): Promise<Organization | undefined> {
    return this.#write("setProfile", { id, profile, plan, change }, record);
  }

  createUser(user: User): Promise<void> {
    return this.#write("createUser", user);
  }

  async getUser(id: Id): Promise<User | undefined> {
    return this.#read(({ getUser }) => one(getUser.get(id), toUser));
  }

  async findUserByEmail(email: string): Promise<User | undefined> {
    return this.#read(({ findUserByEmail }) => one(findUserByEmail.get(email), toUser));
  }

  changePassword(userId: Id, password: PasswordChange, change: Change): Promise<boolean> {
    return this.#write("changePassword", { userId, password, change });
  }

  createPasswordLink(link: PasswordLink, change: Change): Promise<boolean> {
    return this.#write("createPasswordLink", { link: { ...link, fingerprint: compact(link.fingerprint) }, change });
  }

  async findPasswordLink(fingerprint: Uint8Array, now: Date): Promise<User | undefined> {
    return this.#read(({ findPasswordLink }) => one(findPasswordLink.get(fingerprint, toMillis(now)), toUser));
  }

  resetPassword(fingerprint: Uint8Array, passwordHash: string, change: Change): Promise<boolean> {
    return this.#write("resetPassword", { fingerprint: compact(fingerprint), passwordHash, change });
  }

  sweepPasswordLinks(now: Date, limit: number): Promise<number> {
    return this.#write("sweepPasswordLinks", { now, limit });
  }

  async findUserByIdentity({ issuer, subject }: Identity): Promise<User | undefined> {
    return this.#read(({ findUserByIdentity }) => one(findUserByIdentity.get(issuer, subject), toUser));
  }

  linkIdentity(identity: Identity, email: string, passwordHash: string, change: Change): Promise<User | undefined> {
    return this.#write("linkIdentity", { identity, email, passwordHash, change });
  }

  register(organization: Organization, user: User, change: Change): Promise<boolean> {
    return this.#write("register", { organization, user, change });
  }

  putMembership(membership: Membership, change: Change): Promise<void> {
    return this.#write("putMembership", { membership, change });
  }

  addMember(
    membership: Omit<Membership, "userId">,
    user: User,
    change: Change,
    record?: IdempotencyRecord,
    confirmedOnly = false,
  ): Promise<Member> {
    return this.#write("addMember", { membership, user, confirmedOnly, change }, record);
  }

  createInvitation(
    { invitation, fingerprint }: NewInvitation,
    change: Change,
    record?: IdempotencyRecord,
  ): Promise<Invitation> {
    return this.#write("createInvitation", { invitation, fingerprint: compact(fingerprint), change }, record);
  }

  async listInvitations(organizationId: Id, now: Date): Promise<readonly Invitation[]> {
    return this.#read(({ listInvitations }) => each(listInvitations.all(organizationId, toMillis(now)), toInvitation));
  }

  revokeInvitation(
    organizationId: Id,
    id: Id,
    change: Change,
    record?: IdempotencyRecord,
  ): Promise<Invitation | undefined> {
    return this.#write("revokeInvitation", { organizationId, id, change }, record);
  }

  async findInvitation(fingerprint: Uint8Array, now: Date): Promise<Invitation | undefined> {
    return this.#read(({ findInvitation }) => one(findInvitation.get(fingerprint, toMillis(now)), toInvitation));
  }

  acceptInvitation(fingerprint: Uint8Array, guest: Guest, change: Change): Promise<Member | undefined> {
    return this.#write("acceptInvitation", { fingerprint: compact(fingerprint), guest, change });
  }

  sweepInvitations(now: Date, limit: number): Promise<number> {
    return this.#write("sweepInvitations", { now, limit });
  }

  setMemberRole(
    organizationId: Id,
    userId: Id,
    role: Role,
    change: Change,
    record?: IdempotencyRecord,
  ): Promise<Member | undefined> {
    return this.#write("setMemberRole", { organizationId, userId, role, change }, record);
  }

  removeMember(
    organizationId: Id,
    userId: Id,
    tokens: TokensOfMember,
    change: Change,
    record?: IdempotencyRecord,
  ): Promise<RemovedMember | undefined> {
    return this.#write("removeMember", { organizationId, userId, tokens, change }, record);
  }

  async listMembers(organizationId: Id, after: Position | undefined, limit: number): Promise<readonly Member[]> {
    const parameters = {
      organizationId,
      afterCreatedAt: after === undefined ? START_OF_TIME_MS : toMillis(after.createdAt),
      afterUserId: after?.id ?? "",
      limit,
    };
    return this.#read(({ listMembers }) => each(listMembers.all(parameters), toMember));
  }

  async getMembership(organizationId: Id, userId: Id): Promise<Membership | undefined> {
    return this.#read(({ getMembership }) => one(getMembership.get(organizationId, userId), toMembership));
  }

  async listMembershipsOfUser(userId: Id): Promise<readonly Membership[]> {
    return this.#read(({ listMembershipsOfUser }) => each(listMembershipsOfUser.all(userId), toMembership));
  }

  createToken(token: NewToken, change: Change, record?: IdempotencyRecord): Promise<Token> {
    return this.#write("createToken", { newToken: compactToken(token), change }, record);
  }

  async getToken(id: Id): Promise<Token | undefined> {
    return this.#read(({ getToken }) => one(getToken.get(id), toToken));
  }

  findTokenByFingerprint(fingerprint: Uint8Array): KnownRecord | undefined | Promise<KnownRecord | undefined> {
    try {
      return this.#readCounted(({ findTokenByFingerprint }) =>
        one(findTokenByFingerprint.get({ fingerprint }), toKnownRecord),
      );
    } catch (error) {
      return reject(error);
    }
  }

  async listTokens(query: TokenQuery): Promise<readonly Token[]> {
    const { organizationId, profile, states, now, after, limit } = query;
    return this.#read(({ listTokens }) =>
      each(
        listTokens.all({
          ...filterParameters(query),
          organizationId,
          profile: profile ?? null,
          beforeCreatedAt: after === undefined ? END_OF_TIME_MS : toMillis(after.createdAt),
          beforeId: after?.id ?? "",
          now: toMillis(now),
          active: Number(states?.includes("active") ?? true),
          disabled: Number(states?.includes("disabled") ?? true),
          expired: Number(states?.includes("expired") ?? true),
          revoked: Number(states?.includes("revoked") ?? true),
          limit,
        }),
        toToken,
      ),
    );
  }

  revokeToken(id: Id, change: Change, record?: IdempotencyRecord): Promise<Token | undefined> {
    return this.#write("revokeToken", { id, change }, record);
  }

  updateToken(
    id: Id,
    settings: TokenSettings,
    ifRevision: number,
    change: Change,
    record?: IdempotencyRecord,
  ): Promise<Token | undefined> {
    return this.#write("updateToken", { id, settings, ifRevision, change }, record);
  }

  importTokens(
    tokens: readonly NewToken[],
    schemes: readonly NewDigestScheme[],
    change: Change,
    record?: IdempotencyRecord,
  ): Promise<readonly (Token | "taken")[]> {
    const input = { tokens: tokens.map(compactToken), schemes: schemes.map(compactScheme), change };
    return this.#write("importTokens", input, record);
  }

  async listDigestSchemes(): Promise<readonly DigestScheme[]> {
    return this.#read(({ listDigestSchemes }) => each(listDigestSchemes.all(), toDigestScheme));
  }

  async getImportKey(id: string): Promise<ImportKey | undefined> {
    return this.#read(({ getImportKey }) => one(getImportKey.get(id), toImportKey));
  }

  revokeTokens(selection: TokenSelection, change: Change, record?: IdempotencyRecord): Promise<number> {
    return this.#write("revokeTokens", { selection, change }, record);
  }

  countTokens(selection: TokenSelection, now: Date): Promise<number> {
    return this.#write("countTokens", { selection, now });
  }

  purgeTokens(endedBefore: Date, limit: number, change: Change): Promise<number> {
    return this.#write("purgeTokens", { endedBefore, limit, change });
  }

  async recordUses(uses: readonly TokenUse[]): Promise<void> {
    return this.#write("recordUses", await encodeUses(uses));
  }

  async readUses(tokenId: Id, first: number, last: number): Promise<readonly DailyUse[]> {
    return this.#read(({ readUses }) => readUses.all(tokenId, first, last));
  }

  async readUsesOfTokens(
    tokenIds: readonly Id[],
    first: number,
    last: number,
  ): Promise<readonly (readonly DailyUse[])[]> {
    const found = await this.#read(({ readUsesOfTokens }) =>
      readUsesOfTokens.all({ tokenIds: JSON.stringify(tokenIds), first, last }),
    );
    const ofEach = new Map<Id, DailyUse[]>(tokenIds.map((id) => [id, []]));
    for (const { token_id, day, uses } of found) ofEach.get(token_id)?.push({ day, uses });
    return tokenIds.map((id) => ofEach.get(id) ?? []);
  }

  sweepUses(before: number, limit: number): Promise<number> {
    return this.#write("sweepUses", { before, limit });
  }

  rotateToken(
    id: Id,
    rotation: SecretRotation,
    change: Change,
    record?: IdempotencyRecord,
  ): Promise<Token | undefined> {
    const secret = { ...rotation, fingerprint: compact(rotation.fingerprint) };
    return this.#write("rotateToken", { id, rotation: secret, change }, record);
  }

  finishRotation(id: Id, change: Change, record?: IdempotencyRecord): Promise<Token | undefined> {
    return this.#write("finishRotation", { id, change }, record);
  }

  cancelRotation(id: Id, change: Change, record?: IdempotencyRecord): Promise<Token | undefined> {
    return this.#write("cancelRotation", { id, change }, record);
  }

  takeLease(request: LeaseRequest): Promise<Lease> {
    return this.#write("takeLease", request);
  }

  returnLeases(returns: readonly LeaseReturn[]): Promise<void> {
    return this.#write("returnLeases", returns);
  }

  async readWindow(tokenId: Id, windowStart: Date): Promise<number> {
    return (await this.#read(({ readWindow }) => readWindow.get(tokenId, toMillis(windowStart)))) ?? 0;
  }

  sweepWindows(endedBefore: Date, limit: number): Promise<number> {
    return this.#write("sweepWindows", { endedBefore, limit });
  }

  async findRecordedCall(keyHash: Uint8Array, now: Date): Promise<RecordedCall | undefined> {
    return this.#read(({ findRecordedCall }) => one(findRecordedCall.get(keyHash, toMillis(now)), toRecordedCall));
  }

  sweepRecordedCalls(now: Date, limit: number): Promise<number> {
    return this.#write("sweepRecordedCalls", { now, limit });
  }

  createSession(
    session: Session,
    refreshFingerprint: Uint8Array,
    change: Change,
    passwordHash?: string,
  ): Promise<void> {
    const fingerprint = compact(refreshFingerprint);
    return this.#write("createSession", { session, refreshFingerprint: fingerprint, passwordHash, change });
  }

  async getSession(id: Id): Promise<Session | undefined> {
    return this.#read(({ getSession }) => one(getSession.get(id), toSession));
  }

  rotateRefreshToken({ presented, next }: RefreshTokenRotation, change: Change): Promise<RefreshTokenOutcome> {
    const rotation = { presented: compact(presented), next: compact(next) };
    return this.#write("rotateRefreshToken", { rotation, change });
  }

  async findSession(refreshFingerprint: Uint8Array): Promise<Session | undefined> {
    return this.#read(({ findSession }) => one(findSession.get(refreshFingerprint), toSession));
  }

  endSession(id: Id, change: Change): Promise<Session | undefined> {
    return this.#write("endSession", { id, change });
  }

  sweepSessions(overBefore: Date, limit: number): Promise<number> {
    return this.#write("sweepSessions", { overBefore, limit });
  }

  recordSignInFailure(userId: Id | undefined, reason: SignInFailure, change: Change): Promise<void> {
    return this.#write("recordSignInFailure", { userId, reason, change });
  }

  async listEvents(query: EventQuery): Promise<readonly AuditEvent[]> {
    const { organizationId, actions, actor, target, from, until, after, newestFirst = false, limit } = query;
    const parameters = {
      organizationId: organizationId ?? null,
      actions: actions === undefined ? null : JSON.stringify(actions),
      actor: actor ?? null,
      target: target ?? null,
      from: from === undefined ? null : toMillis(from),
      until: until === undefined ? null : toMillis(until),
      start: newestFirst ? startBefore(after) : startAfter(after),
      limit,
    };
    return this.#read((reads) => {
      const [ofAll, ofOne] = newestFirst
        ? [reads.listNewestEvents, reads.listNewestEventsOfOrganization]
        : [reads.listEvents, reads.listEventsOfOrganization];
      const list = organizationId === undefined ? ofAll : ofOne;
      return each(list.all(parameters), toEvent);
    });
  }

  async listChanges(after: number, limit: number): Promise<readonly ChangeNotice[]> {
    return this.#readCounted(({ listChanges }) => each(listChanges.all(after, limit), toChangeNotice));
  }

  async latestRevision(): Promise<number> {
    return (await this.#read(({ latestRevision }) => latestRevision.get())) ?? 0;
  }

  changeCount(): number | undefined {
    return this.#closing === undefined ? this.#engine.changeCount() : undefined;
  }

  async listEventHashes(after: number | undefined, limit: number): Promise<readonly EventHash[]> {
    return this.#read(({ listEventHashes }) => listEventHashes.all(startAfter(after), limit));
  }

  ensureSigningKey(key: SigningKey): Promise<readonly SigningKey[]> {
    return this.#write("ensureSigningKey", { ...key, sealedPrivateKey: compact(key.sealedPrivateKey) });
  }

  replaceSigningKey(newestId: string, key: SigningKey): Promise<boolean> {
    const stored = { ...key, sealedPrivateKey: compact(key.sealedPrivateKey) };
    return this.#write("replaceSigningKey", { newestId, key: stored });
  }

  deleteSigningKeys(succeededBefore: Date): Promise<void> {
    return this.#write("deleteSigningKeys", { succeededBefore });
  }

  async listSigningKeys(): Promise<readonly SigningKey[]> {
    return this.#read(({ listSigningKeys }) => each(listSigningKeys.all(), toSigningKey));
  }

  async ping(): Promise<void> {
    await this.#read(({ probe }) => probe.get());
  }

  pingWrites(): Promise<void> {
    return this.#write("ping", undefined);
  }

  close(): Promise<void> {
    this.#closing ??= this.#engine.close();
    return this.#closing;
  }

  async #write<Name extends CommandName>(
    name: Name,
    input: CommandInput<Name>,
    record?: IdempotencyRecord,
  ): Promise<CommandResult<Name>> {
    this.#assertOpen();
    return this.#engine.write(name, input, record && compactRecord(record));
  }

  #read<Result>(query: (reads: Reads) => Work<Result>): Result | Promise<Result> {
    this.#assertOpen();
    return this.#engine.read(query);
  }

  #readCounted<Result>(query: (reads: Reads) => Work<Result>): Result | Promise<Result> {
    this.#assertOpen();
    return this.#engine.readCounted(query);
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new AppError("unavailable", "The database is closed.");
  }
}

async function reject(error: unknown): Promise<never> {
  throw error;
}

function* one<Row, Entity>(work: Work<Row | undefined>, toEntity: (row: Row) => Entity): Work<Entity | undefined> {
  const row = yield* work;
  return row === undefined ? undefined : toEntity(row);
}

function* each<Row, Entity>(work: Work<readonly Row[]>, toEntity: (row: Row) => Entity): Work<readonly Entity[]> {
  return (yield* work).map(toEntity);
}

/** The lowest revision to read. An edited event may have any number, and must be seen. */
function startAfter(revision: number | undefined): number | bigint {
  return revision === undefined ? MIN_INTEGER : revision + 1;
}

/** The highest revision to read, where the newest come first. */
function startBefore(revision: number | undefined): number | bigint {
  return revision === undefined ? MAX_INTEGER : revision - 1;
}

function compactToken(newToken: NewToken): NewToken {
  return { ...newToken, fingerprint: compact(newToken.fingerprint) };
}

function compactScheme({ algorithm, key }: NewDigestScheme): NewDigestScheme {
  return { algorithm, key: key && { ...key, sealedKey: compact(key.sealedKey) } };
}

function compactRecord(record: IdempotencyRecord): IdempotencyRecord {
  const { keyHash, requestHash, sealing } = record;
  return {
    ...record,
    keyHash: compact(keyHash),
    requestHash: compact(requestHash),
    sealing: { key: compact(sealing.key), nonce: compact(sealing.nonce) },
  };
}

// A view is sent with all the memory that it looks at, and a small Buffer shares its memory with others.
function compact(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}
