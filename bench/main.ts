/** `npm run bench -- NAME [--short]`: measures the real service, in processes of its own. */
import { parseArgs } from "node:util";
import { benchIntrospect } from "./introspect.ts";
import { benchIssue } from "./issue.ts";
import { ratio, table } from "./measurement.ts";

/** Each prints what it measured, and answers how many bounds are kept, and how many are not. */
const BENCHMARKS: Readonly<Record<string, (isShort: boolean) => Promise<{ passed: number; failed: number }>>> = {
  introspect,
  issue,
};

const { values, positionals } = parseArgs({
  options: { short: { type: "boolean", default: false } },
  allowPositionals: true,
});
const names = positionals.length === 0 ? Object.keys(BENCHMARKS) : positionals;
let [passed, failed] = [0, 0];
for (const name of names) {
  const benchmark = BENCHMARKS[name];
  if (benchmark === undefined) throw new Error(`npm run bench -- ${Object.keys(BENCHMARKS).join(" | ")} [--short]`);
  const bounds = await benchmark(values.short);
  passed += bounds.passed;
  failed += bounds.failed;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;

async function introspect(isShort: boolean) {
  const measurements = await benchIntrospect(
    isShort ? { rounds: 5, calls: 4_000, tokens: 2_000 } : { rounds: 9, calls: 20_000, tokens: 10_000 },
  );
  const floors = measurements.filter(({ name }) => name.startsWith("floor"));
  const rows = measurements.map((one) => [
    one.name,
    one.perSecond.toFixed(0),
    one.p50Ms.toFixed(2),
    one.p99Ms.toFixed(2),
    one.cpuMicros.toFixed(1),
    ...floors.map((floor) => ratio(one, floor).toFixed(2)),
    (one.peakMemory / 1024 / 1024).toFixed(0),
  ]);
  const headings = ["", "checks/s", "p50 ms", "p99 ms", "CPU µs", "× http2", "× grpc-js", "× Connect", "peak MB"];
  console.log(table(headings, rows));
  return { passed: 0, failed: 0 };
}

async function issue(isShort: boolean) {
  const { measurements, bounds } = await benchIssue(isShort);
  const rows = measurements.map((one) => [
    one.name,
    one.disk,
    one.perSecond.toFixed(0),
    one.p50Ms.toFixed(1),
    one.p99Ms.toFixed(1),
    one.syncsAnIssue.toFixed(3),
  ]);
  console.log(table(["", "disk", "issues/s", "p50 ms", "p99 ms", "syncs/issue"], rows));
  for (const { isKept, says } of bounds) console.log(`${isKept ? "passed" : "FAILED"}  ${says}`);
  const kept = bounds.filter(({ isKept }) => isKept).length;
  return { passed: kept, failed: bounds.length - kept };
}
