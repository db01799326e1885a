/** Sessions of browsers, and how the person of a session signed in. */
import type { Migration } from "../../schema-state.ts";
import { TEXT } from "../text.ts";

export const browserSessions: Migration = {
  name: "browser sessions",
  sql: `
    ALTER TABLE sessions ADD COLUMN client ${TEXT} NOT NULL DEFAULT 'api' CHECK (client IN ('api', 'browser'));
    ALTER TABLE sessions ADD COLUMN method ${TEXT} NOT NULL DEFAULT 'password';
  `,
};
