/** The schema, as numbered steps that only go forward. A step that was released never changes. */
import { hash } from "node:crypto";
import type Database from "better-sqlite3";
import { StartError } from "../../domain/start-error.ts";
import { type ConnectionOptions, openBareConnection, openWriteConnection } from "./connection.ts";
import { initialSchema } from "./migrations/0001-initial-schema.ts";
import { membersAndRateWindows } from "./migrations/0002-members-and-rate-windows.ts";
import { recordedCalls } from "./migrations/0003-recorded-calls.ts";
import { events } from "./migrations/0004-events.ts";
import { rotations } from "./migrations/0005-rotations.ts";
import { imports } from "./migrations/0006-imports.ts";
import { ends } from "./migrations/0007-ends.ts";
import type { Migration } from "./migrations/migration.ts";

/** Version 1 is the first. */
const MIGRATIONS: readonly Migration[] = [
  initialSchema,
  membersAndRateWindows,
  recordedCalls,
  events,
  rotations,
  imports,
  ends,
];

/** "LTCH": marks a SQLite file as Latchkey's. */
const APPLICATION_ID = 0x4c_54_43_48;

interface AppliedMigration {
  readonly version: number;
  readonly name: string;
  readonly checksum: string;
}

/**
 * Brings the database to this program's schema, or throws a StartError when the file is another program's,
 * a newer Latchkey's, or was changed by hand. Nothing is written to a file that is refused. Safe when
 * several processes do it at once.
 */
export function migrate(options: ConnectionOptions, migrations: readonly Migration[] = MIGRATIONS): void {
  refuseForeignFile(options);
  const connection = openWriteConnection(options);
  try {
    connection.transaction(() => applyMissing(connection, options.path, migrations)).immediate();
  } finally {
    connection.close();
  }
}

// Runs before any setting is made, for WAL mode alone would change the file.
function refuseForeignFile(options: ConnectionOptions): void {
  const connection = openBareConnection(options);
  try {
    // One transaction, else the first start of another process could come between the two reads.
    connection.transaction(() => {
      const id = connection.pragma("application_id", { simple: true });
      if (id === APPLICATION_ID) return;
      const tables = connection.prepare<[], number>("SELECT count(*) FROM sqlite_schema").pluck().get();
      if (id !== 0 || tables !== 0) {
        throw new StartError(`${options.path} is the database of another program: choose another file`);
      }
    })();
  } finally {
    connection.close();
  }
}

/** Throws a StartError unless the database has exactly this program's schema. Changes nothing. */
export function requireSchema(options: ConnectionOptions): void {
  refuseForeignFile(options);
  const connection = openBareConnection(options);
  try {
    const tables = connection.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'").all();
    const applied = tables.length === 0 ? [] : listApplied(connection);
    const isCurrent = MIGRATIONS.every(({ sql }, index) => applied[index]?.checksum === hash("sha256", sql));
    if (isCurrent && applied.length === MIGRATIONS.length) return;
    throw new StartError(`${options.path} has another schema: start this version of the service on it first`);
  } finally {
    connection.close();
  }
}

function listApplied(connection: Database.Database): readonly AppliedMigration[] {
  return connection
    .prepare<[], AppliedMigration>("SELECT version, name, checksum FROM schema_migrations ORDER BY version")
    .all();
}

function applyMissing(connection: Database.Database, path: string, migrations: readonly Migration[]): void {
  connection.exec(`
    CREATE TABLE IF NOT EXISTS schema_migrations (
      version INTEGER PRIMARY KEY,
      name TEXT NOT NULL,
      applied_at INTEGER NOT NULL,
      checksum TEXT NOT NULL
    ) STRICT
  `);
  const applied = listApplied(connection);
  const version = applied.at(-1)?.version ?? 0;
  if (version > migrations.length) {
    throw new StartError(
      `${path} was written by a newer Latchkey (schema ${version}, this one knows ${migrations.length}): ` +
        "install that version or newer",
    );
  }
  const record = connection.prepare(`
    INSERT INTO schema_migrations (version, name, applied_at, checksum)
    VALUES (?, ?, CAST(unixepoch('subsec') * 1000 AS INTEGER), ?)
  `);
  for (const [index, { name, sql }] of migrations.entries()) {
    const checksum = hash("sha256", sql);
    const before = applied[index];
    if (before === undefined) {
      connection.exec(sql);
      record.run(index + 1, name, checksum);
    } else if (before.version !== index + 1 || before.checksum !== checksum) {
      throw new StartError(
        `${path} has a schema that this Latchkey didn't write (step ${before.version}, ${before.name}, differs): ` +
          "restore a backup, or install the version that wrote it",
      );
    }
  }
  // Only on the way up, for setting it writes to the file.
  if (version === 0) connection.pragma(`application_id = ${APPLICATION_ID}`);
}
