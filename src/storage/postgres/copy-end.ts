/** A PostgreSQL database as the source or the target of a copy. */
import { setTimeout } from "node:timers/promises";
import type pg from "pg";
import { nameOfPostgres, type PostgresSettings } from "../../domain/postgres-settings.ts";
import { StartError } from "../../domain/start-error.ts";
import { COPIED_TABLES, UNFINISHED_TABLE } from "../copied-tables.ts";
import {
  type Catalog,
  type ColumnKind,
  type CopyEnd,
  type CopyTarget,
  type Origin,
  type PageQuery,
  pageSql,
  type Row,
  type Value,
} from "../copy-end.ts";
import {
  APPLICATION_NAME,
  clientOptions,
  connect,
  discard,
  TIMEOUTS,
  type Timeouts,
  toStartError,
} from "./connection.ts";
import { isLockedOut } from "./errors.ts";
import { isUnfinishedCopy, migrate } from "./migrations.ts";

/** A batch is small, but to count a table or to make its statistics takes as long as the table does. */
const STATEMENT_MS = 3_600_000;

/** While the other side counts a table, this one waits. On a machine that died it lets go of its locks in the end. */
const IDLE_IN_TRANSACTION_MS = 600_000;

/** Connections of a process that was killed, or is just ending, are gone by then. */
const ENDING_MS = 3_000;
const ASK_AGAIN_MS = 100;

/** Of this user only: deployments that share a database differ by it. */
const OTHERS = `
  SELECT count(*) AS count FROM pg_stat_activity
  WHERE datname = current_database() AND usename = current_user AND application_name = $1 AND pid <> pg_backend_pid()
`;

/** Of whoever copies to a database of this server. */
const COPY_TURN = 1_280_590_665;

const KINDS: ReadonlyMap<string, ColumnKind> = new Map<string, ColumnKind>([
  ["text", "text"],
  ["bigint", "integer"],
  ["bytea", "bytes"],
]);

/** How a column's value is written in JSON, and read from it. */
const JSON_TYPES: Readonly<Record<ColumnKind, string>> = { text: "text", integer: "bigint", bytes: "text" };

/**
 * Opens a database that no service has, and keeps everybody from writing it: who tries waits, and gives up as for any
 * lock.
 *
 * @throws StartError
 */
export async function openPostgresSource(settings: PostgresSettings, timeouts: Timeouts = TIMEOUTS): Promise<CopyEnd> {
  return attempting(settings, async () => {
    const client = await open(settings, timeouts);
    try {
      await requireUnused(settings, client);
      await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
      await lockTables(settings, client);
      return await endOf(settings, client);
    } catch (error) {
      discard(client);
      throw error;
    }
  });
}

/** Opens a database that is empty or an unfinished copy. @throws StartError */
export async function openPostgresTarget(settings: PostgresSettings): Promise<CopyTarget> {
  return attempting(settings, async () => {
    const client = await open(settings);
    try {
      // Held for as long as the connection lasts; a killed process's lasts a moment longer.
      await client.query(`SELECT pg_advisory_lock(${COPY_TURN})`);
      const isMarked = await isUnfinishedCopy(client);
      if (!isMarked) await migrate(settings);
      const { rows } = isMarked
        ? await client.query<Origin>(`SELECT source, revision, last_hash AS "lastHash" FROM ${UNFINISHED_TABLE}`)
        : { rows: [] };
      return { ...(await endOf(settings, client)), takesNul: false, origin: rows[0], ...writesOf(settings, client) };
    } catch (error) {
      discard(client);
      throw error;
    }
  });
}

function writesOf(
  settings: PostgresSettings,
  client: pg.Client,
): Pick<CopyTarget, "begin" | "insert" | "setRevision" | "finish"> {
  return {
    begin: ({ source, revision, lastHash }) =>
      attempting(settings, async () => {
        await client.query("BEGIN");
        await client.query(
          `CREATE TABLE ${UNFINISHED_TABLE} (source TEXT NOT NULL, revision BIGINT NOT NULL, last_hash TEXT NOT NULL)`,
        );
        await client.query(`INSERT INTO ${UNFINISHED_TABLE} VALUES ($1, $2, $3)`, [source, revision, lastHash]);
        await client.query("COMMIT");
      }),
    insert: (table, columns, rows) =>
      attempting(settings, async () => {
        const names = columns.map(({ name }) => `"${name}"`).join(", ");
        const values = columns.map(({ name, kind }) => (kind === "bytes" ? `decode("${name}", 'hex')` : `"${name}"`));
        const types = columns.map(({ name, kind }) => `"${name}" ${JSON_TYPES[kind]}`).join(", ");
        const text = JSON.stringify(
          rows.map((row) =>
            Object.fromEntries(
              columns.map(({ name }, index) => {
                const value = row[index];
                return [name, value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value];
              }),
            ),
          ),
        );
        await client.query({
          name: `insert-${table}`,
          text: `INSERT INTO ${table} (${names}) SELECT ${values.join(", ")} FROM json_to_recordset($1::json) AS copied (${types})`,
          values: [text],
        });
      }),
    setRevision: (revision) =>
      attempting(settings, async () => void (await client.query("UPDATE revision SET value = $1", [revision]))),
    finish: () =>
      attempting(settings, async () => {
        // Else the first questions are planned as for empty tables.
        await client.query("ANALYZE");
        await client.query(`DROP TABLE ${UNFINISHED_TABLE}`);
      }),
  };
}

async function endOf(settings: PostgresSettings, client: pg.Client): Promise<CopyEnd> {
  const read = (text: string, values: readonly unknown[] = []): Promise<readonly Row[]> =>
    attempting(
      settings,
      async () => (await client.query<Value[]>({ text, values: [...values], rowMode: "array" })).rows,
    );
  return {
    name: nameOfPostgres(settings),
    catalog: await catalogOf(client, nameOfPostgres(settings)),
    count: async (table) => Number((await read(`SELECT count(*) FROM ${table}`))[0]?.[0]),
    page: (query: PageQuery) =>
      read(
        pageSql(query, (index) => `$${index + 1}`),
        query.after,
      ),
    last: async (table, key) => {
      const order = key.map((each) => `${each} DESC`).join(", ");
      return (await read(`SELECT ${key.join(", ")} FROM ${table} ORDER BY ${order} LIMIT 1`))[0];
    },
    [Symbol.asyncDispose]: async () => discard(client),
  };
}

async function catalogOf(client: pg.Client, name: string): Promise<Catalog> {
  const { rows } = await client.query<{ table: string; name: string; type: string }>(`
    SELECT table_name AS table, column_name AS name, data_type AS type
    FROM information_schema.columns
    WHERE table_schema = current_schema() AND is_generated = 'NEVER' AND table_name <> '${UNFINISHED_TABLE}'
    ORDER BY table_name COLLATE "C", column_name COLLATE "C"
  `);
  const byTable = Map.groupBy(rows, ({ table }) => table);
  return new Map(
    byTable.entries().map(([table, columns]) => [
      table,
      columns.map((column) => {
        const kind = KINDS.get(column.type);
        if (kind !== undefined) return { name: column.name, kind };
        throw new StartError(`${name} has a column ${column.name} of a type that can't be copied, ${column.type}`);
      }),
    ]),
  );
}

async function requireUnused(settings: PostgresSettings, client: pg.Client): Promise<void> {
  const untilMs = performance.now() + ENDING_MS;
  for (;;) {
    const { rows } = await client.query<{ count: number }>(OTHERS, [APPLICATION_NAME]);
    const count = rows[0]?.count ?? 0;
    if (count === 0) return;
    if (performance.now() > untilMs) {
      const found = `${count} ${count === 1 ? "connection" : "connections"} of Latchkey`;
      throw new StartError(`${nameOfPostgres(settings)} is in use, by ${found}: stop all services before you copy`);
    }
    await setTimeout(ASK_AGAIN_MS);
  }
}

/** To be called before the transaction's first read: only then does that read find what the last writer left. */
async function lockTables(settings: PostgresSettings, client: pg.Client): Promise<void> {
  try {
    await client.query(`LOCK TABLE ${COPIED_TABLES.map(({ name }) => name).join(", ")} IN SHARE MODE`);
  } catch (error) {
    if (!isLockedOut(error)) throw error;
    const advice = "end whatever does it before you copy";
    throw new StartError(`${nameOfPostgres(settings)} is being written: ${advice}`, { cause: error });
  }
}

async function open(settings: PostgresSettings, timeouts: Timeouts = TIMEOUTS): Promise<pg.Client> {
  const options = clientOptions(settings, { ...timeouts, statementMs: STATEMENT_MS });
  return connect({ ...options, idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS });
}

async function attempting<Result>(settings: PostgresSettings, action: () => Promise<Result>): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    throw toStartError(settings, error);
  }
}
