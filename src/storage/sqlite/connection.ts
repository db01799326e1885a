/** Opens connections to a database file with the settings that durability and safety rest on. */
import { resolve } from "node:path";
import Database from "better-sqlite3";

export interface ConnectionOptions {
  readonly path: string;
  readonly busyTimeoutMs: number;
  /** What pages in memory may take of it, for each connection. */
  readonly pageCacheBytes?: number | undefined;
}

/** A WAL above this size is cut back after a checkpoint. */
export const WAL_LIMIT_BYTES = 64 * 1024 * 1024;

const SYNCHRONOUS_FULL = 2;
const AUTO_CHECKPOINT_PAGES = 1000;

/**
 * Pages that a connection keeps. Each commit of another connection empties a reader's, and the kernel has
 * the file's pages too: half of the driver's 16 MB does.
 */
const PAGE_CACHE_BYTES = 8 * 1024 * 1024;

/** Opens a connection as SQLite makes it, to look at a file that may be another program's. */
export function openBareConnection({ path, busyTimeoutMs }: ConnectionOptions): Database.Database {
  return new Database(path, { fileMustExist: true, timeout: busyTimeoutMs });
}

/** Opens a connection that writes. Puts the database in WAL mode. */
export function openWriteConnection(options: ConnectionOptions): Database.Database {
  const connection = openBareConnection(options);
  try {
    configure(connection, options);
    connection.exec("BEGIN IMMEDIATE");
    assertWritable(connection);
    connection.exec("ROLLBACK");
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** Opens a connection that can't write. The database must be in WAL mode already. */
export function openReadConnection(options: ConnectionOptions): Database.Database {
  const { path, busyTimeoutMs } = options;
  const connection = new Database(path, { readonly: true, fileMustExist: true, timeout: busyTimeoutMs });
  try {
    configure(connection, options);
    setPragma(connection, "query_only", 1);
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

/**
 * Opens a connection that only reads a file, whatever journal it has and whoever else has it open. What the
 * file says of its own schema isn't trusted.
 */
export function openFileToRead(path: string, busyTimeoutMs = 5_000): Database.Database {
  // Resolved, for SQLite takes some names for more than a name.
  const connection = new Database(resolve(path), { readonly: true, fileMustExist: true, timeout: busyTimeoutMs });
  try {
    setPragma(connection, "trusted_schema", 0);
    setPragma(connection, "cell_size_check", 1);
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** Sets a pragma and reads it back: SQLite passes over names and values that it doesn't know. */
export function setPragma(connection: Database.Database, name: string, value: number | string): void {
  connection.pragma(`${name} = ${value}`);
  const actual = connection.pragma(name, { simple: true });
  if (actual !== value) throw new Error(`SQLite keeps PRAGMA ${name} at ${String(actual)} instead of ${value}`);
}

/**
 * Throws unless the transaction that was begun can write. SQLite opens a file for reading where it may not
 * write it, and there even `BEGIN EXCLUSIVE` succeeds, with a lock that many can hold.
 */
export function assertWritable(connection: Database.Database): void {
  connection.exec("PRAGMA user_version = 0");
}

function configure(
  connection: Database.Database,
  { busyTimeoutMs, pageCacheBytes = PAGE_CACHE_BYTES }: ConnectionOptions,
): void {
  setPragma(connection, "busy_timeout", busyTimeoutMs);
  setPragma(connection, "journal_mode", "wal");
  // The driver is built with NORMAL for WAL, which loses acknowledged commits in a power cut.
  setPragma(connection, "synchronous", SYNCHRONOUS_FULL);
  // On macOS a plain fsync leaves the data in the drive's cache.
  setPragma(connection, "fullfsync", 1);
  setPragma(connection, "foreign_keys", 1);
  setPragma(connection, "trusted_schema", 0);
  setPragma(connection, "cell_size_check", 1);
  setPragma(connection, "wal_autocheckpoint", AUTO_CHECKPOINT_PAGES);
  setPragma(connection, "journal_size_limit", WAL_LIMIT_BYTES);
  // A negative number is one of KiB, a positive one is one of pages.
  setPragma(connection, "cache_size", -Math.floor(pageCacheBytes / 1024));
}
