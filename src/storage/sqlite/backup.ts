/** Makes a backup of a database that may be in service. */
import { existsSync, realpathSync } from "node:fs";
import { resolve } from "node:path";
import { StartError } from "../../domain/start-error.ts";
import { openFileToRead } from "./connection.ts";
import { type CopyOptions, copyDatabase } from "./copy.ts";
import { moveFile } from "./files.ts";
import { isLatchkeys } from "./migrations.ts";

export interface BackupOptions extends Pick<CopyOptions, "onProgress" | "signal"> {
  readonly database: string;
  /** The backup to make. */
  readonly file: string;
  /** Whether a backup that has the name already is replaced. */
  readonly overwrite: boolean;
  /** Looks at the backup before it gets its name, and throws to give it up. */
  readonly approve: (copy: string) => void | Promise<void>;
}

/**
 * Backs the database up as it is at the moment of the call; see `copyDatabase`.
 *
 * @throws StartError for a database that can't be read, and a file that can't or must not be written; what
 * `approve` throws
 */
export async function backUpDatabase(options: BackupOptions): Promise<void> {
  const { database, overwrite, approve, ...copying } = options;
  const file = resolve(options.file);
  refuseToLose(file, database, overwrite);
  await copyDatabase({
    ...copying,
    from: database,
    to: file,
    prepare: approve,
    place(copy) {
      // Checking takes a while, in which somebody else may have taken the name.
      refuseToLose(file, database, overwrite);
      moveFile(copy, file);
    },
  });
}

/** Throws unless the name is free, or is that of a backup which may be replaced. */
function refuseToLose(file: string, database: string, overwrite: boolean): void {
  if (!existsSync(file)) return;
  if (existsSync(database) && realpathSync(file) === realpathSync(database)) {
    throw new StartError(`${file} is the database itself: choose another name`);
  }
  if (!overwrite) throw new StartError(`${file} is there already: choose another name, or replace it with --force`);
  if (existsSync(`${file}.lock`) || !isBackup(file)) {
    throw new StartError(`${file} is no backup, and is not replaced: choose another name`);
  }
}

function isBackup(file: string): boolean {
  let connection: ReturnType<typeof openFileToRead> | undefined;
  try {
    connection = openFileToRead(file, 0);
    return isLatchkeys(connection);
  } catch {
    return false;
  } finally {
    connection?.close();
  }
}
