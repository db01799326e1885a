/**
 * Kills the service at a random instant under load, again and again on the same data.
 *
 * Six clients, each with a connection of its own, send one call after the other: four issue, two revoke, half
 * of them with idempotency keys. What they were answered must be true of the service that comes after. Now and
 * then that one is killed as well, while it repairs what the first one left.
 */
import { setTimeout } from "node:timers/promises";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { Deployment, mustAnswer, type Service } from "../test/helpers/deployment.ts";
import { inspect, repeatedNames } from "./inspection.ts";
import { Journal, look, makeChanges, sendAgain } from "./journal.ts";
import type { Random } from "./random.ts";
import { count, expectNone, type Trial } from "./trial.ts";

const MAX_LIFE_MS = 500;
const STARTED_TOKENS = 200;
const [ISSUING, REVOKING] = [4, 2];

export const crash: Trial = {
  name: "crash",
  does: `kill -9 at a random instant under ${ISSUING} issue and ${REVOKING} revoke streams, and a new start on the same data`,
  trials: { full: 200, short: 6 },
  isTimed: false,
  mustCatch: ["answers-before-the-commit", "forgets-some-revokes", "forgets-that-it-answered", "loses-some-events"],

  async run({ trials, random, folder }) {
    const deployment = await Deployment.create(folder);
    const { organizationId } = deployment.credentials;
    const journal = new Journal();
    let startKills = 0;
    for (let kill = 0; kill <= trials; kill++) {
      if (kill > 0 && random.below(5) === 0) {
        await deployment.killInMidStart(random.below(400));
        startKills++;
      }
      await using service = await deployment.start();
      await look(service, journal.someTokens(random));
      await sendAgain([service], organizationId, journal);
      const isLast = kill === trials;
      if (isLast) await look(service, journal.tokens);
      expectNone("names that two tokens have", repeatedNames(deployment.databasePath));
      await inspect(deployment.databasePath);
      if (isLast) {
        return `${count(trials, "kill")}, ${startKills} more in mid-start: ${journal.describe()}; the file and all chains whole each time`;
      }
      await load(service, organizationId, journal, kill, random.fork(kill));
    }
    throw new Error("no trials");
  },
};

/** Runs the streams until the service is killed. */
async function load(
  service: Service,
  organizationId: string,
  journal: Journal,
  round: number,
  random: Random,
): Promise<void> {
  let isKilled = false;
  const clients = Array.from({ length: ISSUING + REVOKING }, () => service.connect(TokenService));
  const streams = makeChanges(journal, {
    organizationId,
    issuing: ISSUING,
    revoking: REVOKING,
    name: round,
    random,
    clientOf: (stream) => clients[stream] as (typeof clients)[number],
    async attempt(call) {
      try {
        await mustAnswer(call());
        return true;
      } catch (error) {
        if (isKilled) return false;
        throw error;
      }
    },
    goesOn: () => !isKilled,
  });
  streams.catch(() => {});
  while (journal.tokens.length < STARTED_TOKENS && service.isUp) await Promise.race([setTimeout(10), streams]);
  await Promise.race([setTimeout(random.unit() * MAX_LIFE_MS), streams]);
  isKilled = true;
  await service.kill();
  await streams;
}
