/** Knows whether the database can be read, and whether it can be written: a full disk stops only one of them. */
import type { Clock } from "../domain/clock.ts";
import type { Logger } from "../domain/logger.ts";
import type { Storage } from "../domain/storage.ts";
import { HealthMonitor } from "./health-monitor.ts";

export interface DatabaseHealthDeps {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly logger: Logger;
}

const READ_INTERVAL_MS = 1_000;

/** On an idle system each of them is a sync of the disk for nothing, and a failed call brings one at once. */
const WRITE_INTERVAL_MS = 10_000;

export class DatabaseHealth {
  readonly #reads: HealthMonitor;
  readonly #writes: HealthMonitor;

  /** @param onChange called when one of them has begun or ceased to fail */
  constructor({ storage, clock, logger }: DatabaseHealthDeps, onChange: () => void) {
    const common = { onChange, clock, logger };
    this.#reads = new HealthMonitor({
      ...common,
      subject: "reads of the database",
      probe: () => storage.ping(),
      intervalMs: READ_INTERVAL_MS,
    });
    this.#writes = new HealthMonitor({
      ...common,
      subject: "writes to the database",
      probe: () => storage.pingWrites(),
      intervalMs: WRITE_INTERVAL_MS,
    });
  }

  /** Since when reads fail; undefined while they work. */
  get readsFailSince(): Date | undefined {
    return this.#reads.failingSince;
  }

  get writesFailSince(): Date | undefined {
    return this.#writes.failingSince;
  }

  /** Resolves when both are known. Never rejects. */
  async start(): Promise<void> {
    await Promise.all([this.#reads.start(), this.#writes.start()]);
  }

  /** A call failed that may have failed because of the database. */
  doubt(): void {
    this.#reads.doubt();
    this.#writes.doubt();
  }

  stop(): void {
    this.#reads.stop();
    this.#writes.stop();
  }
}
