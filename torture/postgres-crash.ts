/**
 * Kills processes of the service, and of PostgreSQL itself, at random instants under load. A killed process of the
 * service is started again; the server answers the death of one of its own by ending all the others and replaying its
 * log. What was acknowledged must be true of what comes after, and a call that wasn't answered, sent again with its key,
 * makes one token.
 */
import { Fleet } from "./fleet.ts";
import { Journal } from "./journal.ts";
import { PostgresLoad } from "./postgres-load.ts";
import { expectNothingLost } from "./postgres-restart.ts";
import type { Random } from "./random.ts";
import { count, type Trial } from "./trial.ts";

const PROCESSES = 2;
const MAX_LIFE_MS = 600;
const MIN_LIFE_MS = 200;
const SERVES_AGAIN_MS = 10_000;

export const postgresCrash: Trial = {
  name: "postgres-crash",
  does: `kill -9 of one of ${PROCESSES} processes or of a PostgreSQL backend, at a random instant under load`,
  trials: { full: 100, short: 2 },
  isTimed: false,
  mustCatch: ["answers-before-postgres-commits", "forgets-that-it-answered", "loses-some-events"],

  async run({ trials, random, folder }) {
    await using fleet = await Fleet.start(folder, PROCESSES);
    const journal = new Journal();
    const load = new PostgresLoad(fleet, journal);
    const kills = { processes: 0, backends: 0 };
    for (let kill = 0; kill < trials; kill++) {
      load.start(kill, random.fork(kill));
      await load.goOn(MIN_LIFE_MS + random.unit() * MAX_LIFE_MS);
      if (kill % 2 === 0) {
        const index = random.below(PROCESSES);
        await fleet.services[index]?.kill();
        await load.goOn(random.unit() * MAX_LIFE_MS);
        await fleet.startService(index);
        kills.processes++;
      } else {
        await killBackend(fleet, random);
        kills.backends++;
      }
      await fleet.untilServing(SERVES_AGAIN_MS);
      await load.end();
      await expectNothingLost(fleet, journal, journal.someTokens(random));
    }
    await expectNothingLost(fleet, journal, journal.tokens);
    await fleet.stop();
    return (
      `${count(kills.processes, "process", "processes")} and ${count(kills.backends, "backend")} killed: ${journal.describe()}; ` +
      `${count(load.asked, "question")}, 0 wrong answers; every chain whole each time`
    );
  },
};

async function killBackend(fleet: Fleet, random: Random): Promise<void> {
  const backends = await fleet.query<{ pid: number }>(
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'latchkey' ORDER BY pid",
  );
  const chosen = random.pick(backends);
  if (chosen === undefined) throw new Error("the service has no connection");
  process.kill(chosen.pid, "SIGKILL");
}
