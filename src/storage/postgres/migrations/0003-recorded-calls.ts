/** What was answered to calls that may be repeated. */
import type { Migration } from "../../schema-state.ts";

export const recordedCalls: Migration = {
  name: "recorded calls",
  // The key and the request are hashes, and the answer is sealed: this table tells nothing by itself.
  sql: `
    CREATE TABLE recorded_calls (
      key_hash BYTEA NOT NULL PRIMARY KEY CHECK (length(key_hash) = 32),
      request_hash BYTEA NOT NULL CHECK (length(request_hash) = 32),
      sealed_answer BYTEA NOT NULL,
      expires_at BIGINT NOT NULL
    );
    CREATE INDEX recorded_calls_by_expiry ON recorded_calls (expires_at);
  `,
};
