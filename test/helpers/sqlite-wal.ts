/** Reads SQLite's write-ahead log, to see from outside how the engine commits and checkpoints. */
import { readFileSync } from "node:fs";

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const SALT_START = 16;
const SALT_END = 24;

/**
 * Counts the commits in a log that was not yet started over.
 *
 * Every commit ends with one frame that says how large the database is from then on; in all other frames
 * that field is zero (https://www.sqlite.org/fileformat2.html#walformat).
 */
export function countCommits(databasePath: string): number {
  const log = readFileSync(`${databasePath}-wal`);
  if (log.length < HEADER_BYTES) return 0;
  const frameBytes = FRAME_HEADER_BYTES + log.readUInt32BE(8);
  const salt = log.subarray(SALT_START, SALT_END);
  let commits = 0;
  for (let start = HEADER_BYTES; start + frameBytes <= log.length; start += frameBytes) {
    const isOfThisLog = log.subarray(start + 8, start + 16).equals(salt);
    if (isOfThisLog && log.readUInt32BE(start + 4) > 0) commits++;
  }
  return commits;
}

/** Changes when the log is started over, which needs a checkpoint that moved all of it. */
export function logIdentity(databasePath: string): string {
  return readFileSync(`${databasePath}-wal`).toString("hex", SALT_START, SALT_END);
}
