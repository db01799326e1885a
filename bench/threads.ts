/**
 * `npm run bench -- threads`: what a second thread gains. The load takes its share of the same cores, and takes it
 * from two threads rather than from one. So there is also what the busiest thread alone would let through, if it
 * had a core for itself: the checks of its turn over its CPU time.
 */
import { startLoad } from "./load.ts";
import { median, medianRatio, type Outcome } from "./measurement.ts";
import { callsOf, introspects, issueTokens } from "./questions.ts";
import { cpuMicrosByThread, startService } from "./server-process.ts";

const TOKENS = 10_000;
/** A turn is longer than uses wait to be written, so that what that costs is in it. */
const CALLS = 80_000;
const ROUNDS = 7;
/** A connection is one thread's; with many of them the threads have about the same to do. */
const CONNECTIONS = 32;
const CONCURRENCY = 512;

export async function benchThreads(isShort: boolean): Promise<Outcome> {
  const [rounds, share] = isShort ? [3, 0.2] : [ROUNDS, 1];
  await using resources = new AsyncDisposableStack();
  const load = resources.use(await startLoad());
  const subjects: { name: string; take: () => Promise<{ perSecond: number; busiest: number }> }[] = [];
  for (const threads of [1, 2]) {
    const service = resources.use(await startService({ LATCHKEY_THREADS: String(threads) }));
    const secrets = (await issueTokens(service, TOKENS * share)).map(({ secret }) => secret);
    const calls = callsOf(service, "IntrospectionService/Introspect", introspects(secrets), CALLS * share);
    const job = { ...calls, connections: CONNECTIONS, concurrency: CONCURRENCY };
    subjects.push({
      name: threads === 1 ? "one thread" : `${threads} threads`,
      async take() {
        const before = cpuMicrosByThread(service.pid);
        const { requests, seconds } = await load.run(job);
        const after = cpuMicrosByThread(service.pid);
        const busiest = Math.max(...Array.from(after, ([thread, micros]) => micros - (before.get(thread) ?? 0)));
        return { perSecond: requests / seconds, busiest: requests / (busiest / 1e6) };
      },
    });
  }
  const turns = subjects.map((): { perSecond: number; busiest: number }[] => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [index, { take }] of subjects.entries()) {
      const turn = await take();
      if (round > 0) turns[index]?.push(turn);
    }
  }
  const [one = [], two = []] = turns;
  const ratioOf = (name: "perSecond" | "busiest", to: typeof one): number =>
    medianRatio(
      to.map((turn) => turn[name]),
      one.map((turn) => turn[name]),
    );
  return {
    tables: [
      {
        title: "Threads, with the load on the same cores",
        headings: ["", "checks/s", "×", "checks/s if its busiest thread had a core", "×"],
        rows: subjects.map(({ name }, index) => {
          const all = turns[index] ?? [];
          return [
            name,
            median(all.map(({ perSecond }) => perSecond)).toFixed(0),
            ratioOf("perSecond", all).toFixed(2),
            median(all.map(({ busiest }) => busiest)).toFixed(0),
            ratioOf("busiest", all).toFixed(2),
          ];
        }),
      },
    ],
    figures: { twoThreads: ratioOf("perSecond", two) },
  };
}
