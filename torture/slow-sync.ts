/**
 * Slows every sync of the disk down to 100 ms, and compares how long introspections take with how long they take
 * on a service beside it whose syncs are left alone. Both run under the same strace.
 *
 * Introspections come at a steady rate, whether earlier ones were answered or not, and a call's time counts from
 * when it was due. Issues come at a steady rate too: both services do the same work, and must look again and again
 * whether what they remember of the token is still true. The services take turns, and of all turns of each the
 * median of the 99th percentile counts: at most 1.5 times as long. A few turns can't tell so well, for whatever
 * else the machine does adds to the times. Of them the quietest count, and half a sync's time is let pass as well:
 * whoever waits for syncs takes longer.
 *
 * The tokens have no rate limit. A token with one waits for the store whenever its process needs a new lease.
 */
import { join } from "node:path";
import { frame, type LoadJob, type LoadProcess, type LoadResult, startLoad } from "../bench/load.ts";
import { IntrospectRequestSchema } from "../gen/latchkey/v1/introspection_pb.ts";
import { IssueRequestSchema, TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { Deployment, Finding, mustAnswer, type Service } from "../test/helpers/deployment.ts";
import { strace } from "../test/helpers/strace.ts";
import { count, type Trial } from "./trial.ts";

const SYNC_MS = 100;
const INTROSPECTIONS_A_SECOND = 200;
const ISSUES_A_SECOND = 50;
const TURN_SECONDS = 1;
const MAX_RATIO = 1.5;
const ENOUGH_FOR_A_MEDIAN = 50;

export const slowSync: Trial = {
  name: "slow-sync",
  does: `syncs slowed to ${SYNC_MS} ms under ${INTROSPECTIONS_A_SECOND} introspections and ${ISSUES_A_SECOND} issues a second`,
  trials: { full: 100, short: 6 },
  isTimed: true,
  mustCatch: ["writes-at-each-introspection"],

  async run({ trials, folder }) {
    const delay = ["-e", `inject=fsync,fdatasync:delay_exit=${SYNC_MS * 1000}`];
    await using introspections = await startLoad();
    await using issues = await startLoad();
    const loads = { introspections, issues };
    await using slow = await start(join(folder, "slow"), loads, delay);
    await using plain = await start(join(folder, "plain"), loads, []);
    // The first turn warms up.
    await slow.takeTurn();
    await plain.takeTurn();
    for (let turn = 0; turn < trials; turn++) {
      await slow.takeTurn();
      await plain.takeTurn();
    }
    await slow.service.stop();
    await plain.service.stop();

    if (slow.issueMs < SYNC_MS) throw new Error(`an issue took ${slow.issueMs} ms, so the syncs were not slowed down`);
    const [slowMs, plainMs] = [typicalOf(slow.turns), typicalOf(plain.turns)];
    const ratio = slowMs / plainMs;
    const figures = `p99 ${slowMs.toFixed(2)} ms, and ${plainMs.toFixed(2)} ms without: ${ratio.toFixed(2)} times`;
    const isQuickEnough = trials < ENOUGH_FOR_A_MEDIAN && slowMs < SYNC_MS / 2;
    if (ratio > MAX_RATIO && !isQuickEnough) throw new Finding(`${figures}, more than ${MAX_RATIO}`);
    const asked = 2 * trials * TURN_SECONDS * INTROSPECTIONS_A_SECOND;
    return `${count(trials, "turn")} of a second each, ${count(asked, "introspection")}: ${figures}`;
  },
};

interface Loads {
  readonly introspections: LoadProcess;
  readonly issues: LoadProcess;
}

/** A service that takes turns. */
class Subject implements AsyncDisposable {
  readonly service: Service;
  readonly #loads: Loads;
  readonly #introspect: LoadJob;
  readonly #issue: LoadJob;
  /** What introspections took in each turn but the first. */
  turns: LoadResult[] = [];
  /** The median of the last turn's issues, which wait for a sync. */
  issueMs = 0;

  constructor(service: Service, loads: Loads, introspect: LoadJob, issue: LoadJob) {
    this.service = service;
    this.#loads = loads;
    this.#introspect = introspect;
    this.#issue = issue;
  }

  async takeTurn(): Promise<void> {
    const [introspections, issues] = await Promise.all([
      this.#loads.introspections.run(this.#introspect),
      this.#loads.issues.run(this.#issue),
    ]);
    if (this.issueMs > 0) this.turns.push(introspections);
    this.issueMs = issues.p50Ms;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.service[Symbol.asyncDispose]();
  }
}

async function start(folder: string, loads: Loads, inject: readonly string[]): Promise<Subject> {
  const deployment = await Deployment.create(folder);
  const service = await deployment.start(strace("/dev/null", ["fsync", "fdatasync"], ...inject));
  const { organizationId, serviceKey } = deployment.credentials;
  const { secret } = await mustAnswer(service.connect(TokenService).issue({ organizationId, name: "asked about" }));
  const job = (rpc: string, body: Uint8Array, ratePerSecond: number): LoadJob => ({
    address: service.process.ready.grpc,
    path: `/latchkey.v1.${rpc}`,
    headers: { "content-type": "application/grpc+proto", authorization: `Bearer ${serviceKey}` },
    bodies: [body],
    requests: TURN_SECONDS * ratePerSecond,
    connections: 1,
    concurrency: 1,
    ratePerSecond,
  });
  const question = frame(IntrospectRequestSchema, { token: secret });
  const wish = frame(IssueRequestSchema, { organizationId, name: "issued meanwhile" });
  return new Subject(
    service,
    loads,
    job("IntrospectionService/Introspect", question, INTROSPECTIONS_A_SECOND),
    job("TokenService/Issue", wish, ISSUES_A_SECOND),
  );
}

function typicalOf(turns: readonly LoadResult[]): number {
  const sorted = turns.map(({ p99Ms }) => p99Ms).toSorted((one, other) => one - other);
  return sorted[turns.length < ENOUGH_FOR_A_MEDIAN ? 0 : Math.floor(sorted.length / 2)] ?? 0;
}
