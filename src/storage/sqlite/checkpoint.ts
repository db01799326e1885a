/** Moves the WAL's contents into the database file, so that the WAL doesn't grow without end. */
import { statSync } from "node:fs";
import type Database from "better-sqlite3";
import { WAL_LIMIT_BYTES } from "./connection.ts";

/** Writes wait for a checkpoint that waits for readers, and a backup reads for as long as it takes. */
const MAX_WAIT_MS = 100;

/** Does what can be done without waiting for readers, or with next to no wait if the WAL has grown too large. */
export function checkpoint(connection: Database.Database, limitBytes = WAL_LIMIT_BYTES): void {
  const walBytes = statSync(`${connection.name}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  if (walBytes > limitBytes) truncate(connection);
  else connection.pragma("wal_checkpoint(PASSIVE)");
}

/** Empties the WAL, for a database that is about to be closed. */
export function finalCheckpoint(connection: Database.Database): void {
  truncate(connection);
}

function truncate(connection: Database.Database): void {
  const usual = connection.pragma("busy_timeout", { simple: true }) as number;
  connection.pragma(`busy_timeout = ${Math.min(usual, MAX_WAIT_MS)}`);
  try {
    connection.pragma("wal_checkpoint(TRUNCATE)");
  } finally {
    connection.pragma(`busy_timeout = ${usual}`);
  }
}

/** Moves all of the WAL and gives its room back, where nobody reads from it. Answers whether that worked. */
export function giveRoomBack(connection: Database.Database): boolean {
  checkpoint(connection, 0);
  return (statSync(`${connection.name}-wal`, { throwIfNoEntry: false })?.size ?? 0) === 0;
}
