/** When tokens and sessions ended, so that those that ended long ago are found and can go. */
import type { Migration } from "../../schema-state.ts";

export const ends: Migration = {
  name: "ends",
  // What ends twice, by hand and by its time, ended at the earlier of the two.
  sql: `
    ALTER TABLE tokens ADD COLUMN ended_at INTEGER
      GENERATED ALWAYS AS (min(coalesce(revoked_at, expires_at), coalesce(expires_at, revoked_at))) VIRTUAL;
    CREATE INDEX tokens_by_end ON tokens (ended_at) WHERE ended_at IS NOT NULL;

    ALTER TABLE sessions ADD COLUMN over_at INTEGER
      GENERATED ALWAYS AS (min(expires_at, coalesce(ended_at, expires_at))) VIRTUAL;
    CREATE INDEX sessions_by_end ON sessions (over_at);
    CREATE INDEX sessions_by_user ON sessions (user_id, organization_id);
    CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
  `,
};
