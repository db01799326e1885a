/**
 * Restarts PostgreSQL in the middle of everything, as `pg_ctl restart -m immediate` does, while three processes of the
 * service are asked, issue and revoke. No process may end, nothing that was acknowledged may be lost, no token that was
 * revoked may be active later than the bound, and everything must work again soon after the server is back.
 */

import { setTimeout } from "node:timers/promises";
import { Fleet, STALENESS_MS } from "./fleet.ts";
import { inspectPostgres } from "./inspection.ts";
import { type Issued, Journal, look, sendAgain } from "./journal.ts";
import { PostgresLoad } from "./postgres-load.ts";
import { quantile } from "./quantiles.ts";
import { count, type Trial } from "./trial.ts";

const PROCESSES = 3;
const MAX_CALM_MS = 1_500;
const SERVES_AGAIN_MS = 5_000;

export const postgresRestart: Trial = {
  name: "postgres-restart",
  does: `pg_ctl restart -m immediate under issues, revokes and questions at ${PROCESSES} processes`,
  trials: { full: 20, short: 1 },
  isTimed: true,
  mustCatch: ["dies-of-a-lost-connection", "never-writes-to-postgres-again", "answers-before-postgres-commits"],

  async run({ trials, random, folder }) {
    await using fleet = await Fleet.start(folder, PROCESSES);
    const journal = new Journal();
    const load = new PostgresLoad(fleet, journal);
    const backMs: number[] = [];
    for (let restart = 0; restart < trials; restart++) {
      load.start(restart, random.fork(restart));
      await load.goOn(random.unit() * MAX_CALM_MS + 500);
      await fleet.cluster.restartImmediately();
      backMs.push(await fleet.untilServing(SERVES_AGAIN_MS));
      await load.goOn(random.unit() * MAX_CALM_MS);
      await load.end();
      await expectNothingLost(fleet, journal, journal.someTokens(random));
    }
    await expectNothingLost(fleet, journal, journal.tokens);
    await fleet.stop();
    return (
      `${count(trials, "restart")}: ${journal.describe()}; ${count(load.asked, "question")}, 0 wrong answers, ` +
      `${count(load.refused, "call")} refused; all ${PROCESSES} served again within ${quantile(backMs, 1).toFixed(0)} ms`
    );
  },
};

/** @throws Finding when something that was acknowledged isn't true at every process, once the bound is over */
export async function expectNothingLost(fleet: Fleet, journal: Journal, tokens: readonly Issued[]): Promise<void> {
  await sendAgain(fleet.services, fleet.deployment.credentials.organizationId, journal);
  await setTimeout(STALENESS_MS);
  for (const service of fleet.services) await look(service, tokens);
  await inspectPostgres(fleet.url);
}
