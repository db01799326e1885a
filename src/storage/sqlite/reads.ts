/** The common reads on SQLite, on a connection that can't write. */
import type Database from "better-sqlite3";
import * as common from "../reads.ts";
import { sqliteDialect } from "./dialect.ts";

export function prepareReads(connection: Database.Database): common.Reads {
  return common.prepareReads(sqliteDialect(connection));
}
