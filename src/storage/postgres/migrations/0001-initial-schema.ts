/** Tenants, people, tokens, sign-ins and signing keys. */
import type { Migration } from "../../schema-state.ts";
import { TEXT } from "../text.ts";

export const initialSchema: Migration = {
  name: "initial schema",
  // Times are milliseconds since the epoch. Ids are text. Texts are compared byte for byte.
  sql: `
    CREATE TABLE revision (
      "only" BIGINT PRIMARY KEY CHECK ("only" = 1),
      value BIGINT NOT NULL
    );
    INSERT INTO revision ("only", value) VALUES (1, 0);

    CREATE TABLE organizations (
      id ${TEXT} NOT NULL PRIMARY KEY,
      name ${TEXT} NOT NULL,
      profile ${TEXT} NOT NULL,
      plan ${TEXT} NOT NULL,
      created_at BIGINT NOT NULL
    );

    CREATE TABLE users (
      id ${TEXT} NOT NULL PRIMARY KEY,
      email ${TEXT} NOT NULL UNIQUE,
      password_hash ${TEXT} NOT NULL,
      created_at BIGINT NOT NULL
    );

    CREATE TABLE memberships (
      organization_id ${TEXT} NOT NULL REFERENCES organizations (id),
      user_id ${TEXT} NOT NULL REFERENCES users (id),
      role ${TEXT} NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
      created_at BIGINT NOT NULL,
      PRIMARY KEY (organization_id, user_id)
    );
    CREATE INDEX memberships_by_user ON memberships (user_id, created_at, organization_id);

    CREATE TABLE tokens (
      id ${TEXT} NOT NULL PRIMARY KEY,
      organization_id ${TEXT} NOT NULL REFERENCES organizations (id),
      fingerprint BYTEA NOT NULL UNIQUE CHECK (length(fingerprint) = 32),
      profile ${TEXT} NOT NULL,
      type ${TEXT} NOT NULL,
      name ${TEXT} NOT NULL,
      hint ${TEXT} NOT NULL,
      permission ${TEXT} NOT NULL,
      scopes ${TEXT} NOT NULL CHECK (json_typeof(scopes::json) = 'array'),
      ip_allowlist ${TEXT} NOT NULL CHECK (json_typeof(ip_allowlist::json) = 'array'),
      metadata ${TEXT} NOT NULL CHECK (json_typeof(metadata::json) = 'object'),
      enabled BIGINT NOT NULL CHECK (enabled IN (0, 1)),
      created_by ${TEXT} NOT NULL,
      user_id ${TEXT},
      created_at BIGINT NOT NULL,
      expires_at BIGINT,
      last_used_at BIGINT,
      revoked_at BIGINT,
      revoked_by ${TEXT},
      revision BIGINT NOT NULL,
      CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
    );
    CREATE INDEX tokens_by_age ON tokens (organization_id, created_at DESC, id DESC);

    CREATE TABLE sessions (
      id ${TEXT} NOT NULL PRIMARY KEY,
      user_id ${TEXT} NOT NULL REFERENCES users (id),
      organization_id ${TEXT} NOT NULL REFERENCES organizations (id),
      created_at BIGINT NOT NULL,
      expires_at BIGINT NOT NULL,
      ended_at BIGINT
    );

    CREATE TABLE refresh_tokens (
      fingerprint BYTEA NOT NULL PRIMARY KEY CHECK (length(fingerprint) = 32),
      session_id ${TEXT} NOT NULL REFERENCES sessions (id),
      used_at BIGINT
    );

    CREATE TABLE signing_keys (
      id ${TEXT} NOT NULL PRIMARY KEY,
      sealed_private_key BYTEA NOT NULL,
      created_at BIGINT NOT NULL
    );
  `,
};
