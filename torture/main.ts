/**
 * `npm run torture`: crashes, faults and races on the real service, in processes of its own.
 *
 * The trials that judge times run first, one after the other; then the others, one on each core.
 * One line a trial, `passed` or `FAILED`, then `N passed, N failed`. Exits with 1 when something was found, and
 * with 2 when a trial couldn't go on, for want of a tool or a right for example: that is never a pass.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { altered, type BuildName } from "../test/helpers/altered-builds.ts";
import { Finding } from "../test/helpers/deployment.ts";
import { Random } from "./random.ts";
import type { Trial } from "./trial.ts";
import { TRIALS } from "./trials.ts";

const USAGE = `npm run torture -- [NAME …] [--short] [--trials N] [--seed TEXT] [--selftest]

  --short     small numbers, for CI
  --trials    how many kills, rounds, keys or flips, whatever the trial counts
  --seed      repeats what was drawn: instants, keys, flips; not what the scheduler makes of it
  --selftest  runs each trial on builds that are broken on purpose, which it must find out

${TRIALS.map(({ name, does, trials }) => `  ${name.padEnd(14)} ${does} (${trials.full}; short: ${trials.short})`).join("\n")}
`;

const VERDICTS = ["passed", "found", "stuck"] as const;
type Verdict = (typeof VERDICTS)[number];

/** Several times as long as any takes on a slow machine. */
const MAX_MINUTES = { short: 10, full: 240 };

const EXIT_CODES: Readonly<Record<Verdict, number>> = { passed: 0, found: 1, stuck: 2 };

const { values, positionals } = parseArgs({
  options: {
    short: { type: "boolean", default: false },
    selftest: { type: "boolean", default: false },
    trials: { type: "string" },
    seed: { type: "string", default: randomBytes(6).toString("hex") },
    help: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
const chosen = positionals.length === 0 ? TRIALS : TRIALS.filter(({ name }) => positionals.includes(name));
const asked = Number(values.trials ?? 1);
if (values.help || chosen.length < positionals.length || !Number.isSafeInteger(asked) || asked < 1) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}

const verdicts: Verdict[] = [];
console.log(`seed ${values.seed}`);
const { alone = [], together = [] } = Object.groupBy(chosen, ({ isTimed }) => (isTimed ? "alone" : "together"));
await runAll(alone, 1);
await runAll(together, availableParallelism());
const failed = verdicts.filter((verdict) => verdict !== "passed").length;
console.log(`${verdicts.length - failed} passed, ${failed} failed`);
// At once: calls that a trial left behind when it found something must not go on.
process.exit(Math.max(0, ...verdicts.map((verdict) => EXIT_CODES[verdict])));

/** @param atOnce how many run side by side */
async function runAll(trials: readonly Trial[], atOnce: number): Promise<void> {
  const runs = trials.flatMap((trial) =>
    values.selftest
      ? trial.mustCatch.map((build) => () => runBroken(trial, build))
      : [() => (chosen.length === 1 ? run(trial) : runApart(trial))],
  );
  const waiting = runs.values();
  const lane = async (): Promise<void> => {
    for (const next of waiting) verdicts.push(await next());
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

function sizeOf({ trials: { short, full } }: Trial): number {
  if (values.trials !== undefined) return asked;
  return values.short ? short : full;
}

async function run(trial: Trial): Promise<Verdict> {
  const { name, does } = trial;
  const trials = sizeOf(trial);
  const folder = await mkdtemp(join(tmpdir(), `latchkey-${name}-`));
  const seconds = stopwatch();
  try {
    const counts = await withinTime(trial.run({ trials, random: new Random(`${values.seed}/${name}`), folder }));
    await rm(folder, { recursive: true });
    console.log(`passed  ${name}: ${does}: ${counts} (${seconds()} s)`);
    return "passed";
  } catch (error) {
    const isFinding = error instanceof Finding;
    const what = isFinding ? error.message : `could not go on: ${(error as Error).stack}`;
    console.log(`FAILED  ${name}: ${does}: ${what} (${seconds()} s)`);
    console.log(
      `        its files: ${folder}; again: npm run torture -- ${name} --trials ${trials} --seed ${values.seed}`,
    );
    return isFinding ? "found" : "stuck";
  }
}

/** A trial that waits for what never comes must say so. */
async function withinTime<T>(running: Promise<T>): Promise<T> {
  const minutes = values.short ? MAX_MINUTES.short : MAX_MINUTES.full;
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`it didn't end within ${minutes} minutes`)), minutes * 60_000);
  return Promise.race([running, late]).finally(() => clearTimeout(timer));
}

/** Runs the trial in a process of its own, where what another one computes doesn't hold it up. */
async function runApart(trial: Trial): Promise<Verdict> {
  const { said, code } = await spawnTrial(process.execArgv, trial, String(sizeOf(trial)));
  const [outcome] = /^(?:passed|FAILED) [^]*(?=\n\d+ passed, )/m.exec(said) ?? [];
  console.log(outcome ?? `FAILED  ${trial.name}: it ended with ${code}\n${said.replace(/^/gm, "        ")}`);
  if (outcome === undefined) return "stuck";
  return VERDICTS.find((verdict) => EXIT_CODES[verdict] === code) ?? "stuck";
}

/** Runs the trial in a process of its own on a broken build; it passes when it finds something. */
async function runBroken(trial: Trial, build: BuildName): Promise<Verdict> {
  const { name } = trial;
  const { short, selftest = short } = trial.trials;
  const seconds = stopwatch();
  const { said, code } = await spawnTrial(altered(build), trial, values.trials ?? String(selftest));
  const finding = said.split("\n").find((line) => /^(?:passed|FAILED)/.test(line)) ?? said;
  if (code === EXIT_CODES.found) {
    await rm(/its files: (\S+);/.exec(said)?.[1] ?? "", { recursive: true, force: true });
    console.log(`passed  ${name} finds ${build} (${seconds()} s)\n        ${finding}`);
    return "passed";
  }
  console.log(
    `FAILED  ${name} must find ${build}: it ended with ${code} (${seconds()} s)\n${said.replace(/^/gm, "        ")}`,
  );
  return code === EXIT_CODES.passed ? "found" : "stuck";
}

async function spawnTrial(nodeArgs: readonly string[], { name }: Trial, trials: string) {
  const args = [...nodeArgs, import.meta.filename, name, "--trials", trials, "--seed", values.seed];
  if (values.short || values.selftest) args.push("--short");
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, "close") as Promise<[number | null]>]);
  return { said, code };
}

function stopwatch(): () => string {
  const start = performance.now();
  return () => ((performance.now() - start) / 1000).toFixed(1);
}
