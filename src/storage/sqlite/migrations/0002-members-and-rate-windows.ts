/** What is known of people, lists of organizations and members, and how much of a rate limit is taken. */
import type { Migration } from "../../schema-state.ts";

export const membersAndRateWindows: Migration = {
  name: "members and rate windows",
  // A window's row names no token by a foreign key: it counts, and goes by its own time.
  sql: `
    ALTER TABLE users ADD COLUMN first_name TEXT NOT NULL DEFAULT '';
    ALTER TABLE users ADD COLUMN last_name TEXT NOT NULL DEFAULT '';
    ALTER TABLE users ADD COLUMN display_name TEXT NOT NULL DEFAULT '';
    ALTER TABLE users ADD COLUMN avatar_url TEXT NOT NULL DEFAULT '';

    CREATE INDEX organizations_by_age ON organizations (created_at DESC, id DESC);
    CREATE INDEX memberships_by_age ON memberships (organization_id, created_at, user_id);

    CREATE TABLE rate_windows (
      token_id TEXT NOT NULL,
      window_start INTEGER NOT NULL,
      window_end INTEGER NOT NULL,
      taken INTEGER NOT NULL CHECK (taken >= 0),
      PRIMARY KEY (token_id, window_start)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX rate_windows_by_end ON rate_windows (window_end);
  `,
};
