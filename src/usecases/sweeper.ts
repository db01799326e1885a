/** Takes what is past its time out of the store, a batch at a time. */
import type { Clock } from "../domain/clock.ts";
import type { Logger } from "../domain/logger.ts";

export interface SweeperOptions {
  /** What goes, for the log. */
  readonly what: string;
  readonly intervalMs: number;
  /** As many go in one write, which other writes wait for. */
  readonly batch: number;
  /** Takes away at most `limit` of what is past its time at `now`; answers how many. */
  readonly sweepBatch: (now: Date, limit: number) => Promise<number>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Sweeper {
  readonly #options: SweeperOptions;
  readonly #timer: NodeJS.Timeout;
  #sweeping: Promise<void> | undefined;
  #isStopping = false;

  /** Sweeps from time to time, and not at once. */
  constructor(options: SweeperOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.sweep(), options.intervalMs);
    this.#timer.unref();
  }

  /** Sweeps all there is. Never rejects: what stays is tried again the next time. */
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
    const { what, batch, sweepBatch, clock, logger } = this.#options;
    const now = new Date(clock());
    try {
      let swept = batch;
      while (swept === batch && !this.#isStopping) swept = await sweepBatch(now, batch);
    } catch (error) {
      logger.warn({ err: error }, `${what} could not be swept; trying again`);
    }
  }
}
