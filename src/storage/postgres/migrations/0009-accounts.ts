/** Links by which people who forgot their password get back in, invitations, and who proved to have their mailbox. */
import type { Migration } from "../../schema-state.ts";
import { TEXT } from "../text.ts";

export const accounts: Migration = {
  name: "accounts",
  sql: `
    ALTER TABLE users ADD COLUMN confirmed_at BIGINT;

    CREATE TABLE invitations (
      id ${TEXT} NOT NULL PRIMARY KEY,
      fingerprint BYTEA NOT NULL UNIQUE CHECK (length(fingerprint) = 32),
      organization_id ${TEXT} NOT NULL REFERENCES organizations (id),
      email ${TEXT} NOT NULL,
      role ${TEXT} NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
      is_mailed BIGINT NOT NULL CHECK (is_mailed IN (0, 1)),
      created_by ${TEXT} NOT NULL,
      created_at BIGINT NOT NULL,
      expires_at BIGINT NOT NULL,
      UNIQUE (organization_id, email)
    );
    CREATE INDEX invitations_by_end ON invitations (expires_at);

    CREATE TABLE password_links (
      fingerprint BYTEA NOT NULL PRIMARY KEY CHECK (length(fingerprint) = 32),
      user_id ${TEXT} NOT NULL REFERENCES users (id),
      expires_at BIGINT NOT NULL
    );
    CREATE INDEX password_links_by_user ON password_links (user_id, expires_at);
    CREATE INDEX password_links_by_end ON password_links (expires_at);
  `,
};
