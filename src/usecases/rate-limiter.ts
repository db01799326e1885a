/** Counts calls against rate limits: with leases in memory, and through the store where those don't decide. */
import type { Clock } from "../domain/clock.ts";
import { AppError } from "../domain/errors.ts";
import type { Id } from "../domain/ids.ts";
import type { Logger } from "../domain/logger.ts";
import type { RateLimit } from "../domain/profile.ts";
import { type RateStatus, windowStartMs } from "../domain/rate-window.ts";
import type { LeaseReturn, Storage } from "../domain/storage.ts";
import { Sweeper } from "./sweeper.ts";

export interface RateLimiterDeps {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly logger: Logger;
  /** So many tokens are kept in memory; a further one puts others out. */
  readonly maxTokens?: number;
}

export interface RateVerdict {
  readonly admitted: boolean;
  /** Where the token stands after this call. */
  readonly status: RateStatus;
}

/** A crash loses at most one of so many parts of a window, and a busy token costs about so many writes in one. */
const LEASES_PER_WINDOW = 20;

const DEFAULT_MAX_TOKENS = 100_000;

/** One of so many tokens goes when memory is full, so that the search for them is rare. */
const EVICTED_PART = 16;

const SWEEP_INTERVAL_MS = 60_000;

/**
 * The store remembers a window for so long after its end: a clock that is set back, or another machine's
 * that is slow, by less than that still counts in the same window. Not longer, for a token that is always
 * busy leaves a row a minute.
 */
const RETENTION_MS = 3_600_000;

/** Windows that are forgotten in one write, which other writes wait for. */
const SWEEP_BATCH = 1_000;

/** A call that waits for the store. */
interface Waiter {
  readonly limit: RateLimit;
  readonly cost: number;
  readonly spends: boolean;
  resolve(verdict: RateVerdict): void;
  reject(error: unknown): void;
}

const NOTHING_TO_SERVE = Promise.resolve();

/** What this process knows of a token's window, and holds of it. */
class Account {
  startMs = 0;
  endMs = 0;
  /** Units that the store had given away, to anybody, when it was asked last. */
  taken = 0;
  /** Those of them that are here and not spent. */
  unspent = 0;
  /** The highest limit since the store was asked last: so much others may have taken by now. */
  highestLimit = Number.POSITIVE_INFINITY;
  waiting: Waiter[] = [];
  isServing = false;
  served = NOTHING_TO_SERVE;

  /** Units that this process can't spend any more. */
  get spent(): number {
    return this.taken - this.unspent;
  }

  /** Makes this the account of the window. What is left of another one is worth nothing in it. */
  enter(startMs: number, { windowMs }: RateLimit): void {
    if (this.startMs === startMs && this.endMs === startMs + windowMs) return;
    this.startMs = startMs;
    this.endMs = startMs + windowMs;
    this.taken = 0;
    this.unspent = 0;
    this.highestLimit = Number.POSITIVE_INFINITY;
  }

  /** Takes note of what the store said when it was asked under this limit. */
  learn(taken: number, { requests }: RateLimit): void {
    this.taken = taken;
    this.highestLimit = requests;
  }

  /** The verdict, and its cost is spent; undefined when only the store knows. */
  decide(limit: RateLimit, cost: number): RateVerdict | undefined {
    const isFirst = this.highestLimit === Number.POSITIVE_INFINITY;
    const wasLowered = this.highestLimit > limit.requests;
    if (!wasLowered) this.highestLimit = limit.requests;
    // What is spent stays spent, so that a flood of calls over the limit asks the store once: how much remains.
    if (this.spent + cost > limit.requests) return isFirst ? undefined : this.verdict(false, limit);
    if (wasLowered || cost > this.unspent) return undefined;
    this.unspent -= cost;
    return this.verdict(true, limit);
  }

  /** The verdict that the cost would get; nothing is spent. */
  preview(limit: RateLimit, cost: number): RateVerdict {
    return this.verdict(this.spent + cost <= limit.requests, limit);
  }

  private verdict(admitted: boolean, { requests }: RateLimit): RateVerdict {
    const remaining = Math.max(0, requests - this.spent);
    return { admitted, status: { limit: requests, remaining, resetMs: this.endMs } };
  }
}

/**
 * Holds tokens to their limits, in any number of processes on one store: a call spends units that the store
 * has granted to this process, and for one window the store grants no more than the limit. Fails closed: a
 * call that needs the store is rejected with the store's error when that fails.
 */
export class RateLimiter {
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #maxTokens: number;
  readonly #timer: NodeJS.Timeout;
  readonly #accounts = new Map<Id, Account>();
  readonly #sweeper: Sweeper;
  #returning: Promise<void> = Promise.resolve();
  #stopping: Promise<void> | undefined;
  /** Calls that memory didn't decide, for operators. */
  waits = 0;

  constructor({ storage, clock, logger, maxTokens = DEFAULT_MAX_TOKENS }: RateLimiterDeps) {
    this.#storage = storage;
    this.#clock = clock;
    this.#logger = logger;
    this.#maxTokens = maxTokens;
    this.#timer = setInterval(() => this.#forgetPast(), SWEEP_INTERVAL_MS);
    this.#timer.unref();
    this.#sweeper = new Sweeper({
      what: "past windows of rate limits",
      intervalMs: SWEEP_INTERVAL_MS,
      batch: SWEEP_BATCH,
      sweepBatch: (now, limit) => storage.sweepWindows(new Date(now.getTime() - RETENTION_MS), limit),
      clock,
      logger,
    });
  }

  /**
   * Takes `cost` units of the token's window if they are there; a refusal takes none. Answers at once,
   * without a promise, when memory decides it.
   */
  admit(tokenId: Id, limit: RateLimit, cost: number): RateVerdict | Promise<RateVerdict> {
    assertCost(cost);
    const account = this.#account(tokenId);
    // Whoever comes while others wait comes after them.
    const verdict = account.isServing ? undefined : this.#decide(account, limit, cost);
    return verdict ?? this.#wait(tokenId, account, limit, cost, true);
  }

  /** Where the token stands, and whether `cost` more would be admitted. Spends nothing and takes no lease. */
  async peek(tokenId: Id, limit: RateLimit, cost: number): Promise<RateVerdict> {
    assertCost(cost);
    return this.#wait(tokenId, this.#account(tokenId), limit, cost, false);
  }

  /** Gives unspent units back and stops the timer. From then on calls are refused as `unavailable`. Never rejects. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    clearInterval(this.#timer);
    const swept = this.#sweeper.stop();
    await Promise.all(Array.from(this.#accounts.values(), ({ served }) => served));
    this.#forgetPast();
    await this.#giveBack(Array.from(this.#accounts, ([id, account]) => release(id, account, account.unspent)));
    await Promise.all([this.#returning, swept]);
  }

  #decide(account: Account, limit: RateLimit, cost: number): RateVerdict | undefined {
    account.enter(windowStartMs(limit, this.#clock()), limit);
    return account.decide(limit, cost);
  }

  #wait(tokenId: Id, account: Account, limit: RateLimit, cost: number, spends: boolean): Promise<RateVerdict> {
    return new Promise((resolve, reject) => {
      if (this.#stopping !== undefined) throw new AppError("unavailable", "The service is stopping.");
      this.waits++;
      account.waiting.push({ limit, cost, spends, resolve, reject });
      if (!account.isServing) account.served = this.#serve(tokenId, account);
    });
  }

  /**
   * Answers all who wait, and those who come meanwhile, in their order. Where the store fails, that is the
   * answer to the rest of those whom memory has none for. Never rejects.
   */
  async #serve(tokenId: Id, account: Account): Promise<void> {
    account.isServing = true;
    while (account.waiting.length > 0) {
      const waiters = account.waiting;
      account.waiting = [];
      let failure: { readonly error: unknown } | undefined;
      for (const [index, waiter] of waiters.entries()) {
        let verdict = waiter.spends ? this.#decide(account, waiter.limit, waiter.cost) : undefined;
        while (verdict === undefined && failure === undefined) {
          try {
            verdict = await this.#ask(tokenId, account, waiter, waiters.slice(index + 1));
          } catch (error) {
            failure = { error };
          }
        }
        if (verdict === undefined) waiter.reject(failure?.error);
        else waiter.resolve(verdict);
      }
    }
    // Nothing is awaited since the last answer, so whoever hears it finds this done.
    account.isServing = false;
  }

  /** Asks the store what the waiter needs. No verdict when the window ended meanwhile. */
  async #ask(tokenId: Id, account: Account, waiter: Waiter, next: readonly Waiter[]): Promise<RateVerdict | undefined> {
    const { limit, cost, spends } = waiter;
    account.enter(windowStartMs(limit, this.#clock()), limit);
    const couldUseLease = account.spent + cost <= limit.requests && cost > account.unspent;
    if (spends && couldUseLease) await this.#lease(tokenId, account, waiter, next);
    else account.learn(await this.#storage.readWindow(tokenId, new Date(account.startMs)), limit);
    return spends ? this.#decide(account, limit, cost) : account.preview(limit, cost);
  }

  async #lease(tokenId: Id, account: Account, { limit, cost }: Waiter, next: readonly Waiter[]): Promise<void> {
    // Whoever waits already would have to ask as soon as this lease is spent.
    let demand = account.spent + cost;
    for (const other of next) {
      if (other.spends && demand + other.cost <= limit.requests) demand += other.cost;
    }
    const slice = Math.ceil(limit.requests / LEASES_PER_WINDOW);
    const { granted, taken } = await this.#storage.takeLease({
      tokenId,
      windowStart: new Date(account.startMs),
      windowEnd: new Date(account.endMs),
      limit: limit.requests,
      units: Math.max(slice, demand - account.taken),
    });
    account.learn(taken, limit);
    account.unspent += granted;
    // Too few for this call, but another process may have a use for them.
    if (cost > account.unspent) await this.#giveBack([release(tokenId, account, granted)]);
  }

  #account(tokenId: Id): Account {
    const known = this.#accounts.get(tokenId);
    if (known !== undefined) return known;
    if (this.#accounts.size >= this.#maxTokens) this.#makeRoom();
    const account = new Account();
    this.#accounts.set(tokenId, account);
    return account;
  }

  #makeRoom(): void {
    this.#forgetPast();
    const target = this.#maxTokens - Math.ceil(this.#maxTokens / EVICTED_PART);
    const returns: LeaseReturn[] = [];
    // The oldest come first. Those in use come back at once, as the newest.
    for (const [tokenId, account] of this.#accounts) {
      if (this.#accounts.size <= target) break;
      if (account.isServing) continue;
      returns.push(release(tokenId, account, account.unspent));
      this.#accounts.delete(tokenId);
    }
    const returned = this.#giveBack(returns);
    this.#returning = this.#returning.then(() => returned);
  }

  #forgetPast(): void {
    const nowMs = this.#clock();
    for (const [tokenId, account] of this.#accounts) {
      if (account.endMs <= nowMs && !account.isServing) this.#accounts.delete(tokenId);
    }
  }

  /** Never rejects: units that can't be given back are lost until their window ends, and none is spent twice. */
  async #giveBack(all: readonly LeaseReturn[]): Promise<void> {
    const returns = all.filter(({ units }) => units > 0);
    if (returns.length === 0) return;
    try {
      await this.#storage.returnLeases(returns);
    } catch (error) {
      this.#logger.warn({ err: error, tokens: returns.length }, "unspent units of rate limits could not be given back");
    }
  }
}

/** Takes units out of an account, for the store. */
function release(tokenId: Id, account: Account, units: number): LeaseReturn {
  account.unspent -= units;
  account.taken -= units;
  return { tokenId, windowStart: new Date(account.startMs), units };
}

function assertCost(cost: number): void {
  // A negative cost would make units.
  if (!Number.isSafeInteger(cost) || cost < 0) throw new RangeError(`a call can't cost ${cost} units`);
}
