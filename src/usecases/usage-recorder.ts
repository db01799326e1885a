/** Gathers when, from where and how often tokens were used, and writes it down in batches: never a write per call. */
import { plainAddress } from "../domain/address.ts";
import type { Clock } from "../domain/clock.ts";
import { type DailyUse, dayOf } from "../domain/daily-uses.ts";
import type { Id } from "../domain/ids.ts";
import type { Logger } from "../domain/logger.ts";
import type { SecretKind } from "../domain/rotation.ts";
import type { Storage, TokenUse } from "../domain/storage.ts";

/** A use is in the store at most this much later, unless the store can't be written. */
const FLUSH_INTERVAL_MS = 2_000;

/** So many secrets wait at most; uses of further ones are let go until the next flush. */
const MAX_WAITING_SECRETS = 50_000;

/** What waits of one secret; changed in place, for this is the hot path. */
interface Waiting {
  lastMs: number;
  address: string;
  /** The day of the newest count, which nearly every use is on. */
  today: Count;
  /** The counts of other days. */
  others: Count[] | undefined;
}

type Count = { -readonly [Key in keyof DailyUse]: DailyUse[Key] };

/** By token, for its current and for its former secrets. */
type Batch = Readonly<Record<SecretKind, Map<Id, Waiting>>>;

export class UsageRecorder {
  readonly #storage: Pick<Storage, "recordUses">;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #timer: NodeJS.Timeout;
  #waiting = nothing();
  #flushing: Promise<void> = Promise.resolve();

  constructor(storage: Pick<Storage, "recordUses">, clock: Clock, logger: Logger) {
    this.#storage = storage;
    this.#clock = clock;
    this.#logger = logger;
    this.#timer = setInterval(() => void this.flush(), FLUSH_INTERVAL_MS);
    this.#timer.unref();
  }

  /**
   * Notes that a token is used now, by that secret. Waits for nothing and writes nothing.
   *
   * @param address of the client; empty where it isn't known
   */
  record(tokenId: Id, secret: SecretKind, address: string): void {
    const now = this.#clock();
    const secrets = this.#waiting[secret];
    const use = secrets.get(tokenId);
    if (use !== undefined) {
      if (now >= use.lastMs) {
        use.lastMs = now;
        use.address = address;
      }
      addCount(use, dayOf(now), 1);
    } else if (sizeOf(this.#waiting) < MAX_WAITING_SECRETS) {
      secrets.set(tokenId, { lastMs: now, address, today: { day: dayOf(now), uses: 1 }, others: undefined });
    }
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
        await this.#storage.recordUses([...usesIn(batch, "current"), ...usesIn(batch, "former")]);
      } catch (error) {
        this.#logger.warn({ err: error, tokens: sizeOf(batch) }, "uses of tokens could not be written; trying again");
        const since = this.#waiting;
        this.#waiting = batch;
        merge(batch.current, since.current);
        merge(batch.former, since.former);
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

function nothing(): Batch {
  return { current: new Map(), former: new Map() };
}

function sizeOf({ current, former }: Batch): number {
  return current.size + former.size;
}

function addCount(use: Waiting, day: number, uses: number): void {
  if (use.today.day === day) {
    use.today.uses += uses;
    return;
  }
  // Midnight has come, or the clock was set.
  use.others ??= [];
  const known = use.others.find((count) => count.day === day);
  if (known !== undefined) {
    known.uses += uses;
  } else if (day < use.today.day) {
    use.others.push({ day, uses });
  } else {
    use.others.push(use.today);
    use.today = { day, uses };
  }
}

/** Adds what has come since to what waits already. */
function merge(secrets: Map<Id, Waiting>, since: ReadonlyMap<Id, Waiting>): void {
  for (const [tokenId, later] of since) {
    const use = secrets.get(tokenId);
    if (use === undefined) {
      secrets.set(tokenId, later);
      continue;
    }
    if (later.lastMs >= use.lastMs) {
      use.lastMs = later.lastMs;
      use.address = later.address;
    }
    for (const { day, uses } of countsOf(later)) addCount(use, day, uses);
  }
}

function countsOf({ today, others }: Waiting): readonly DailyUse[] {
  return others === undefined ? [today] : [...others, today];
}

function usesIn(batch: Batch, secret: SecretKind): readonly TokenUse[] {
  return Array.from(batch[secret], ([tokenId, use]) => ({
    tokenId,
    secret,
    usedAt: new Date(use.lastMs),
    address: plainAddress(use.address) ?? "",
    daily: countsOf(use),
  }));
}
