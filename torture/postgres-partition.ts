/**
 * Stalls the network between PostgreSQL and two of three processes: connections stay open, and carry nothing.
 *
 * One of them is as processes are: it must answer `active` to nobody who asks later than the bound, refuse instead, and
 * come back by itself. The other one may go on for some seconds (`LATCHKEY_FAIL_OPEN_SECONDS`): it must do so, without
 * a gap, and then stop; a token that it knew to be revoked must stay so all the time. The third has a network of its own,
 * and must not notice.
 */
import { setTimeout } from "node:timers/promises";
import { IntrospectionService } from "../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { codeOf, Finding, mustAnswer, type Service } from "../test/helpers/deployment.ts";
import type { GrpcClient } from "../test/helpers/grpc-client.ts";
import { type StallingProxy, stallingProxy } from "../test/helpers/stalling-proxy.ts";
import { Fleet, STALENESS_MS } from "./fleet.ts";
import { quantile } from "./quantiles.ts";
import { count, expectNone, type Trial } from "./trial.ts";

const FAIL_OPEN_SECONDS = 2;
const FAIL_OPEN_MS = FAIL_OPEN_SECONDS * 1_000;

/** How much longer the network stalls than anybody may go on. */
const REFUSING_MS = 1_500;
const COMES_BACK_MS = 5_000;

/** A call that isn't answered by then hangs. */
const CALL_MS = 15_000;

/** Between two questions about a token. */
const PAUSE_MS = 5;

type Answer = "active" | "denied" | "refused";

interface Issued {
  readonly id: string;
  readonly secret: string;
}

interface Asked {
  /** Milliseconds after the stall, on a clock that all share. */
  readonly atMs: number;
  readonly answer: Answer;
}

export const postgresPartition: Trial = {
  name: "postgres-partition",
  does: "the network between PostgreSQL and two of three processes stalls, with and without FAIL_OPEN_SECONDS",
  trials: { full: 20, short: 1 },
  isTimed: true,
  mustCatch: ["never-stops-trusting", "fails-open-for-ever"],

  async run({ trials, folder }) {
    await using fleet = await Fleet.start(folder, 1);
    await using proxy = await stallingProxy(fleet.url);
    const settings = { LATCHKEY_DATABASE_URL: proxy.url };
    const strict = await fleet.startService(1, settings);
    const open = await fleet.startService(2, { ...settings, LATCHKEY_FAIL_OPEN_SECONDS: String(FAIL_OPEN_SECONDS) });
    const times: Record<"lastActive" | "lastOpen" | "refusing" | "back", number[]> = {
      lastActive: [],
      lastOpen: [],
      refusing: [],
      back: [],
    };
    let changes = 0;
    for (let stall = 0; stall < trials; stall++) {
      const round = await stallOnce(fleet, proxy, { strict, open }, stall % 2 === 0 ? "flow" : "heal");
      times.lastActive.push(round.lastActiveMs);
      times.lastOpen.push(round.lastOpenMs);
      times.refusing.push(round.refusingMs);
      times.back.push(round.backMs);
      changes += round.changes;
    }
    await fleet.stop();
    const longest = (name: keyof typeof times): string => `${quantile(times[name], 1).toFixed(0)} ms`;
    return (
      `${count(trials, "stall")}: last asked before it wasn't active any more after ${longest("lastActive")} at most, refused ` +
      `after ${longest("refusing")}, served again ${longest("back")} after the stall; with ${FAIL_OPEN_SECONDS} s more ` +
      `${longest("lastOpen")}, without a gap, and 0 times a token that it knew to be revoked; ` +
      `${count(changes, "change")} at the third process, 0 refused`
    );
  },
};

async function stallOnce(
  fleet: Fleet,
  proxy: StallingProxy,
  { strict, open }: { readonly strict: Service; readonly open: Service },
  end: "flow" | "heal",
) {
  const [fine] = fleet.services;
  if (fine === undefined) throw new Error("no process");
  const tokens = fine.connect(TokenService);
  const [kept, dead, doomed] = await Promise.all([issue(fleet, tokens), issue(fleet, tokens), issue(fleet, tokens)]);
  await mustAnswer(tokens.revoke({ id: dead.id }));
  // Both have all three in memory, as they are.
  for (const service of [strict, open]) {
    const introspection = service.connect(IntrospectionService);
    for (const { secret } of [kept, doomed]) while ((await ask(introspection, secret)) !== "active");
    while ((await ask(introspection, dead.secret)) !== "denied");
  }

  const controller = new AbortController();
  proxy.stall();
  const stalledAtMs = performance.now();
  const watch = (service: Service, secret: string): Promise<readonly Asked[]> =>
    watchToken(service, secret, stalledAtMs, controller.signal);
  const watches = Promise.all([
    watch(strict, kept.secret),
    watch(strict, doomed.secret),
    watch(open, kept.secret),
    watch(open, dead.secret),
  ]);
  watches.catch(() => {});
  const others = changeAlone(fleet, fine, controller.signal);
  others.catch(() => {});
  await mustAnswer(tokens.revoke({ id: doomed.id }));
  const revokedAtMs = performance.now() - stalledAtMs;
  await setTimeout(STALENESS_MS + FAIL_OPEN_MS + REFUSING_MS);
  const endedAtMs = performance.now() - stalledAtMs;
  proxy[end]();
  const backMs = await fleet.untilServing(COMES_BACK_MS);
  controller.abort();
  const [atStrict, doomedAtStrict, atOpen, deadAtOpen] = await watches;
  const changes = await others;

  const during = (all: readonly Asked[]): readonly Asked[] => all.filter(({ atMs }) => atMs < endedAtMs);
  const lastActive = (all: readonly Asked[]): number =>
    Math.max(0, ...during(all).flatMap(({ answer, atMs }) => (answer === "active" ? [atMs] : [])));
  const firstRefused = during(atStrict).find(({ answer }) => answer === "refused");
  if (firstRefused === undefined) throw new Finding("a process whose database doesn't answer refuses nothing");
  const [lastActiveMs, lastOpenMs] = [lastActive(atStrict), lastActive(atOpen)];
  if (lastActiveMs > STALENESS_MS)
    throw new Finding(`active to a question ${lastActiveMs.toFixed(0)} ms after the stall`);
  const late = doomedAtStrict.filter(({ answer, atMs }) => answer === "active" && atMs > revokedAtMs + STALENESS_MS);
  expectNone(
    "questions about a revoked token got active after the bound",
    late.map(({ atMs }) => atMs.toFixed(0)),
  );
  if (lastOpenMs > STALENESS_MS + FAIL_OPEN_MS) {
    throw new Finding(`one that may fail open for ${FAIL_OPEN_MS} ms did so for ${lastOpenMs.toFixed(0)} ms`);
  }
  const gaps = atOpen.filter(({ answer, atMs }) => answer !== "active" && atMs < FAIL_OPEN_MS);
  expectNone(
    "questions were refused by one that may fail open",
    gaps.map(({ atMs }) => `after ${atMs.toFixed(0)} ms`),
  );
  expectNone(
    "questions about a token known to be revoked got active",
    deadAtOpen.filter(({ answer }) => answer === "active").map(({ atMs }) => atMs.toFixed(0)),
  );
  return { lastActiveMs, lastOpenMs, refusingMs: firstRefused.atMs, backMs, changes };
}

type Introspection = GrpcClient<typeof IntrospectionService>;

async function issue({ deployment }: Fleet, tokens: GrpcClient<typeof TokenService>): Promise<Issued> {
  const { organizationId } = deployment.credentials;
  const { token, secret } = await mustAnswer(tokens.issue({ organizationId, name: "watched" }));
  return { id: token?.id ?? "", secret };
}

async function ask(introspection: Introspection, token: string): Promise<Answer> {
  try {
    return (await introspection.introspect({ token })).active ? "active" : "denied";
  } catch (error) {
    if (codeOf(error) !== "UNAVAILABLE") throw new Finding(`a question failed with ${codeOf(error)}`);
    return "refused";
  }
}

async function watchToken(service: Service, secret: string, sinceMs: number, over: AbortSignal): Promise<Asked[]> {
  const introspection = service.connect(IntrospectionService, { timeoutMs: CALL_MS });
  const asked: Asked[] = [];
  while (!over.aborted) {
    const atMs = performance.now() - sinceMs;
    asked.push({ atMs, answer: await ask(introspection, secret) });
    await setTimeout(PAUSE_MS);
  }
  return asked;
}

/** Issues, asks and revokes, all of which must work. Answers how often. */
async function changeAlone(fleet: Fleet, service: Service, over: AbortSignal): Promise<number> {
  const tokens = service.connect(TokenService, { timeoutMs: CALL_MS });
  const introspection = service.connect(IntrospectionService, { timeoutMs: CALL_MS });
  let changes = 0;
  while (!over.aborted) {
    const { id, secret } = await issue(fleet, tokens);
    if ((await ask(introspection, secret)) !== "active") throw new Finding("a new token isn't active");
    await mustAnswer(tokens.revoke({ id }));
    if ((await ask(introspection, secret)) !== "denied") throw new Finding("a revoked token isn't denied");
    changes += 2;
    await setTimeout(PAUSE_MS);
  }
  return changes;
}
