/** What must hold when many tokens change at once, and when what ended goes. Each throws when it doesn't. */
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { expect } from "vitest";
import type { AuditEvent } from "../../src/domain/audit.ts";
import { type Token, tokenState } from "../../src/domain/entities.ts";
import { type Id, toPublicId } from "../../src/domain/ids.ts";
import type { Storage, TokenSelection } from "../../src/domain/storage.ts";
import { checkChains } from "./event-checks.ts";
import {
  after,
  changeBy,
  everyEvent,
  everyToken,
  NOW,
  someChange,
  someLeaseRequest,
  someOrganization,
  someSelection,
  someToken,
  someUse,
  someUser,
} from "./samples.ts";

const [ADA, BOB] = ["01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8058"] as const;

/** Names that are alike, but not byte for byte: letter case, accents, wildcards, control characters and what comes before others. */
const NAMES = ["ci", "ci-1", "CI", "c", "cï", "ci\u0308", "%", "c%", "_i", "", "ci\u0001x", "ci\u0001", "\u{1f511}ci"];

const near = fc.integer({ min: -3, max: 3 }).map(after);

/** Twice out of three times nothing, so that most of what several of these describe is there. */
const seldom = <Value>(arbitrary: fc.Arbitrary<Value>) =>
  fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

const tokenFields = fc.record({
  profile: fc.constantFrom("watchplane", "watchplane", "watchplane", "latchkey"),
  type: fc.constantFrom("", "api_key", "service"),
  name: fc.constantFrom(...NAMES),
  createdBy: fc.constantFrom("usr_one", "tok_two"),
  userId: seldom(fc.constantFrom(ADA, BOB)),
  enabled: fc.boolean(),
  createdAt: near,
  lastUsedAt: seldom(near),
  expiresAt: seldom(near),
  revokedAt: seldom(near),
});

const filters = fc.record({
  type: seldom(fc.constantFrom("", "api_key", "service")),
  namePrefix: seldom(fc.constantFrom(...NAMES)),
  createdBy: seldom(fc.constantFrom("usr_one", "tok_two", "usr_none")),
  userId: seldom(fc.constantFrom(ADA, BOB)),
  unusedSince: seldom(near),
});

/** B1, B2 and B3, for many tokens and filters, beside an organization with the same tokens. */
export async function checkBulkRevocation(storage: Storage): Promise<void> {
  const { id: organizationId } = await storage.createOrganization(someOrganization(), someChange());
  const named = await Promise.all(
    NAMES.map((name) => storage.createToken(someToken({ organizationId, name }), someChange())),
  );
  for (const namePrefix of NAMES) {
    const selection = someSelection(organizationId, { namePrefix });
    const count = named.filter((token) => matches(token, selection, NOW)).length;
    expect(await storage.countTokens(selection, NOW), JSON.stringify(namePrefix)).toBe(count);
  }

  const counts: number[] = [];
  await fc.assert(
    fc.asyncProperty(fc.array(tokenFields, { maxLength: 25 }), filters, near, async (rows, filter, now) => {
      const organization = someOrganization();
      const twin = someOrganization();
      const stored: Token[] = [];
      for (const owner of [organization, twin]) {
        await storage.createOrganization(owner, someChange());
        const created = rows.map((row) => {
          const revokedBy = row.revokedAt && "usr_before";
          return storage.createToken(someToken({ organizationId: owner.id, ...row, revokedBy }), someChange());
        });
        stored.push(...(await Promise.all(created)));
      }
      const last = (await storage.listEvents(everyEvent())).at(-1)?.revision;
      const selection = someSelection(organization.id, filter);
      const meant = stored.filter((token) => matches(token, selection, now));
      counts.push(meant.length);

      expect(await storage.countTokens(selection, now)).toBe(meant.length);
      expect(await storage.listEvents(everyEvent({ after: last }))).toEqual([]);
      expect(await storage.revokeTokens(selection, changeBy("usr_author", now))).toBe(meant.length);

      const events = await storage.listEvents(everyEvent({ after: last }));
      const [whole, ...single] = events;
      const revisions = new Map(single.map(({ target, revision }) => [target, revision]));
      for (const token of stored) {
        const revision = revisions.get(toPublicId("tok", token.id));
        expect(await storage.getToken(token.id)).toEqual(
          meant.includes(token) ? { ...token, revokedAt: now, revokedBy: "usr_author", revision } : token,
        );
      }
      expect(events).toHaveLength(meant.length === 0 ? 0 : 1 + meant.length);
      for (const event of events) expect(event).toMatchObject(changeBy("usr_author", now));
      if (whole !== undefined) expectWhole(whole, organization.id, selection, meant.length);
      for (const { action, details } of single) {
        expect({ action, bulk: details["bulk"] }).toEqual({ action: "token.revoked", bulk: "true" });
      }
      expect(await storage.countTokens(selection, now)).toBe(0);
    }),
    { numRuns: 150 },
  );
  expect(counts.filter((count) => count > 1).length).toBeGreaterThan(10);
  checkChains(await storage.listEvents(everyEvent()));
}

function expectWhole(event: AuditEvent, id: Id, filter: TokenSelection, count: number): void {
  const { action, organizationId, target, details } = event;
  expect({ action, organizationId, target }).toEqual({
    action: "tokens.revoked_many",
    organizationId: id,
    target: toPublicId("org", id),
  });
  const said = {
    type: filter.type,
    name_prefix: filter.namePrefix,
    created_by: filter.createdBy,
    user: filter.userId && toPublicId("usr", filter.userId),
    unused_since: filter.unusedSince?.toISOString(),
  };
  const given = Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined && value !== ""));
  expect(details).toEqual({ count: String(count), profile: "watchplane", ...given });
}

/** The clause B1 in other words than the engine's. */
function matches(token: Token, selection: TokenSelection, now: Date): boolean {
  const { organizationId, profile, type, namePrefix, createdBy, userId, unusedSince } = selection;
  const name = Buffer.from(token.name);
  const prefix = Buffer.from(namePrefix ?? "");
  return (
    token.organizationId === organizationId &&
    token.profile === profile &&
    ["active", "disabled"].includes(tokenState(token, now.getTime())) &&
    (type === undefined || token.type === type) &&
    name.subarray(0, prefix.length).equals(prefix) &&
    (createdBy === undefined || token.createdBy === createdBy) &&
    (userId === undefined || token.userId === userId) &&
    (unusedSince === undefined || (token.lastUsedAt ?? token.createdAt) < unusedSince)
  );
}

/** B1. More tokens than an engine reads at once are revoked, while others look. */
export async function checkBulkRevocationIsWhole(storage: Storage): Promise<void> {
  const { id: organizationId } = await storage.createOrganization(someOrganization(), someChange());
  const total = 2_500;
  await Promise.all(
    Array.from({ length: total }, (_, index) =>
      // Many at one moment, so that a page can end between two of them.
      storage.createToken(someToken({ organizationId, createdAt: after(index % 3) }), someChange()),
    ),
  );
  let isDone = false;
  const done = storage.revokeTokens(someSelection(organizationId), someChange()).finally(() => {
    isDone = true;
  });
  const seen: number[] = [];
  while (!isDone) {
    const active = await storage.listTokens(everyToken(organizationId, { states: ["active"], limit: total }));
    seen.push(active.length);
    await setImmediate();
  }
  expect(await done).toBe(total);
  expect(seen.filter((count) => count !== 0 && count !== total)).toEqual([]);
  const stored = await storage.listTokens(everyToken(organizationId, { limit: total + 1 }));
  const events = await storage.listEvents(everyEvent({ organizationId, actions: ["token.revoked"] }));
  const byToken = new Map(events.map(({ target, revision }) => [target, revision]));
  expect(events).toHaveLength(total);
  for (const { id, revision } of stored) expect(byToken.get(toPublicId("tok", id))).toBe(revision);
}

/** P1 and P2, for many tokens and moments. */
export async function checkPurge(storage: Storage): Promise<void> {
  const moment = fc.integer({ min: -6, max: 6 }).map(after);
  const far = fc.constantFrom(after(-1e9), after(1e12));
  await fc.assert(
    fc.asyncProperty(
      fc.array(tokenFields, { maxLength: 25 }),
      fc.oneof({ weight: 4, arbitrary: moment }, far),
      moment,
      fc.integer({ min: 1, max: 10 }),
      async (rows, endedBefore, now, limit) => {
        const organizations = [someOrganization(), someOrganization()];
        for (const organization of organizations) await storage.createOrganization(organization, someChange());
        // What the runs before left would be purged too.
        while ((await storage.purgeTokens(after(1e12), 1_000, someChange({ at: after(1e12) }))) > 0);
        const stored = await Promise.all(
          rows.map((row, index) => {
            const organizationId = organizations[index % 2]?.id ?? "";
            const revokedBy = row.revokedAt && "usr_before";
            return storage.createToken(someToken({ organizationId, ...row, revokedBy }), someChange());
          }),
        );
        const last = (await storage.listEvents(everyEvent())).at(-1)?.revision;
        const due = stored
          .filter((token) => endOf(token) < Math.min(endedBefore.getTime(), now.getTime() + 1))
          .toSorted((one, two) => endOf(one) - endOf(two));

        const left = new Set(stored);
        for (let rest = due.length; ; rest -= limit) {
          const purged = await storage.purgeTokens(endedBefore, limit, someChange({ at: now }));
          expect(purged).toBe(Math.max(0, Math.min(limit, rest)));
          const gone = new Set<Token>();
          for (const token of left) if ((await storage.getToken(token.id)) === undefined) gone.add(token);
          expect(gone.size).toBe(purged);
          for (const token of gone) left.delete(token);
          // Of two that ended at one moment either may go first.
          const latest = Math.max(...Array.from(gone, endOf));
          for (const token of left) if (due.includes(token)) expect(endOf(token)).toBeGreaterThanOrEqual(latest);
          if (purged === 0) break;
        }
        expect([...left].filter((token) => due.includes(token))).toEqual([]);
        for (const token of left) expect(await storage.getToken(token.id)).toEqual(token);
        const events = await storage.listEvents(everyEvent({ after: last }));
        const targets = events.map(({ action, organizationId, target }) => `${action} ${organizationId} ${target}`);
        expect(targets.toSorted()).toEqual(
          due.map(({ id, organizationId }) => `token.purged ${organizationId} ${toPublicId("tok", id)}`).toSorted(),
        );
        for (const token of stored) {
          const issued = everyEvent({ target: toPublicId("tok", token.id), actions: ["token.issued"] });
          expect(await storage.listEvents(issued)).toHaveLength(1);
        }
      },
    ),
    { numRuns: 100 },
  );
  checkChains(await storage.listEvents(everyEvent()));
}

/** When a token stopped working for good, in milliseconds; infinity when it hasn't. */
function endOf({ revokedAt, expiresAt }: Token): number {
  return Math.min(revokedAt?.getTime() ?? Number.POSITIVE_INFINITY, expiresAt?.getTime() ?? Number.POSITIVE_INFINITY);
}

/** P1. What belongs to a token goes with it, and nothing of another. */
export async function checkPurgeTakesAll(storage: Storage): Promise<void> {
  const { id: organizationId } = await storage.createOrganization(someOrganization(), someChange());
  const [ended, alive] = [someToken({ organizationId }), someToken({ organizationId })];
  for (const token of [ended, alive]) {
    await storage.createToken(token, someChange());
    await storage.takeLease(someLeaseRequest({ tokenId: token.token.id, units: 3 }));
    await storage.recordUses([someUse(token.token.id, NOW, { daily: [{ day: 1, uses: 2 }] })]);
  }
  await storage.revokeToken(ended.token.id, someChange());
  expect(await storage.purgeTokens(after(1), 10, someChange({ at: after(1) }))).toBe(1);
  const { windowStart } = someLeaseRequest();
  expect(await storage.findTokenByFingerprint(ended.fingerprint)).toBeUndefined();
  expect(await storage.readWindow(ended.token.id, windowStart)).toBe(0);
  expect(await storage.readWindow(alive.token.id, windowStart)).toBe(3);
  expect(await storage.readUses(ended.token.id, 1, 1)).toEqual([]);
  expect(await storage.readUses(alive.token.id, 1, 1)).toEqual([{ day: 1, uses: 2 }]);
  // Its id and its fingerprint are free again, as those of a token that never was.
  await storage.createToken(ended, someChange());
  expect((await storage.findTokenByFingerprint(ended.fingerprint))?.token.revokedAt).toBeUndefined();
}

/** M8, over many races. Whoever finds that the member is gone finds that the tokens are revoked. */
export async function checkRemovalIsWhole(storage: Storage): Promise<void> {
  for (let race = 0; race < 20; race++) {
    const { id: organizationId } = await storage.createOrganization(someOrganization(), someChange());
    const user = someUser();
    await storage.addMember({ organizationId, role: "owner", createdAt: NOW }, someUser(), someChange());
    await storage.addMember({ organizationId, role: "member", createdAt: NOW }, user, someChange());
    const token = await storage.createToken(someToken({ organizationId, userId: user.id }), someChange());
    const personal = { ...someToken({ organizationId, userId: user.id }), isPersonal: true };
    // It is issued just before, or just after.
    const issue = () => Promise.allSettled([storage.createToken(personal, someChange())]);
    let isDone = false;
    const before = race % 2 === 0 ? issue() : undefined;
    const tokens = { profile: "watchplane", types: undefined };
    const done = storage.removeMember(organizationId, user.id, tokens, someChange()).finally(() => {
      isDone = true;
    });
    const issued = before ?? issue();
    let survivals = 0;
    while (!isDone) {
      const membership = await storage.getMembership(organizationId, user.id);
      const { revokedAt } = (await storage.getToken(token.id)) ?? {};
      if (membership === undefined && revokedAt === undefined) survivals++;
      await setImmediate();
    }
    await Promise.all([done, issued]);
    expect(survivals).toBe(0);
    expect(await storage.getMembership(organizationId, user.id)).toBeUndefined();
    const active = await storage.listTokens(everyToken(organizationId, { states: ["active"] }));
    expect(active.filter(({ userId }) => userId === user.id)).toEqual([]);
  }
}
