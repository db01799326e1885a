/** Where tokens were used from last, and how often on each day. */
import type { Migration } from "../../schema-state.ts";
import { TEXT } from "../text.ts";

export const uses: Migration = {
  name: "uses",
  // A day is a number, the days since 1970-01-01 in UTC.
  sql: `
    ALTER TABLE tokens ADD COLUMN last_used_address ${TEXT} NOT NULL DEFAULT '';

    CREATE TABLE token_uses (
      token_id ${TEXT} NOT NULL REFERENCES tokens (id),
      day BIGINT NOT NULL,
      uses BIGINT NOT NULL CHECK (uses > 0),
      PRIMARY KEY (token_id, day)
    );
    CREATE INDEX token_uses_by_day ON token_uses (day);
  `,
};
