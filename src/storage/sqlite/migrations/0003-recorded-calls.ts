/** What was answered to calls that may be repeated. */
import type { Migration } from "../../schema-state.ts";

export const recordedCalls: Migration = {
  name: "recorded calls",
  // The key and the request are hashes, and the answer is sealed: this table tells nothing by itself.
  sql: `
    CREATE TABLE recorded_calls (
      key_hash BLOB NOT NULL PRIMARY KEY CHECK (length(key_hash) = 32),
      request_hash BLOB NOT NULL CHECK (length(request_hash) = 32),
      sealed_answer BLOB NOT NULL,
      expires_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX recorded_calls_by_expiry ON recorded_calls (expires_at);
  `,
};
