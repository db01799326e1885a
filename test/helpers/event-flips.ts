/** Turns bits of stored events, as somebody would who has the database file. */
import Database from "better-sqlite3";
import type { EventRow } from "../../src/storage/rows.ts";

/** Columns by the type that their bits are in. */
const COLUMNS = {
  revision: "INTEGER",
  organization_id: "TEXT",
  sequence: "INTEGER",
  at: "INTEGER",
  actor_kind: "TEXT",
  actor_id: "TEXT",
  address: "TEXT",
  action: "TEXT",
  target: "TEXT",
  target_name: "TEXT",
  scopes: "TEXT",
  details: "TEXT",
  request_id: "TEXT",
  previous_hash: "BLOB",
  hash: "BLOB",
} as const satisfies Record<keyof EventRow, string>;

const NAMES = Object.keys(COLUMNS) as (keyof EventRow)[];

/** An integer, at least 0, below `limit`. */
type Below = (limit: number) => number;

interface Flip {
  /** Which bits of what, for a person. */
  readonly what: string;
  /** The schema itself refused it. */
  readonly wasRefused: boolean;
}

/**
 * Turns one bit of one column of one of the events. The trigger that keeps events from being changed must be gone.
 *
 * @param rows the events, as they are
 */
export function flipSomeBit(connection: Database.Database, rows: readonly EventRow[], below: Below): Flip {
  for (;;) {
    const row = rows[below(rows.length)];
    const column = NAMES[below(NAMES.length)];
    if (row === undefined || column === undefined) throw new Error("there are no events");
    const edited = flip(row[column], below);
    if (edited === undefined) continue;
    const what = `${column} of event ${row.revision}: ${String(edited)}`;
    try {
      // The bytes go in as they are: a text may not be valid UTF-8 any more.
      connection
        .prepare(`UPDATE events SET ${column} = CAST(? AS ${COLUMNS[column]}) WHERE revision = ?`)
        .run(edited, row.revision);
      return { what, wasRefused: false };
    } catch (error) {
      if (!(error instanceof Database.SqliteError)) throw error;
      return { what, wasRefused: true };
    }
  }
}

/** The value with one bit turned; undefined for a value without bits. */
function flip(value: string | number | Uint8Array, below: Below): Uint8Array | bigint | undefined {
  if (typeof value === "number") return BigInt.asIntN(64, BigInt(value) ^ (1n << BigInt(below(64))));
  const bytes = Buffer.from(value as string);
  if (bytes.length === 0) return undefined;
  const place = below(bytes.length);
  bytes[place] = (bytes[place] ?? 0) ^ (1 << below(8));
  return bytes;
}
