/** Reads the audit log of a database, beside services that may be running, and changes nothing. */
import type { AuditEvent } from "../../domain/audit.ts";
import { nameOfPostgres, type PostgresSettings } from "../../domain/postgres-settings.ts";
import { StartError } from "../../domain/start-error.ts";
import { type EventRow, toEvent } from "../rows.ts";
import { clientOptions, connect, discard, TIMEOUTS, toStartError } from "./connection.ts";
import { readSchemaState } from "./migrations.ts";

/** The log as it was when it was opened. */
export interface AuditLog extends AsyncDisposable {
  /** The number of the store's last change. With events, it is that of the last one. */
  readonly revision: number;
  /** By ascending revision. Can be read once. */
  events(): AsyncIterableIterator<AuditEvent>;
}

const PAGE_SIZE = 1_000;

/** The migration that made the log. */
const FIRST_VERSION = 4;

/** @throws StartError that says what to do */
export async function openAuditLog(settings: PostgresSettings): Promise<AuditLog> {
  try {
    const { version } = await readSchemaState(settings);
    if (version < FIRST_VERSION) {
      throw new StartError(`${nameOfPostgres(settings)} holds no audit log: start this version of the service on it`);
    }
    const client = await connect({ ...clientOptions(settings, TIMEOUTS), idle_in_transaction_session_timeout: 0 });
    // One transaction is one state of the log, whatever is written meanwhile.
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const { rows } = await client.query<{ value: number }>("SELECT value FROM revision");
    async function* events(): AsyncGenerator<AuditEvent> {
      try {
        await client.query("DECLARE events CURSOR FOR SELECT * FROM events ORDER BY revision");
        for (;;) {
          const page = await client.query<EventRow>(`FETCH ${PAGE_SIZE} FROM events`);
          yield* page.rows.map(toEvent);
          if (page.rows.length < PAGE_SIZE) return;
        }
      } catch (error) {
        throw toStartError(settings, error);
      }
    }
    return {
      revision: rows[0]?.value ?? 0,
      events,
      [Symbol.asyncDispose]: async () => discard(client),
    };
  } catch (error) {
    throw toStartError(settings, error);
  }
}
