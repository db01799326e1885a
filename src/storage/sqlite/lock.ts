/** Holds a database file for one serving process, by a lock that the operating system drops when the process dies. */
import Database from "better-sqlite3";
import { StartError } from "../../domain/start-error.ts";
import { assertWritable, setPragma } from "./connection.ts";
import { toStartError } from "./errors.ts";
import { createPrivateFile } from "./files.ts";

export interface DatabaseLock {
  release(): void;
}

const SERVING_ADVICE =
  "one process serves a SQLite file; to use more cores set LATCHKEY_THREADS, to use more machines use PostgreSQL";

/**
 * Takes the lock, or throws a StartError when somebody has it, in this process or another one.
 *
 * The lock is SQLite's own on a file beside the database, so the database stays open to offline commands.
 * Nothing in this process may open and close the lock file by other means: that would drop the lock.
 *
 * @param advice what to do when somebody has it
 */
export function lockDatabase(path: string, advice = SERVING_ADVICE): DatabaseLock {
  const lockPath = `${path}.lock`;
  let connection: Database.Database | undefined;
  try {
    createPrivateFile(lockPath);
    connection = new Database(lockPath, { fileMustExist: true, timeout: 0 });
    // The transaction never commits, so there is nothing to keep a journal file for.
    setPragma(connection, "journal_mode", "memory");
    connection.exec("BEGIN EXCLUSIVE");
    assertWritable(connection);
  } catch (error) {
    connection?.close();
    if (error instanceof Database.SqliteError && error.code.startsWith("SQLITE_BUSY")) {
      throw new StartError(`${path} is in use: ${advice}`, { cause: error });
    }
    throw toStartError(lockPath, error);
  }
  const held = connection;
  return { release: () => void held.close() };
}
