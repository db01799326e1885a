/** Metrics of a service in trouble: a page all the same, and nothing made up. */
import { expect, it } from "vitest";
import { Histogram } from "../../src/domain/histogram.ts";
import { WriteMeter } from "../../src/domain/write-meter.ts";
import { expose } from "../../src/telemetry/exposition.ts";
import { watchThread } from "../../src/telemetry/runtime.ts";
import { processMetrics, threadMetrics } from "../../src/telemetry/service-metrics.ts";
import { readExposition } from "../helpers/exposition.ts";

const CACHE = { hits: 0, misses: 0, size: 1, bytes: 700, readSeconds: new Histogram([1]) };

interface Trouble {
  readonly latestRevision: () => Promise<number>;
  readonly reads?: Date;
  readonly writes?: Date;
}

async function samplesOf(name: string, { latestRevision, reads, writes }: Trouble) {
  const runtime = watchThread();
  const ofThread = threadMetrics({
    calls: () => [],
    decisions: {},
    caches: { full: { ...CACHE, revision: 5 }, empty: { ...CACHE, revision: undefined } },
    writes: new WriteMeter(),
    rateLimiter: { waits: 0 },
    latestRevision,
    runtime,
  });
  const database = { readsFailSince: reads, writesFailSince: writes };
  const pages = await Promise.all([ofThread(), processMetrics({ version: "1", database })]);
  runtime.stop();
  const found = readExposition(expose(pages.flat())).find((family) => family.name === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found.samples.map(({ labels, value }) => [...Object.values(labels), value]);
}

const lost = () => Promise.reject(new Error("the disk is gone"));
const SINCE = new Date("2026-11-21T12:00:00Z");

it("tells the lag of what is in memory, and none of an empty memory", async () => {
  const latestRevision = () => Promise.resolve(7);
  expect(await samplesOf("latchkey_event_lag", { latestRevision })).toEqual([
    ["full", 2],
    ["empty", 0],
  ]);
});

it("leaves out the lag when the database can't be read, and goes on", async () => {
  expect(await samplesOf("latchkey_event_lag", { latestRevision: lost })).toEqual([]);
  expect(await samplesOf("latchkey_cache_entries", { latestRevision: lost })).toHaveLength(2);
});

it("tells reads that fail from writes that fail", async () => {
  const trouble = { latestRevision: lost, writes: SINCE };
  expect(await samplesOf("latchkey_database_writes_ok", trouble)).toEqual([[0]]);
  expect(await samplesOf("latchkey_database_reads_ok", trouble)).toEqual([[1]]);
  expect(await samplesOf("latchkey_database_reads_ok", { ...trouble, reads: SINCE })).toEqual([[0]]);
});
