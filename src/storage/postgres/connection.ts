/** Opens connections to a server with the settings that durability and safety rest on. */
import { readFileSync } from "node:fs";
import type { ConnectionOptions as TlsOptions } from "node:tls";
import pg from "pg";
import { nameOfPostgres, type PostgresSettings } from "../../domain/postgres-settings.ts";
import { StartError } from "../../domain/start-error.ts";

/** How long things may take. A statement is ended by the server before the connection is given up. */
export interface Timeouts {
  readonly connectMs: number;
  readonly statementMs: number;
  /** For another writer's transaction, or a lock that somebody else holds. */
  readonly lockMs: number;
}

export const TIMEOUTS: Timeouts = { connectMs: 5_000, statementMs: 20_000, lockMs: 15_000 };

/** What the network adds to a statement's time. */
const ROUND_TRIP_MS = 1_000;

/** A process that stalls in a transaction holds up all writers no longer than this. */
const IDLE_IN_TRANSACTION_MS = 3_000;

const MIN_VERSION = 14;

/** Of every connection that this program makes. */
export const APPLICATION_NAME = "latchkey";

const { types } = pg;

/** Numbers are numbers, as far as they are safe, and truth values are 1 and 0, as in every engine's rows. */
const PARSERS: ReadonlyMap<number, (text: string) => unknown> = new Map<number, (text: string) => unknown>([
  [types.builtins.INT8, Number],
  [types.builtins.BOOL, (text) => Number(text === "t")],
]);

const customTypes: pg.CustomTypesConfig = {
  getTypeParser: (oid, format) => PARSERS.get(oid) ?? (types.getTypeParser(oid, format) as (text: string) => unknown),
};

/** The driver's options for a database. Throws a StartError for a certificate that can't be read. */
export function clientOptions(settings: PostgresSettings, timeouts: Timeouts): pg.ClientConfig {
  const { host, port, user, password, database } = settings;
  return {
    host,
    port,
    user,
    password,
    database,
    ssl: tlsOptions(settings),
    application_name: APPLICATION_NAME,
    types: customTypes,
    keepAlive: true,
    connectionTimeoutMillis: timeouts.connectMs,
    statement_timeout: timeouts.statementMs,
    query_timeout: timeouts.statementMs + ROUND_TRIP_MS,
    lock_timeout: timeouts.lockMs,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
  };
}

/**
 * Connects. Whoever gets the client must end it; its errors between queries only make it unusable.
 *
 * @throws whatever the driver says, and StartError for a server that this program can't work with
 */
export async function connect(options: pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client(options);
  // One that nobody handles would end the process. Queries fail by themselves.
  client.on("error", () => {});
  try {
    await client.connect();
    await assertServes(client, options);
    return client;
  } catch (error) {
    discard(client);
    throw error;
  }
}

/** Ends a connection without waiting for the server. */
export function discard(client: pg.Client): void {
  client.end().catch(() => {});
}

/** Throws a StartError unless what this server acknowledges is durable, and what it reads is current. */
export async function assertServes(client: pg.ClientBase, { host, database }: pg.ClientConfig): Promise<void> {
  const name = `The database ${database ?? ""} on ${host ?? ""}`;
  const { rows } = await client.query<Record<string, string | number>>(`
    SELECT current_setting('synchronous_commit') AS synchronous_commit, pg_is_in_recovery() AS is_replica,
      current_setting('server_version_num')::int / 10000 AS version, current_setting('server_encoding') AS encoding
  `);
  const [server = {}] = rows;
  if (Number(server["version"]) < MIN_VERSION) {
    throw new StartError(`${name} is PostgreSQL ${server["version"]}: it takes ${MIN_VERSION} or newer`);
  }
  if (server["is_replica"] === 1)
    throw new StartError(`${name} is a replica, which can't be written: name the primary`);
  if (server["encoding"] !== "UTF8") {
    throw new StartError(`${name} has the encoding ${server["encoding"]}: make one with ENCODING 'UTF8'`);
  }
  if (server["synchronous_commit"] === "off") {
    throw new StartError(`${name} has synchronous_commit off, and would lose what it acknowledged: set it to on`);
  }
}

function tlsOptions(settings: PostgresSettings): TlsOptions | false {
  const { tls, host, rootCertificateFile, certificateFile, keyFile } = settings;
  if (tls === "off") return false;
  const read = (file: string | undefined): Buffer | undefined => {
    if (file === undefined) return undefined;
    try {
      return readFileSync(file);
    } catch (cause) {
      throw new StartError(`The certificate or key ${file} can't be read: check the path and its permissions`, {
        cause,
      });
    }
  };
  const [ca, cert, key] = [read(rootCertificateFile), read(certificateFile), read(keyFile)];
  return {
    rejectUnauthorized: tls === "verify",
    servername: host,
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
  };
}

/** Says in one line why the database can't be served, and what to do about it. Holds no password. */
export function toStartError(settings: PostgresSettings, error: unknown): StartError {
  if (error instanceof StartError) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new StartError(`${nameOfPostgres(settings)} can't be served: ${detail}`, { cause: error });
}
