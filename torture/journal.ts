/** What clients know of what they were answered, the calls by which they learn it, and what must then be true. */
import { IntrospectionService, Reason } from "../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { Finding, mustAnswer, type Service } from "../test/helpers/deployment.ts";
import type { GrpcClient } from "../test/helpers/grpc-client.ts";
import type { Random } from "./random.ts";
import { count, expectNone } from "./trial.ts";

const OLD_TOKENS_LOOKED_AT = 300;
const BATCH = 1_000;
const CALLS_AT_ONCE = 8;

export interface Issued {
  readonly id: string;
  readonly name: string;
  readonly secret: string;
  /** `unsure` when a call to revoke it was not answered. */
  state: "active" | "revoked" | "unsure";
  /** On the clock of `performance`; Infinity until then. */
  revokedAtMs: number;
}

/** A call with an idempotency key that was not answered. */
type Unanswered =
  | { readonly kind: "issue"; readonly name: string; readonly idempotencyKey: string }
  | { readonly kind: "revoke"; readonly token: Issued; readonly idempotencyKey: string };

/** What the clients know. */
export class Journal {
  readonly tokens: Issued[] = [];
  /** Since the last look. */
  #fresh = new Set<Issued>();
  unanswered: Unanswered[] = [];
  revokes = 0;
  retries = 0;

  addIssued(id: string, name: string, secret: string): void {
    const issued: Issued = { id, name, secret, state: "active", revokedAtMs: Number.POSITIVE_INFINITY };
    this.tokens.push(issued);
    this.#fresh.add(issued);
  }

  /** A call that revokes it is on its way. */
  doubt(token: Issued): void {
    token.state = "unsure";
    this.#fresh.add(token);
  }

  addRevoked(token: Issued): void {
    token.state = "revoked";
    token.revokedAtMs = performance.now();
    this.revokes++;
  }

  /** All that is new since it was asked, and some that are old. */
  someTokens(random: Random): readonly Issued[] {
    const chosen = this.#fresh;
    this.#fresh = new Set();
    for (let drawn = 0; drawn < OLD_TOKENS_LOOKED_AT; drawn++) {
      const token = random.pick(this.tokens);
      if (token !== undefined) chosen.add(token);
    }
    return Array.from(chosen);
  }

  /** What holds, once all was looked at. */
  describe(): string {
    return (
      `${count(this.tokens.length, "issue")} and ${count(this.revokes, "revoke")} acknowledged, 0 lost, 0 undone; ` +
      `${count(this.retries, "unanswered call")} sent again, 0 doubled`
    );
  }
}

export interface ChangeStreams {
  readonly organizationId: string;
  readonly issuing: number;
  readonly revoking: number;
  /** Begins the names of what is issued, and no other's. */
  readonly name: string | number;
  readonly random: Random;
  /** Where a stream's next call goes to. */
  readonly clientOf: (stream: number) => GrpcClient<typeof TokenService>;
  /** Makes a call. Answers whether it was answered; throws when it had to be, and wasn't. */
  readonly attempt: (call: () => Promise<void>) => Promise<boolean>;
  /** Asked before each call but the first. */
  readonly goesOn: () => boolean;
}

/** Issues and revokes, one call after the other in each stream, half of them with idempotency keys. */
export async function makeChanges(journal: Journal, streams: ChangeStreams): Promise<void> {
  const { organizationId, issuing, revoking, name: prefix, random, clientOf, attempt, goesOn } = streams;

  const issue = async (stream: number): Promise<void> => {
    const isKeyed = stream % 2 === 0;
    for (let number = 0; number === 0 || goesOn(); number++) {
      const name = `${prefix}-${stream}-${number}`;
      const idempotencyKey = isKeyed ? name : "";
      const isAnswered = await attempt(async () => {
        const { token, secret } = await clientOf(stream).issue({ organizationId, name, idempotencyKey });
        journal.addIssued(token?.id ?? "", name, secret);
      });
      if (!isAnswered && isKeyed) journal.unanswered.push({ kind: "issue", name, idempotencyKey });
    }
  };

  // Only those that were there before, so that every call is one that must succeed.
  const victims = journal.tokens.filter(({ state }) => state === "active");
  const revoke = async (stream: number): Promise<void> => {
    const choice = random.fork(stream);
    const isKeyed = stream % 2 === 0;
    for (let number = 0; number === 0 || goesOn(); number++) {
      const [token] = victims.splice(choice.below(victims.length), 1);
      if (token === undefined) return;
      const idempotencyKey = isKeyed ? `${prefix}-revoke-${stream}-${number}` : "";
      journal.doubt(token);
      const isAnswered = await attempt(async () => {
        await clientOf(stream).revoke({ id: token.id, idempotencyKey });
        journal.addRevoked(token);
      });
      if (!isAnswered && isKeyed) journal.unanswered.push({ kind: "revoke", token, idempotencyKey });
    }
  };

  await Promise.all([
    ...Array.from({ length: issuing }, (_, stream) => issue(stream)),
    ...Array.from({ length: revoking }, (_, stream) => revoke(issuing + stream)),
  ]);
}

/** Sends the calls again that were not answered, each twice at once: both must be answered the same. */
export async function sendAgain(services: readonly Service[], organizationId: string, journal: Journal): Promise<void> {
  const clients = [services.at(0), services.at(-1)].flatMap((service) => service?.connect(TokenService) ?? []);
  const waiting = journal.unanswered.values();
  journal.unanswered = [];
  const twice = <T>(call: (tokens: GrpcClient<typeof TokenService>) => Promise<T>): Promise<T[]> =>
    mustAnswer(Promise.all(clients.map(call)));
  const sendAll = async (): Promise<void> => {
    for (const call of waiting) {
      const { idempotencyKey } = call;
      journal.retries++;
      if (call.kind === "revoke") {
        await twice((tokens) => tokens.revoke({ id: call.token.id, idempotencyKey }));
        journal.addRevoked(call.token);
      } else {
        const { name } = call;
        const [one, other] = await twice((tokens) => tokens.issue({ organizationId, name, idempotencyKey }));
        if (one?.secret !== other?.secret) throw new Finding(`two retries with the key ${name} have two secrets`);
        journal.addIssued(one?.token?.id ?? "", name, one?.secret ?? "");
      }
    }
  };
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, sendAll));
}

/** Asks the service about tokens, and compares with what it had said. */
export async function look(service: Service, tokens: readonly Issued[]): Promise<void> {
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
