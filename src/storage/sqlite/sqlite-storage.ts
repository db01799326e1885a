/** The storage port on one SQLite file: reads on the calling thread, writes through the writer thread. */
import { once } from "node:events";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { AuditEvent, Change } from "../../domain/audit.ts";
import type { DailyUse } from "../../domain/daily-uses.ts";
import type { TokenRecord } from "../../domain/decision.ts";
import type { DigestScheme, ImportKey } from "../../domain/digest-scheme.ts";
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
} from "../../domain/entities.ts";
import { AppError } from "../../domain/errors.ts";
import type { IdempotencyRecord, RecordedCall } from "../../domain/idempotency.ts";
import type { Id } from "../../domain/ids.ts";
import type { Logger } from "../../domain/logger.ts";
import type { SignInFailure } from "../../domain/occurrences.ts";
import type { Role } from "../../domain/roles.ts";
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
} from "../../domain/storage.ts";
import { WriteMeter } from "../../domain/write-meter.ts";
import type { CommandInput, CommandName, CommandResult } from "./commands.ts";
import { type ConnectionOptions, openReadConnection } from "./connection.ts";
import { readError, toStartError } from "./errors.ts";
import { createDatabaseFile } from "./files.ts";
import { toInvitation } from "./invitation-rows.ts";
import { lockDatabase } from "./lock.ts";
import { migrate } from "./migrations.ts";
import { prepareReads, type Reads } from "./reads.ts";
import {
  toDigestScheme,
  toEvent,
  toImportKey,
  toMember,
  toMembership,
  toMillis,
  toOrganization,
  toRecordedCall,
  toSession,
  toSigningKey,
  toToken,
  toTokenRecord,
  toUser,
} from "./rows.ts";
import { filterParameters } from "./token-filter.ts";
import { Writer } from "./writer.ts";
import { WriterHost } from "./writer-host.ts";

export interface SqliteStorageOptions {
  /** The database file. It is made where it doesn't exist, with its directory. */
  readonly path: string;
  readonly logger: Logger;
  /** Is told of every write. */
  readonly meter?: WriteMeter | undefined;
  /** How long a statement waits for another process's lock. */
  readonly busyTimeoutMs?: number;
  readonly checkpointIntervalMs?: number;
}

const DEFAULT_BUSY_TIMEOUT_MS = 5_000;
const DEFAULT_CHECKPOINT_INTERVAL_MS = 30_000;

/** A read waits only while another process repairs the WAL, and the wait holds up the whole thread. */
const MAX_READ_BUSY_TIMEOUT_MS = 100;

/** Later than any Date, and earlier than any. */
const END_OF_TIME_MS = 8_640_000_000_000_001;
const START_OF_TIME_MS = -END_OF_TIME_MS;

const MIN_INTEGER = -(2n ** 63n);
const MAX_INTEGER = 2n ** 63n - 1n;

/** What another thread of this process needs to work on the same database. Its port is to be transferred. */
export interface SqliteShare {
  readonly path: string;
  readonly busyTimeoutMs: number;
  readonly changes: Int32Array<SharedArrayBuffer>;
  /** Brings a port to each writer thread. */
  readonly writers: MessagePort;
}

/** The storage of the thread that opened the database. */
export interface SqliteDatabase extends Storage {
  /** For one thread, which joins with `joinSqliteStorage`, and closes what it gets before this here is closed. */
  share(): SqliteShare;
}

/**
 * Opens the database, with the newest schema, for this process alone. Throws a StartError when the file
 * can't be served.
 */
export async function openSqliteStorage(options: SqliteStorageOptions): Promise<SqliteDatabase> {
  const { logger, meter = new WriteMeter(), busyTimeoutMs = DEFAULT_BUSY_TIMEOUT_MS } = options;
  const { checkpointIntervalMs = DEFAULT_CHECKPOINT_INTERVAL_MS } = options;
  const path = createDatabaseFile(options.path);
  await using resources = new AsyncDisposableStack();
  const lock = lockDatabase(path);
  resources.defer(() => lock.release());
  try {
    migrate({ path, busyTimeoutMs });
    const host = await WriterHost.start({ path, busyTimeoutMs, checkpointIntervalMs, logger });
    resources.defer(() => host.close());
    const writer = new Writer(host.changes, meter);
    host.connect((port) => writer.attach(port));
    const share = (): SqliteShare => ({ path, busyTimeoutMs, changes: host.changes, writers: portsOf(host) });
    return Object.assign(openStorage({ path, busyTimeoutMs }, writer, resources), { share });
  } catch (error) {
    throw toStartError(path, error);
  }
}

/** Opens the database that another thread of this process has opened. */
export async function joinSqliteStorage(
  { path, busyTimeoutMs, changes, writers }: SqliteShare,
  meter: WriteMeter,
): Promise<Storage> {
  await using resources = new AsyncDisposableStack();
  resources.defer(() => writers.close());
  const writer = new Writer(changes, meter);
  writers.on("message", (port: MessagePort) => writer.attach(port));
  await once(writers, "message");
  return openStorage({ path, busyTimeoutMs }, writer, resources);
}

/** A port that brings the ports to the writer threads. */
function portsOf(host: WriterHost): MessagePort {
  const { port1, port2 } = new MessageChannel();
  port1.on(
    "close",
    host.connect((port) => port1.postMessage(port, [port])),
  );
  // It must not keep the process alive.
  port1.unref();
  return port2;
}

function openStorage(
  { path, busyTimeoutMs }: ConnectionOptions,
  writer: Writer,
  resources: AsyncDisposableStack,
): SqliteStorage {
  resources.defer(() => writer.close());
  const connection = openReadConnection({ path, busyTimeoutMs: Math.min(busyTimeoutMs, MAX_READ_BUSY_TIMEOUT_MS) });
  // Closed before the writer's, for the last connection to close tidies up, and only the writer's can.
  resources.defer(() => void connection.close());
  return new SqliteStorage(prepareReads(connection), writer, resources.move());
}

class SqliteStorage implements Storage {
  readonly #reads: Reads;
  readonly #writer: Writer;
  readonly #resources: AsyncDisposableStack;
  #closing: Promise<void> | undefined;

  constructor(reads: Reads, writer: Writer, resources: AsyncDisposableStack) {
    this.#reads = reads;
    this.#writer = writer;
    this.#resources = resources;
  }

  setUp(contents: SetUp, change: Change): Promise<boolean> {
    return this.#write("setUp", { contents: { ...contents, tokens: contents.tokens.map(compactToken) }, change });
  }

  async isEmpty(): Promise<boolean> {
    return this.#read(({ isEmpty }) => isEmpty.get() === 1);
  }

  createOrganization(organization: Organization, change: Change, record?: IdempotencyRecord): Promise<Organization> {
    return this.#write("createOrganization", { organization, change }, record);
  }

  async getOrganization(id: Id): Promise<Organization | undefined> {
    return this.#read(({ getOrganization }) => map(getOrganization.get(id), toOrganization));
  }

  async listOrganizations(after: Position | undefined, limit: number): Promise<readonly Organization[]> {
    const parameters = {
      beforeCreatedAt: after === undefined ? END_OF_TIME_MS : toMillis(after.createdAt),
      beforeId: after?.id ?? "",
      limit,
    };
    return this.#read(({ listOrganizations }) => listOrganizations.all(parameters).map(toOrganization));
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
    return this.#read(({ getUser }) => map(getUser.get(id), toUser));
  }

  async findUserByEmail(email: string): Promise<User | undefined> {
    return this.#read(({ findUserByEmail }) => map(findUserByEmail.get(email), toUser));
  }

  changePassword(userId: Id, password: PasswordChange, change: Change): Promise<boolean> {
    return this.#write("changePassword", { userId, password, change });
  }

  createPasswordLink(link: PasswordLink, change: Change): Promise<boolean> {
    return this.#write("createPasswordLink", { link: { ...link, fingerprint: compact(link.fingerprint) }, change });
  }

  async findPasswordLink(fingerprint: Uint8Array, now: Date): Promise<User | undefined> {
    return this.#read(({ findPasswordLink }) => map(findPasswordLink.get(fingerprint, toMillis(now)), toUser));
  }

  resetPassword(fingerprint: Uint8Array, passwordHash: string, change: Change): Promise<boolean> {
    return this.#write("resetPassword", { fingerprint: compact(fingerprint), passwordHash, change });
  }

  sweepPasswordLinks(now: Date, limit: number): Promise<number> {
    return this.#write("sweepPasswordLinks", { now, limit });
  }

  async findUserByIdentity({ issuer, subject }: Identity): Promise<User | undefined> {
    return this.#read(({ findUserByIdentity }) => map(findUserByIdentity.get(issuer, subject), toUser));
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
    return this.#read(({ listInvitations }) => listInvitations.all(organizationId, toMillis(now)).map(toInvitation));
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
    return this.#read(({ findInvitation }) => map(findInvitation.get(fingerprint, toMillis(now)), toInvitation));
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
    return this.#read(({ listMembers }) => listMembers.all(parameters).map(toMember));
  }

  async getMembership(organizationId: Id, userId: Id): Promise<Membership | undefined> {
    return this.#read(({ getMembership }) => map(getMembership.get(organizationId, userId), toMembership));
  }

  async listMembershipsOfUser(userId: Id): Promise<readonly Membership[]> {
    return this.#read(({ listMembershipsOfUser }) => listMembershipsOfUser.all(userId).map(toMembership));
  }

  createToken(token: NewToken, change: Change, record?: IdempotencyRecord): Promise<Token> {
    return this.#write("createToken", { newToken: compactToken(token), change }, record);
  }

  async getToken(id: Id): Promise<Token | undefined> {
    return this.#read(({ getToken }) => map(getToken.get(id), toToken));
  }

  findTokenByFingerprint(fingerprint: Uint8Array): TokenRecord | undefined | Promise<TokenRecord | undefined> {
    try {
      return this.#read(({ findTokenByFingerprint }) =>
        map(findTokenByFingerprint.get({ fingerprint }), toTokenRecord),
      );
    } catch (error) {
      return reject(error);
    }
  }

  async listTokens(query: TokenQuery): Promise<readonly Token[]> {
    const { organizationId, profile, states, now, after, limit } = query;
    return this.#read(({ listTokens }) =>
      listTokens
        .all({
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
        })
        .map(toToken),
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
    return this.#read(({ listDigestSchemes }) => listDigestSchemes.all().map(toDigestScheme));
  }

  async getImportKey(id: string): Promise<ImportKey | undefined> {
    return this.#read(({ getImportKey }) => map(getImportKey.get(id), toImportKey));
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

  recordUses(uses: readonly TokenUse[]): Promise<void> {
    return this.#write("recordUses", uses);
  }

  async readUses(tokenId: Id, first: number, last: number): Promise<readonly DailyUse[]> {
    return this.#read(({ readUses }) => readUses.all(tokenId, first, last));
  }

  async readUsesOfTokens(
    tokenIds: readonly Id[],
    first: number,
    last: number,
  ): Promise<readonly (readonly DailyUse[])[]> {
    const found = this.#read(({ readUsesOfTokens }) =>
      readUsesOfTokens.all({ tokenIds: JSON.stringify(tokenIds), first, last }),
    );
    const uses: DailyUse[][] = tokenIds.map(() => []);
    for (const { position, day, uses: count } of found) uses[position]?.push({ day, uses: count });
    return uses;
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
    return this.#read(({ readWindow }) => readWindow.get(tokenId, toMillis(windowStart)) ?? 0);
  }

  sweepWindows(endedBefore: Date, limit: number): Promise<number> {
    return this.#write("sweepWindows", { endedBefore, limit });
  }

  async findRecordedCall(keyHash: Uint8Array, now: Date): Promise<RecordedCall | undefined> {
    return this.#read(({ findRecordedCall }) => map(findRecordedCall.get(keyHash, toMillis(now)), toRecordedCall));
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
    return this.#read(({ getSession }) => map(getSession.get(id), toSession));
  }

  rotateRefreshToken({ presented, next }: RefreshTokenRotation, change: Change): Promise<RefreshTokenOutcome> {
    const rotation = { presented: compact(presented), next: compact(next) };
    return this.#write("rotateRefreshToken", { rotation, change });
  }

  async findSession(refreshFingerprint: Uint8Array): Promise<Session | undefined> {
    return this.#read(({ findSession }) => map(findSession.get(refreshFingerprint), toSession));
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
      return list.all(parameters).map(toEvent);
    });
  }

  async latestRevision(): Promise<number> {
    return this.#read(({ latestRevision }) => latestRevision.get() ?? 0);
  }

  changeCount(): number | undefined {
    return this.#closing === undefined ? this.#writer.changeCount : undefined;
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
    return this.#read(({ listSigningKeys }) => listSigningKeys.all().map(toSigningKey));
  }

  async ping(): Promise<void> {
    this.#read(({ probe }) => probe.get());
  }

  pingWrites(): Promise<void> {
    return this.#write("ping", undefined);
  }

  close(): Promise<void> {
    this.#closing ??= this.#resources.disposeAsync();
    return this.#closing;
  }

  async #write<Name extends CommandName>(
    name: Name,
    input: CommandInput<Name>,
    record?: IdempotencyRecord,
  ): Promise<CommandResult<Name>> {
    this.#assertOpen();
    return this.#writer.execute(name, input, record && compactRecord(record));
  }

  #read<Result>(query: (reads: Reads) => Result): Result {
    this.#assertOpen();
    try {
      return query(this.#reads);
    } catch (error) {
      throw readError(error);
    }
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new AppError("unavailable", "The database is closed.");
  }
}

async function reject(error: unknown): Promise<never> {
  throw error;
}

function map<Row, Entity>(row: Row | undefined, toEntity: (row: Row) => Entity): Entity | undefined {
  return row === undefined ? undefined : toEntity(row);
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
