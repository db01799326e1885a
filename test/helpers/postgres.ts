/** PostgreSQL databases of their own, on the run's server, that go when the test ends. */
import { randomUUID } from "node:crypto";
import pg from "pg";
import { type PostgresSettings, readPostgresUrl } from "../../src/domain/postgres-settings.ts";
import { TIMEOUTS } from "../../src/storage/postgres/connection.ts";
import { migrate } from "../../src/storage/postgres/migrations.ts";
import { openPostgresStorage } from "../../src/storage/postgres/postgres-storage.ts";
import type { StorageSubject } from "../contract/storage-contract.ts";

/** Of a server's database with the newest schema and nothing in it, which others are copies of. */
const TEMPLATE = "latchkey_template";

const silentLogger = { debug() {}, info() {}, warn() {}, error() {} };

export interface TemporaryDatabase extends AsyncDisposable {
  readonly url: string;
}

/** @param url see `readPostgresUrl` */
export function postgresSettings(url: string): PostgresSettings {
  const address = readPostgresUrl(url);
  if (typeof address === "string") throw new Error(`the URL ${address}`);
  return { ...address, poolSize: 5, stalenessMs: 1_000, failOpenMs: 0 };
}

/**
 * @param server the URL of the run's server, which vitest provides
 * @param options of the new database, in SQL
 */
export async function temporaryDatabase(server: string, options = ""): Promise<TemporaryDatabase> {
  const name = `test_${randomUUID().replaceAll("-", "")}`;
  // Its other way, by the log, costs twice the work.
  await execute(`${server}/postgres`, `CREATE DATABASE ${name} STRATEGY FILE_COPY ${options}`);
  return {
    url: `${server}/${name}`,
    [Symbol.asyncDispose]: () => execute(`${server}/postgres`, `DROP DATABASE ${name} WITH (FORCE)`),
  };
}

/** Makes what `migratedDatabase` copies, once on a server. */
export async function makeTemplate(server: string): Promise<void> {
  await execute(`${server}/postgres`, `CREATE DATABASE ${TEMPLATE}`);
  await migrate(postgresSettings(`${server}/${TEMPLATE}`), TIMEOUTS);
}

/** A database in which a service finds nothing to migrate, for half the work. @param server see `temporaryDatabase` */
export function migratedDatabase(server: string): Promise<TemporaryDatabase> {
  return temporaryDatabase(server, `TEMPLATE ${TEMPLATE}`);
}

/** Runs statements on a connection of their own. */
export async function execute(url: string, sql: string): Promise<void> {
  await using other = await connectTo(url);
  await other.client.query(sql);
}

export async function connectTo(url: string): Promise<AsyncDisposable & { readonly client: pg.Client }> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  return { client, [Symbol.asyncDispose]: () => client.end() };
}

/** @param server see `temporaryDatabase` */
export async function openPostgresSubject(server: string): Promise<StorageSubject> {
  const database = await migratedDatabase(server);
  const { url } = database;
  // Long enough for writers to take turns, and short for tests that wait for it to run out.
  const timeouts = { ...TIMEOUTS, lockMs: 300 };
  const open = () => openPostgresStorage({ settings: postgresSettings(url), logger: silentLogger, timeouts });
  let storage = await open();
  return {
    location: url,
    get storage() {
      return storage;
    },
    async reopen() {
      await storage.close();
      storage = await open();
      return storage;
    },
    async blockWrites() {
      const other = await connectTo(url);
      await other.client.query(`BEGIN; LOCK TABLE ${(await tablesOf(other.client)).join(", ")} IN EXCLUSIVE MODE`);
      return other;
    },
    async breakReads() {
      await using other = await connectTo(url);
      for (const table of await tablesOf(other.client)) {
        await other.client.query(`ALTER TABLE ${table} RENAME TO lost_${table}`);
      }
    },
    failEvents: (requestId) => failEvents(url, requestId),
    async editEvents() {
      await using other = await connectTo(url);
      const done: string[] = [];
      for (const statement of EVENT_EDITS) {
        try {
          const { rowCount, command } = await other.client.query(statement);
          if (command === "TRUNCATE" || (rowCount ?? 0) > 0) done.push(statement);
        } catch {
          // Refused, as it must be.
        }
      }
      return done;
    },
    async [Symbol.asyncDispose]() {
      await storage.close();
      await database[Symbol.asyncDispose]();
    },
  };
}

/** Makes the store fail at each event of calls with this request id. */
async function failEvents(url: string, requestId: string): Promise<void> {
  await execute(
    url,
    `
      CREATE FUNCTION fail_event() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'injected'; END $$;
      CREATE TRIGGER fail_events BEFORE INSERT ON events
      FOR EACH ROW WHEN (new.request_id = '${requestId}') EXECUTE FUNCTION fail_event()
    `,
  );
}

async function tablesOf(client: pg.Client): Promise<readonly string[]> {
  const { rows } = await client.query<{ tablename: string }>(
    "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
  );
  return rows.map(({ tablename }) => tablename);
}

/** Each of them would change stored events. */
const EVENT_EDITS = [
  "UPDATE events SET address = ''",
  "UPDATE events SET revision = revision + 1000",
  "DELETE FROM events",
  "DELETE FROM events WHERE revision = (SELECT max(revision) FROM events)",
  "TRUNCATE events",
  "INSERT INTO events SELECT * FROM events WHERE sequence = 1",
  `INSERT INTO events SELECT * FROM events WHERE sequence = 1 ON CONFLICT (revision) DO UPDATE SET address = ''`,
  `INSERT INTO events
   SELECT revision + 1000, organization_id, sequence, at, actor_kind, actor_id, address, action, target, target_name,
     scopes, details, request_id, previous_hash, hash
   FROM events WHERE sequence = 1`,
];
