/** Gathers when, from where and how often tokens were used, and writes it down in batches: never a write per call. */
import { setImmediate } from "node:timers/promises";
import { plainAddress } from "../domain/address.ts";
import { type DailyUse, dayOf } from "../domain/daily-uses.ts";
import type { Token } from "../domain/entities.ts";
import type { Id } from "../domain/ids.ts";
import type { Logger } from "../domain/logger.ts";
import type { PresentedSecret, SecretKind } from "../domain/rotation.ts";
import type { Storage, TokenUse } from "../domain/storage.ts";
import { KeptRecord } from "./token-cache.ts";

/**
 * A use is in the store at most five seconds later, unless the store can't be written: this and a long write.
 * Busy tokens cost a row each time, so it is no shorter than it must be.
 */
const FLUSH_INTERVAL_MS = 4_000;

/**
 * Uses of so many secrets are written at a time. With more of them other writes would wait longer, and memory would
 * fill with what is on its way; with fewer more pages would be written twice, and read anew by every reader.
 */
const MAX_WRITTEN = 2_000;

/** To gather so many for a write takes less than half a millisecond, in which nothing else is answered. */
const IN_ONE_GO = 100;

/** So many secrets wait at most; uses of further ones are let go until the next flush. */
const MAX_WAITING_SECRETS = 50_000;

/** What waits of one secret; changed in place, for this is the hot path. */
export interface WaitingUses {
  /** The mark of what it is written with. */
  batch: symbol;
  lastMs: number;
  address: string;
  /** The newest day with uses, which nearly every use is on. */
  day: number;
  /** Those of that day. */
  uses: number;
  /** The counts of other days. */
  others: Count[] | undefined;
  /** The record in memory that leads here, for as long as this waits. */
  holder: KeptRecord | undefined;
}

type Count = { -readonly [Key in keyof DailyUse]: DailyUse[Key] };

/** By token, for its current and for its former secrets. */
interface Batch extends Readonly<Record<SecretKind, Map<Id, WaitingUses>>> {
  /** What uses refer to it by: tokens in memory hold on to their uses, and mustn't to all that was written with them. */
  readonly mark: symbol;
}

/** As much of a record as a use is noted by. */
interface UsedToken {
  readonly token: Pick<Token, "id">;
  readonly secret: Pick<PresentedSecret, "kind">;
}

export class UsageRecorder {
  readonly #storage: Pick<Storage, "recordUses">;
  readonly #logger: Logger;
  readonly #timer: NodeJS.Timeout;
  #waiting = nothing();
  #flushing: Promise<void> = Promise.resolve();

  constructor(storage: Pick<Storage, "recordUses">, logger: Logger) {
    this.#storage = storage;
    this.#logger = logger;
    this.#timer = setInterval(() => void this.flush(), FLUSH_INTERVAL_MS);
    this.#timer.unref();
  }

  /**
   * Notes that a token is used, by that secret. Waits for nothing and writes nothing.
   *
   * @param address of the client; empty where it isn't known
   * @param now in milliseconds since 1970
   */
  record(used: UsedToken, address: string, now: number): void {
    const use = this.#find(used);
    if (use !== undefined) {
      if (now >= use.lastMs) {
        use.lastMs = now;
        use.address = address;
      }
      addCount(use, dayOf(now), 1);
    } else if (sizeOf(this.#waiting) < MAX_WAITING_SECRETS) {
      const { token, secret } = used;
      const { mark: batch, [secret.kind]: uses } = this.#waiting;
      uses.set(token.id, {
        batch,
        lastMs: now,
        address,
        day: dayOf(now),
        uses: 1,
        others: undefined,
        holder: undefined,
      });
    }
  }

  #find(used: UsedToken): WaitingUses | undefined {
    const known = used instanceof KeptRecord ? used.waiting : undefined;
    if (known?.batch === this.#waiting.mark) return known;
    const { token, secret } = used;
    const use = this.#waiting[secret.kind].get(token.id);
    if (use !== undefined && used instanceof KeptRecord) {
      used.waiting = use;
      use.holder = used;
    }
    return use;
  }

  /**
   * Writes what has gathered. Never rejects: what can't be written waits for the next flush, whole, so that
   * each use is counted once.
   */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(async () => {
      const batch = this.#waiting;
      if (sizeOf(batch) === 0) return;
      this.#waiting = nothing();
      try {
        await this.#write(batch, "current");
        await this.#write(batch, "former");
      } catch (error) {
        this.#logger.warn({ err: error, tokens: sizeOf(batch) }, "uses of tokens could not be written; trying again");
        const since = this.#waiting;
        this.#waiting = batch;
        merge(batch, since, "current");
        merge(batch, since, "former");
      }
    });
    return this.#flushing;
  }

  /** Writes uses, some at a time, and takes what is written out of the batch. */
  async #write(batch: Batch, secret: SecretKind): Promise<void> {
    const uses = batch[secret];
    while (uses.size > 0) {
      const some: TokenUse[] = [];
      for (const [tokenId, use] of uses.entries().take(MAX_WRITTEN)) {
        some.push(toTokenUse(tokenId, secret, use));
        if (some.length % IN_ONE_GO === 0) await setImmediate();
      }
      await this.#storage.recordUses(some);
      for (const { tokenId } of some) {
        const use = uses.get(tokenId);
        uses.delete(tokenId);
        if (use?.holder !== undefined && use.holder.waiting === use) use.holder.waiting = undefined;
      }
    }
  }

  /** Writes what is left and stops the timer. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }
}

function nothing(): Batch {
  return { current: new Map(), former: new Map(), mark: Symbol() };
}

function sizeOf({ current, former }: Batch): number {
  return current.size + former.size;
}

function addCount(use: WaitingUses, day: number, uses: number): void {
  if (use.day === day) {
    use.uses += uses;
    return;
  }
  // Midnight has come, or the clock was set.
  use.others ??= [];
  const known = use.others.find((count) => count.day === day);
  if (known !== undefined) {
    known.uses += uses;
  } else if (day < use.day) {
    use.others.push({ day, uses });
  } else {
    use.others.push({ day: use.day, uses: use.uses });
    use.day = day;
    use.uses = uses;
  }
}

/** Adds what has come since to what waits already. */
function merge(batch: Batch, since: Batch, secret: SecretKind): void {
  for (const [tokenId, later] of since[secret]) {
    const use = batch[secret].get(tokenId);
    if (use === undefined) {
      later.batch = batch.mark;
      batch[secret].set(tokenId, later);
      continue;
    }
    if (later.lastMs >= use.lastMs) {
      use.lastMs = later.lastMs;
      use.address = later.address;
    }
    for (const { day, uses } of countsOf(later)) addCount(use, day, uses);
  }
}

function countsOf({ day, uses, others = [] }: WaitingUses): readonly DailyUse[] {
  return [...others, { day, uses }];
}

function toTokenUse(tokenId: Id, secret: SecretKind, use: WaitingUses): TokenUse {
  return {
    tokenId,
    secret,
    usedAt: new Date(use.lastMs),
    address: plainAddress(use.address) ?? "",
    daily: countsOf(use),
  };
}
