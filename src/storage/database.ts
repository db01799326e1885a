/** Chooses the engine of a database. What PostgreSQL needs is loaded where it is used. */
import type { MessagePort } from "node:worker_threads";
import type { Logger } from "../domain/logger.ts";
import type { Storage } from "../domain/storage.ts";
import type { WriteMeter } from "../domain/write-meter.ts";
import type { DatabasePlace } from "./offline.ts";
import type { PostgresShare } from "./postgres/postgres-storage.ts";
import { joinSqliteStorage, openSqliteStorage, type SqliteShare } from "./sqlite/sqlite-storage.ts";

export interface DatabaseOptions extends DatabasePlace {
  readonly logger: Logger;
  /** Is told of every write. */
  readonly meter: WriteMeter;
  /** What each thread may take of memory for pages of SQLite; the default is little. */
  readonly pageCacheBytes: number | undefined;
}

/** What another thread of this process needs to work on the same database. */
export type DatabaseShare =
  | { readonly engine: "sqlite"; readonly share: SqliteShare }
  | { readonly engine: "postgres"; readonly share: PostgresShare };

/** The storage of the thread that opened the database. */
export interface Database {
  readonly storage: Storage;
  /** For one thread, which joins with `joinDatabase`, and closes what it gets before this here is closed. */
  share(): DatabaseShare;
}

/** Opens a database with the newest schema. Throws a StartError when it can't be served. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { databasePath, postgres, logger, meter, pageCacheBytes } = options;
  if (postgres !== undefined) {
    const { openPostgresStorage } = await import("./postgres/postgres-storage.ts");
    const storage = await openPostgresStorage({ settings: postgres, logger, meter });
    return { storage, share: () => ({ engine: "postgres", share: storage.share() }) };
  }
  const storage = await openSqliteStorage({ path: databasePath, logger, meter, pageCacheBytes });
  return { storage, share: () => ({ engine: "sqlite", share: storage.share() }) };
}

/** Opens the database that another thread of this process has opened. */
export async function joinDatabase(shared: DatabaseShare, meter: WriteMeter): Promise<Storage> {
  if (shared.engine === "sqlite") return joinSqliteStorage(shared.share, meter);
  const { joinPostgresStorage } = await import("./postgres/postgres-storage.ts");
  return joinPostgresStorage(shared.share, meter);
}

/** What of a share goes to the other thread, instead of a copy. */
export function transferOf(shared: DatabaseShare): readonly MessagePort[] {
  return shared.engine === "sqlite" ? [shared.share.writers] : [];
}
