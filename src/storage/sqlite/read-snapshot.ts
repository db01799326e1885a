/**
 * A transaction of reads that is kept for a moment, so that the next reads are part of it: to begin one takes longer
 * than to find a token in it, and after each commit it would find SQLite's pages in memory forgotten, whatever was
 * written.
 */
import type Database from "better-sqlite3";

/** It keeps the WAL from being begun anew, so it mustn't last; a busy service asks hundreds of times meanwhile. */
const KEPT_MS = 20;

export class ReadSnapshot {
  readonly #connection: Database.Database;
  readonly #begin: Database.Statement<[]>;
  readonly #commit: Database.Statement<[]>;
  readonly #changeCount: () => number;
  /** The count of changes that it holds; undefined while there is none. */
  #changes: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param changeCount see `Storage.changeCount` */
  constructor(connection: Database.Database, changeCount: () => number) {
    this.#connection = connection;
    this.#begin = connection.prepare("BEGIN");
    this.#commit = connection.prepare("COMMIT");
    this.#changeCount = changeCount;
  }

  /** Lets the next read see every change that is counted by now, but maybe not what isn't counted, such as uses. */
  take(): void {
    const changes = this.#changeCount();
    if (changes === this.#changes) return;
    this.release();
    // It begins with its first read, which is later than the count.
    this.#begin.run();
    this.#changes = changes;
    this.#timer = setTimeout(() => this.release(), KEPT_MS);
  }

  /** Lets the next read see everything that is committed by now. */
  release(): void {
    if (this.#changes === undefined) return;
    this.#changes = undefined;
    clearTimeout(this.#timer);
    // SQLite ends a transaction by itself on some errors.
    if (this.#connection.inTransaction) this.#commit.run();
  }
}
