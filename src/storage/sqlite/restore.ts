/** Puts a backup in the place of a database that no service has open, and keeps that one under another name. */
import { constants, copyFileSync, existsSync, realpathSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type Database from "better-sqlite3";
import { SYSTEM_ACTOR } from "../../domain/audit.ts";
import type { SigningKey } from "../../domain/entities.ts";
import { toPublicId } from "../../domain/ids.ts";
import { StartError } from "../../domain/start-error.ts";
import { type SigningKeyRow, toSigningKey } from "../rows.ts";
import { prepareWrites, runCommand } from "./commands.ts";
import { openFileToRead, openWriteConnection } from "./connection.ts";
import { type CopyOptions, copyDatabase } from "./copy.ts";
import { toReadError } from "./errors.ts";
import { moveFile, resolveDatabaseFile, syncFile } from "./files.ts";
import { lockDatabase } from "./lock.ts";
import { assertNotForeign, migrate } from "./migrations.ts";

export interface RestoreOptions extends Pick<CopyOptions, "onProgress" | "signal"> {
  readonly backup: string;
  /** Where the service looks for its database. */
  readonly database: string;
  readonly at: Date;
  /**
   * Looks at the copy that will be put in place, and at the database that it will replace, if there is one.
   * Throws to leave everything as it is.
   */
  readonly consent: (copy: string, present: string | undefined) => void | Promise<void>;
}

/** What is lost of a database when a backup takes its place. */
export interface Loss {
  /** Events that the database has, and the backup hasn't. */
  readonly events: number;
  /** Public ids of the tokens that are revoked in the database, and aren't in the backup. */
  readonly revivedTokens: readonly string[];
}

/**
 * What goes by revisions must not take a change after the restore for one that it has seen. How many changes
 * were made after the backup can't be told when their database is lost, so the gap is wide.
 */
const REVISION_GAP = 1_000_000;

/** What SQLite would take for a part of the new database, by their names. */
const JOURNALS = ["-wal", "-journal"];

/**
 * Restores a backup, brings it to the newest schema and records the restore in its audit log. At every moment
 * one of the two databases is whole, under its own name or the one that it is kept under; the new one is on the
 * disk when this resolves. Answers the name of the old one, if there was one.
 *
 * @throws StartError while a service has the database, and for files that can't be read or written; what
 * `consent` throws
 */
export async function restoreDatabase(options: RestoreOptions): Promise<string | undefined> {
  const { backup, at, consent, ...copying } = options;
  const database = resolveDatabaseFile(options.database);
  if (existsSync(backup) && realpathSync(backup) === database) {
    throw new StartError(`${backup} is the database itself: name a backup of it`);
  }
  const lock = lockDatabase(database, "stop the service before you restore");
  try {
    const present = existsSync(database) && statSync(database).size > 0 ? database : undefined;
    if (present !== undefined) refuseForeign(present);
    let kept: string | undefined;
    await copyDatabase({
      ...copying,
      from: backup,
      to: database,
      async prepare(copy) {
        await consent(copy, present);
        markRestored(copy, present, at);
      },
      place(copy) {
        kept = setAside(database, at);
        moveFile(copy, database);
      },
    });
    return kept;
  } finally {
    lock.release();
  }
}

/** @throws StartError when one of them can't be read */
export function findLoss(database: string, backup: string): Loss {
  return reading(database, (connection) => {
    connection.prepare("ATTACH ? AS backup").run(backup);
    const has = (schema: "main" | "backup", table: string): boolean =>
      connection
        .prepare<[string], number>(`SELECT count(*) FROM ${schema}.sqlite_schema WHERE name = ?`)
        .pluck()
        .get(table) !== 0;
    // Whatever was there before anything was set up is no loss.
    if (!has("main", "tokens") || !has("backup", "tokens")) return { events: 0, revivedTokens: [] };
    const count = !has("main", "events") ? CHANGES_SINCE : has("backup", "events") ? EVENTS_SINCE : EVENTS;
    return {
      events: connection.prepare<[], number>(count).pluck().get() ?? 0,
      revivedTokens: connection
        .prepare<[], string>(REVIVED_TOKENS)
        .pluck()
        .all()
        .map((id) => toPublicId("tok", id)),
    };
  });
}

/** The signing keys that a database file holds, the oldest first. @throws StartError for one that can't be read */
export function readSigningKeys(path: string): readonly SigningKey[] {
  return reading(path, (connection) =>
    connection.prepare<[], SigningKeyRow>("SELECT * FROM signing_keys ORDER BY created_at, id").all().map(toSigningKey),
  );
}

const EVENTS = "SELECT count(*) FROM main.events";

const EVENTS_SINCE = `
  SELECT count(*)
  FROM main.events AS event
  WHERE NOT EXISTS (
    SELECT 1 FROM backup.events AS other WHERE other.revision = event.revision AND other.hash = event.hash
  )
`;

/** For a database from before the audit log. */
const CHANGES_SINCE = `
  SELECT max(0, main.revision.value - backup.revision.value) FROM main.revision CROSS JOIN backup.revision
`;

const REVIVED_TOKENS = `
  SELECT id
  FROM main.tokens AS token JOIN backup.tokens AS other USING (id)
  WHERE token.revoked_at IS NOT NULL AND other.revoked_at IS NULL
  ORDER BY token.revoked_at, id
`;

function refuseForeign(path: string): void {
  try {
    reading(path, (connection) => assertNotForeign(connection, path));
  } catch (error) {
    // That one can't be read, which has a cause, is what restores are for.
    if (error instanceof StartError && error.cause === undefined) throw error;
  }
}

function markRestored(copy: string, present: string | undefined, at: Date): void {
  const revisions = [copy, present].map((path) => (path === undefined ? undefined : readRevision(path)));
  const above = Math.max(...revisions.map((revision) => revision ?? 0)) + REVISION_GAP;
  migrate({ path: copy, busyTimeoutMs: 0 });
  const connection = openWriteConnection({ path: copy, busyTimeoutMs: 0 });
  try {
    const writes = prepareWrites(connection);
    const change = { at, actor: SYSTEM_ACTOR, address: "", requestId: "" };
    connection.transaction(() => runCommand(writes, "markRestored", { above, change })).immediate();
  } finally {
    connection.close();
  }
}

/** Undefined for a database whose revision can't be read. */
function readRevision(path: string): number | undefined {
  try {
    return reading(path, (connection) => connection.prepare<[], number>("SELECT value FROM revision").pluck().get());
  } catch {
    return undefined;
  }
}

/** Gives the database another name, together with what belongs to it, and answers that name. */
function setAside(database: string, at: Date): string | undefined {
  let kept: string | undefined;
  if (existsSync(database)) {
    kept = unusedName(`${database}.before-restore-${at.toISOString().replaceAll(/[-:.]/g, "")}`);
    // Copied before the file moves, so that it has them under either name.
    for (const suffix of JOURNALS) {
      if ((statSync(database + suffix, { throwIfNoEntry: false })?.size ?? 0) === 0) continue;
      copyFileSync(database + suffix, kept + suffix, constants.COPYFILE_EXCL);
      syncFile(kept + suffix);
    }
    moveFile(database, kept);
  }
  for (const suffix of [...JOURNALS, "-shm"]) rmSync(database + suffix, { force: true });
  syncFile(dirname(database));
  return kept;
}

function unusedName(path: string): string {
  return existsSync(path) ? unusedName(`${path}-again`) : path;
}

function reading<Result>(path: string, read: (connection: Database.Database) => Result): Result {
  let connection: Database.Database | undefined;
  try {
    connection = openFileToRead(path);
    return read(connection);
  } catch (error) {
    throw toReadError(path, error);
  } finally {
    connection?.close();
  }
}
