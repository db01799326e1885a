/** The audit log, which only grows. */
import type { Migration } from "../../schema-state.ts";

export const events: Migration = {
  name: "events",
  // An organization is named by no foreign key: a sign-in fails also before there is any organization.
  sql: `
    CREATE TABLE events (
      revision INTEGER PRIMARY KEY,
      organization_id TEXT NOT NULL,
      sequence INTEGER NOT NULL CHECK (sequence > 0),
      at INTEGER NOT NULL,
      actor_kind TEXT NOT NULL,
      actor_id TEXT NOT NULL,
      address TEXT NOT NULL,
      action TEXT NOT NULL,
      target TEXT NOT NULL,
      target_name TEXT NOT NULL,
      scopes TEXT NOT NULL,
      details TEXT NOT NULL,
      request_id TEXT NOT NULL,
      previous_hash BLOB NOT NULL CHECK (length(previous_hash) = 32),
      hash BLOB NOT NULL CHECK (length(hash) = 32)
    ) STRICT;
    CREATE UNIQUE INDEX events_by_sequence ON events (organization_id, sequence);
    CREATE INDEX events_by_revision ON events (organization_id, revision);

    CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are not changed'); END;
    CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are not deleted'); END;
    CREATE TRIGGER events_are_not_replaced BEFORE INSERT ON events
    WHEN EXISTS (SELECT 1 FROM events WHERE revision = new.revision)
      OR EXISTS (SELECT 1 FROM events WHERE organization_id = new.organization_id AND sequence = new.sequence)
    BEGIN SELECT RAISE(ABORT, 'events are not replaced'); END;
  `,
};
