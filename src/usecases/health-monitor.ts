/** Finds out by trying whether something that the service needs works. */
import type { Clock } from "../domain/clock.ts";
import type { Logger } from "../domain/logger.ts";

export interface HealthMonitorOptions {
  /** What the log calls it. */
  readonly subject: string;
  /** Rejects when it doesn't work. */
  readonly probe: () => Promise<void>;
  /** Pause after a probe, in milliseconds, as long as all is well. */
  readonly intervalMs: number;
  /** Called when `failingSince` has come or gone. */
  readonly onChange: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Whatever takes longer serves nobody. */
const PROBE_TIMEOUT_MS = 2_000;

/** Pause after a probe that failed. */
const RETRY_MS = 1_000;

/** Time between a doubt and the probe, and so the shortest between two probes, however many calls fail. */
const DOUBT_MS = 100;

/**
 * Probes after every pause, and tells and logs each change once. A probe that hangs counts as failed; the
 * next one waits for it, so that they don't pile up on a database in trouble.
 */
export class HealthMonitor {
  readonly #options: HealthMonitorOptions;
  #failingSince: Date | undefined;
  #isProbing = false;
  #isDoubted = false;
  #isStopped = false;
  #next: NodeJS.Timeout | undefined;

  constructor(options: HealthMonitorOptions) {
    this.#options = options;
  }

  /** When it was first seen to fail; undefined while it works. */
  get failingSince(): Date | undefined {
    return this.#failingSince;
  }

  /** Resolves when the first probe has told how things are. Never rejects. */
  start(): Promise<void> {
    return this.#probe();
  }

  /** Somebody else saw a failure, so the next probe comes at once. It decides. */
  doubt(): void {
    if (this.#isDoubted || this.#failingSince !== undefined) return;
    this.#isDoubted = true;
    if (!this.#isProbing) this.#plan();
  }

  /** Nothing is probed or told any more. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#next);
  }

  /** Resolves when the outcome is known, which is before a probe that hangs has ended. */
  #probe(): Promise<void> {
    const known = Promise.withResolvers<void>();
    const conclude = (failure: Error | undefined): void => {
      this.#conclude(failure);
      known.resolve();
    };
    this.#isProbing = true;
    this.#isDoubted = false;
    let isLate = false;
    const timeout = setTimeout(() => {
      isLate = true;
      conclude(new Error(`no answer within ${PROBE_TIMEOUT_MS} ms`));
    }, PROBE_TIMEOUT_MS).unref();
    void this.#try().then((failure) => {
      clearTimeout(timeout);
      // What came too late was a failure, and stays one.
      if (!isLate) conclude(failure);
      this.#isProbing = false;
      this.#plan();
    });
    return known.promise;
  }

  async #try(): Promise<Error | undefined> {
    try {
      await this.#options.probe();
      return undefined;
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  #conclude(failure: Error | undefined): void {
    const since = this.#failingSince;
    if (this.#isStopped || (failure === undefined) === (since === undefined)) return;
    const { subject, clock, logger, onChange } = this.#options;
    if (failure === undefined) {
      this.#failingSince = undefined;
      logger.info({ failedSince: since }, `${subject} work again`);
    } else {
      this.#failingSince = new Date(clock());
      logger.error({ err: failure }, `${subject} fail`);
    }
    onChange();
  }

  #plan(): void {
    clearTimeout(this.#next);
    if (this.#isStopped) return;
    this.#next = setTimeout(() => void this.#probe(), this.#pauseMs()).unref();
  }

  #pauseMs(): number {
    if (this.#failingSince !== undefined) return RETRY_MS;
    return this.#isDoubted ? DOUBT_MS : this.#options.intervalMs;
  }
}
