/** Makes the files of a database so that only their owner can read them. */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, realpathSync, renameSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { toStartError } from "./errors.ts";

const OWNER_ONLY_FILE = 0o600;
const OWNER_ONLY_DIRECTORY = 0o700;

/**
 * Makes the database file and its directory where they don't exist, and answers the file's one true path:
 * two names of one file must mean one lock. Throws a StartError.
 */
export function createDatabaseFile(path: string): string {
  // The driver trims file names, and both of us must mean the same file.
  const absolute = resolve(path.trim());
  try {
    createDirectory(dirname(absolute));
    createPrivateFile(absolute);
    return realpathSync(absolute);
  } catch (error) {
    throw toStartError(absolute, error);
  }
}

/** The one true path of a database file that may not exist yet. Makes its directory. Throws a StartError. */
export function resolveDatabaseFile(path: string): string {
  const absolute = resolve(path.trim());
  try {
    createDirectory(dirname(absolute));
    return existsSync(absolute) ? realpathSync(absolute) : join(realpathSync(dirname(absolute)), basename(absolute));
  } catch (error) {
    throw toStartError(absolute, error);
  }
}

/** Gives a file another name, in the place of one that has it, and returns when that is on the disk. */
export function moveFile(from: string, to: string): void {
  renameSync(from, to);
  syncFile(dirname(to));
}

/** Returns when what a file or a directory holds is on the disk. Not for a file that SQLite has open here. */
export function syncFile(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

// Not Node's recursive mkdir: that one never returns where the system answers ENOENT for good, as in /proc.
function createDirectory(path: string): void {
  if (existsSync(path)) return;
  createDirectory(dirname(path));
  ifMissing(() => mkdirSync(path, OWNER_ONLY_DIRECTORY));
}

/** Makes an empty file; one that is there stays as it is. SQLite gives the WAL the mode of its database. */
export function createPrivateFile(path: string): void {
  // Exclusive, for a file that SQLite has open must not be opened here: closing it would drop SQLite's locks.
  ifMissing(() => closeSync(openSync(path, "wx", OWNER_ONLY_FILE)));
}

function ifMissing(create: () => void): void {
  try {
    create();
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
}
