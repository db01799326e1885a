/** Somebody with the database file edits the audit log in it, past the triggers that keep others from it. */
import { randomInt } from "node:crypto";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { type ChainHead, EMPTY_CHAIN, findFault } from "../../src/domain/audit.ts";
import { type EventRow, toEvent } from "../../src/storage/rows.ts";
import { openAuditLog } from "../../src/storage/sqlite/audit-log.ts";
import { flipSomeBit } from "../helpers/event-flips.ts";
import { openSqliteSubject } from "../helpers/sqlite.ts";
import {
  after,
  changeBy,
  NOW,
  someChange,
  someFingerprint,
  someOrganization,
  someSelection,
  someSession,
  someToken,
  someUser,
} from "./samples.ts";

const TRIALS = 10_000;

describe("an edited audit log", () => {
  it("is found for any bit of any event", async () => {
    await using subject = await openSqliteSubject();
    const { storage } = subject;
    const organization = someOrganization({ name: "Ácme\u001f \u{1f511}" });
    await storage.createOrganization(organization, someChange());
    for (let index = 0; index < 5; index++) {
      const created = someToken({
        organizationId: organization.id,
        name: `deploy "${index}" \u0007`,
        scopes: index === 0 ? [] : ["lesen", "schreiben/\n", '"', "\u007f"],
      });
      await storage.createToken(created, changeBy("tok_someone", NOW));
      if (index % 2 === 0) await storage.revokeToken(created.token.id, changeBy("usr_else", NOW));
    }
    await storage.close();

    const connection = new Database(subject.path);
    connection.exec("DROP TRIGGER events_are_not_changed");
    const all = connection.prepare<[], EventRow>("SELECT * FROM events ORDER BY revision");
    expect(isWhole(all.all())).toBe(true);
    const rows = all.all();
    const missed: string[] = [];
    for (let flipped = 0; flipped < TRIALS; flipped++) {
      connection.exec("BEGIN");
      const { what, wasRefused } = flipSomeBit(connection, rows, randomInt);
      if (!wasRefused && isWhole(all.all())) missed.push(what);
      connection.exec("ROLLBACK");
    }
    connection.close();
    expect(missed).toEqual([]);
  });
});

describe("the audit log of a file", () => {
  it("ends with the store's last change, also after many at once", async () => {
    await using subject = await openSqliteSubject();
    const { storage } = subject;
    const { id: organizationId } = await storage.createOrganization(someOrganization(), someChange());
    const user = someUser();
    for (const member of [user, someUser()]) {
      await storage.addMember({ organizationId, role: "owner", createdAt: NOW }, member, someChange());
    }
    for (const type of ["a", "a", "b", "b", "c"]) {
      await storage.createToken(someToken({ organizationId, type, userId: user.id }), someChange());
    }
    await storage.createSession(someSession({ organizationId, userId: user.id }), someFingerprint(), someChange());
    const changes = [
      () => storage.revokeTokens(someSelection(organizationId, { type: "a" }), someChange()),
      () => storage.removeMember(organizationId, user.id, { profile: "watchplane", types: ["b"] }, someChange()),
      () => storage.purgeTokens(after(1), 10, someChange({ at: after(1) })),
    ];
    for (const [index, change] of changes.entries()) {
      await change();
      using log = openAuditLog(subject.path);
      const events = [...log.events()];
      expect(events).toHaveLength([12, 16, 20][index] ?? 0);
      expect(events.at(-1)?.revision).toBe(log.revision);
      expect(log.revision).toBe(events.length);
    }
  });
});

/** All events as one organization's chain; one that belongs to another organization now doesn't fit. */
function isWhole(rows: readonly EventRow[]): boolean {
  let head: ChainHead = EMPTY_CHAIN;
  for (const row of rows) {
    const event = toEvent(row);
    if (findFault(head, event) !== undefined) return false;
    head = event;
  }
  return true;
}
