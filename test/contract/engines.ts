/** Opens a storage by its location, for processes that know nothing else of it. */
import type { Storage } from "../../src/domain/storage.ts";
import { openPostgresStorage } from "../../src/storage/postgres/postgres-storage.ts";
import { openSqliteStorage } from "../../src/storage/sqlite/sqlite-storage.ts";

import { postgresSettings } from "../helpers/postgres.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** @param location `sqlite:` and a path, or `postgres://…` */
export async function openStorage(location: string): Promise<Storage> {
  const [, engine, rest = ""] = /^(\w+):(.*)$/s.exec(location) ?? [];
  switch (engine) {
    case "sqlite":
      return openSqliteStorage({ path: rest, logger: silent });
    case "postgres":
      return openPostgresStorage({ settings: postgresSettings(location), logger: silent });
    default:
      throw new Error(`no engine opens ${location}`);
  }
}
