/** Moves the WAL's contents into the database file, so that the WAL doesn't grow without end. */
import { statSync } from "node:fs";
import type Database from "better-sqlite3";
import { WAL_LIMIT_BYTES } from "./connection.ts";

/** Does what can be done without waiting for readers, unless the WAL has grown too large. */
export function checkpoint(connection: Database.Database, limitBytes = WAL_LIMIT_BYTES): void {
  const walBytes = statSync(`${connection.name}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  connection.pragma(walBytes > limitBytes ? "wal_checkpoint(TRUNCATE)" : "wal_checkpoint(PASSIVE)");
}

/** Empties the WAL, for a database that is about to be closed. */
export function finalCheckpoint(connection: Database.Database): void {
  connection.pragma("wal_checkpoint(TRUNCATE)");
}
