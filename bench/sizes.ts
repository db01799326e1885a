/** `npm run bench -- sizes`: what 1,000,000 tokens cost that 10,000 don't, and what a full cache takes. */
import { secretOf } from "../test/helpers/many-tokens.ts";
import { startLoad } from "./load.ts";
import { median, megabytes, type Outcome, ratio, tableOf } from "./measurement.ts";
import { callsOf, introspects } from "./questions.ts";
import { residentMemory, startService } from "./server-process.ts";
import { measureInTurns } from "./subjects.ts";
import { type TokenDatabase, tokenDatabase } from "./token-database.ts";

const ROUNDS = 7;
const ASKED = 10_000;
/** A turn is longer than uses wait to be written, so that what that costs is in it. */
const CALLS = 120_000;
const STARTS = 5;
const FEW = 10_000;
/** The default of LATCHKEY_CACHE_ENTRIES. */
const CACHED = 100_000;
const UNARY = "IntrospectionService/Introspect";

export async function benchSizes(isShort: boolean): Promise<Outcome> {
  const many = isShort ? 50_000 : 1_000_000;
  using few = await tokenDatabase(FEW);
  using lots = await tokenDatabase(many);
  const names = { few: `of ${FEW.toLocaleString("en")}`, lots: `of ${many.toLocaleString("en")}` };
  const ready = { few: await readyMs(few), lots: await readyMs(lots) };
  const uncached = await compareUncached({ few, lots }, names, many, isShort);
  const memory = await fillCache(lots, many);
  return {
    tables: [
      uncached.table,
      {
        title: "Start, from the start of the process to its line that says so",
        headings: ["tokens", "ms"],
        rows: [
          [names.few, ready.few.toFixed(0)],
          [names.lots, ready.lots.toFixed(0)],
        ],
      },
      memory.table,
    ],
    figures: { million: uncached.ratio, ready: ready.lots, memory: memory.figure },
  };
}

/** The median of several starts. */
async function readyMs({ folder }: TokenDatabase): Promise<number> {
  const times: number[] = [];
  for (let start = 0; start < STARTS; start++) {
    await using service = await startService({}, { folder });
    times.push(service.readyMs);
  }
  return median(times);
}

interface Pair<T> {
  readonly few: T;
  readonly lots: T;
}

async function compareUncached(databases: Pair<TokenDatabase>, names: Pair<string>, many: number, isShort: boolean) {
  await using resources = new AsyncDisposableStack();
  // Reading a long log for a checkpoint is work besides, for a few seconds after a start.
  const settings = { LATCHKEY_CACHE_ENTRIES: "0", LATCHKEY_CHECKPOINT_INTERVAL: "0" };
  const few = resources.use(await startService(settings, databases.few));
  const lots = resources.use(await startService(settings, databases.lots));
  const load = resources.use(await startLoad());
  // Evenly from all of them: their pages are more than SQLite keeps in memory.
  const calls = isShort ? CALLS / 10 : CALLS;
  const [some, spread] = [secretsOf(ASKED, FEW), secretsOf(ASKED, many)];
  const measurements = await measureInTurns(
    load,
    [
      { name: names.few, server: few, checks: 1, job: callsOf(few, UNARY, introspects(some), calls) },
      { name: names.lots, server: lots, checks: 1, job: callsOf(lots, UNARY, introspects(spread), calls) },
    ],
    ROUNDS,
  );
  const [one, other] = measurements;
  if (!one || !other) throw new Error("not both were measured");
  return {
    table: tableOf("A check with the cache off, of one of so many tokens", measurements, { [`× ${names.few}`]: one }),
    ratio: ratio(other, one),
  };
}

async function fillCache({ folder }: TokenDatabase, many: number) {
  await using service = await startService({}, { folder });
  await using load = await startLoad();
  const started = residentMemory(service.pid);
  const tokens = Math.min(many, CACHED);
  const asked = introspects(secretsOf(tokens, many));
  // Once to fill it, and once more, for garbage is only collected where there is more to come.
  for (let time = 0; time < 2; time++) await load.run(callsOf(service, UNARY, asked, tokens));
  const full = residentMemory(service.pid);
  const rowOf = (name: string, { now, peak }: typeof full): string[] => [name, megabytes(now), megabytes(peak)];
  return {
    table: {
      title: `Resident memory of a service with ${many.toLocaleString("en")} tokens`,
      headings: ["", "MB", "peak MB"],
      rows: [
        rowOf("after the start", started),
        rowOf(`with ${tokens.toLocaleString("en")} in the cache, under load`, full),
      ],
    },
    figure: full.peak / 1024 / 1024,
  };
}

/** So many secrets, evenly from all. */
function secretsOf(count: number, all: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => secretOf(Math.floor((index * all) / count)));
}
