/** What copying needs of an engine. */

export type ColumnKind = "text" | "integer" | "bytes";

export interface Column {
  readonly name: string;
  readonly kind: ColumnKind;
}

/** By the names of the tables. Without columns that are computed; by their names in each table. */
export type Catalog = ReadonlyMap<string, readonly Column[]>;

export type Value = string | number | Uint8Array | null;
export type Row = readonly Value[];

/** One page of a table: the values of its columns, and behind them those of its key. */
export interface PageQuery {
  readonly table: string;
  readonly columns: readonly Column[];
  readonly key: readonly string[];
  /** The key of the row before the first; undefined for the table's start. */
  readonly after: Row | undefined;
  readonly limit: number;
}

/** Which state of which database a target is a copy of. */
export interface Origin {
  /** The source's name, without a password. */
  readonly source: string;
  readonly revision: number;
  /** Of the last event in hexadecimal, empty without events. */
  readonly lastHash: string;
}

/** A database that is copied, or copied to. Until it is let go, nobody else writes it. */
export interface CopyEnd extends AsyncDisposable {
  readonly name: string;
  readonly catalog: Catalog;
  count(table: string): Promise<number>;
  /** By ascending key. */
  page(query: PageQuery): Promise<readonly Row[]>;
  /** The key of a table's last row. */
  last(table: string, key: readonly string[]): Promise<Row | undefined>;
}

export interface CopyTarget extends CopyEnd {
  /** Whether a text can hold U+0000. */
  readonly takesNul: boolean;
  /** Of the copy that was begun here; undefined where none was. */
  readonly origin: Origin | undefined;
  /** Marks an empty target, so that nobody serves it until `finish`. */
  begin(origin: Origin): Promise<void>;
  /** Stores rows, durably and all or none. */
  insert(table: string, columns: readonly Column[], rows: readonly Row[]): Promise<void>;
  /** Sets the number of the last change. */
  setRevision(revision: number): Promise<void>;
  /** Takes the mark away. */
  finish(): Promise<void>;
}

/** SQL of a page, for an engine's way to write parameters. */
export function pageSql(
  { table, columns, key, after, limit }: PageQuery,
  parameter: (index: number) => string,
): string {
  const names = columns.map(({ name }) => `"${name}"`);
  const where = after && `WHERE (${key.join(", ")}) > (${key.map((_, index) => parameter(index)).join(", ")})`;
  return `SELECT ${[...names, ...key].join(", ")} FROM ${table} ${where ?? ""} ORDER BY ${key.join(", ")} LIMIT ${limit}`;
}
