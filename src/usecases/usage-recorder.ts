/** Gathers when tokens were used, and writes it down in batches: never a write per call. */
import type { Clock } from "../domain/clock.ts";
import type { Id } from "../domain/ids.ts";
import type { Logger } from "../domain/logger.ts";
import type { Storage } from "../domain/storage.ts";

/** A use is in the store at most this much later, unless the store can't be written. */
const FLUSH_INTERVAL_MS = 2_000;

/** So many tokens wait at most; uses of further ones are let go until the next flush. */
const MAX_WAITING_TOKENS = 50_000;

export class UsageRecorder {
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #timer: NodeJS.Timeout;
  #waiting = new Map<Id, number>();
  #flushing: Promise<void> = Promise.resolve();

  constructor(storage: Storage, clock: Clock, logger: Logger) {
    this.#storage = storage;
    this.#clock = clock;
    this.#logger = logger;
    this.#timer = setInterval(() => void this.flush(), FLUSH_INTERVAL_MS);
    this.#timer.unref();
  }

  /** Notes that a token is used now. Waits for nothing and writes nothing. */
  record(tokenId: Id): void {
    if (this.#waiting.size >= MAX_WAITING_TOKENS && !this.#waiting.has(tokenId)) return;
    this.#waiting.set(tokenId, this.#clock());
  }

  /** Writes what has gathered. Never rejects: what can't be written waits for the next flush. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(async () => {
      if (this.#waiting.size === 0) return;
      const batch = this.#waiting;
      this.#waiting = new Map();
      try {
        await this.#storage.recordUses([...batch].map(([tokenId, ms]) => ({ tokenId, usedAt: new Date(ms) })));
      } catch (error) {
        this.#logger.warn({ err: error, tokens: batch.size }, "last-used times could not be written; trying again");
        this.#waiting = new Map([...batch, ...this.#waiting]);
      }
    });
    return this.#flushing;
  }

  /** Writes what is left and stops the timer. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }
}
