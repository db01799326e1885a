/** A test app's database seen from outside, whichever engine it has: as its operator sees it, or a thief. */
import { readFile } from "node:fs/promises";
import Database from "better-sqlite3";
import pg from "pg";
import type { Config } from "../../src/config.ts";
import { connectTo } from "./postgres.ts";

type Row = Readonly<Record<string, string | number | Buffer | null>>;

export interface TestDatabase {
  /** Settings by which a command works on it. */
  readonly env: Readonly<Record<string, string>>;
  /** What such a command is given of it besides: its file, where it is one. */
  readonly file: readonly string[];
  /** Runs one statement, in SQL that every engine takes. */
  query(sql: string): Promise<readonly Row[]>;
  /** Lets stored events be changed and deleted, which the engine refuses. */
  allowEdits(): Promise<void>;
  /** All that is stored, as bytes. */
  contents(): Promise<Buffer>;
}

export function openTestDatabase({ dataDir, databasePath }: Config, url: string | undefined): TestDatabase {
  return url === undefined ? sqliteFile(dataDir, databasePath) : postgresDatabase(dataDir, url);
}

function sqliteFile(dataDir: string, path: string): TestDatabase {
  const query = async (sql: string): Promise<readonly Row[]> => {
    const connection = new Database(path);
    try {
      const statement = connection.prepare<[], Row>(sql);
      if (statement.reader) return statement.all();
      statement.run();
      return [];
    } finally {
      connection.close();
    }
  };
  return {
    env: { LATCHKEY_DATA_DIR: dataDir },
    file: [path],
    query,
    async allowEdits() {
      await query("DROP TRIGGER events_are_not_changed");
      await query("DROP TRIGGER events_are_not_deleted");
    },
    contents: async () => Buffer.concat([await readFile(path), await readFile(`${path}-wal`)]),
  };
}

function postgresDatabase(dataDir: string, url: string): TestDatabase {
  const query = async (sql: string): Promise<readonly Row[]> => {
    await using other = await connectTo(url);
    return (await other.client.query<Row>(sql)).rows;
  };
  return {
    env: { LATCHKEY_DATA_DIR: dataDir, LATCHKEY_DATABASE_URL: url },
    file: [],
    query,
    async allowEdits() {
      await query("DROP TRIGGER events_are_not_changed ON events");
    },
    async contents() {
      const tables = await query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
      const names = tables.map(({ tablename }) => String(tablename));
      const rows = (await Promise.all(names.map((name) => query(`SELECT * FROM ${pg.escapeIdentifier(name)}`)))).flat();
      const values = rows.flatMap((row) => Object.values(row));
      return Buffer.concat(values.map((value) => (Buffer.isBuffer(value) ? value : Buffer.from(`${value}\n`))));
    },
  };
}
