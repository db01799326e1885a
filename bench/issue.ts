/**
 * `npm run bench -- issue`: what group commit gains. 64 clients issue tokens without a pause at the service, in a
 * process of its own. Beside it runs the same service with one line changed: its writer takes one command into
 * each transaction. The two take turns, so that a busy machine is as busy for both.
 *
 * What a commit costs is mostly the sync of the disk, and disks differ. So both run on this disk as it is, and on
 * one whose syncs take 5 ms longer, as on many network disks: strace holds each sync back.
 *
 * Syncs are counted apart from the times, also with strace, which sees every one: all that a service syncs of its
 * log from its start to its end, divided by the issues of that life.
 */
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { IssueRequestSchema } from "../gen/latchkey/v1/token_pb.ts";
import { altered } from "../test/helpers/altered-builds.ts";
import { Deployment, type Service } from "../test/helpers/deployment.ts";
import { readTrace, strace, traceEnded } from "../test/helpers/strace.ts";
import { frame, type LoadJob, type LoadProcess, type LoadResult, startLoad } from "./load.ts";
import { median, medianRatio, type Outcome } from "./measurement.ts";

const ISSUERS = 64;
const CONNECTIONS = 4;
const SLOW_SYNC_MS = 5;

const SYNCS = ["fsync", "fdatasync"];

const VARIANTS = [
  { name: "group commit", nodeArgs: [] },
  { name: "one commit an issue", nodeArgs: altered("one-commit-a-write") },
] as const;
type Variant = (typeof VARIANTS)[number];

interface Disk {
  readonly name: string;
  /** What it shows of group commit. */
  readonly figure: "issues" | "issuesSlowDisk";
  /** What the services on it are run under. */
  readonly under: readonly string[];
  /** Issues of a turn, for each variant. */
  readonly issues: Readonly<Record<Variant["name"], number>>;
}

/** @param isShort a few seconds only, for CI: what is timed then is shown, and not judged */
export async function benchIssue(isShort: boolean): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-bench-"));
  await using load = await startLoad();
  try {
    const [rounds, share] = isShort ? [1, 0.1] : [9, 1];
    const syncs = new Map<string, number>();
    for (const variant of VARIANTS) {
      syncs.set(variant.name, await countSyncs(join(folder, `counted ${variant.name}`), variant, load, 10_000 * share));
    }
    const disks: readonly Disk[] = [
      {
        name: `as it is, ${(await syncMs(folder)).toFixed(2)} ms a sync`,
        figure: "issues",
        under: [],
        issues: { "group commit": 6_000 * share, "one commit an issue": 3_000 * share },
      },
      {
        name: `${SLOW_SYNC_MS} ms more a sync`,
        figure: "issuesSlowDisk",
        under: strace("/dev/null", SYNCS, "-e", `inject=${SYNCS.join(",")}:delay_exit=${SLOW_SYNC_MS * 1000}`),
        issues: { "group commit": 6_000 * share, "one commit an issue": 600 * share },
      },
    ];
    const rows: string[][] = [];
    const figures: Record<string, number> = { syncsAnIssue: syncs.get("group commit") ?? Number.NaN };
    for (const disk of disks) {
      const results = await compare(join(folder, disk.name), disk, load, rounds);
      for (const { name, turns } of results) {
        rows.push([
          `${name}, disk ${disk.name}`,
          median(turns.map(perSecond)).toFixed(0),
          median(turns.map(({ p50Ms }) => p50Ms)).toFixed(1),
          median(turns.map(({ p99Ms }) => p99Ms)).toFixed(1),
          (syncs.get(name) ?? Number.NaN).toFixed(3),
        ]);
      }
      const [grouped = [], single = []] = results.map(({ turns }) => turns.map(perSecond));
      if (!isShort) figures[disk.figure] = medianRatio(grouped, single);
    }
    const headings = ["", "issues/s", "p50 ms", "p99 ms", "syncs/issue"];
    return { tables: [{ title: `Issues by ${ISSUERS} clients at once`, headings, rows }], figures };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function perSecond({ requests, seconds }: LoadResult): number {
  return requests / seconds;
}

/** Runs both variants on a disk, in turns, the first of which warms up. */
async function compare(folder: string, { under, issues }: Disk, load: LoadProcess, rounds: number) {
  await using services = new AsyncDisposableStack();
  const subjects: { name: Variant["name"]; job: LoadJob; turns: LoadResult[] }[] = [];
  for (const { name, nodeArgs } of VARIANTS) {
    const deployment = await Deployment.create(join(folder, name), nodeArgs);
    const service = services.use(await deployment.start(under));
    subjects.push({ name, job: jobOf(service, deployment, issues[name]), turns: [] });
  }
  for (let round = 0; round <= rounds; round++) {
    for (const { job, turns } of subjects) {
      const turn = await load.run(job);
      if (round > 0) turns.push(turn);
    }
  }
  return subjects;
}

function jobOf(service: Service, { credentials }: Deployment, requests: number): LoadJob {
  const { organizationId, serviceKey } = credentials;
  return {
    address: service.process.ready.grpc,
    path: "/latchkey.v1.TokenService/Issue",
    headers: { "content-type": "application/grpc+proto", authorization: `Bearer ${serviceKey}` },
    bodies: [frame(IssueRequestSchema, { organizationId, name: "CI pipeline" })],
    requests,
    connections: CONNECTIONS,
    concurrency: ISSUERS,
  };
}

/** Syncs of the log an issue, in a life that is started and stopped properly. */
async function countSyncs(folder: string, { nodeArgs }: Variant, load: LoadProcess, issues: number): Promise<number> {
  const deployment = await Deployment.create(folder, nodeArgs);
  const trace = join(folder, "trace");
  await using service = await deployment.start(strace(trace, SYNCS));
  await load.run(jobOf(service, deployment, issues));
  const { pid } = service;
  await service.stop();
  await traceEnded(trace, pid);
  let syncs = 0;
  for await (const step of readTrace(trace)) if (step.at === "end" && step.args.includes("-wal>")) syncs++;
  return syncs / issues;
}

/** How long this disk takes to sync a page that was added to a file: the median. */
async function syncMs(folder: string): Promise<number> {
  await using file = await open(join(folder, "sync"), "w");
  const times: number[] = [];
  for (let sync = 0; sync < 100; sync++) {
    await file.write(Buffer.alloc(4096));
    const start = performance.now();
    await file.sync();
    times.push(performance.now() - start);
  }
  return median(times);
}
