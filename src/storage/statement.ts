/** What the engines' common statements and commands need of an engine, and how they wait for it. */

/**
 * Work on a database, step by step. It yields nothing where the engine answers on the calling thread; else what it
 * yields is between the engine's statements and whoever runs the work.
 */
export type Work<Result> = Iterable<unknown, Result, unknown>;

export type ResultOf<SomeWork> = SomeWork extends Work<infer Result> ? Result : never;

/** Values in the order of question marks, or one object with those that the names after `@` stand for. */
type Bound<Parameters extends unknown[] | object> = Parameters extends unknown[] ? Parameters : [Parameters];

/** One statement of SQL, prepared once. */
export interface Statement<Parameters extends unknown[] | object, Row> {
  /** In the engine's words. */
  readonly source: string;
  /** Answers the first row. */
  get(...parameters: Bound<Parameters>): Work<Row | undefined>;
  all(...parameters: Bound<Parameters>): Work<readonly Row[]>;
  /** Answers how many rows were changed. */
  changes(...parameters: Bound<Parameters>): Work<number>;
  /** Only runs it. That it fails may show later, but before the transaction commits. */
  run(...parameters: Bound<Parameters>): Work<void>;
  /** The same statement, whose rows are the values of their first column. */
  pluck(): Statement<Parameters, Row>;
}

/**
 * An engine's SQL, where it isn't every engine's. Times and numbers are BIGINT or INTEGER, texts are compared byte for
 * byte, and a truth value is read as 1 or 0.
 */
export interface Dialect {
  prepare<Parameters extends unknown[] | object = [], Row = unknown>(sql: string): Statement<Parameters, Row>;
  /** Holds where a column's first bytes are those of a parameter, or the parameter is NULL. */
  readonly startsWith: (column: string, parameter: string) => string;
  /** Selects the texts of a parameter's JSON array. */
  readonly elementsOf: (parameter: string) => string;
  /** What stands after FROM for the objects of a parameter's JSON array, each a `value`. */
  readonly objectsOf: (parameter: string) => string;
  /** A write that changes nothing that can be read, and is durable once it is committed. */
  readonly touch: string;
}
