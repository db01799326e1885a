/** A PostgreSQL database as the source or the target of a copy. */
import type pg from "pg";
import { nameOfPostgres, type PostgresSettings } from "../../domain/postgres-settings.ts";
import { StartError } from "../../domain/start-error.ts";
import { UNFINISHED_TABLE } from "../copied-tables.ts";
import {
  type Catalog,
  type ColumnKind,
  type CopyEnd,
  type CopySource,
  type CopyTarget,
  type Origin,
  type PageQuery,
  pageSql,
  type Row,
  type Value,
} from "../copy-end.ts";
import { clientOptions, connect, discard, TIMEOUTS, toStartError } from "./connection.ts";
import { isUnfinishedCopy, migrate } from "./migrations.ts";

/** A batch is small, but to count a table or to make its statistics takes as long as the table does. */
const STATEMENT_MS = 3_600_000;

/** Of whoever copies to a database of this server. */
const COPY_TURN = 1_280_590_665;

const KINDS: ReadonlyMap<string, ColumnKind> = new Map<string, ColumnKind>([
  ["text", "text"],
  ["bigint", "integer"],
  ["bytea", "bytes"],
]);

/** How a column's value is written in JSON, and read from it. */
const JSON_TYPES: Readonly<Record<ColumnKind, string>> = { text: "text", integer: "bigint", bytes: "text" };

/** Opens one state of a database. @throws StartError */
export async function openPostgresSource(settings: PostgresSettings): Promise<CopySource> {
  return attempting(settings, async () => {
    const client = await open(settings);
    try {
      await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
      const before = await readRevision(client);
      const end = await endOf(settings, client);
      const assertUnmoved = (): Promise<void> =>
        attempting(settings, async () => {
          const other = await open(settings);
          try {
            if ((await readRevision(other)) === before) return;
          } finally {
            discard(other);
          }
          const advice = "stop all services on it, empty the target and copy again";
          throw new StartError(`${end.name} was changed while it was copied: ${advice}`);
        });
      return { ...end, assertUnmoved };
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

async function readRevision(client: pg.Client): Promise<number | undefined> {
  return (await client.query<{ value: number }>("SELECT value FROM revision")).rows[0]?.value;
}

async function open(settings: PostgresSettings): Promise<pg.Client> {
  const options = clientOptions(settings, { ...TIMEOUTS, statementMs: STATEMENT_MS });
  return connect({ ...options, idle_in_transaction_session_timeout: 0 });
}

async function attempting<Result>(settings: PostgresSettings, action: () => Promise<Result>): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    throw toStartError(settings, error);
  }
}
