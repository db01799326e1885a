/** Knows whether the database can be read, and whether it can be written: a full disk stops only one of them. */
import type { Clock } from "../domain/clock.ts";
import type { Logger } from "../domain/logger.ts";
import type { Storage } from "../domain/storage.ts";
import { HealthMonitor } from "./health-monitor.ts";

export interface DatabaseHealthDeps {
  readonly storage: Pick<Storage, "ping" | "pingWrites" | "changeCount">;
  /** Whether tokens in memory are answered for a while when it can't be read (`LATCHKEY_FAIL_OPEN_SECONDS`). */
  readonly failsOpen: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

const READ_INTERVAL_MS = 1_000;

/** On an idle system each of them is a sync of the disk for nothing, and a failed call brings one at once. */
const WRITE_INTERVAL_MS = 10_000;

export class DatabaseHealth {
  readonly #storage: Pick<Storage, "changeCount">;
  readonly #failsOpen: boolean;
  readonly #reads: HealthMonitor;
  readonly #writes: HealthMonitor;

  /** @param onChange called when one of them has begun or ceased to fail, and when introspection may have */
  constructor({ storage, failsOpen, clock, logger }: DatabaseHealthDeps, onChange: () => void) {
    this.#storage = storage;
    this.#failsOpen = failsOpen;
    const common = { onChange, clock, logger };
    this.#reads = new HealthMonitor({
      ...common,
      subject: "reads of the database",
      probe: async () => {
        try {
          await storage.ping();
        } catch (error) {
          // The time may be over for which memory does without.
          onChange();
          throw error;
        }
      },
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

  /** Whether tokens can be checked: by reading, or while who operates this lets memory alone decide. */
  get canIntrospect(): boolean {
    if (this.readsFailSince === undefined) return true;
    return this.#failsOpen && this.#storage.changeCount() !== undefined;
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
