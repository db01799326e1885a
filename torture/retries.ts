/**
 * Sends each call twenty times at once with its idempotency key, half over gRPC and half over REST, then does
 * the same to a service that is killed in the middle: all that were left without an answer are sent again to
 * the next one, twenty times each. One key makes one token, and all its answers hold the same secret.
 */
import { setTimeout } from "node:timers/promises";
import { Deployment, Finding, type Service } from "../test/helpers/deployment.ts";
import { countTokens, RETRIES, secretsByKey, storm } from "../test/helpers/retry-storm.ts";
import { inspect } from "./inspection.ts";
import type { Random } from "./random.ts";
import { count, expectNone, type Trial } from "./trial.ts";

/** So many keys are on their way when the service is killed. */
const KEYS_A_KILL = 50;
const MAX_MORE_MS = 20;

export const retries: Trial = {
  name: "retries",
  does: `keys with ${RETRIES} retries each at once over gRPC and REST, without and with kill -9 in the middle`,
  trials: { full: 1_000, short: 50, selftest: 8 },
  isTimed: false,
  mustCatch: ["looks-for-the-record-before-the-write-only", "answers-retries-another-secret"],

  async run({ trials, random, folder }) {
    const deployment = await Deployment.create(folder);
    const keys = Array.from({ length: trials }, (_, index) => `key-${index}`);
    const accessToken = await calmStorm(deployment, keys);

    const others = keys.map((key) => `other-${key}`);
    let kills = 0;
    let known = 0;
    for (let start = 0; start < trials; start += KEYS_A_KILL) {
      known += await killedStorm(deployment, accessToken, others.slice(start, start + KEYS_A_KILL), random);
      kills++;
    }
    const { tokens } = await inspect(deployment.databasePath);
    // The first token is the deployment's own service key.
    if (tokens !== 1 + 2 * trials) throw new Finding(`${tokens - 1} tokens of ${2 * trials} keys`);
    return (
      `${count(trials, "key")} made ${count(trials, "token")}, each of ${count(trials * RETRIES, "answer")} with its key's ` +
      `secret; with ${count(kills, "kill")} ${count(trials, "more key")} made ${count(trials, "token")}, ` +
      `${known} of which had been answered before the kill`
    );
  },
};

/** Answers the access token, which outlives the service. */
async function calmStorm(deployment: Deployment, keys: readonly string[]): Promise<string> {
  await using service = await deployment.start();
  const accessToken = await signIn(service, deployment);
  await expectOneToken(service, deployment, accessToken, keys);
  await service.stop();
  return accessToken;
}

/** Kills the service under the storm, and sends all of it again to the next. Answers how many keys were answered before. */
async function killedStorm(
  deployment: Deployment,
  accessToken: string,
  keys: readonly string[],
  random: Random,
): Promise<number> {
  let before: Map<string, Set<string>>;
  {
    await using service = await deployment.start();
    const outcomes = storm(service.process.ready, accessToken, keys);
    // When some are stored, of which few or many have been answered.
    for (const some = 1 + random.below(keys.length - 1); countTokens(deployment.databasePath, keys) < some; ) {
      service.assertUp();
      await setTimeout(1);
    }
    await setTimeout(random.below(MAX_MORE_MS));
    await service.kill();
    before = secretsByKey(await outcomes);
  }
  await using service = await deployment.start();
  const after = await expectOneToken(service, deployment, accessToken, keys);
  for (const [key, secrets] of before) {
    if (secrets.union(after.get(key) ?? new Set()).size !== 1)
      throw new Finding(`${key} has another secret after the kill`);
  }
  await service.stop();
  return before.size;
}

async function expectOneToken(
  service: Service,
  { databasePath }: Deployment,
  accessToken: string,
  keys: readonly string[],
): Promise<Map<string, Set<string>>> {
  const outcomes = await storm(service.process.ready, accessToken, keys);
  const failures = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [String(outcome.reason)] : []));
  expectNone("calls failed that must succeed", failures);
  const secrets = secretsByKey(outcomes);
  expectNone(
    "keys have several secrets",
    keys.filter((key) => secrets.get(key)?.size !== 1),
  );
  const all = new Set(Array.from(secrets.values(), (each) => Array.from(each)).flat());
  const tokens = countTokens(databasePath, keys);
  if (all.size !== keys.length || tokens !== keys.length) {
    throw new Finding(`${keys.length} keys have ${all.size} secrets and ${tokens} tokens`);
  }
  return secrets;
}

async function signIn({ process: { ready } }: Service, { credentials }: Deployment): Promise<string> {
  const response = await fetch(`http://${ready.http}/api/v1/auth/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email: credentials.adminEmail, password: credentials.adminPassword }),
  });
  return ((await response.json()) as { data: { accessToken: string } }).data.accessToken;
}
