/** Lists of organizations and members, and the upkeep of what is over, find their rows by an index. */
import { join } from "node:path";
import type Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { prepareWrites } from "../../src/storage/sqlite/commands.ts";
import { openWriteConnection } from "../../src/storage/sqlite/connection.ts";
import { createDatabaseFile } from "../../src/storage/sqlite/files.ts";
import { migrate } from "../../src/storage/sqlite/migrations.ts";
import { prepareReads } from "../../src/storage/sqlite/reads.ts";
import { filterParameters } from "../../src/storage/token-filter.ts";
import { temporaryDirectory } from "../helpers/sqlite.ts";
import { NO_FILTER } from "./samples.ts";

const SLOW = /SCAN|TEMP B-TREE/;

describe("the SQLite engine's indexes", () => {
  it("serve the lists of organizations and members", async () => {
    await using database = await openDatabase();
    const { listOrganizations, listMembers } = prepareReads(database.connection);
    const organizations = { beforeCreatedAt: 0, beforeId: "", limit: 1 };
    const members = { organizationId: "", afterCreatedAt: 0, afterUserId: "", limit: 1 };
    expect(database.plan(listOrganizations, organizations)).not.toMatch(SLOW);
    expect(database.plan(listMembers, members)).toContain("(organization_id=? AND (created_at,user_id)>(?,?))");
    expect(database.plan(listMembers, members)).not.toMatch(SLOW);

    database.connection.exec("DROP INDEX organizations_by_age; DROP INDEX memberships_by_age");
    expect(database.plan(listOrganizations, organizations)).toMatch(SLOW);
    expect(database.plan(listMembers, members)).toMatch(SLOW);
  });

  it("serve an organization's tokens in their order, whatever is asked of them", async () => {
    await using database = await openDatabase();
    const { listTokens } = prepareReads(database.connection);
    const filter = filterParameters({ ...NO_FILTER, type: "x", namePrefix: "x", createdBy: "x", userId: "x" });
    const states = { active: 1, disabled: 1, expired: 1, revoked: 0 };
    const place = { beforeCreatedAt: 0, beforeId: "", now: 0, limit: 1 };
    for (const parameters of [filterParameters(NO_FILTER), { ...filter, unusedSince: 1 }]) {
      const query = { organizationId: "", profile: null, ...states, ...place, ...parameters };
      const [tokens, ...lastUses] = database
        .plan(listTokens, query)
        .split("\n")
        .filter((line) => !line.startsWith("CORRELATED SCALAR SUBQUERY"));
      expect(tokens).toBe("SEARCH tokens USING INDEX tokens_by_age (organization_id=? AND (created_at,id)<(?,?))");
      expect(new Set(lastUses)).toEqual(new Set(["SEARCH last_uses USING PRIMARY KEY (token_id=?)"]));
    }
  });

  it("serve the rate windows of a token, and those that ended", async () => {
    await using database = await openDatabase();
    const { readWindow } = prepareReads(database.connection);
    const { sweepWindows } = prepareWrites(database.connection);
    expect(database.plan(readWindow, "", 0)).not.toMatch(SLOW);
    const sweep = database.plan(sweepWindows, { endedBefore: 0, limit: 1 });
    expect(sweep).toContain("SEARCH rate_windows USING PRIMARY KEY");
    expect(sweep).toContain("SEARCH rate_windows USING COVERING INDEX rate_windows_by_end (window_end<?)");
  });

  it("serve the uses of a token, and those of long ago", async () => {
    await using database = await openDatabase();
    const { readUses } = prepareReads(database.connection);
    const { sweepUses, deleteUsesOfToken } = prepareWrites(database.connection);
    expect(database.plan(readUses, "", 0, 1)).toBe(
      "SEARCH token_uses USING PRIMARY KEY (token_id=? AND day>? AND day<?)",
    );
    expect(database.plan(deleteUsesOfToken, "")).toContain("USING PRIMARY KEY (token_id=?)");
    const sweep = database.plan(sweepUses, { before: 0, limit: 1 });
    expect(sweep).toContain("SEARCH token_uses USING PRIMARY KEY");
    expect(sweep).toContain("SEARCH token_uses USING COVERING INDEX token_uses_by_day (day<?)");
  });

  it("serve the record of a call, and those whose time is over", async () => {
    await using database = await openDatabase();
    const { findRecordedCall } = prepareReads(database.connection);
    const { hasRecordedCall, sweepRecordedCalls } = prepareWrites(database.connection);
    expect(database.plan(findRecordedCall, new Uint8Array(32), 0)).not.toMatch(SLOW);
    expect(database.plan(hasRecordedCall, { keyHash: new Uint8Array(32), now: 0 })).toContain(
      "SEARCH recorded_calls USING PRIMARY KEY (key_hash=?)",
    );
    const sweep = database.plan(sweepRecordedCalls, { now: 0, limit: 1 });
    expect(sweep).toContain("SEARCH recorded_calls USING PRIMARY KEY");
    expect(sweep).toContain("SEARCH recorded_calls USING COVERING INDEX recorded_calls_by_expiry (expires_at<?)");
  });

  it("serve the look-ups of imports", async () => {
    await using database = await openDatabase();
    const { getImportKey } = prepareReads(database.connection);
    const { isTaken } = prepareWrites(database.connection);
    expect(database.plan(getImportKey, "")).not.toMatch(SLOW);
    const taken = database.plan(isTaken, { fingerprint: new Uint8Array(32) });
    expect(taken).toContain("SEARCH tokens USING COVERING INDEX");
    expect(taken).toContain("SEARCH former_secrets USING PRIMARY KEY");
  });

  it("serve the tokens of an organization, those that ended, and the windows of one", async () => {
    await using database = await openDatabase();
    const { countSelected, listSelected, listEnded, countEnded, deleteWindowsOfToken } = prepareWrites(
      database.connection,
    );
    const filter = { type: null, namePrefix: null, createdBy: null, userId: null, unusedSince: null };
    const selection = { organizationId: "", profile: "", now: 0, ...filter };
    expect(database.plan(countSelected, selection)).not.toMatch(SLOW);
    const page = database.plan(listSelected, { ...selection, afterCreatedAt: 0, afterId: "", limit: 1 });
    expect(page).toContain("tokens_by_age (organization_id=? AND (created_at,id)>(?,?))");
    expect(page).not.toMatch(SLOW);
    const ended = { endedBefore: 0, now: 0, limit: 1 };
    for (const statement of [listEnded, countEnded]) {
      expect(database.plan(statement, ended)).toMatch(/tokens_by_end \(ended_at<\?\)/);
      // Those that ended in the same millisecond are sorted, and no others.
      expect(database.plan(statement, ended)).not.toMatch(/SCAN|TEMP B-TREE FOR ORDER BY/);
    }
    expect(database.plan(deleteWindowsOfToken, "")).toContain("USING PRIMARY KEY (token_id=?)");
  });

  it("serve the sessions that are over, those of a member, and the refresh tokens of one", async () => {
    await using database = await openDatabase();
    const { listOverSessions, endSessionsOfMember, endSessionsOfUser, deleteRefreshTokens } = prepareWrites(
      database.connection,
    );
    const over = database.plan(listOverSessions, { overBefore: 0, limit: 1 });
    expect(over).toContain("sessions_by_end (over_at<?)");
    expect(over).not.toMatch(SLOW);
    const ofMember = database.plan(endSessionsOfMember, { organizationId: "", userId: "", endedAt: 0 });
    expect(ofMember).toContain("sessions_by_user (user_id=? AND organization_id=?)");
    const ofUser = database.plan(endSessionsOfUser, { userId: "", keptId: "", endedAt: 0 });
    expect(ofUser).toContain("sessions_by_user (user_id=?)");
    expect(database.plan(deleteRefreshTokens, "")).toContain("refresh_tokens_by_session (session_id=?)");
  });

  it("serve the links to new passwords, by user and by their end", async () => {
    await using database = await openDatabase();
    const { countPasswordLinks, deletePasswordLinks, sweepPasswordLinks } = prepareWrites(database.connection);
    const byUser = "password_links_by_user (user_id=?";
    expect(database.plan(countPasswordLinks, { userId: "", now: 0 })).toContain(byUser);
    expect(database.plan(deletePasswordLinks, "")).toContain(byUser);
    const sweep = database.plan(sweepPasswordLinks, { now: 0, limit: 1 });
    expect(sweep).toContain("password_links_by_end (expires_at<?)");
  });

  it("serve invitations, by organization and by their end", async () => {
    await using database = await openDatabase();
    const { countInvitations, deleteInvitationsBy, sweepInvitations } = prepareWrites(database.connection);
    const { listInvitations } = prepareReads(database.connection);
    for (const plan of [
      database.plan(countInvitations, { organizationId: "", now: 0 }),
      database.plan(deleteInvitationsBy, { organizationId: "", createdBy: "" }),
      database.plan(listInvitations, "", 0),
    ]) {
      expect(plan).toMatch(/invitations USING (?:COVERING )?INDEX \S+ \(organization_id=\?/);
    }
    expect(database.plan(sweepInvitations, { now: 0, limit: 1 })).toContain("invitations_by_end (expires_at<?)");
  });

  it("serve the audit log of all, of an organization, and the end of a chain", async () => {
    await using database = await openDatabase();
    const reads = prepareReads(database.connection);
    const { listEvents, listEventsOfOrganization, listEventHashes } = reads;
    const { getChainHead } = prepareWrites(database.connection);
    const nothing = { actions: null, actor: null, target: null, from: null, until: null };
    const query = { organizationId: "", ...nothing, start: 0, limit: 1 };
    expect(database.plan(listEvents, query)).toContain("SEARCH events USING INTEGER PRIMARY KEY (rowid>?)");
    expect(database.plan(listEventHashes, 0, 1)).toContain("SEARCH events USING INTEGER PRIMARY KEY (rowid>?)");
    const ofOrganization = database.plan(listEventsOfOrganization, query);
    expect(ofOrganization).toContain("events_by_revision (organization_id=? AND revision>?)");
    expect(ofOrganization).not.toContain("TEMP B-TREE");
    const newest = database.plan(reads.listNewestEventsOfOrganization, query);
    expect(newest).toContain("events_by_revision (organization_id=? AND revision<?)");
    expect(newest).not.toContain("TEMP B-TREE");
    expect(database.plan(reads.listNewestEvents, query)).toContain("INTEGER PRIMARY KEY (rowid<?)");
    const uses = database.plan(reads.readUsesOfTokens, { tokenIds: "[]", first: 0, last: 0 });
    expect(uses).toContain("SEARCH token_uses USING PRIMARY KEY (token_id=? AND day>? AND day<?)");
    expect(database.plan(getChainHead, "")).toContain("events_by_sequence (organization_id=?)");
  });
});

/** A connection to an empty database, and how SQLite would run a statement on it. */
async function openDatabase() {
  const directory = await temporaryDirectory();
  const options = { path: createDatabaseFile(join(directory.path, "latchkey.db")), busyTimeoutMs: 50 };
  migrate(options);
  const connection = openWriteConnection(options);
  return {
    connection,
    plan({ source }: Pick<Database.Statement, "source">, ...parameters: readonly unknown[]): string {
      const steps = connection.prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${source}`);
      return steps
        .all(...parameters)
        .map(({ detail }) => detail)
        .join("\n");
    },
    async [Symbol.asyncDispose]() {
      connection.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}
