/**
 * Kills the service at a random instant under load, again and again on the same data.
 *
 * Six clients, each with a connection of its own, send one call after the other: four issue, two revoke, half
 * of them with idempotency keys. What they were answered must be true of the service that comes after. Now and
 * then that one is killed as well, while it repairs what the first one left.
 */
import { setTimeout } from "node:timers/promises";
import { IntrospectionService, Reason } from "../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { Deployment, Finding, mustAnswer, type Service } from "../test/helpers/deployment.ts";
import { inspect, repeatedNames } from "./inspection.ts";
import type { Random } from "./random.ts";
import { count, expectNone, type Trial } from "./trial.ts";

const MAX_LIFE_MS = 500;
const STARTED_TOKENS = 200;
const OLD_TOKENS_LOOKED_AT = 300;
const BATCH = 1_000;

interface Issued {
  readonly id: string;
  readonly name: string;
  readonly secret: string;
  /** `unsure` when a call to revoke it was not answered. */
  state: "active" | "revoked" | "unsure";
}

/** A call with an idempotency key that was not answered. */
type Unanswered =
  | { readonly kind: "issue"; readonly name: string; readonly idempotencyKey: string }
  | { readonly kind: "revoke"; readonly token: Issued; readonly idempotencyKey: string };

/** What the clients know. */
class Journal {
  readonly tokens: Issued[] = [];
  /** Since the last look. */
  fresh = new Set<Issued>();
  unanswered: Unanswered[] = [];
  revokes = 0;
  retries = 0;

  add(issued: Issued): void {
    this.tokens.push(issued);
    this.fresh.add(issued);
  }
}

export const crash: Trial = {
  name: "crash",
  does: "kill -9 at a random instant under 4 issue and 2 revoke streams, and a new start on the same data",
  trials: { full: 200, short: 6 },
  mustCatch: ["answers-before-the-commit", "forgets-some-revokes", "forgets-that-it-answered", "loses-some-events"],

  async run({ trials, random, folder }) {
    const deployment = await Deployment.create(folder);
    const journal = new Journal();
    let startKills = 0;
    for (let kill = 0; kill <= trials; kill++) {
      if (kill > 0 && random.below(5) === 0) {
        await deployment.killInMidStart(random.below(400));
        startKills++;
      }
      await using service = await deployment.start();
      await look(service, someOf(journal, random));
      await sendAgain(service, deployment, journal);
      const isLast = kill === trials;
      if (isLast) await look(service, journal.tokens);
      expectNone("names that two tokens have", repeatedNames(deployment.databasePath));
      await inspect(deployment.databasePath);
      if (isLast) return report(trials, startKills, journal);

      await load(service, deployment, journal, kill, random.fork(kill));
    }
    throw new Error("no trials");
  },
};

function report(kills: number, startKills: number, { tokens, revokes, retries }: Journal): string {
  return (
    `${count(kills, "kill")}, ${startKills} more in mid-start: ${count(tokens.length, "issue")} and ` +
    `${count(revokes, "revoke")} acknowledged, 0 lost, 0 undone; ${count(retries, "unanswered call")} sent again, ` +
    "0 doubled; the file and all chains whole each time"
  );
}

/** Runs the streams until the service is killed. */
async function load(
  service: Service,
  { credentials }: Deployment,
  journal: Journal,
  round: number,
  random: Random,
): Promise<void> {
  const { organizationId } = credentials;
  let isKilled = false;
  /** Calls until the kill. Answers whether it was answered. */
  const answered = async (call: () => Promise<void>): Promise<boolean> => {
    try {
      await mustAnswer(call());
      return true;
    } catch (error) {
      if (isKilled) return false;
      throw error;
    }
  };

  const issueStream = async (stream: number): Promise<void> => {
    const tokens = service.connect(TokenService);
    const isKeyed = stream % 2 === 0;
    for (let number = 0, goesOn = true; goesOn; number++) {
      const name = `${round}-${stream}-${number}`;
      const idempotencyKey = isKeyed ? name : "";
      goesOn = await answered(async () => {
        const { token, secret } = await tokens.issue({ organizationId, name, idempotencyKey });
        journal.add({ id: token?.id ?? "", name, secret, state: "active" });
      });
      if (!goesOn && isKeyed) journal.unanswered.push({ kind: "issue", name, idempotencyKey });
    }
  };

  // Only those that were there at the last look, so that every call is one that must succeed.
  const victims = journal.tokens.filter(({ state }) => state === "active");
  const revokeStream = async (stream: number): Promise<void> => {
    const tokens = service.connect(TokenService);
    const choice = random.fork(stream);
    const isKeyed = stream % 2 === 0;
    for (let number = 0, goesOn = true; goesOn; number++) {
      const [token] = victims.splice(choice.below(victims.length), 1);
      if (token === undefined) return;
      const idempotencyKey = isKeyed ? `${round}-revoke-${stream}-${number}` : "";
      token.state = "unsure";
      journal.fresh.add(token);
      goesOn = await answered(async () => {
        await tokens.revoke({ id: token.id, idempotencyKey });
        token.state = "revoked";
        journal.revokes++;
      });
      if (!goesOn && isKeyed) journal.unanswered.push({ kind: "revoke", token, idempotencyKey });
    }
  };

  const streams = Promise.all([
    issueStream(0),
    issueStream(1),
    issueStream(2),
    issueStream(3),
    revokeStream(4),
    revokeStream(5),
  ]);
  streams.catch(() => {});
  while (journal.tokens.length < STARTED_TOKENS && service.isUp) await Promise.race([setTimeout(10), streams]);
  await Promise.race([setTimeout(random.unit() * MAX_LIFE_MS), streams]);
  isKilled = true;
  await service.kill();
  await streams;
}

/** Sends the calls again that were not answered, twice at once: all must be answered the same. */
async function sendAgain(service: Service, { credentials }: Deployment, journal: Journal): Promise<void> {
  const { organizationId } = credentials;
  const clients = [service.connect(TokenService), service.connect(TokenService)];
  for (const call of journal.unanswered) {
    const { idempotencyKey } = call;
    journal.retries++;
    if (call.kind === "revoke") {
      await mustAnswer(Promise.all(clients.map((tokens) => tokens.revoke({ id: call.token.id, idempotencyKey }))));
      call.token.state = "revoked";
      journal.revokes++;
    } else {
      const { name } = call;
      const request = { organizationId, name, idempotencyKey };
      const [one, other] = await mustAnswer(Promise.all(clients.map((tokens) => tokens.issue(request))));
      if (one?.secret !== other?.secret) throw new Finding(`two retries with the key ${name} have two secrets`);
      journal.add({ id: one?.token?.id ?? "", name, secret: one?.secret ?? "", state: "active" });
    }
  }
  journal.unanswered = [];
}

/** All that is new, and some that are old. */
function someOf(journal: Journal, random: Random): readonly Issued[] {
  const chosen = journal.fresh;
  journal.fresh = new Set();
  for (let drawn = 0; drawn < OLD_TOKENS_LOOKED_AT; drawn++) {
    const token = random.pick(journal.tokens);
    if (token !== undefined) chosen.add(token);
  }
  return Array.from(chosen);
}

/** Asks the service about tokens, and compares with what it had said. */
async function look(service: Service, tokens: readonly Issued[]): Promise<void> {
  const introspection = service.connect(IntrospectionService);
  const lost: string[] = [];
  const undone: string[] = [];
  for (let start = 0; start < tokens.length; start += BATCH) {
    const batch = tokens.slice(start, start + BATCH);
    const requests = batch.map(({ secret }) => ({ token: secret, dryRun: true }));
    const { responses } = await mustAnswer(introspection.batchIntrospect({ requests }));
    for (const [index, { id, name, state }] of batch.entries()) {
      const { active = false, reason, name: found } = responses[index] ?? {};
      const isThere = (active && found === name) || reason === Reason.REVOKED;
      if (!isThere || (state === "active" && !active)) lost.push(id);
      if (state === "revoked" && active) undone.push(id);
    }
  }
  expectNone("acknowledged issues are lost", lost);
  expectNone("acknowledged revokes are undone", undone);
}
