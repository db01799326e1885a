/**
 * Revokes tokens one by one at a service of four threads, all of which have just answered for them, from memory and then
 * from a database that they read each time, under introspections without a pause over connections to all threads.
 *
 * For one token the history is simple: it is active until its revoke is sent, revoked from when that is
 * acknowledged, and either in between. So an answer is wrong if it is `active` to a question that was asked after
 * the acknowledgement, or `revoked` before the revoke was sent. All clients are in this one process, on one clock.
 */
import { IntrospectionService } from "../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { Deployment, mustAnswer, type Service } from "../test/helpers/deployment.ts";
import type { GrpcClient } from "../test/helpers/grpc-client.ts";
import type { Random } from "./random.ts";
import { count, expectNone, type Trial } from "./trial.ts";

const THREADS = 4;
/** The kernel spreads them over the threads by chance: that one gets none happens once in a thousand million times. */
const CONNECTIONS = 80;
const TOKENS_AT_A_TIME = 1_000;
const REVOKERS = 16;
const BYSTANDERS = 8;
/** What each thread remembers, and how much of the trial is done so. */
const MEMORIES = [
  { settings: {}, share: 0.8 },
  { settings: { LATCHKEY_CACHE_ENTRIES: "0" }, share: 0.2 },
];
/** Before each revoke, so that as many memories hold the token, and after it. */
const QUESTIONS = 4;

export const revocations: Trial = {
  name: "revocations",
  does: `tokens revoked one by one at ${THREADS} threads that know them, with questions before, meanwhile and after`,
  trials: { full: 125_000, short: 300, selftest: 75 },
  isTimed: false,
  mustCatch: ["hears-of-no-change", "threads-hear-of-their-own-changes-only"],

  async run({ trials, random, folder }) {
    const deployment = await Deployment.create(folder);
    let [asked, concurrent] = [0, 0];
    for (const { settings, share } of MEMORIES) {
      const tokens = Math.round(trials * share);
      await using service = await deployment.start([], { LATCHKEY_THREADS: String(THREADS), ...settings });
      const clients = Array.from({ length: CONNECTIONS }, () => new Client(service));
      const history = new History(clients, random);
      for (let done = 0; done < tokens; done += TOKENS_AT_A_TIME) {
        const secrets = await issue(clients, deployment, Math.min(TOKENS_AT_A_TIME, tokens - done));
        await history.revokeAll(secrets);
      }
      await service.stop();
      expectNone("answers were wrong", history.wrong);
      asked += history.asked;
      concurrent += history.concurrent;
    }
    return `${count(trials, "token")} revoked, ${count(asked, "question")}, ${concurrent.toLocaleString("en-US")} of them while a revoke was on its way: 0 wrong answers`;
  },
};

/** A connection of its own, so that it leads to one thread. */
class Client {
  readonly tokens: GrpcClient<typeof TokenService>;
  readonly introspection: GrpcClient<typeof IntrospectionService>;

  constructor(service: Service) {
    this.tokens = service.connect(TokenService);
    this.introspection = service.connect(IntrospectionService);
  }
}

interface Issued {
  readonly id: string;
  readonly secret: string;
}

async function issue(
  clients: readonly Client[],
  { credentials }: Deployment,
  howMany: number,
): Promise<readonly Issued[]> {
  const { organizationId } = credentials;
  const issued: Issued[] = [];
  let left = howMany;
  const issuers = clients.map(async ({ tokens }) => {
    while (left-- > 0) {
      const { token, secret } = await mustAnswer(tokens.issue({ organizationId, name: "to be revoked" }));
      issued.push({ id: token?.id ?? "", secret });
    }
  });
  await Promise.all(issuers);
  return issued;
}

class History {
  readonly #clients: readonly Client[];
  readonly #random: Random;
  readonly wrong: string[] = [];
  asked = 0;
  concurrent = 0;

  constructor(clients: readonly Client[], random: Random) {
    this.#clients = clients;
    this.#random = random;
  }

  async revokeAll(all: readonly Issued[]): Promise<void> {
    const tokens = all.map((issued) => ({ ...issued, sentAt: Infinity, acknowledgedAt: Infinity }));
    let next = 0;
    const revokers = Array.from({ length: REVOKERS }, async () => {
      for (let token = tokens[next++]; token !== undefined; token = tokens[next++]) {
        await this.#askSeveral(token);
        token.sentAt = performance.now();
        await mustAnswer(this.#anyClient().tokens.revoke({ id: token.id }));
        token.acknowledgedAt = performance.now();
        await this.#askSeveral(token);
      }
    });
    let isOver = false;
    const bystanders = Array.from({ length: BYSTANDERS }, async () => {
      while (!isOver) {
        // Near the ones that are being revoked.
        const token = tokens[Math.max(0, Math.min(tokens.length, next) - 1 - this.#random.below(2 * REVOKERS))];
        if (token !== undefined) await this.#ask(token);
      }
    });
    await Promise.all(revokers);
    isOver = true;
    await Promise.all(bystanders);
  }

  async #askSeveral(token: Revoked): Promise<void> {
    await Promise.all(Array.from({ length: QUESTIONS }, () => this.#ask(token)));
  }

  async #ask(token: Revoked): Promise<void> {
    const askedAt = performance.now();
    const { active } = await mustAnswer(this.#anyClient().introspection.introspect({ token: token.secret }));
    const answeredAt = performance.now();
    this.asked++;
    if (answeredAt > token.sentAt && askedAt < token.acknowledgedAt) this.concurrent++;
    if (active && askedAt > token.acknowledgedAt) {
      this.wrong.push(`active ${(askedAt - token.acknowledgedAt).toFixed(3)} ms after the acknowledged revoke`);
    }
    if (!active && answeredAt < token.sentAt) this.wrong.push("revoked before the revoke was sent");
  }

  #anyClient(): Client {
    return this.#clients[this.#random.below(this.#clients.length)] as Client;
  }
}

interface Revoked extends Issued {
  sentAt: number;
  acknowledgedAt: number;
}
