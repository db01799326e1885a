/** Keeps the serving status in step with the database. */
import type { Logger } from "../domain/logger.ts";
import type { HealthStatus } from "./health.ts";

export interface HealthMonitorOptions {
  /** Rejects when the database doesn't answer. */
  readonly ping: () => Promise<void>;
  readonly set: (status: HealthStatus) => void;
  readonly logger: Logger;
  /** Pause between two pings. */
  readonly intervalMs?: number;
}

export interface HealthMonitor {
  /** Nothing is pinged or set any more. */
  stop(): void;
}

/** A database this slow serves nobody. */
const PING_TIMEOUT_MS = 2_000;

/**
 * Pings at once and then after every pause, and sets the status whenever it changes. A ping that hangs
 * counts as failed; the next one waits for it, so that they don't pile up on a database in trouble.
 */
export function monitorHealth({ ping, set, logger, intervalMs = 1_000 }: HealthMonitorOptions): HealthMonitor {
  let isStopped = false;
  let last: HealthStatus | undefined;
  let next: NodeJS.Timeout | undefined;

  const report = (status: HealthStatus, err?: unknown): void => {
    if (isStopped || status === last) return;
    last = status;
    set(status);
    if (status === "SERVING") logger.info({ status }, "the database answers");
    else logger.error({ status, err }, "the database doesn't answer");
  };

  const check = async (): Promise<void> => {
    let hung = false;
    const timeout = setTimeout(() => {
      hung = true;
      report("NOT_SERVING", new Error(`no answer within ${PING_TIMEOUT_MS} ms`));
    }, PING_TIMEOUT_MS).unref();
    try {
      await ping();
      if (!hung) report("SERVING");
    } catch (err) {
      report("NOT_SERVING", err);
    }
    clearTimeout(timeout);
    if (!isStopped) next = setTimeout(() => void check(), intervalMs).unref();
  };

  void check();
  return {
    stop: () => {
      isStopped = true;
      clearTimeout(next);
    },
  };
}
