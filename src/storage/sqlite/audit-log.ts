/** Reads the audit log of a database file, beside a service that may be running, and changes nothing. */
import Database from "better-sqlite3";
import type { AuditEvent } from "../../domain/audit.ts";
import { StartError } from "../../domain/start-error.ts";
import { type EventRow, toEvent } from "../rows.ts";
import { toStartError } from "./errors.ts";
import { refuseUnfinishedCopy } from "./migrations.ts";

/** The log as it was when it was opened. */
export interface AuditLog extends Disposable {
  /** The number of the store's last change. With events, it is that of the last one. */
  readonly revision: number;
  /** By ascending revision. Can be read once. */
  events(): IterableIterator<AuditEvent>;
}

const BUSY_TIMEOUT_MS = 5_000;

/** @throws StartError that says what to do */
export function openAuditLog(path: string): AuditLog {
  let connection: Database.Database | undefined;
  try {
    connection = new Database(path, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
    // One transaction is one state of the log, whatever is written meanwhile.
    connection.exec("BEGIN");
    refuseUnfinishedCopy(connection, path);
    const tables = connection.prepare<[], number>("SELECT count(*) FROM sqlite_schema WHERE name = 'events'").pluck();
    if (tables.get() === 0) throw new StartError(`${path} holds no audit log: start this version of the service on it`);
    const revision = connection.prepare<[], number>("SELECT value FROM revision").pluck().get() ?? 0;
    const rows = connection.prepare<[], EventRow>("SELECT * FROM events ORDER BY revision").iterate();
    const opened = connection;
    function* events(): Generator<AuditEvent> {
      try {
        for (const row of rows) yield toEvent(row);
      } catch (error) {
        throw toStartError(path, error);
      }
    }
    return {
      revision,
      events,
      [Symbol.dispose]() {
        rows.return?.();
        opened.close();
      },
    };
  } catch (error) {
    connection?.close();
    throw toStartError(path, error);
  }
}
