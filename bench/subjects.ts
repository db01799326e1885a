/** Servers that are measured next to each other, in turns, so that a busy machine is as busy for all of them. */
import type { LoadJob, LoadProcess, LoadResult } from "./load.ts";
import { type Measurement, median } from "./measurement.ts";
import { cpuMicros, residentMemory, type ServerProcess } from "./server-process.ts";

export interface Subject {
  readonly name: string;
  readonly server: ServerProcess;
  /** One turn. */
  readonly job: LoadJob;
  /** In one request. */
  readonly checks: number;
}

/** Each takes a turn in every round, and one before the first, which warms up. @param warmUp so many times as long */
export async function measureInTurns(
  load: LoadProcess,
  subjects: readonly Subject[],
  rounds: number,
  warmUp = 1,
): Promise<Measurement[]> {
  const results = subjects.map((): (LoadResult & { cpu: number })[] => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [index, { server, job, checks }] of subjects.entries()) {
      const before = cpuMicros(server.pid);
      const result = await load.run(round === 0 ? { ...job, requests: job.requests * warmUp } : job);
      const cpu = (cpuMicros(server.pid) - before) / (result.requests * checks);
      if (round > 0) results[index]?.push({ ...result, cpu });
    }
  }
  return subjects.map(({ name, server, checks }, index) => {
    const turns = results[index] ?? [];
    return {
      name,
      perSecond: median(turns.map(({ requests, seconds }) => (requests * checks) / seconds)),
      p50Ms: median(turns.map(({ p50Ms }) => p50Ms)),
      p99Ms: median(turns.map(({ p99Ms }) => p99Ms)),
      cpuMicros: median(turns.map(({ cpu }) => cpu)),
      cpuMicrosByRound: turns.map(({ cpu }) => cpu),
      peakMemory: residentMemory(server.pid).peak,
    };
  });
}
