/** SQLite's part of the common statements: they run on the calling thread, and answer at once. */
import type Database from "better-sqlite3";
import type { Dialect, Statement, Work } from "../statement.ts";

export function sqliteDialect(connection: Database.Database): Dialect {
  return {
    prepare: <Parameters extends unknown[] | object, Row>(sql: string) =>
      new SqliteStatement(connection.prepare(sql)) as Statement<Parameters, Row>,
    // Bytes are compared, for SQLite's length of a text ends at U+0000.
    startsWith: (column, parameter) =>
      `(${parameter} IS NULL OR substr(CAST(${column} AS BLOB), 1, length(${parameter})) = ${parameter})`,
    elementsOf: (parameter) => `SELECT value FROM json_each(${parameter})`,
    objectsOf: (parameter) => `json_each(${parameter})`,
    touch: "PRAGMA user_version = 0",
  };
}

/** Runs work that doesn't wait. */
export function finish<Result>(work: Work<Result>): Result {
  const step = work[Symbol.iterator]().next();
  if (step.done !== true) throw new Error("SQLite's statements never wait");
  return step.value;
}

class SqliteStatement implements Statement<unknown[], unknown> {
  readonly #statement: Database.Statement;

  constructor(statement: Database.Statement) {
    this.#statement = statement;
  }

  get source(): string {
    return this.#statement.source;
  }

  get(...parameters: unknown[]): Work<unknown> {
    return new Answered(this.#statement.get(...parameters));
  }

  all(...parameters: unknown[]): Work<readonly unknown[]> {
    return new Answered(this.#statement.all(...parameters));
  }

  changes(...parameters: unknown[]): Work<number> {
    return new Answered(this.#statement.run(...parameters).changes);
  }

  run(...parameters: unknown[]): Work<void> {
    this.#statement.run(...parameters);
    return DONE;
  }

  pluck(): this {
    this.#statement.pluck();
    return this;
  }
}

/** Work that is done. It is its own iterator and that one's only result: each write has a dozen of these. */
class Answered<Result> implements Work<Result>, Iterator<never, Result> {
  readonly done = true;
  readonly value: Result;

  constructor(value: Result) {
    this.value = value;
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): this {
    return this;
  }
}

const DONE = new Answered<void>(undefined);
