/** A SQLite file as the source or the target of a copy. */
import type Database from "better-sqlite3";
import { StartError } from "../../domain/start-error.ts";
import { UNFINISHED_TABLE } from "../copied-tables.ts";
import {
  type Catalog,
  type Column,
  type ColumnKind,
  type CopyEnd,
  type CopyTarget,
  type Origin,
  type PageQuery,
  pageSql,
  type Row,
} from "../copy-end.ts";
import { openFileToRead, openWriteConnection } from "./connection.ts";
import { toReadError, toStartError } from "./errors.ts";
import { createDatabaseFile, resolveDatabaseFile } from "./files.ts";
import { lockDatabase } from "./lock.ts";
import { assertNotForeign, isUnfinishedCopy, migrate } from "./migrations.ts";

const BUSY_TIMEOUT_MS = 5_000;

const KINDS: ReadonlyMap<string, ColumnKind> = new Map<string, ColumnKind>([
  ["TEXT", "text"],
  ["INTEGER", "integer"],
  ["BLOB", "bytes"],
]);

/** Opens a database that no service has, and keeps services from it. @throws StartError */
export function openSqliteSource(databasePath: string): CopyEnd {
  const path = resolveDatabaseFile(databasePath);
  const lock = lockDatabase(path, "stop the service before you copy");
  let connection: Database.Database | undefined;
  try {
    connection = openFileToRead(path);
    // One state, also for a program that takes no lock.
    connection.exec("BEGIN");
    return endOf(path, connection, () => lock.release());
  } catch (error) {
    connection?.close();
    lock.release();
    throw toReadError(path, error);
  }
}

/** Opens a database that is empty or an unfinished copy, and keeps services from it. @throws StartError */
export function openSqliteTarget(databasePath: string): CopyTarget {
  const path = createDatabaseFile(databasePath);
  const lock = lockDatabase(path, "a database that is served can't be copied to");
  let connection: Database.Database | undefined;
  try {
    if (!isMarked(path)) migrate({ path, busyTimeoutMs: BUSY_TIMEOUT_MS });
    connection = openWriteConnection({ path, busyTimeoutMs: BUSY_TIMEOUT_MS });
    return targetOf(path, connection, () => lock.release());
  } catch (error) {
    connection?.close();
    lock.release();
    throw toStartError(path, error);
  }
}

function isMarked(path: string): boolean {
  const connection = openFileToRead(path);
  try {
    assertNotForeign(connection, path);
    return isUnfinishedCopy(connection);
  } finally {
    connection.close();
  }
}

function targetOf(path: string, connection: Database.Database, release: () => void): CopyTarget {
  const origin = isUnfinishedCopy(connection)
    ? connection.prepare<[], Origin>(`SELECT source, revision, last_hash AS lastHash FROM ${UNFINISHED_TABLE}`).get()
    : undefined;
  const attempt = async (action: () => void): Promise<void> => {
    try {
      action();
    } catch (error) {
      throw toStartError(path, error);
    }
  };
  return {
    ...endOf(path, connection, release),
    takesNul: true,
    origin,
    begin: ({ source, revision, lastHash }) =>
      attempt(() => {
        const mark = connection.transaction(() => {
          connection.exec(
            `CREATE TABLE ${UNFINISHED_TABLE} (source TEXT NOT NULL, revision INTEGER NOT NULL, last_hash TEXT NOT NULL) STRICT`,
          );
          connection.prepare(`INSERT INTO ${UNFINISHED_TABLE} VALUES (?, ?, ?)`).run(source, revision, lastHash);
        });
        mark.immediate();
      }),
    insert: (table, columns, rows) =>
      attempt(() => {
        const names = columns.map(({ name }) => `"${name}"`).join(", ");
        const insert = connection.prepare(
          `INSERT INTO ${table} (${names}) VALUES (${columns.map(() => "?").join(", ")})`,
        );
        connection
          .transaction(() => {
            for (const row of rows) insert.run(...row.slice(0, columns.length));
          })
          .immediate();
      }),
    setRevision: (revision) => attempt(() => void connection.prepare("UPDATE revision SET value = ?").run(revision)),
    finish: () => attempt(() => void connection.exec(`DROP TABLE ${UNFINISHED_TABLE}`)),
  };
}

function endOf(path: string, connection: Database.Database, release: () => void): CopyEnd {
  const statements = new Map<string, Database.Statement<unknown[], Row>>();
  const prepared = (sql: string): Database.Statement<unknown[], Row> => {
    const statement = statements.get(sql) ?? connection.prepare<unknown[], Row>(sql).raw();
    statements.set(sql, statement);
    return statement;
  };
  const reading = async <Result>(read: () => Result): Promise<Result> => {
    try {
      return read();
    } catch (error) {
      throw toReadError(path, error);
    }
  };
  return {
    name: path,
    catalog: catalogOf(connection, path),
    count: (table) => reading(() => Number(prepared(`SELECT count(*) FROM ${table}`).get()?.[0])),
    page: (query: PageQuery) => reading(() => prepared(pageSql(query, () => "?")).all(...(query.after ?? []))),
    last: (table, key) => {
      const order = key.map((each) => `${each} DESC`).join(", ");
      return reading(() => prepared(`SELECT ${key.join(", ")} FROM ${table} ORDER BY ${order} LIMIT 1`).get());
    },
    [Symbol.asyncDispose]: async () => {
      connection.close();
      release();
    },
  };
}

function catalogOf(connection: Database.Database, path: string): Catalog {
  const rows = connection
    .prepare<[], { tableName: string; name: string; type: string }>(`
      SELECT t.name AS tableName, c.name, c.type
      FROM sqlite_schema AS t JOIN pragma_table_xinfo(t.name) AS c
      WHERE t.type = 'table' AND t.name NOT GLOB 'sqlite_*' AND t.name <> '${UNFINISHED_TABLE}' AND c.hidden = 0
      ORDER BY t.name, c.name
    `)
    .all();
  const columnOf = (name: string, type: string): Column => {
    const kind = KINDS.get(type);
    if (kind === undefined)
      throw new StartError(`${path} has a column ${name} of a type that can't be copied, ${type}`);
    return { name, kind };
  };
  const byTable = Map.groupBy(rows, ({ tableName }) => tableName);
  return new Map(
    byTable.entries().map(([table, columns]) => [table, columns.map(({ name, type }) => columnOf(name, type))]),
  );
}
