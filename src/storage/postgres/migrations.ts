/** The schema, as numbered steps that only go forward. A step that was released never changes. */
import type pg from "pg";
import { nameOfPostgres, type PostgresSettings } from "../../domain/postgres-settings.ts";
import { StartError } from "../../domain/start-error.ts";
import { UNFINISHED_TABLE, unfinishedCopy } from "../copied-tables.ts";
import { type AppliedMigration, checksumOf, type Migration, type SchemaState, stateOf } from "../schema-state.ts";
import { assertServes, clientOptions, connect, TIMEOUTS, type Timeouts } from "./connection.ts";
import { initialSchema } from "./migrations/0001-initial-schema.ts";
import { membersAndRateWindows } from "./migrations/0002-members-and-rate-windows.ts";
import { recordedCalls } from "./migrations/0003-recorded-calls.ts";
import { events } from "./migrations/0004-events.ts";
import { rotations } from "./migrations/0005-rotations.ts";
import { imports } from "./migrations/0006-imports.ts";
import { ends } from "./migrations/0007-ends.ts";
import { uses } from "./migrations/0008-uses.ts";
import { accounts } from "./migrations/0009-accounts.ts";
import { browserSessions } from "./migrations/0010-browser-sessions.ts";
import { identities } from "./migrations/0011-identities.ts";
import { lastUses } from "./migrations/0012-last-uses.ts";

/** Version 1 is the first. */
export const MIGRATIONS: readonly Migration[] = [
  initialSchema,
  membersAndRateWindows,
  recordedCalls,
  events,
  rotations,
  imports,
  ends,
  uses,
  accounts,
  browserSessions,
  identities,
  lastUses,
];

/** Of whoever brings a database of this server up to date. */
const TAKE_TURN = "SELECT pg_advisory_xact_lock(1280590664)";

/** A step on many rows takes its time, and whoever starts meanwhile waits for it. */
const STEP_MS = 3_600_000;

/**
 * Brings the database to this program's schema, or throws a StartError when it is another program's, a newer
 * Latchkey's, or was changed by hand. It is one transaction, which is safe when several processes do it at once. Answers
 * where the database stood before.
 */
export async function migrate(
  settings: PostgresSettings,
  timeouts: Timeouts = TIMEOUTS,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<SchemaState> {
  return withClient(settings, { ...timeouts, statementMs: STEP_MS, lockMs: STEP_MS }, async (client) => {
    await client.query("BEGIN ISOLATION LEVEL READ COMMITTED");
    await client.query(TAKE_TURN);
    const state = await readState(client, settings, migrations);
    if (state.version === 0 && state.missing.length > 0) await client.query(CREATE_SCHEMA_MIGRATIONS);
    for (const [index, step] of state.missing.entries()) {
      await client.query(step.sql);
      await client.query(
        "INSERT INTO schema_migrations (version, name, applied_at, checksum) VALUES ($1, $2, $3, $4)",
        [state.version + index + 1, step.name, Date.now(), checksumOf(step)],
      );
    }
    await client.query("COMMIT");
    return state;
  });
}

/** Reads which steps the database has had, and writes nothing. Throws as `migrate` does. */
export async function readSchemaState(settings: PostgresSettings): Promise<SchemaState> {
  return withClient(settings, TIMEOUTS, (client) => readState(client, settings, MIGRATIONS));
}

/** Throws a StartError unless the database has exactly this program's schema. Changes nothing. */
export async function requireSchema(settings: PostgresSettings): Promise<void> {
  const { missing } = await readSchemaState(settings);
  if (missing.length === 0) return;
  const advice = "start this version of the service on it first";
  throw new StartError(`${nameOfPostgres(settings)} has another schema: ${advice}`);
}

/** Whether the database is a target of a copy that hasn't ended. */
export async function isUnfinishedCopy(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query(
    "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1",
    [UNFINISHED_TABLE],
  );
  return rows.length > 0;
}

const CREATE_SCHEMA_MIGRATIONS = `
  CREATE TABLE schema_migrations (
    version BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at BIGINT NOT NULL,
    checksum TEXT NOT NULL
  )
`;

async function withClient<Result>(
  settings: PostgresSettings,
  timeouts: Timeouts,
  use: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const options = clientOptions(settings, timeouts);
  const client = await connect(options);
  try {
    await assertServes(client, options);
    return await use(client);
  } finally {
    await client.end().catch(() => {});
  }
}

async function readState(
  client: pg.Client,
  settings: PostgresSettings,
  migrations: readonly Migration[],
): Promise<SchemaState> {
  const tables = await client.query<{ name: string }>(
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema()",
  );
  if (tables.rows.length === 0) return { version: 0, missing: migrations };
  if (tables.rows.some(({ name }) => name === UNFINISHED_TABLE)) {
    const { rows } = await client.query<{ source: string }>(`SELECT source FROM ${UNFINISHED_TABLE}`);
    throw new StartError(unfinishedCopy(nameOfPostgres(settings), rows[0]?.source));
  }
  // Other programs have a table of this name too, but not beside this one, and with checksums.
  const own = await client.query(`
    SELECT 1 FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name = 'schema_migrations' AND column_name = 'checksum'
  `);
  if (own.rows.length === 0 || !tables.rows.some(({ name }) => name === "revision")) {
    const advice = "choose another database or schema";
    throw new StartError(`${nameOfPostgres(settings)} is the database of another program: ${advice}`);
  }
  const applied = await client.query<AppliedMigration>(
    "SELECT version, name, checksum FROM schema_migrations ORDER BY version",
  );
  return stateOf(applied.rows, nameOfPostgres(settings), migrations);
}
