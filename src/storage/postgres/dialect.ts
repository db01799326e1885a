/** PostgreSQL's part of the common statements: each yields a query, and gets its answer when it goes on. */
import type pg from "pg";
import type { Dialect, Statement, Work } from "../statement.ts";

/** What a statement yields. */
export interface Query {
  readonly name: string;
  readonly text: string;
  readonly values: unknown[];
  /** Whether the work goes on with the answer; it doesn't wait for it otherwise. */
  readonly isAwaited: boolean;
}

/** Sends a query of a work, and answers what the work goes on with. */
export type Ask = (query: Query) => Promise<pg.QueryResult> | undefined;

/** Common statements take a plus before a parameter for SQLite's planner, and named or counted parameters. */
const PARAMETER = /\+?(?:@(\w+)|\?)/g;

/** @param prefix of the names of the statements, so that no two statements of one connection share a name */
export function postgresDialect(prefix: string): Dialect {
  let count = 0;
  return {
    prepare: <Parameters extends unknown[] | object, Row>(sql: string) =>
      new PostgresStatement(`${prefix}${++count}`, sql) as Statement<Parameters, Row>,
    startsWith: (column, parameter) => `(CAST(${parameter} AS BYTEA) IS NULL
      OR substr(convert_to(${column}, 'UTF8'), 1, length(${parameter})) = ${parameter})`,
    elementsOf: (parameter) => `SELECT json_array_elements_text(CAST(${parameter} AS JSON))`,
    objectsOf: (parameter) => `json_array_elements(CAST(${parameter} AS JSON)) AS elements (value)`,
    touch: "UPDATE revision SET value = value",
  };
}

/** Runs work on a connection. A query that isn't awaited fails at the next one that is. */
export async function perform<Result>(work: Work<Result>, ask: Ask): Promise<Result> {
  const steps = work[Symbol.iterator]();
  let step = steps.next();
  while (step.done !== true) {
    // Only statements of this dialect yield.
    const answer = ask(step.value as Query);
    step = steps.next(answer && (await answer));
  }
  return step.value;
}

class PostgresStatement implements Statement<unknown[], unknown> {
  readonly name: string;
  readonly source: string;
  /** Undefined where they are counted. */
  readonly #names: readonly string[] | undefined;
  #isPlucked = false;

  constructor(name: string, sql: string) {
    this.name = name;
    const names: string[] = [];
    let counted = 0;
    this.source = sql.replaceAll(PARAMETER, (_, parameter: string | undefined) => {
      if (parameter === undefined) return `$${++counted}`;
      const known = names.indexOf(parameter);
      return `$${known < 0 ? names.push(parameter) : known + 1}`;
    });
    this.#names = counted > 0 || names.length === 0 ? undefined : names;
  }

  *get(...parameters: unknown[]): Work<unknown> {
    const [row] = this.#rowsOf(yield this.#query(parameters, true));
    return row;
  }

  *all(...parameters: unknown[]): Work<readonly unknown[]> {
    return this.#rowsOf(yield this.#query(parameters, true));
  }

  *changes(...parameters: unknown[]): Work<number> {
    const { rowCount } = (yield this.#query(parameters, true)) as pg.QueryResult;
    return rowCount ?? 0;
  }

  *run(...parameters: unknown[]): Work<void> {
    yield this.#query(parameters, false);
  }

  pluck(): this {
    this.#isPlucked = true;
    return this;
  }

  #query(parameters: unknown[], isAwaited: boolean): Query {
    const [named] = parameters as [Readonly<Record<string, unknown>>?];
    const values = this.#names === undefined ? parameters : this.#names.map((name) => named?.[name]);
    return { name: this.name, text: this.source, values, isAwaited };
  }

  #rowsOf(answer: unknown): readonly unknown[] {
    const { rows, fields } = answer as pg.QueryResult<Record<string, unknown>>;
    const [first] = fields;
    return this.#isPlucked && first !== undefined ? rows.map((row) => row[first.name]) : rows;
  }
}
