/** The secrets that tokens had before they were rotated. */
import type { Migration } from "../../schema-state.ts";

export const rotations: Migration = {
  name: "rotations",
  // `tokens.fingerprint` stays that of the current secret. A former secret without `ends_at` has ended for
  // good: no clock that is set back brings it to life. It is kept, to be told from one that never was.
  sql: `
    CREATE TABLE former_secrets (
      fingerprint BLOB NOT NULL PRIMARY KEY CHECK (length(fingerprint) = 32),
      token_id TEXT NOT NULL REFERENCES tokens (id),
      ends_at INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX former_secrets_that_work ON former_secrets (token_id) WHERE ends_at IS NOT NULL;
    CREATE INDEX former_secrets_by_token ON former_secrets (token_id);

    ALTER TABLE tokens ADD COLUMN rotated_at INTEGER;
    ALTER TABLE tokens ADD COLUMN overlap_ends_at INTEGER
      CHECK ((overlap_ends_at IS NULL) = (rotated_at IS NULL));
    ALTER TABLE tokens ADD COLUMN former_hint TEXT
      CHECK ((former_hint IS NULL) = (rotated_at IS NULL));
    ALTER TABLE tokens ADD COLUMN former_last_used_at INTEGER
      CHECK (former_last_used_at IS NULL OR rotated_at IS NOT NULL);
  `,
};
