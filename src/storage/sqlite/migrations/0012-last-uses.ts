/** When and from where tokens were last used, apart from what seldom changes of them. */
import type { Migration } from "../../schema-state.ts";

export const lastUses: Migration = {
  name: "last uses",
  // Small rows, so that a write of many uses changes few pages. Until now uses stood in `tokens`, where processes of the
  // version before go on writing them in a rolling upgrade: of both, the later one counts.
  sql: `
    CREATE TABLE last_uses (
      token_id TEXT NOT NULL PRIMARY KEY REFERENCES tokens (id),
      at INTEGER NOT NULL,
      address TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
  `,
};
