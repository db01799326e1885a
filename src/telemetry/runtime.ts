/** What the process, and each of its threads, say of themselves. */
import { readdir } from "node:fs/promises";
import { monitorEventLoopDelay } from "node:perf_hooks";

export interface ThreadRuntime {
  /** Delays of the event loop are those since the last time. */
  read(): ThreadReading;
  stop(): void;
}

export interface ThreadReading {
  readonly heapBytes: number;
  /** How late timers were: in the middle, for one of a hundred, and at worst. */
  readonly delaySeconds: Readonly<Record<"0.5" | "0.99" | "1", number>>;
}

export interface ProcessReading {
  /** Since when the process runs, in seconds since 1970. */
  readonly startedAt: number;
  /** User and system time. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  /** Undefined where the system doesn't tell. */
  readonly openFiles: number | undefined;
}

/** How often the delay is looked at. */
const RESOLUTION_MS = 20;

/** Watches the event loop of this thread until it is stopped. */
export function watchThread(): ThreadRuntime {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  // It measures from one look to the next, in nanoseconds.
  const lateness = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS) / 1000;
  return {
    read() {
      const delaySeconds = {
        "0.5": lateness(delays.percentile(50)),
        "0.99": lateness(delays.percentile(99)),
        "1": lateness(delays.max),
      };
      delays.reset();
      return { heapBytes: process.memoryUsage().heapUsed, delaySeconds };
    },
    stop: () => void delays.disable(),
  };
}

/** Never rejects. */
export async function readProcess(): Promise<ProcessReading> {
  const openFiles = await countOpenFiles();
  const { user, system } = process.cpuUsage();
  return {
    startedAt: performance.timeOrigin / 1000,
    cpuSeconds: (user + system) / 1e6,
    residentBytes: process.memoryUsage.rss(),
    openFiles,
  };
}

/** Linux only. */
async function countOpenFiles(): Promise<number | undefined> {
  const files = await readdir("/proc/self/fd").catch(() => undefined);
  return files?.length;
}
