/** Brings a database to the newest schema where no service runs, or says what that would do. */
import type Database from "better-sqlite3";
import type { SchemaState } from "../schema-state.ts";
import { openFileToRead } from "./connection.ts";
import { toReadError, toStartError } from "./errors.ts";
import { resolveDatabaseFile } from "./files.ts";
import { lockDatabase } from "./lock.ts";
import { migrate, readSchemaState } from "./migrations.ts";

const BUSY_TIMEOUT_MS = 5_000;

/**
 * Reads where the schema stands, also beside a running service, and changes nothing.
 *
 * @throws StartError for a file that can't be read, is another program's or a newer Latchkey's
 */
export function planUpgrade(path: string): SchemaState {
  let connection: Database.Database | undefined;
  try {
    connection = openFileToRead(path);
    return readSchemaState(connection, path);
  } catch (error) {
    throw toReadError(path, error);
  } finally {
    connection?.close();
  }
}

/**
 * Takes all steps that are missing, as one write, and answers where the schema stood before.
 *
 * @throws StartError as `planUpgrade` does, and while a service has the database
 */
export function upgradeDatabase(databasePath: string): SchemaState {
  const path = resolveDatabaseFile(databasePath);
  const lock = lockDatabase(path, "stop the service first; it also brings the schema up to date when it starts");
  try {
    return migrate({ path, busyTimeoutMs: BUSY_TIMEOUT_MS });
  } catch (error) {
    throw toStartError(path, error);
  } finally {
    lock.release();
  }
}
