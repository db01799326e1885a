/**
 * Ends the connection on which a process hears of changes, again and again, while tokens are revoked at another one. What
 * is lost of the notifications must not matter: no token is active to a question that is asked later than the bound.
 */
import { IntrospectionService } from "../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { codeOf, Finding, mustAnswer } from "../test/helpers/deployment.ts";
import { connectTo } from "../test/helpers/postgres.ts";
import { Fleet, STALENESS_MS } from "./fleet.ts";
import { percentiles } from "./quantiles.ts";
import { count, type Trial } from "./trial.ts";

const PROCESSES = 2;
const REVOKES = 4;

/** What the process that listens sends over that connection, and nobody else. */
const TERMINATE = `
  SELECT pg_terminate_backend(pid) AS is_ended FROM pg_stat_activity
  WHERE application_name = 'latchkey' AND (query LIKE 'LISTEN%' OR query LIKE 'SELECT value, pg_is_in_recovery%')
`;

export const postgresListen: Trial = {
  name: "postgres-listen",
  does: "pg_terminate_backend of every connection that listens, while tokens are revoked",
  trials: { full: 50, short: 4 },
  isTimed: true,
  mustCatch: ["believes-a-lost-connection", "follows-nothing"],

  async run({ trials, random, folder }) {
    await using fleet = await Fleet.start(folder, PROCESSES);
    await using killer = await connectTo(fleet.url);
    const [here, there] = fleet.services;
    if (here === undefined || there === undefined) throw new Error("no processes");
    const { organizationId } = fleet.deployment.credentials;
    const tokens = here.connect(TokenService);
    const introspection = there.connect(IntrospectionService);
    let ended = 0;
    let refused = 0;
    const delaysMs: number[] = [];

    /** Whether the token is active at the other process, which may also refuse to say. */
    const isActive = async (token: string): Promise<boolean> => {
      try {
        return (await introspection.introspect({ token }, { timeoutMs: 30_000 })).active === true;
      } catch (error) {
        if (codeOf(error) !== "UNAVAILABLE") throw new Finding(`a question failed with ${codeOf(error)}`);
        refused++;
        return false;
      }
    };

    for (let kill = 0; kill < trials; kill++) {
      const issued = await Promise.all(
        Array.from({ length: REVOKES }, () => mustAnswer(tokens.issue({ organizationId, name: "to be revoked" }))),
      );
      for (const { secret } of issued) while (!(await isActive(secret)));
      const revokes = issued.map(async ({ token, secret }) => {
        await mustAnswer(tokens.revoke({ id: token?.id ?? "" }));
        const acknowledgedAtMs = performance.now();
        for (;;) {
          const delayMs = performance.now() - acknowledgedAtMs;
          if (!(await isActive(secret))) return delayMs;
          if (delayMs > STALENESS_MS)
            throw new Finding(`active ${delayMs.toFixed(0)} ms after the acknowledged revoke`);
        }
      });
      const { rowCount } = await killer.client.query(TERMINATE);
      ended += rowCount ?? 0;
      delaysMs.push(...(await Promise.all(revokes)));
      if (random.below(2) === 0) await waitUntilListening(killer);
    }
    if (ended < trials) throw new Error(`only ${ended} connections were ended`);
    await fleet.stop();
    return (
      `${count(ended, "connection")} ended; from ${count(delaysMs.length, "acknowledged revoke")} until the other process ` +
      `was last asked before it denied: ${percentiles(delaysMs)}; ${count(refused, "question")} refused`
    );
  },
};

/** So that one is ended that has been at rest, too. */
async function waitUntilListening({
  client,
}: {
  readonly client: { query(sql: string): Promise<unknown> };
}): Promise<void> {
  const listening =
    "SELECT 1 FROM pg_stat_activity WHERE application_name = 'latchkey' AND query LIKE 'SELECT value, pg_is%'";
  for (;;) {
    const { rowCount } = (await client.query(listening)) as { readonly rowCount: number };
    if (rowCount >= PROCESSES) return;
  }
}
