/** Forgets what was answered to calls that can't be repeated any more. */
import type { Clock } from "../domain/clock.ts";
import type { Logger } from "../domain/logger.ts";
import type { Storage } from "../domain/storage.ts";

const SWEEP_INTERVAL_MS = 60_000;

/** Records that are forgotten in one write, which other writes wait for. */
const SWEEP_BATCH = 1_000;

export class RecordedCallsSweeper {
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #timer: NodeJS.Timeout;
  #sweeping: Promise<void> | undefined;
  #isStopping = false;

  constructor(storage: Storage, clock: Clock, logger: Logger) {
    this.#storage = storage;
    this.#clock = clock;
    this.#logger = logger;
    this.#timer = setInterval(() => void this.sweep(), SWEEP_INTERVAL_MS);
    this.#timer.unref();
  }

  /** Forgets all whose time is over. Never rejects: what stays is tried again a minute later. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweep().finally(() => {
      this.#sweeping = undefined;
    });
    return this.#sweeping;
  }

  /** Stops the timer, and waits for the batch that is under way. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#timer);
    await this.#sweeping;
  }

  async #sweep(): Promise<void> {
    const now = new Date(this.#clock());
    try {
      let swept = SWEEP_BATCH;
      while (swept === SWEEP_BATCH && !this.#isStopping) {
        swept = await this.#storage.sweepRecordedCalls(now, SWEEP_BATCH);
      }
    } catch (error) {
      this.#logger.warn({ err: error }, "answers that are kept for retries could not be swept; trying again");
    }
  }
}
