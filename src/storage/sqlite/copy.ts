/** Copies a database that may be in service into one file, whole or not at all. */
import { randomBytes } from "node:crypto";
import { closeSync, openSync, rmSync } from "node:fs";
import type Database from "better-sqlite3";
import { openBareConnection, openFileToRead, setPragma } from "./connection.ts";
import { toCopyError, toReadError } from "./errors.ts";
import { moveFile, syncFile } from "./files.ts";

export interface CopyOptions {
  readonly from: string;
  /** Its directory must exist. A file of this name is replaced, in one step. */
  readonly to: string;
  readonly onProgress?: (copiedPages: number, allPages: number) => void;
  /** Gives the copying up. */
  readonly signal?: AbortSignal;
  /** Looks at the copy, and may change it, before it gets its name. Throws to give it up. */
  readonly prepare: (copy: string) => void | Promise<void>;
  /** Gives the copy its name; the default is `moveFile`. */
  readonly place?: (copy: string, to: string) => void;
}

/** Few enough for progress to be seen and for a signal to be heard, and enough to be fast. */
const PAGES_A_STEP = 1_000;

/**
 * Copies the database as it is at the moment of the call, whatever is written meanwhile. Writes go on while it
 * copies. The copy is one file that needs no other beside it, is for its owner only, and is on the disk when
 * this resolves. Of a copy that failed nothing is left.
 *
 * @throws StartError for a database that can't be read and a copy that can't be written; what `prepare` throws
 */
export async function copyDatabase({ from, to, onProgress, signal, prepare, place = moveFile }: CopyOptions) {
  const copy = `${to}.${randomBytes(4).toString("hex")}.partial`;
  try {
    await copyPages(from, copy, onProgress, signal);
    keepInOneFile(copy);
    await prepare(copy);
    syncFile(copy);
    signal?.throwIfAborted();
    place(copy, to);
  } catch (error) {
    throw signal?.aborted === true ? error : toCopyError(from, to, error);
  } finally {
    for (const suffix of ["", "-journal", "-wal", "-shm"]) rmSync(copy + suffix, { force: true });
  }
}

async function copyPages(
  from: string,
  copy: string,
  onProgress: CopyOptions["onProgress"],
  signal: AbortSignal | undefined,
): Promise<void> {
  const source = openToCopy(from);
  try {
    closeSync(openSync(copy, "wx", 0o600));
    const { totalPages: all } = await source.backup(copy, {
      progress({ totalPages, remainingPages }) {
        signal?.throwIfAborted();
        onProgress?.(totalPages - remainingPages, totalPages);
        return PAGES_A_STEP;
      },
    });
    onProgress?.(all, all);
  } finally {
    source.close();
  }
}

/** One state of the database, held still. Without that, SQLite starts a copy over whenever somebody commits. */
function openToCopy(path: string): Database.Database {
  let source: Database.Database | undefined;
  try {
    source = openFileToRead(path);
    source.exec("BEGIN");
    source.prepare("SELECT count(*) FROM sqlite_schema").get();
    return source;
  } catch (error) {
    source?.close();
    throw toReadError(path, error);
  }
}

/** A database in WAL mode wants files beside it, and a directory that it may write. */
function keepInOneFile(path: string): void {
  const connection = openBareConnection({ path, busyTimeoutMs: 0 });
  try {
    setPragma(connection, "journal_mode", "delete");
  } finally {
    connection.close();
  }
}
