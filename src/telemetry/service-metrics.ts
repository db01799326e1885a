/**
 * The metrics of the service, read from the plain numbers that its parts keep. A label's values come from the
 * code or the API's definition, never from a call: no ids, no texts, and no more of them than are known here.
 */
import type { Histogram } from "../domain/histogram.ts";
import type { WriteMeter } from "../domain/write-meter.ts";
import type { HistogramMetric, Labels, Metric, NumberMetric } from "./metric.ts";
import { readProcess, type ThreadRuntime } from "./runtime.ts";

interface MethodCalls extends Iterable<{ readonly protocol: string; readonly code: string; readonly calls: number }> {
  readonly method: string;
  readonly seconds: Histogram | undefined;
}

interface Cache {
  readonly hits: number;
  readonly misses: number;
  readonly size: number;
  readonly bytes: number;
  /** The last event that it knows of; undefined while it is empty. */
  readonly revision: number | undefined;
  readonly readSeconds: Histogram;
}

export interface ThreadSources {
  readonly calls: () => readonly MethodCalls[];
  readonly decisions: Readonly<Record<string, number>>;
  readonly caches: Readonly<Record<string, Cache>>;
  readonly writes: WriteMeter;
  readonly rateLimiter: { readonly waits: number };
  readonly latestRevision: () => Promise<number>;
  readonly runtime: ThreadRuntime;
}

export interface ProcessSources {
  readonly version: string;
  readonly database: { readonly readsFailSince: Date | undefined; readonly writesFailSince: Date | undefined };
}

/** Reads those of a thread that serves. What can't be read at the moment has no sample; it never rejects. */
export function threadMetrics(sources: ThreadSources): () => Promise<readonly Metric[]> {
  const { decisions, caches, writes, rateLimiter } = sources;
  return async () => {
    const latestRevision = await sources.latestRevision().catch(() => undefined);
    const { heapBytes, delaySeconds } = sources.runtime.read();
    const methods = sources.calls();
    const ofCaches = <T>(read: (cache: Cache) => T): readonly (readonly [Labels, T])[] =>
      Object.entries(caches).map(([cache, state]) => [{ cache }, read(state)]);
    return [
      counter(
        "latchkey_calls_total",
        "Calls that ended, of methods of the API.",
        methods.flatMap((counts) =>
          Array.from(
            counts,
            ({ code, protocol, calls }) => [{ method: counts.method, code, protocol }, calls] as const,
          ),
        ),
      ),
      histogram(
        "latchkey_call_duration_seconds",
        "How long calls took, those of streaming methods left out.",
        methods.flatMap(({ method, seconds }) =>
          seconds === undefined || isEmpty(seconds) ? [] : [[{ method }, seconds] as const],
        ),
      ),
      counter(
        "latchkey_decisions_total",
        "Answers to introspections, also in batches and on streams, by reason; good ones are `allowed`.",
        Object.entries(decisions).map(([reason, count]) => [{ reason }, count]),
      ),
      counter(
        "latchkey_cache_hits_total",
        "Tokens that were found in memory.",
        ofCaches(({ hits }) => hits),
      ),
      counter(
        "latchkey_cache_misses_total",
        "Tokens that were looked for in the database.",
        ofCaches(({ misses }) => misses),
      ),
      gauge(
        "latchkey_cache_entries",
        "Tokens in memory.",
        ofCaches(({ size }) => size),
      ),
      gauge(
        "latchkey_cache_bytes",
        "About what they take of memory.",
        ofCaches(({ bytes }) => bytes),
      ),
      highest(
        gauge(
          "latchkey_event_lag",
          "Events that the tokens in memory aren't compared with yet; that happens before the next answer.",
          latestRevision === undefined
            ? []
            : ofCaches(({ revision }) => Math.max(0, latestRevision - (revision ?? latestRevision))),
        ),
      ),
      histogram(
        "latchkey_store_read_seconds",
        "How long the database took to look for a token.",
        ofCaches(({ readSeconds }) => readSeconds),
      ),
      histogram(
        "latchkey_store_write_seconds",
        "How long writes took, the wait for their turn and the disk included.",
        [[{}, writes.seconds]],
      ),
      gauge("latchkey_writer_queue", "Writes that aren't on the disk yet.", [[{}, writes.waiting]]),
      histogram("latchkey_writer_batch_size", "Writes that were committed together.", [[{}, writes.groupSizes]]),
      counter("latchkey_lease_waits_total", "Introspections and calls that a rate limit made wait for the database.", [
        [{}, rateLimiter.waits],
      ]),
      highest({
        name: "latchkey_event_loop_delay_seconds",
        help: "How late timers were since the last scrape, on the thread that was latest; quantile 1 is the worst.",
        type: "summary",
        samples: Object.entries(delaySeconds).map(([quantile, seconds]) => [{ quantile }, seconds]),
      }),
      gauge("process_heap_bytes", "JavaScript objects in it, on the threads that serve.", [[{}, heapBytes]]),
    ];
  };
}

/** Reads those that there are once, whatever the number of threads. Never rejects. */
export async function processMetrics({ version, database }: ProcessSources): Promise<readonly Metric[]> {
  const reading = await readProcess();
  return [
    gauge("latchkey_build_info", "Version of the service and of Node; always 1.", [
      [{ version, node: process.versions.node }, 1],
    ]),
    gauge("latchkey_database_reads_ok", "1 while the database can be read, 0 while it can't.", [
      [{}, works(database.readsFailSince)],
    ]),
    gauge("latchkey_database_writes_ok", "1 while the database can be written, 0 while it can't.", [
      [{}, works(database.writesFailSince)],
    ]),
    counter("process_cpu_seconds_total", "User and system time that the process used.", [[{}, reading.cpuSeconds]]),
    gauge("process_resident_memory_bytes", "Memory of the process.", [[{}, reading.residentBytes]]),
    gauge(
      "process_open_fds",
      "Open files and connections, on Linux.",
      reading.openFiles === undefined ? [] : [[{}, reading.openFiles]],
    ),
    gauge("process_start_time_seconds", "When the process started, in seconds since 1970.", [[{}, reading.startedAt]]),
  ];
}

/** Of which the worst thread's counts. */
function highest(metric: NumberMetric): Metric {
  return { ...metric, ofThreads: "max" };
}

function counter(name: string, help: string, samples: NumberMetric["samples"]): NumberMetric {
  return { name, help, type: "counter", samples };
}

function gauge(name: string, help: string, samples: NumberMetric["samples"]): NumberMetric {
  return { name, help, type: "gauge", samples };
}

function histogram(name: string, help: string, samples: HistogramMetric["samples"]): HistogramMetric {
  return { name, help, type: "histogram", samples };
}

function isEmpty({ counts }: Histogram): boolean {
  return counts.every((count) => count === 0);
}

function works(failsSince: Date | undefined): number {
  return failsSince === undefined ? 1 : 0;
}
