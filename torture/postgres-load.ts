/** Calls at several processes on one PostgreSQL, while what they rest on is taken away: some fail, but only as they may. */
import { setTimeout } from "node:timers/promises";
import { IntrospectionService } from "../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { codeOf, Finding, type Service } from "../test/helpers/deployment.ts";
import type { GrpcClient } from "../test/helpers/grpc-client.ts";
import { type Fleet, STALENESS_MS } from "./fleet.ts";
import { type Issued, type Journal, makeChanges } from "./journal.ts";
import type { Random } from "./random.ts";
import { expectNone } from "./trial.ts";

const [ISSUING, REVOKING, ASKING] = [4, 2, 3];

/** Before a client that was refused calls again. */
const PAUSE_MS = 100;

/** Longer than the service waits for its database. A call that isn't answered by then hangs. */
const CALL_MS = 30_000;

/** Of so many, the newest, each is asked about often enough to be in memory. */
const ASKED_ABOUT = 200;

interface Clients {
  readonly tokens: GrpcClient<typeof TokenService>;
  readonly introspection: GrpcClient<typeof IntrospectionService>;
}

/**
 * What goes on at all processes until it is told that it is over: tokens are issued, revoked and asked about.
 *
 * A token must not be active to a question that is asked later than the bound after its revoke was acknowledged, and
 * must be active as long as nobody has revoked it, whatever happens meanwhile; or else the question is refused as
 * UNAVAILABLE, as any other call may be, and in no other way.
 */
export class PostgresLoad {
  readonly #fleet: Fleet;
  readonly #journal: Journal;
  readonly #clients = new Map<Service, Clients>();
  readonly #wrong: string[] = [];
  #isOver = false;
  #running: Promise<unknown> = Promise.resolve();
  asked = 0;
  refused = 0;

  constructor(fleet: Fleet, journal: Journal) {
    this.#fleet = fleet;
    this.#journal = journal;
  }

  /** @param name begins the names of the tokens, and no others' */
  start(name: string | number, random: Random): void {
    this.#isOver = false;
    const changes = makeChanges(this.#journal, {
      organizationId: this.#fleet.deployment.credentials.organizationId,
      issuing: ISSUING,
      revoking: REVOKING,
      name,
      random,
      clientOf: (stream) => this.#clientsAt(stream).tokens,
      attempt: (call) => this.#attempt(call),
      goesOn: () => !this.#isOver,
    });
    const questions = Array.from({ length: ASKING }, (_, stream) => this.#askOn(stream, random.fork(`ask ${stream}`)));
    this.#running = Promise.all([changes, ...questions]);
    this.#running.catch(() => {});
  }

  /** Waits for some time. @throws Finding as soon as the load finds something */
  async goOn(ms: number): Promise<void> {
    await Promise.race([setTimeout(ms), this.#running]);
  }

  /** Resolves when every call has its answer. @throws Finding */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#running;
    expectNone("answers were wrong", this.#wrong);
  }

  #clientsAt(stream: number): Clients {
    const { services } = this.#fleet;
    const service = services[stream % services.length] as Service;
    let clients = this.#clients.get(service);
    if (clients === undefined) {
      const options = { timeoutMs: CALL_MS };
      clients = {
        tokens: service.connect(TokenService, options),
        introspection: service.connect(IntrospectionService, options),
      };
      this.#clients.set(service, clients);
    }
    return clients;
  }

  async #attempt(call: () => Promise<void>): Promise<boolean> {
    try {
      await call();
      return true;
    } catch (error) {
      const code = codeOf(error);
      if (code !== "UNAVAILABLE") throw new Finding(`a call failed with ${code}: ${(error as Error).message}`);
      this.refused++;
      await setTimeout(PAUSE_MS);
      return false;
    }
  }

  async #askOn(stream: number, random: Random): Promise<void> {
    const { tokens } = this.#journal;
    while (!this.#isOver) {
      const token = tokens[Math.max(0, tokens.length - 1 - random.below(ASKED_ABOUT))];
      if (token === undefined) await setTimeout(1);
      else await this.#attempt(() => this.#ask(this.#clientsAt(stream), token));
    }
  }

  async #ask({ introspection }: Clients, token: Issued): Promise<void> {
    const askedAtMs = performance.now();
    const { active } = await introspection.introspect({ token: token.secret });
    this.asked++;
    const sinceMs = askedAtMs - token.revokedAtMs;
    if (active && sinceMs > STALENESS_MS) {
      this.#wrong.push(`active to a question ${sinceMs.toFixed(0)} ms after the acknowledged revoke`);
    }
    if (!active && token.state === "active") this.#wrong.push("denied without a revoke");
  }
}
