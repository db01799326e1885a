/** SQLite databases in directories of their own, that go when the test ends. */
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import Database from "better-sqlite3";
import { openSqliteStorage } from "../../src/storage/sqlite/sqlite-storage.ts";
import type { StorageSubject } from "../contract/storage-contract.ts";
import { SCRATCH } from "./scratch.ts";

export const silentLogger = { debug() {}, info() {}, warn() {}, error() {} };

export interface TemporaryDirectory extends AsyncDisposable {
  readonly path: string;
}

export async function temporaryDirectory(): Promise<TemporaryDirectory> {
  const path = await mkdtemp(join(SCRATCH, "latchkey-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

export async function openSqliteSubject(): Promise<StorageSubject & { readonly path: string }> {
  const directory = await temporaryDirectory();
  const path = join(directory.path, "latchkey.db");
  // Long enough for two writers to take turns, and short for tests that wait for it to run out.
  const open = () => openSqliteStorage({ path, logger: silentLogger, busyTimeoutMs: 100 });
  let storage = await open();
  return {
    path,
    location: `sqlite:${path}`,
    get storage() {
      return storage;
    },
    async reopen() {
      await storage.close();
      storage = await open();
      return storage;
    },
    async blockWrites() {
      const other = new Database(path);
      other.exec("BEGIN IMMEDIATE");
      return { [Symbol.asyncDispose]: async () => void other.close() };
    },
    async breakReads() {
      const other = new Database(path);
      // Foreign keys follow a renamed table, and must not: nothing else is broken by it.
      other.pragma("foreign_keys = OFF");
      const tables = other
        .prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        .pluck()
        .all();
      for (const table of tables) other.exec(`ALTER TABLE ${table} RENAME TO lost_${table}`);
      other.close();
    },
    failEvents: async (requestId) => failEvents(path, requestId),
    async editEvents() {
      using other = disposable(new Database(path));
      const done: string[] = [];
      for (const statement of EVENT_EDITS) {
        try {
          if (other.connection.prepare(statement).run().changes > 0) done.push(statement);
        } catch {
          // Refused, as it must be.
        }
      }
      return done;
    },
    async [Symbol.asyncDispose]() {
      await storage.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

/** Makes the store fail at each event of calls with this request id. */
export function failEvents(path: string, requestId: string): void {
  const connection = new Database(path);
  connection.exec(`
    CREATE TRIGGER fail_events BEFORE INSERT ON events WHEN new.request_id = '${requestId}'
    BEGIN SELECT RAISE(ABORT, 'injected'); END
  `);
  connection.close();
}

/** Each of them would change stored events. */
const EVENT_EDITS = [
  "UPDATE events SET address = ''",
  "UPDATE events SET revision = revision + 1000",
  "DELETE FROM events",
  "DELETE FROM events WHERE revision = (SELECT max(revision) FROM events)",
  "INSERT OR REPLACE INTO events SELECT * FROM events WHERE sequence = 1",
  `INSERT OR REPLACE INTO events
   SELECT revision + 1000, organization_id, sequence, at, actor_kind, actor_id, address, action, target, target_name,
     scopes, details, request_id, previous_hash, hash
   FROM events WHERE sequence = 1`,
];

function disposable(connection: Database.Database) {
  return { connection, [Symbol.dispose]: () => void connection.close() };
}
