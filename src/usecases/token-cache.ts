/**
 * Keeps tokens in memory, so that a check of one needs neither a query nor a promise. It never answers with
 * what an acknowledged change has made old: before each answer it compares the store's count of changes with
 * the one that it has caught up with, and reads the events in between from the audit log.
 */
import type { ChangeNotice } from "../domain/audit.ts";
import type { Tag } from "../domain/chaskey.ts";
import type { KnownRecord } from "../domain/decision.ts";
import type { KnownToken, Organization } from "../domain/entities.ts";
import { Histogram, LATENCY_SECONDS } from "../domain/histogram.ts";
import { fromPublicId, type Id } from "../domain/ids.ts";
import type { Profile, RateLimit } from "../domain/profile.ts";
import type { PresentedSecret } from "../domain/rotation.ts";
import type { Storage } from "../domain/storage.ts";
import { ByteShelf } from "./byte-shelf.ts";
import type { ChangeLog } from "./change-log.ts";
import type { WaitingUses } from "./usage-recorder.ts";

export interface TokenCacheLimits {
  /** 0 switches the cache off. */
  readonly maxEntries: number;
  /** About what the entries may take of memory. */
  readonly maxBytes: number;
}

/** More events than these are not looked at one by one: it is cheaper to start with an empty cache. */
const MAX_EVENTS = 1_000;

/** What an entry takes without its own texts and its answer: objects, id, and places in two maps. */
const ENTRY_BYTES = 500;

/** Of texts that many tokens have in common, so many are known; there are few, unless somebody makes them up. */
const MAX_COMMON = 10_000;

/** These change nothing that is kept here. */
const UNRELATED = /^(?:user|session|member|deployment)\./;

/** An organization, shared by its tokens' entries. */
interface OrganizationSlot {
  readonly organization: Pick<Organization, "id" | "plan">;
  /** Where its tokens' answers are. */
  readonly answers: ByteShelf;
  isStale: boolean;
  entries: number;
}

/** Nowhere on the shelf: an answer that isn't made yet, and one that isn't to be kept any more. */
const [NO_ANSWER, NO_MORE_ANSWERS] = [-1, -2];

/**
 * A record in memory, with room for what others work out of it once, which goes when it goes. It is one object,
 * for a check waits longer for memory than for anything else that it does here. There may be millions, so they
 * are small: what no judgement takes isn't in them, what tokens have in common they share, and encoded answers
 * lie outside of the heap.
 */
export class KeptRecord implements KnownRecord, Tag {
  readonly token: KnownToken;
  readonly secret: PresentedSecret;

  /** What it is found by. */
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
  readonly slot: OrganizationSlot;
  /** Asked for since it was looked at last for eviction. */
  isUsed = false;
  /** Another secret of the same token. */
  next: KeptRecord | undefined;

  /** The conventions that it follows, its limit by them, and its secret's format; the finder's, once it has judged it. */
  profile: Profile | undefined = undefined;
  limit: RateLimit | undefined = undefined;
  format: Profile | undefined = undefined;
  /** What waits of its uses; the usage recorder's. */
  waiting: WaitingUses | undefined = undefined;
  #answer = NO_ANSWER;

  constructor(tag: Tag, { token, secret }: KnownRecord, slot: OrganizationSlot, next: KeptRecord | undefined) {
    this.token = token;
    this.secret = secret;
    this.a = tag.a;
    this.b = tag.b;
    this.c = tag.c;
    this.d = tag.d;
    this.slot = slot;
    this.next = next;
  }

  get organization(): Pick<Organization, "id" | "plan"> {
    return this.slot.organization;
  }

  /** What is always the same in the answer about it, encoded; the transport's. */
  get answer(): Buffer | undefined {
    return this.#answer < 0 ? undefined : this.slot.answers.get(this.#answer);
  }

  set answer(bytes: Buffer) {
    if (this.#answer === NO_ANSWER) this.#answer = this.slot.answers.put(bytes) ?? NO_MORE_ANSWERS;
  }

  /** How long the answer is; 0 where there is none. */
  get answerLength(): number {
    return this.#answer < 0 ? 0 : this.slot.answers.lengthOf(this.#answer);
  }

  /** Copies the answer, which must be there, to a place with room for it. */
  copyAnswer(target: Buffer, at: number): void {
    this.slot.answers.copyTo(target, at, this.#answer);
  }

  /** Gives the answer's place back: it will be made anew. */
  dropAnswer(): void {
    if (this.#answer < 0) return;
    this.slot.answers.remove(this.#answer);
    this.#answer = NO_ANSWER;
  }

  /** The same where the shelf has been cleared. */
  forgetAnswer(): void {
    if (this.#answer >= 0) this.#answer = NO_ANSWER;
  }

  /** Calls may still hold it, but it is no part of the cache any more. */
  leave(): void {
    this.dropAnswer();
    this.#answer = NO_MORE_ANSWERS;
    this.waiting = undefined;
  }

  /** About what it takes of memory without its answer. */
  get bytes(): number {
    const { name, userId = "", scopes, ipAllowlist, permission } = this.token;
    let texts = name.length + userId.length + permission.length;
    for (const text of scopes) texts += text.length;
    for (const text of ipAllowlist) texts += text.length;
    return ENTRY_BYTES + 2 * texts;
  }
}

export class TokenCache {
  readonly #storage: Storage;
  readonly #log: ChangeLog;
  readonly #limits: TokenCacheLimits;
  /** By a word of their tags, the first one unless another entry is there. The order is that of eviction. */
  readonly #entries = new Map<number, KeptRecord>();
  readonly #byToken = new Map<Id, KeptRecord>();
  readonly #organizations = new Map<Id, OrganizationSlot>();
  readonly #answers = new ByteShelf();
  readonly #common = new Commons();
  #bytes = 0;
  /** The store's count of changes that the entries are true for. */
  #changes: number | undefined;
  /** The last event that was looked at. */
  #revision = 0;
  #catchingUp: Promise<void> | undefined;
  /** What operators want to know. */
  hits = 0;
  misses = 0;
  /** How long reads of the store took, in seconds. */
  readonly readSeconds = new Histogram(LATENCY_SECONDS);

  /** @param log of the same store, shared with the thread's other caches */
  constructor(storage: Storage, log: ChangeLog, limits: TokenCacheLimits) {
    this.#storage = storage;
    this.#log = log;
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes + this.#answers.bytes;
  }

  /** The last event that the entries are true for; undefined while there are none. */
  get revision(): number | undefined {
    return this.#entries.size === 0 ? undefined : this.#revision;
  }

  /** Whether entries are there, and true. */
  get isCurrent(): boolean {
    return this.#entries.size > 0 && this.#isTrueFor(this.#storage.changeCount());
  }

  /** What memory has for the tag while it is current, and the finder has seen; nothing else is known by it. */
  recall(tag: Tag): KeptRecord | undefined {
    const entry = this.#get(tag);
    if (entry === undefined || entry.profile === undefined || entry.slot.isStale) return undefined;
    entry.isUsed = true;
    this.hits++;
    return entry;
  }

  /**
   * Finds the token whose secret has this fingerprint, and its organization, as the store has them now. At
   * once, without a promise, when they are in memory or the store answers so.
   *
   * @param tag what memory knows the secret by, always the same for it, and for no other
   * @throws AppError of kind `unavailable` when the store is needed and can't be read; it rejects then.
   */
  find(tag: Tag, fingerprint: Uint8Array): KnownRecord | undefined | Promise<KnownRecord | undefined> {
    const changes = this.#storage.changeCount();
    if (changes === undefined || this.#limits.maxEntries === 0) return this.#read(fingerprint);
    if (!this.#isTrueFor(changes)) return this.#findLater(tag, fingerprint);
    const entry = this.#get(tag);
    if (entry === undefined || entry.slot.isStale) return this.#load(tag, fingerprint, changes);
    entry.isUsed = true;
    this.hits++;
    return entry;
  }

  #isTrueFor(changes: number | undefined): boolean {
    return changes !== undefined && changes === this.#changes;
  }

  #get(tag: Tag): KeptRecord | undefined {
    const first = this.#entries.get(tag.a);
    if (first !== undefined && isSame(first, tag)) return first;
    const second = this.#entries.get(tag.b);
    return second !== undefined && isSame(second, tag) ? second : undefined;
  }

  async #findLater(tag: Tag, fingerprint: Uint8Array): Promise<KnownRecord | undefined> {
    await (this.#catchingUp ??= this.#catchUp());
    const changes = this.#storage.changeCount();
    // Writes may come faster than one can read of them; the store itself is always right.
    return this.#isTrueFor(changes) ? this.find(tag, fingerprint) : this.#read(fingerprint);
  }

  #read(fingerprint: Uint8Array): KnownRecord | undefined | Promise<KnownRecord | undefined> {
    this.misses++;
    const startedAtMs = performance.now();
    const observe = (): void => this.readSeconds.observe((performance.now() - startedAtMs) / 1000);
    const found = this.#storage.findTokenByFingerprint(fingerprint);
    if (found instanceof Promise) return found.finally(observe);
    observe();
    return found;
  }

  #load(
    tag: Tag,
    fingerprint: Uint8Array,
    changes: number,
  ): KnownRecord | undefined | Promise<KnownRecord | undefined> {
    const read = this.#read(fingerprint);
    return read instanceof Promise
      ? read.then((record) => this.#keepIfTrue(tag, changes, record))
      : this.#keepIfTrue(tag, changes, read);
  }

  #keepIfTrue(tag: Tag, changes: number, record: KnownRecord | undefined): KnownRecord | undefined {
    // What was read may be older than a change that came meanwhile. It answers this call, but isn't kept.
    if (record === undefined || changes !== this.#changes || changes !== this.#storage.changeCount()) return record;
    return this.#keep(tag, record);
  }

  #keep(tag: Tag, read: KnownRecord): KnownRecord {
    const { token, organization } = read;
    this.#drop(this.#get(tag));
    const word = this.#entries.has(tag.a) ? tag.b : tag.a;
    // Of three that meet, one goes: hardly ever, for a word is one of 2³².
    this.#drop(this.#entries.get(word));
    let slot = this.#organizations.get(organization.id);
    if (slot === undefined) {
      const { id, plan } = organization;
      slot = { organization: { id, plan }, answers: this.#answers, isStale: false, entries: 0 };
      this.#organizations.set(organization.id, slot);
    }
    slot.entries++;
    const { secret } = read;
    const known = { token: this.#common.share(token, slot.organization.id), organization, secret };
    const record = new KeptRecord(tag, known, slot, this.#byToken.get(token.id));
    this.#entries.set(word, record);
    this.#byToken.set(token.id, record);
    this.#bytes += record.bytes;
    this.#makeRoom();
    return record;
  }

  /** Lets go of what nobody asked for since the last round, the oldest first. */
  #makeRoom(): void {
    const { maxEntries, maxBytes } = this.#limits;
    if (this.#answers.isWasteful) {
      this.#answers.clear();
      for (const entry of this.#entries.values()) entry.forgetAnswer();
    }
    for (const [word, entry] of this.#entries) {
      if (this.#entries.size <= maxEntries && this.bytes <= maxBytes) return;
      if (entry.isUsed) {
        entry.isUsed = false;
        // It is made anew next to those of its new neighbours, so that they all go at about one time.
        entry.dropAnswer();
        this.#entries.delete(word);
        this.#entries.set(word, entry);
      } else {
        this.#drop(entry);
      }
    }
  }

  #drop(entry: KeptRecord | undefined): void {
    if (entry === undefined) return;
    const word = this.#entries.get(entry.a) === entry ? entry.a : entry.b;
    if (this.#entries.get(word) !== entry) return;
    this.#entries.delete(word);
    this.#bytes -= entry.bytes;
    entry.leave();
    const { slot } = entry;
    slot.entries--;
    if (slot.entries === 0 && !slot.isStale) this.#organizations.delete(slot.organization.id);
    const { id } = entry.token;
    let sibling = this.#byToken.get(id);
    if (sibling === entry) {
      if (entry.next === undefined) this.#byToken.delete(id);
      else this.#byToken.set(id, entry.next);
      return;
    }
    while (sibling !== undefined && sibling.next !== entry) sibling = sibling.next;
    if (sibling !== undefined) sibling.next = entry.next;
  }

  /** Makes the entries true again. Rejects when the store can't be read, and then they stay unused. */
  async #catchUp(): Promise<void> {
    try {
      const changes = this.#storage.changeCount();
      const notices = this.#entries.size === 0 ? undefined : await this.#changesSince(this.#revision);
      if (notices === undefined) {
        const revision = await this.#storage.latestRevision();
        this.#clear();
        this.#revision = revision;
      } else {
        for (const notice of notices) this.#apply(notice);
      }
      this.#changes = changes;
    } finally {
      this.#catchingUp = undefined;
    }
  }

  /** Undefined when there are too many. */
  async #changesSince(revision: number): Promise<readonly ChangeNotice[] | undefined> {
    const notices = await this.#log.since(revision, MAX_EVENTS);
    return notices.length < MAX_EVENTS ? notices : undefined;
  }

  #apply({ revision, organizationId, action, target }: ChangeNotice): void {
    this.#revision = revision;
    const tokenId = fromPublicId("tok", target);
    if (tokenId !== undefined) {
      for (let entry = this.#byToken.get(tokenId); entry !== undefined; entry = entry.next) this.#drop(entry);
    } else if (!UNRELATED.test(action)) {
      const slot = this.#organizations.get(organizationId);
      if (slot !== undefined) slot.isStale = true;
      this.#organizations.delete(organizationId);
    }
  }

  #clear(): void {
    for (const entry of this.#entries.values()) entry.leave();
    this.#entries.clear();
    this.#byToken.clear();
    this.#organizations.clear();
    this.#answers.clear();
    this.#bytes = 0;
  }
}

function isSame(one: Tag, other: Tag): boolean {
  return one.a === other.a && one.b === other.b && one.c === other.c && one.d === other.d;
}

/** Has one of each value that many tokens have in common: the store makes a new one for every token. */
class Commons {
  readonly #texts = new Map<string, string>();
  readonly #lists = new Map<string, readonly string[]>();

  /** The token as it is kept. */
  share(token: KnownToken, organizationId: Id): KnownToken {
    return {
      id: token.id,
      organizationId,
      userId: token.userId,
      profile: this.#text(token.profile),
      type: this.#text(token.type),
      name: token.name,
      permission: this.#text(token.permission),
      scopes: this.#list(token.scopes),
      ipAllowlist: this.#list(token.ipAllowlist),
      enabled: token.enabled,
      expiresAt: token.expiresAt,
      revokedAt: token.revokedAt,
      revision: token.revision,
    };
  }

  #text(text: string): string {
    return common(this.#texts, text, text);
  }

  #list(list: readonly string[]): readonly string[] {
    return common(this.#lists, JSON.stringify(list), list);
  }
}

function common<Value>(known: Map<string, Value>, key: string, value: Value): Value {
  const found = known.get(key);
  if (found !== undefined) return found;
  // Tokens hold on to what they share, so nothing is lost.
  if (known.size >= MAX_COMMON) known.clear();
  known.set(key, value);
  return value;
}
