/**
 * Follows the log of a database that other processes write: a notification wakes it, and it asks by itself often enough
 * that a lost one does no harm.
 */
import { setTimeout } from "node:timers/promises";
import type pg from "pg";
import type { Logger } from "../../domain/logger.ts";
import { type ChangeCount, monotonicMs } from "./change-count.ts";
import { connect, discard } from "./connection.ts";
import { isRefusal } from "./errors.ts";
import { CHANNEL } from "./group-commit.ts";

export interface FollowerOptions {
  readonly client: pg.ClientConfig;
  readonly changes: ChangeCount;
  /** Called when the server can't be reached at all; see `ChangeCount.isOutage`. */
  readonly onOutage: () => void;
  readonly stalenessMs: number;
  readonly logger: Logger;
}

/** Questions within the time that an answer is trusted for, so that one may be late. */
const QUESTIONS = 4;
const MIN_INTERVAL_MS = 10;

/** A server that is busy with many needs this long to let somebody in. */
const MIN_CONNECT_MS = 1_000;

export class Follower {
  readonly #options: FollowerOptions;
  readonly #intervalMs: number;
  #running: Promise<void> | undefined;
  #client: pg.Client | undefined;
  #isClosing = false;
  #isCutOff = false;
  /** Resolved by a notification, and by the end. */
  #woken = Promise.withResolvers<void>();

  private constructor(options: FollowerOptions) {
    this.#options = options;
    this.#intervalMs = Math.max(MIN_INTERVAL_MS, options.stalenessMs / QUESTIONS);
  }

  /** Resolves when it knows the revision. Rejects when the database can't be reached. */
  static async start(options: FollowerOptions): Promise<Follower> {
    const follower = new Follower(options);
    const client = await follower.#connect();
    follower.#running = follower.#run(client);
    return follower;
  }

  /** Never rejects. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#woken.resolve();
    // A question that waits for its answer fails by that.
    if (this.#client !== undefined) discard(this.#client);
    await this.#running;
  }

  async #run(first: pg.Client): Promise<void> {
    let client: pg.Client | undefined = first;
    while (!this.#isClosing) {
      try {
        client ??= await this.#connect();
        this.#showReached();
        await this.#pause();
        await this.#askRevision(client);
      } catch (error) {
        if (this.#isClosing) break;
        this.#showCutOff(error);
        // One connection that breaks says nothing about the next one.
        if (client === undefined) await this.#pause();
        else discard(client);
        client = undefined;
      }
    }
    if (client !== undefined) discard(client);
  }

  async #connect(): Promise<pg.Client> {
    const { client: options, stalenessMs } = this.#options;
    const timeoutMs = Math.max(MIN_INTERVAL_MS, stalenessMs);
    const client = await connect({
      ...options,
      connectionTimeoutMillis: Math.max(MIN_CONNECT_MS, stalenessMs),
      query_timeout: timeoutMs,
    });
    this.#client = client;
    client.on("notification", () => this.#woken.resolve());
    try {
      await client.query(`LISTEN ${CHANNEL}`);
      await this.#askRevision(client);
      return client;
    } catch (error) {
      discard(client);
      throw error;
    }
  }

  async #askRevision(client: pg.Client): Promise<void> {
    const { changes } = this.#options;
    const askedAtMs = monotonicMs();
    const known = changes.revision;
    // Before the last answer is too old, or who may go on without another one would be refused until this one fails.
    const late = globalThis.setTimeout(() => changes.miss(), this.#intervalMs * 2);
    const { rows } = await client
      .query<{ value: number; is_replica: number }>({
        name: "revision",
        text: "SELECT value, pg_is_in_recovery() AS is_replica FROM revision",
      })
      .finally(() => clearTimeout(late));
    const [row] = rows;
    if (row === undefined || row.is_replica === 1) throw new Error("this server isn't the primary");
    // What is in memory knows of changes that aren't there any more, and of those in their place it would never hear.
    if (row.value < known) throw new Error("the database is older than it was: stop every process, then start them");
    changes.reach(row.value);
    changes.confirm(askedAtMs);
  }

  /** Waits until it is time to ask again, or a notification came since the last pause. */
  async #pause(): Promise<void> {
    const over = new AbortController();
    const time = setTimeout(this.#intervalMs, undefined, { signal: over.signal }).catch(() => {});
    await Promise.race([time, this.#woken.promise]);
    over.abort();
    this.#woken = Promise.withResolvers();
  }

  #showReached(): void {
    if (this.#isCutOff) this.#options.logger.info({}, "the database is followed again");
    this.#isCutOff = false;
  }

  #showCutOff(err: unknown): void {
    const { changes, onOutage } = this.#options;
    // A server that says why it lets nobody in may still serve those who are in.
    if (!isRefusal(err)) {
      changes.cutOff();
      if (changes.isOutage) onOutage();
    }
    if (!this.#isCutOff) this.#options.logger.warn({ err }, "the database can't be followed; it is tried again");
    this.#isCutOff = true;
  }
}
