/** Runs many commands in one transaction, so that they share its turn and the price of making it durable. */
import type pg from "pg";
import { AppError } from "../../domain/errors.ts";
import type { IdempotencyRecord } from "../../domain/idempotency.ts";
import { type CommandName, prepareWrites, runCommand, runOnce } from "../commands.ts";
import { perform, postgresDialect, type Query } from "./dialect.ts";
import { isRefusal, toCommandError } from "./errors.ts";

export interface CommandRequest {
  readonly name: CommandName;
  readonly input: unknown;
  /** Of the call that the command is for, where it may be repeated. */
  readonly record?: IdempotencyRecord | undefined;
}

export type CommandOutcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: AppError };

export interface CommittedGroup {
  /** In the order of the requests. */
  readonly outcomes: readonly CommandOutcome[];
  /** Of the newest event; undefined where the group made none. */
  readonly revision: number | undefined;
}

/** Wakes those who follow the log. It says nothing: whoever can connect could say it too. */
export const CHANNEL = "latchkey_events";

/** Of Latchkey's writers. The table's own number keeps deployments apart that share a database. */
const TAKE_TURN = "SELECT pg_advisory_xact_lock(1280590664, 'revision'::regclass::oid::int)";

/** Statements that go without waiting for an answer, before one is waited for. */
const MAX_IN_FLIGHT = 256;

const writes = prepareWrites(postgresDialect("w"));

/**
 * Runs a group on a connection in pipeline mode, and answers after the group is durable.
 *
 * One group of all processes' runs at a time, for each begins with the one lock: so commands find what is committed and
 * nothing else, as they must, and revisions become visible in their order, without gaps. A command that fails is undone
 * alone.
 *
 * @throws whatever failed, where the transaction can't begin or commit. Nothing of it is stored then, unless it was
 *   the commit's answer that was lost.
 */
export async function commitGroup(client: pg.Client, requests: readonly CommandRequest[]): Promise<CommittedGroup> {
  const session = new Session(client);
  try {
    const before = await begin(session);
    const outcomes = await runAll(session, requests);
    const after = (await perform(writes.getRevision.get(), session.ask)) ?? 0;
    const revision = after === before ? undefined : after;
    if (revision !== undefined) session.send(`NOTIFY ${CHANNEL}`);
    const { command } = await session.query("COMMIT");
    // A transaction that can't be committed is rolled back by a COMMIT, without an error.
    if (command !== "COMMIT") throw new Error(`the server answered a commit with ${command}`);
    return { outcomes, revision };
  } catch (error) {
    await session.query("ROLLBACK").catch(() => {});
    throw error;
  }
}

/** Begins a transaction that no other writer's overlaps, and answers the revision. */
async function begin(session: Session): Promise<number> {
  session.send("BEGIN ISOLATION LEVEL READ COMMITTED");
  session.send(TAKE_TURN);
  return (await perform(writes.getRevision.get(), session.ask)) ?? 0;
}

/**
 * Commands seldom fail, and a savepoint for each costs time that all writers wait. So they run without, and all of them
 * once more, now with savepoints, when one fails. A command reads and writes nothing but the database, so it does the
 * same each time.
 */
async function runAll(session: Session, requests: readonly CommandRequest[]): Promise<readonly CommandOutcome[]> {
  const outcomes: CommandOutcome[] = [];
  try {
    for (const request of requests) outcomes.push(await run(session, request));
    await session.settle();
    return outcomes;
  } catch (error) {
    assertConnected(error);
    if (requests.length === 1) {
      await session.undo("ROLLBACK");
      await begin(session);
      return [{ ok: false, error: toCommandError(error) }];
    }
  }
  await session.undo("ROLLBACK");
  await begin(session);
  outcomes.length = 0;
  for (const request of requests) outcomes.push(await runAlone(session, request));
  return outcomes;
}

async function runAlone(session: Session, request: CommandRequest): Promise<CommandOutcome> {
  session.send("SAVEPOINT command");
  try {
    const outcome = await run(session, request);
    await session.settle();
    session.send("RELEASE SAVEPOINT command");
    return outcome;
  } catch (error) {
    assertConnected(error);
    await session.undo("ROLLBACK TO SAVEPOINT command");
    session.send("RELEASE SAVEPOINT command");
    return { ok: false, error: toCommandError(error) };
  }
}

async function run(session: Session, { name, input, record }: CommandRequest): Promise<CommandOutcome> {
  const work = record === undefined ? runCommand(writes, name, input) : runOnce(writes, name, input, record);
  return { ok: true, value: await perform(work, session.ask) };
}

/** Throws what isn't the command's own fault. */
function assertConnected(error: unknown): void {
  if (!(error instanceof AppError) && !isRefusal(error)) throw error;
}

/** One transaction's queries, which are answered in the order in which they are sent. */
class Session {
  readonly #client: pg.Client;
  #inFlight: Promise<pg.QueryResult>[] = [];
  /** The first one; all that follow it in a transaction fail too. */
  #failure: { readonly error: unknown } | undefined;

  constructor(client: pg.Client) {
    this.#client = client;
  }

  readonly ask = ({ isAwaited, ...config }: Query): Promise<pg.QueryResult> | undefined => {
    const answer = this.#submit(this.#client.query(config));
    if (isAwaited) return this.#result(answer);
    return this.#inFlight.length >= MAX_IN_FLIGHT ? this.#result(answer) : undefined;
  };

  send(text: string): void {
    void this.#submit(this.#client.query(text));
  }

  async query(text: string): Promise<pg.QueryResult> {
    return this.#result(this.#submit(this.#client.query(text)));
  }

  /** Waits for what is in flight, and throws the first failure. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#inFlight);
    this.#inFlight = [];
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Undoes what failed, and goes on. */
  async undo(text: string): Promise<void> {
    await Promise.allSettled(this.#inFlight);
    this.#inFlight = [];
    this.#failure = undefined;
    await this.query(text);
  }

  #submit(answer: Promise<pg.QueryResult>): Promise<pg.QueryResult> {
    answer.catch((error: unknown) => {
      this.#failure ??= { error };
    });
    this.#inFlight.push(answer);
    return answer;
  }

  async #result(answer: Promise<pg.QueryResult>): Promise<pg.QueryResult> {
    const [outcome] = await Promise.allSettled([answer]);
    if (outcome?.status === "fulfilled" && this.#failure === undefined) {
      this.#inFlight = [];
      return outcome.value;
    }
    await this.settle();
    throw new Error("a query was neither answered nor refused");
  }
}
