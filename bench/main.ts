/** `npm run bench`: measures the real service, in processes of its own. */
import { benchIntrospect } from "./introspect.ts";
import { ratio, table } from "./measurement.ts";

const isQuick = process.argv.includes("quick");
const measurements = await benchIntrospect(
  isQuick ? { rounds: 5, calls: 4_000, tokens: 2_000 } : { rounds: 9, calls: 20_000, tokens: 10_000 },
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
