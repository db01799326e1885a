/** The audit log, which only grows. */
import type { Migration } from "../../schema-state.ts";
import { TEXT } from "../text.ts";

export const events: Migration = {
  name: "events",
  // An organization is named by no foreign key: a sign-in fails also before there is any organization.
  sql: `
    CREATE TABLE events (
      revision BIGINT PRIMARY KEY,
      organization_id ${TEXT} NOT NULL,
      sequence BIGINT NOT NULL CHECK (sequence > 0),
      at BIGINT NOT NULL,
      actor_kind ${TEXT} NOT NULL,
      actor_id ${TEXT} NOT NULL,
      address ${TEXT} NOT NULL,
      action ${TEXT} NOT NULL,
      target ${TEXT} NOT NULL,
      target_name ${TEXT} NOT NULL,
      scopes ${TEXT} NOT NULL,
      details ${TEXT} NOT NULL,
      request_id ${TEXT} NOT NULL,
      previous_hash BYTEA NOT NULL CHECK (length(previous_hash) = 32),
      hash BYTEA NOT NULL CHECK (length(hash) = 32)
    );
    CREATE UNIQUE INDEX events_by_sequence ON events (organization_id, sequence);
    CREATE INDEX events_by_revision ON events (organization_id, revision);

    CREATE FUNCTION refuse_change_of_events() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'events are not changed, deleted or replaced'; END $$;
    CREATE TRIGGER events_are_not_changed BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_events();
    CREATE TRIGGER events_are_not_emptied BEFORE TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_events();
  `,
};
