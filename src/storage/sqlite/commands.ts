/** The common writes on SQLite, where they run on the writer thread and never wait. */
import type Database from "better-sqlite3";
import type { IdempotencyRecord } from "../../domain/idempotency.ts";
import * as common from "../commands.ts";
import { finish, sqliteDialect } from "./dialect.ts";

export function prepareWrites(connection: Database.Database): common.Writes {
  return common.prepareWrites(sqliteDialect(connection));
}

/** See `runCommand` of every engine. */
export function runCommand(writes: common.Writes, name: common.CommandName, input: unknown): unknown {
  return finish(common.runCommand(writes, name, input));
}

/** See `runOnce` of every engine. */
export function runOnce(
  writes: common.Writes,
  name: common.CommandName,
  input: unknown,
  record: IdempotencyRecord,
): unknown {
  return finish(common.runOnce(writes, name, input, record));
}
