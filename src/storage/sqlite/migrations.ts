/** The schema, as numbered steps that only go forward. A step that was released never changes. */
import type Database from "better-sqlite3";
import { StartError } from "../../domain/start-error.ts";
import { UNFINISHED_TABLE, unfinishedCopy } from "../copied-tables.ts";
import { type AppliedMigration, checksumOf, type Migration, type SchemaState, stateOf } from "../schema-state.ts";
import { type ConnectionOptions, openBareConnection, openWriteConnection } from "./connection.ts";
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

/** "LTCH": marks a SQLite file as Latchkey's. */
const APPLICATION_ID = 0x4c_54_43_48;

const CREATE_SCHEMA_MIGRATIONS = `
  CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at INTEGER NOT NULL,
    checksum TEXT NOT NULL
  ) STRICT
`;

/**
 * Brings the database to this program's schema, or throws a StartError when the file is another program's,
 * a newer Latchkey's, or was changed by hand. Nothing is written to a file that is refused. Safe when
 * several processes do it at once. Answers where the database stood before.
 */
export function migrate(options: ConnectionOptions, migrations: readonly Migration[] = MIGRATIONS): SchemaState {
  refuseForeignFile(options);
  const connection = openWriteConnection(options);
  try {
    return connection.transaction(() => applyMissing(connection, options.path, migrations)).immediate();
  } finally {
    connection.close();
  }
}

/**
 * Reads which steps the database has had, and writes nothing. Throws a StartError when the file is another
 * program's, a newer Latchkey's, or was changed by hand.
 */
export function readSchemaState(connection: Database.Database, path: string): SchemaState {
  // One transaction, else the first start of another process could come between the reads.
  return connection.transaction(() => {
    assertNotForeign(connection, path);
    refuseUnfinishedCopy(connection, path);
    const tables = connection.prepare<[], number>(
      "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'",
    );
    return tables.pluck().get() === 0
      ? { version: 0, missing: MIGRATIONS }
      : stateOf(appliedTo(connection), path, MIGRATIONS);
  })();
}

/** Makes the first `version` steps of the schema in an empty database. */
export function buildSchema(connection: Database.Database, version: number): void {
  connection.exec(CREATE_SCHEMA_MIGRATIONS);
  for (const { sql } of MIGRATIONS.slice(0, version)) connection.exec(sql);
}

/** Whether the database says that it is Latchkey's. */
export function isLatchkeys(connection: Database.Database): boolean {
  return connection.pragma("application_id", { simple: true }) === APPLICATION_ID;
}

/** Whether the database is a target of a copy that hasn't ended. */
export function isUnfinishedCopy(connection: Database.Database): boolean {
  const tables = connection.prepare<[string], number>("SELECT count(*) FROM sqlite_schema WHERE name = ?").pluck();
  return tables.get(UNFINISHED_TABLE) !== 0;
}

/** Throws a StartError for a target of a copy that hasn't ended. */
export function refuseUnfinishedCopy(connection: Database.Database, path: string): void {
  if (!isUnfinishedCopy(connection)) return;
  const source = connection.prepare<[], string>(`SELECT source FROM ${UNFINISHED_TABLE}`).pluck().get();
  throw new StartError(unfinishedCopy(path, source));
}

/** Throws a StartError when the file holds what isn't Latchkey's. An empty one is anybody's. */
export function assertNotForeign(connection: Database.Database, path: string): void {
  if (isLatchkeys(connection)) return;
  const id = connection.pragma("application_id", { simple: true });
  const tables = connection.prepare<[], number>("SELECT count(*) FROM sqlite_schema").pluck().get();
  if (id !== 0 || tables !== 0) {
    throw new StartError(`${path} is the database of another program: choose another file`);
  }
}

// Runs before any setting is made, for WAL mode alone would change the file.
function refuseForeignFile(options: ConnectionOptions): void {
  const connection = openBareConnection(options);
  try {
    connection.transaction(() => assertNotForeign(connection, options.path))();
  } finally {
    connection.close();
  }
}

/** Throws a StartError unless the database has exactly this program's schema. Changes nothing. */
export function requireSchema(options: ConnectionOptions): void {
  const connection = openBareConnection(options);
  try {
    if (readSchemaState(connection, options.path).missing.length === 0) return;
    throw new StartError(`${options.path} has another schema: start this version of the service on it first`);
  } finally {
    connection.close();
  }
}

function applyMissing(connection: Database.Database, path: string, migrations: readonly Migration[]): SchemaState {
  refuseUnfinishedCopy(connection, path);
  connection.exec(CREATE_SCHEMA_MIGRATIONS);
  const state = stateOf(appliedTo(connection), path, migrations);
  const record = connection.prepare(`
    INSERT INTO schema_migrations (version, name, applied_at, checksum)
    VALUES (?, ?, CAST(unixepoch('subsec') * 1000 AS INTEGER), ?)
  `);
  for (const [index, step] of state.missing.entries()) {
    connection.exec(step.sql);
    record.run(state.version + index + 1, step.name, checksumOf(step));
  }
  // Only on the way up, for setting it writes to the file.
  if (state.version === 0) connection.pragma(`application_id = ${APPLICATION_ID}`);
  return state;
}

function appliedTo(connection: Database.Database): readonly AppliedMigration[] {
  return connection
    .prepare<[], AppliedMigration>("SELECT version, name, checksum FROM schema_migrations ORDER BY version")
    .all();
}
