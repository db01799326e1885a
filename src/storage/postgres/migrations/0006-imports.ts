/** The ways from another system's keys to fingerprints, and the HMAC keys that some of them take. */
import type { Migration } from "../../schema-state.ts";
import { TEXT } from "../text.ts";

export const imports: Migration = {
  name: "imports",
  sql: `
    CREATE TABLE import_keys (
      id ${TEXT} NOT NULL PRIMARY KEY,
      sealed_key BYTEA NOT NULL,
      created_at BIGINT NOT NULL
    );

    CREATE TABLE digest_schemes (
      algorithm ${TEXT} NOT NULL CHECK (algorithm IN ('sha256', 'sha512', 'hmac_sha256')),
      key_id ${TEXT} REFERENCES import_keys (id),
      CHECK ((algorithm = 'hmac_sha256') = (key_id IS NOT NULL))
    );
    CREATE UNIQUE INDEX digest_schemes_once ON digest_schemes (algorithm, coalesce(key_id, ''));
  `,
};
