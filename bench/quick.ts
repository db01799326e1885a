/**
 * `npm run bench -- quick`: measures the main ratios in less than a minute, and compares them with the ones that the
 * last full run stored, so that no regression lands unseen. Bounds are generous, and what seems worse is measured
 * once more: a busy machine must not fail a change.
 */
import { existsSync, readFileSync } from "node:fs";
import { altered, type BuildName } from "../test/helpers/altered-builds.ts";
import { type FigureName, nameOf } from "./bounds.ts";
import { figuresOf, type IntrospectSize, measureIntrospection, type Ratios } from "./introspect.ts";
import { asText } from "./measurement.ts";
import { RESULT_FILE, type Result } from "./report.ts";
import type { ServiceOptions } from "./server-process.ts";

/** So many times the stored ratio is still no regression. */
const TOLERANCE = 1.35;

/** Turns are so short that a server would still be compiling in them, at a price that machines don't agree about. */
const SIZE = { floors: ["grpc"], rounds: 7, calls: 4_000, tokens: 2_000, warmUp: 8 } as const;

/** What a slower build shows is far beyond the bounds, in any round. */
const SELFTEST_SIZE = { ...SIZE, rounds: 3 };

/** Builds in which something is slower than it should be, and what must show it. */
const SLOWER_BUILDS: readonly { readonly build: BuildName; readonly shows: FigureName }[] = [
  { build: "never-caches", shows: "batch" },
];

export interface Count {
  readonly passed: number;
  readonly failed: number;
}

export async function measureRatios(size: IntrospectSize = SIZE, build: ServiceOptions = {}): Promise<Ratios> {
  return figuresOf(await measureIntrospection(size, build));
}

export async function benchQuick(): Promise<Count> {
  const stored = storedRatios();
  const { ratios, worse } = await compare(stored, SIZE, {});
  show(stored, ratios, worse);
  const failed = worse.length;
  return { passed: Object.keys(stored).length - failed, failed };
}

/** Shows that a slower build would be noticed. */
export async function selftestQuick(): Promise<Count> {
  const stored = storedRatios();
  let [passed, failed] = [0, 0];
  for (const { build, shows } of SLOWER_BUILDS) {
    const { ratios, worse } = await compare(stored, SELFTEST_SIZE, { nodeArgs: altered(build) });
    show(stored, ratios, worse);
    const isFound = worse.includes(shows);
    console.log(`${isFound ? "found   " : "NOT FOUND"} ${build}`);
    if (isFound) passed++;
    else failed++;
  }
  return { passed, failed };
}

/** Measures, and what seems worse once more: only what is worse both times counts. */
async function compare(stored: Ratios, size: IntrospectSize, build: ServiceOptions) {
  const first = await measureRatios(size, build);
  const seemsWorse = worseOf(stored, first);
  if (seemsWorse.length === 0) return { ratios: first, worse: [] };
  console.log(`worse than stored: ${seemsWorse.map(nameOf).join(", ")}; measuring once more`);
  const second = await measureRatios(size, build);
  const worse = worseOf(stored, second).filter((name) => seemsWorse.includes(name));
  return { ratios: second, worse };
}

function worseOf(stored: Ratios, measured: Ratios): FigureName[] {
  return namesOf(stored).filter((name) => !(measured[name] <= stored[name] * TOLERANCE));
}

function show(stored: Ratios, measured: Ratios, worse: readonly FigureName[]): void {
  const rows = namesOf(stored).map((name) => [
    nameOf(name),
    measured[name].toFixed(3),
    stored[name].toFixed(3),
    `${(measured[name] / stored[name]).toFixed(2)} ×`,
    worse.includes(name) ? "NO" : "yes",
  ]);
  const title = `Ratios of server CPU, next to those of the last full run; ${TOLERANCE} times as much is a regression`;
  console.log(asText({ title, headings: ["ratio", "measured", "stored", "", "kept"], rows }));
}

function namesOf(ratios: Ratios): (keyof Ratios)[] {
  return Object.keys(ratios) as (keyof Ratios)[];
}

function storedRatios(): Ratios {
  if (!existsSync(RESULT_FILE)) throw new Error(`${RESULT_FILE} is missing: \`npm run bench\` writes it`);
  return (JSON.parse(readFileSync(RESULT_FILE, "utf8")) as Result).quick;
}
