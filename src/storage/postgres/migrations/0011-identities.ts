/** Who people are to other services that vouch for them. */
import type { Migration } from "../../schema-state.ts";
import { TEXT } from "../text.ts";

export const identities: Migration = {
  name: "identities",
  sql: `
    CREATE TABLE identities (
      issuer ${TEXT} NOT NULL,
      subject ${TEXT} NOT NULL,
      user_id ${TEXT} NOT NULL REFERENCES users (id),
      linked_at BIGINT NOT NULL,
      PRIMARY KEY (issuer, subject),
      UNIQUE (user_id, issuer)
    );
  `,
};
