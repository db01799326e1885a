/** Lets one process at a time work on a file, by a lock that the operating system drops when the process dies. */
import { open } from "node:fs/promises";
import { CommandError } from "./command-error.ts";
import { EXIT } from "./exit-codes.ts";

/** Longer than the call takes at most that a lock is held for. */
const TIMEOUT_MS = 30_000;

/**
 * Runs the work while nobody else runs theirs on this path, in any process.
 *
 * Node locks no files, so the lock is SQLite's own on an empty file beside it.
 *
 * @throws CommandError when somebody holds it for 30 s, or the lock's file can't be made; and what the work throws
 */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const lockPath = `${path}.lock`;
  const { default: Database } = await import("better-sqlite3");
  let connection: InstanceType<typeof Database> | undefined;
  try {
    // Made by SQLite, it could be open to others.
    await (await open(lockPath, "a", 0o600)).close();
    connection = new Database(lockPath, { fileMustExist: true, timeout: TIMEOUT_MS });
    // The transaction never commits, so there is nothing to keep a journal file for.
    connection.pragma("journal_mode = memory");
    connection.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    connection?.close();
    const { code = "" } = error as NodeJS.ErrnoException;
    if (code.startsWith("SQLITE_BUSY")) {
      throw new CommandError(`${path} is in use by another command; try again`, EXIT.unavailable);
    }
    throw new CommandError(`${path} can't be written: ${code}`);
  }
  try {
    return await work();
  } finally {
    connection.close();
  }
}
