/**
 * `npm run bench`: measures the real service, in processes of its own, and keeps the results. With names, only those
 * benchmarks, and keeps nothing; `--short` makes them small. `quick` compares with what was kept.
 */
import { parseArgs } from "node:util";
import { type Figures, judge } from "./bounds.ts";
import { benchChurn } from "./churn.ts";
import { benchIntrospect } from "./introspect.ts";
import { benchIssue } from "./issue.ts";
import { asText, type Outcome } from "./measurement.ts";
import { benchPostgres } from "./postgres.ts";
import { benchProfile } from "./profile.ts";
import { benchQuick, type Count, measureRatios, selftestQuick } from "./quick.ts";
import { describeMachine, writeReport } from "./report.ts";
import { benchRivals } from "./rivals.ts";
import { benchSizes } from "./sizes.ts";
import { benchThreads } from "./threads.ts";

const BENCHMARKS: Readonly<Record<string, (isShort: boolean) => Promise<Outcome>>> = {
  introspect: benchIntrospect,
  rivals: benchRivals,
  sizes: benchSizes,
  churn: benchChurn,
  threads: benchThreads,
  issue: benchIssue,
  postgres: benchPostgres,
  profile: benchProfile,
};
const USAGE = `npm run bench -- [${Object.keys(BENCHMARKS).join("] [")}] [--short], or quick [--selftest]`;

const { values, positionals } = parseArgs({
  options: { short: { type: "boolean", default: false }, selftest: { type: "boolean", default: false } },
  allowPositionals: true,
});
const { passed, failed } = await run(positionals);
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;

async function run(names: readonly string[]): Promise<Count> {
  if (names.join() === "quick") return values.selftest ? selftestQuick() : benchQuick();
  const isFull = names.length === 0 && !values.short;
  const outcomes: (Outcome & { name: string })[] = [];
  for (const name of names.length === 0 ? Object.keys(BENCHMARKS) : names) {
    const benchmark = BENCHMARKS[name];
    if (benchmark === undefined) throw new Error(USAGE);
    const outcome = await benchmark(values.short);
    for (const table of outcome.tables) console.log(asText(table));
    outcomes.push({ name, ...outcome });
  }
  const figures = Object.assign({}, ...outcomes.map((outcome) => outcome.figures)) as Figures;
  const judgement = judge(figures, isFull);
  if (judgement.table.rows.length > 0) console.log(asText(judgement.table));
  if (isFull) await keep(outcomes, figures, judgement.table);
  return judgement;
}

async function keep(
  outcomes: readonly (Outcome & { name: string })[],
  figures: Figures,
  bounds: Outcome["tables"][number],
): Promise<void> {
  const barsOf = (wanted: string) => outcomes.find(({ name }) => name === wanted)?.bars ?? [];
  writeReport(
    {
      date: new Date().toISOString(),
      machine: describeMachine(),
      figures,
      quick: await measureRatios(),
      tables: [bounds, ...outcomes.flatMap(({ tables }) => tables)],
    },
    [
      { title: "Server CPU of a check, as a multiple of an empty grpc-js call", bars: barsOf("introspect") },
      { title: "The same of others, on the same keys", bars: barsOf("rivals") },
    ],
  );
}
