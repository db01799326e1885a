/** Databases with data that older schemas wrote, served after they became the newest. */
import { join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { createDatabaseFile } from "../../src/storage/sqlite/files.ts";
import { initialSchema } from "../../src/storage/sqlite/migrations/0001-initial-schema.ts";
import { migrate } from "../../src/storage/sqlite/migrations.ts";
import { openSqliteStorage } from "../../src/storage/sqlite/sqlite-storage.ts";
import { silentLogger, temporaryDirectory } from "../helpers/sqlite.ts";
import {
  everyEvent,
  NOW,
  someChange,
  someLeaseRequest,
  someMembership,
  someOrganization,
  someRecord,
  someUser,
} from "./samples.ts";

describe("a database of schema 1", () => {
  it("keeps its people, who have no names yet, and counts rate limits from then on", async () => {
    await using directory = await temporaryDirectory();
    const path = createDatabaseFile(join(directory.path, "latchkey.db"));
    migrate({ path, busyTimeoutMs: 50 }, [initialSchema]);
    const createdAt = NOW.getTime();
    const connection = new Database(path);
    connection.prepare("INSERT INTO organizations VALUES ('a0', 'Acme', 'watchplane', 'free', ?)").run(createdAt);
    connection.prepare("INSERT INTO users VALUES ('b0', 'ada@example.com', 'hash', ?)").run(createdAt);
    connection.prepare("INSERT INTO memberships VALUES ('a0', 'b0', 'owner', ?)").run(createdAt);
    connection.close();

    const storage = await openSqliteStorage({ path, logger: silentLogger });
    const nameless = { firstName: "", lastName: "", displayName: "", avatarUrl: "" };
    const user = someUser({ id: "b0", email: "ada@example.com", passwordHash: "hash", ...nameless });
    const membership = someMembership({ organizationId: "a0", userId: "b0", role: "owner" });
    expect(await storage.findUserByEmail("ada@example.com")).toEqual(user);
    expect(await storage.listOrganizations(undefined, 10)).toEqual([someOrganization({ id: "a0" })]);
    expect(await storage.listMembers("a0", undefined, 10)).toEqual([{ membership, user }]);
    expect(await storage.takeLease(someLeaseRequest())).toEqual({ granted: 1, taken: 1 });
    // What was there before has no events: its chain starts with the first change.
    expect(await storage.listEvents(everyEvent())).toEqual([]);
    const record = someRecord();
    await storage.setPlan("a0", "pro", someChange(), record);
    expect(await storage.findRecordedCall(record.keyHash, NOW)).toBeDefined();
    expect(await storage.listEvents(everyEvent())).toMatchObject([{ sequence: 1, action: "organization.plan_set" }]);
    await storage.close();
  });
});
