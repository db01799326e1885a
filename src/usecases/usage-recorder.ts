/** Gathers when tokens were used, and writes it down in batches: never a write per call. */
import type { Clock } from "../domain/clock.ts";
import type { Id } from "../domain/ids.ts";
import type { Logger } from "../domain/logger.ts";
import type { SecretKind } from "../domain/rotation.ts";
import type { Storage, TokenUse } from "../domain/storage.ts";

/** A use is in the store at most this much later, unless the store can't be written. */
const FLUSH_INTERVAL_MS = 2_000;

/** So many secrets wait at most; uses of further ones are let go until the next flush. */
const MAX_WAITING_SECRETS = 50_000;

/** When tokens were used last, by their current and by their former secrets. */
type Waiting = Readonly<Record<SecretKind, Map<Id, number>>>;

export class UsageRecorder {
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #timer: NodeJS.Timeout;
  #waiting = nothing();
  #flushing: Promise<void> = Promise.resolve();

  constructor(storage: Storage, clock: Clock, logger: Logger) {
    this.#storage = storage;
    this.#clock = clock;
    this.#logger = logger;
    this.#timer = setInterval(() => void this.flush(), FLUSH_INTERVAL_MS);
    this.#timer.unref();
  }

  /** Notes that a token is used now, by that secret. Waits for nothing and writes nothing. */
  record(tokenId: Id, secret: SecretKind): void {
    const times = this.#waiting[secret];
    if (sizeOf(this.#waiting) >= MAX_WAITING_SECRETS && !times.has(tokenId)) return;
    times.set(tokenId, this.#clock());
  }

  /** Writes what has gathered. Never rejects: what can't be written waits for the next flush. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(async () => {
      const batch = this.#waiting;
      if (sizeOf(batch) === 0) return;
      this.#waiting = nothing();
      try {
        await this.#storage.recordUses([...usesIn(batch, "current"), ...usesIn(batch, "former")]);
      } catch (error) {
        this.#logger.warn({ err: error, tokens: sizeOf(batch) }, "last-used times could not be written; trying again");
        this.#waiting = {
          current: new Map([...batch.current, ...this.#waiting.current]),
          former: new Map([...batch.former, ...this.#waiting.former]),
        };
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

function nothing(): Waiting {
  return { current: new Map(), former: new Map() };
}

function sizeOf({ current, former }: Waiting): number {
  return current.size + former.size;
}

function usesIn(waiting: Waiting, secret: SecretKind): readonly TokenUse[] {
  return Array.from(waiting[secret], ([tokenId, ms]) => ({ tokenId, secret, usedAt: new Date(ms) }));
}
