/** Somebody with the database file edits the audit log in it, past the triggers that keep others from it. */
import { randomBytes, randomInt } from "node:crypto";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { type ChainHead, EMPTY_CHAIN, findFault } from "../../src/domain/audit.ts";
import { openAuditLog } from "../../src/storage/sqlite/audit-log.ts";
import { type EventRow, toEvent } from "../../src/storage/sqlite/rows.ts";
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

/** Columns by the type that their bits are in. */
const COLUMNS = {
  revision: "INTEGER",
  organization_id: "TEXT",
  sequence: "INTEGER",
  at: "INTEGER",
  actor_kind: "TEXT",
  actor_id: "TEXT",
  address: "TEXT",
  action: "TEXT",
  target: "TEXT",
  target_name: "TEXT",
  scopes: "TEXT",
  details: "TEXT",
  request_id: "TEXT",
  previous_hash: "BLOB",
  hash: "BLOB",
} as const satisfies Record<keyof EventRow, string>;

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
    let flipped = 0;
    while (flipped < TRIALS) {
      const row = rows[randomInt(rows.length)];
      const column = pick(Object.keys(COLUMNS) as (keyof EventRow)[]);
      if (row === undefined) continue;
      const edited = flip(row[column]);
      if (edited === undefined) continue;
      flipped++;
      connection.exec("BEGIN");
      try {
        // The bytes go in as they are: a text may not be valid UTF-8 any more.
        connection
          .prepare(`UPDATE events SET ${column} = CAST(? AS ${COLUMNS[column]}) WHERE revision = ?`)
          .run(edited, row.revision);
        if (isWhole(all.all())) missed.push(`${column} of ${row.revision}: ${String(edited)}`);
      } catch (error) {
        // The schema itself refuses a few.
        if (!(error instanceof Database.SqliteError)) throw error;
      }
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

/** The value with one bit turned; undefined for a value without bits. */
function flip(value: string | number | Uint8Array): Uint8Array | bigint | undefined {
  if (typeof value === "number") return BigInt.asIntN(64, BigInt(value) ^ (1n << BigInt(randomInt(64))));
  const bytes = Buffer.from(value as string);
  if (bytes.length === 0) return undefined;
  const place = randomInt(bytes.length);
  bytes[place] = (bytes[place] ?? 0) ^ (1 << ((randomBytes(1)[0] ?? 0) % 8));
  return bytes;
}

function pick<T>(all: readonly T[]): T {
  return all[randomInt(all.length)] as T;
}
