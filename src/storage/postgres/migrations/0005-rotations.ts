/** The secrets that tokens had before they were rotated. */
import type { Migration } from "../../schema-state.ts";
import { TEXT } from "../text.ts";

export const rotations: Migration = {
  name: "rotations",
  // `tokens.fingerprint` stays that of the current secret. A former secret without `ends_at` has ended for
  // good: no clock that is set back brings it to life. It is kept, to be told from one that never was.
  sql: `
    CREATE TABLE former_secrets (
      fingerprint BYTEA NOT NULL PRIMARY KEY CHECK (length(fingerprint) = 32),
      token_id ${TEXT} NOT NULL REFERENCES tokens (id),
      ends_at BIGINT
    );
    CREATE UNIQUE INDEX former_secrets_that_work ON former_secrets (token_id) WHERE ends_at IS NOT NULL;
    CREATE INDEX former_secrets_by_token ON former_secrets (token_id);

    ALTER TABLE tokens ADD COLUMN rotated_at BIGINT;
    ALTER TABLE tokens ADD COLUMN overlap_ends_at BIGINT
      CHECK ((overlap_ends_at IS NULL) = (rotated_at IS NULL));
    ALTER TABLE tokens ADD COLUMN former_hint ${TEXT}
      CHECK ((former_hint IS NULL) = (rotated_at IS NULL));
    ALTER TABLE tokens ADD COLUMN former_last_used_at BIGINT
      CHECK (former_last_used_at IS NULL OR rotated_at IS NOT NULL);
  `,
};
