/** What the process and Node say of themselves. */
import { readdir } from "node:fs/promises";
import { monitorEventLoopDelay } from "node:perf_hooks";

export interface Runtime {
  /** Since when the process runs, in seconds since 1970. */
  readonly startedAt: number;
  /** Reads it all. Delays of the event loop are those since the last time. Never rejects. */
  read(): Promise<RuntimeReading>;
  stop(): void;
}

export interface RuntimeReading {
  /** User and system time. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
  /** Undefined where the system doesn't tell. */
  readonly openFiles: number | undefined;
  /** How late timers were: in the middle, for one of a hundred, and at worst. */
  readonly delaySeconds: Readonly<Record<"0.5" | "0.99" | "1", number>>;
}

/** How often the delay is looked at. */
const RESOLUTION_MS = 20;

/** Watches the event loop until it is stopped. */
export function watchRuntime(): Runtime {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  // It measures from one look to the next, in nanoseconds.
  const lateness = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS) / 1000;
  return {
    startedAt: performance.timeOrigin / 1000,
    async read() {
      const openFiles = await countOpenFiles();
      const { user, system } = process.cpuUsage();
      const { rss, heapUsed } = process.memoryUsage();
      const delaySeconds = {
        "0.5": lateness(delays.percentile(50)),
        "0.99": lateness(delays.percentile(99)),
        "1": lateness(delays.max),
      };
      delays.reset();
      return { cpuSeconds: (user + system) / 1e6, residentBytes: rss, heapBytes: heapUsed, openFiles, delaySeconds };
    },
    stop: () => void delays.disable(),
  };
}

/** Linux only. */
async function countOpenFiles(): Promise<number | undefined> {
  const files = await readdir("/proc/self/fd").catch(() => undefined);
  return files?.length;
}
