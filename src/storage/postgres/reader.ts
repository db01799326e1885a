/** Reads, on a pool of connections, and not for longer than it makes sense to wait. */
import pg from "pg";
import { AppError } from "../../domain/errors.ts";
import { readError } from "../errors.ts";
import { prepareReads, type Reads } from "../reads.ts";
import type { Work } from "../statement.ts";
import type { ChangeCount } from "./change-count.ts";
import { assertServes } from "./connection.ts";
import { type Ask, perform, postgresDialect } from "./dialect.ts";
import { isOutdatedPlan } from "./errors.ts";

/** More reads than these don't wait for a connection: they would be answered when nobody waits any more. */
const MAX_WAITING = 2_000;

/** A connection that nobody needs for so long is closed. */
const IDLE_MS = 60_000;

const reads = prepareReads(postgresDialect("r"));

export class Reader {
  readonly #pool: pg.Pool;
  readonly #changes: ChangeCount;
  /** What gives up each read that isn't answered yet. */
  readonly #unanswered = new Set<(error: AppError) => void>();

  constructor(client: pg.ClientConfig, poolSize: number, changes: ChangeCount) {
    this.#pool = openPool(client, poolSize);
    this.#changes = changes;
  }

  /** Rejects with `unavailable` when the database can't be read, and at once while the server can't be reached. */
  async read<Result>(query: (reads: Reads) => Work<Result>): Promise<Result> {
    if (this.#changes.isOutage) throw unreachable();
    if (this.#pool.waitingCount >= MAX_WAITING) throw new AppError("unavailable", "Too many reads are waiting.");
    const { promise: givenUp, reject } = Promise.withResolvers<never>();
    this.#unanswered.add(reject);
    try {
      return await Promise.race([this.#perform(query), givenUp]);
    } catch (error) {
      throw readError(error);
    } finally {
      this.#unanswered.delete(reject);
    }
  }

  /** A connection whose statement fails leaves the pool, so each of those that a migration outdated fails once. */
  async #perform<Result>(query: (reads: Reads) => Work<Result>): Promise<Result> {
    for (let others = this.#pool.options.max; ; others--) {
      try {
        return await perform(query(reads), this.#ask);
      } catch (error) {
        if (others === 0 || !isOutdatedPlan(error)) throw error;
      }
    }
  }

  /** The server can't be reached: nobody waits for it. */
  giveUp(): void {
    for (const reject of this.#unanswered) reject(unreachable());
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  readonly #ask: Ask = ({ name, text, values }) => this.#pool.query({ name, text, values });
}

function unreachable(): AppError {
  return readError(new Error("the server can't be reached"));
}

function openPool(client: pg.ClientConfig, max: number): pg.Pool {
  const pool = new pg.Pool({
    ...client,
    max,
    idleTimeoutMillis: IDLE_MS,
    // A server that another one takes over from may come back as its replica.
    verify(connected, done) {
      void judge(connected, client, done);
    },
  });
  // An idle connection that breaks has left the pool already.
  pool.on("error", () => {});
  return pool;
}

async function judge(connected: pg.ClientBase, options: pg.ClientConfig, done: (fault?: Error) => void): Promise<void> {
  try {
    await assertServes(connected, options);
    done();
  } catch (error) {
    done(error instanceof Error ? error : new Error(String(error)));
  }
}
