/** The tests of the storage port's clauses, for any engine. Each title starts with the clause that it tests. */
import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ACTIONS, EMPTY_CHAIN, findFault } from "../../src/domain/audit.ts";
import { MAX_IMPORT_KEYS } from "../../src/domain/digest-scheme.ts";
import { type Organization, settingsOf, type TokenState, tokenState, type User } from "../../src/domain/entities.ts";
import { AppError, type ErrorKind } from "../../src/domain/errors.ts";
import { type IdempotencyRecord, openAnswer } from "../../src/domain/idempotency.ts";
import { toPublicId } from "../../src/domain/ids.ts";
import { SERVICE_PROFILE_ID } from "../../src/domain/profile.ts";
import type { Role } from "../../src/domain/roles.ts";
import {
  MAX_INVITATIONS,
  MAX_PASSWORD_LINKS,
  type NewDigestScheme,
  type Position,
  type Storage,
  type TokenFilter,
} from "../../src/domain/storage.ts";
import {
  checkBulkRevocation,
  checkBulkRevocationIsWhole,
  checkPurge,
  checkPurgeTakesAll,
  checkRemovalIsWhole,
} from "./bulk-checks.ts";
import {
  checkImportsAtOnce,
  checkLastUse,
  checkLeases,
  checkNamePrefix,
  checkOnce,
  checkOneAcceptanceWins,
  checkOneKeyReplacement,
  checkOneOwnerStays,
  checkOnePasswordWins,
  checkOneRegistrationWins,
  checkOneResetWins,
  checkOneRotationWins,
  checkOneSetUpWins,
  checkOneSigningKey,
  checkPaging,
  checkProfileChange,
  checkReadsSeeWrites,
  checkSetUpIsWhole,
  checkUpdatesGoByWhatTheyRead,
  checkUsesAreAdded,
  checkWriteHealth,
  someSetUp,
  sum,
} from "./checks.ts";
import { checkLeasesSurvive, expectStored, startRecordingProcess, startWritingProcess } from "./durability.ts";
import {
  checkChains,
  checkChangesAreCounted,
  checkConcurrentChains,
  checkEachChangeHasItsEvent,
  checkNoChangeWithoutEvent,
  checkSignInFailures,
} from "./event-checks.ts";
import {
  checkFormerUse,
  checkOldSecretIsKnown,
  checkOneEndOfOverlap,
  checkOneSecretWins,
  checkRevokeOfRotated,
  checkRotations,
} from "./rotation-checks.ts";
import {
  after,
  changeBy,
  everyEvent,
  everyToken,
  knownRecord,
  NO_TOKENS,
  NOW,
  someChange,
  someFingerprint,
  someHmacScheme,
  someIdentity,
  someImportKey,
  someInvitation,
  someLeaseRequest,
  someMembership,
  someOrganization,
  somePasswordLink,
  someRecord,
  someRotation,
  someSelection,
  someSession,
  someSettings,
  someSigningKey,
  someToken,
  someUse,
  someUser,
} from "./samples.ts";

/** A fresh, empty storage of one engine, and what the tests do to it. Disposing of it removes everything. */
export interface StorageSubject extends AsyncDisposable {
  /** The storage that was opened last. */
  readonly storage: Storage;
  /** Where another process finds the database; `openStorage` in `engines.ts` understands it. */
  readonly location: string;
  /** Opens the database again, after closing it if need be. */
  reopen(): Promise<Storage>;
  /** Makes every write fail until it is disposed of. Reads go on. */
  blockWrites(): Promise<AsyncDisposable>;
  /** Makes every read fail, for good. */
  breakReads(): Promise<void>;
  /** Makes the storing of events fail whose request id is this one. */
  failEvents(requestId: string): Promise<void>;
  /** Tries to change and delete stored events by the database's own means, and answers what worked. */
  editEvents(): Promise<readonly string[]>;
}

export function storageContract(engine: string, openSubject: () => Promise<StorageSubject>): void {
  describe(`storage contract: ${engine}`, () => {
    /** For tests that care for nothing but what they made. To open one for each takes longer than most tests. */
    let shared: StorageSubject;
    beforeAll(async () => {
      shared = await openSubject();
    });
    afterAll(() => shared[Symbol.asyncDispose]());

    it("S1: what was acknowledged is there after the process was killed", async () => {
      await using subject = await openSubject();
      await subject.storage.close();
      await using writing = startWritingProcess(subject.location);
      await writing.acknowledged(200);
      const acknowledged = await writing.kill();
      await expectStored(await subject.reopen(), acknowledged);
    });

    it("S2: a read sees every write that has resolved", async () => {
      await checkReadsSeeWrites(shared.storage);
    });

    it("S3: nobody sees a part of a write", async () => {
      await using subject = await openSubject();
      await checkSetUpIsWhole(subject.storage);
    });

    it("S3: nothing stays of a write that failed", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const contents = someSetUp(3);
      const [organization] = contents.organizations;
      const [first] = contents.tokens;
      if (organization === undefined || first === undefined) throw new Error("the sample is too small");
      const twin = { ...someToken({ organizationId: organization.id }), fingerprint: first.fingerprint };

      await expectKind(
        storage.setUp({ ...contents, tokens: [...contents.tokens, twin] }, someChange()),
        "already_exists",
      );
      expect(await storage.isEmpty()).toBe(true);
      expect(await storage.getUser(contents.users[0]?.id ?? "")).toBeUndefined();
      expect(await storage.getToken(first.token.id)).toBeUndefined();
      expect(await storage.setUp(contents, someChange())).toBe(true);

      const user = contents.users[0];
      if (user === undefined) throw new Error("the sample is too small");
      const session = someSession({ organizationId: organization.id, userId: user.id });
      const taken = someFingerprint();
      await storage.createSession(session, taken, someChange());
      const other = someSession({ organizationId: organization.id, userId: user.id });
      await expectKind(storage.createSession(other, taken, someChange()), "already_exists");
      expect(await storage.getSession(other.id)).toBeUndefined();
    });

    it("S4: organizations, users and memberships come back as they went in", async () => {
      const { storage } = shared;
      const entities = fc.record({
        organization: fc.record({ name: text, profile: text, plan: text, createdAt: time }),
        user: fc.record({
          email: text,
          passwordHash: text,
          firstName: text,
          lastName: text,
          displayName: text,
          avatarUrl: text,
          createdAt: time,
        }),
        membership: fc.record({ role: fc.constantFrom("owner", "admin", "member"), createdAt: time }),
      });
      await fc.assert(
        fc.asyncProperty(entities, async (fields) => {
          const organization = someOrganization(fields.organization);
          const user = someUser({ ...fields.user, email: randomUUID() + fields.user.email });
          const ids = { organizationId: organization.id, userId: user.id };
          const membership = someMembership({ ...ids, ...fields.membership });
          await Promise.all([
            storage.createOrganization(organization, someChange()),
            storage.createUser(user),
            storage.putMembership(membership, someChange()),
          ]);
          expect(await storage.getOrganization(organization.id)).toStrictEqual(organization);
          expect(await storage.getUser(user.id)).toStrictEqual(user);
          expect(await storage.findUserByEmail(user.email)).toStrictEqual(user);
          expect(await storage.getMembership(organization.id, user.id)).toStrictEqual(membership);
          expect(await storage.listMembers(organization.id, undefined, 10)).toStrictEqual([{ membership, user }]);
          const before = { createdAt: organization.createdAt, id: `${organization.id} and more` };
          expect(await storage.listOrganizations(before, 1)).toStrictEqual([organization]);
        }),
      );
    });

    it("S4: tokens come back as they went in", async () => {
      const { storage } = shared;
      await fc.assert(
        fc.asyncProperty(tokenFields, async (fields) => {
          const organization = someOrganization({ profile: fields.profile });
          const created = someToken({ organizationId: organization.id, ...fields });
          await storage.createOrganization(organization, someChange());
          const token = await storage.createToken(created, someChange());
          expect(token).toStrictEqual({ ...created.token, revision: token.revision });
          expect(await storage.getToken(token.id)).toStrictEqual(token);
          expect(await storage.findTokenByFingerprint(created.fingerprint)).toStrictEqual(
            knownRecord(token, organization, { kind: "current" }),
          );
          expect(await storage.listTokens(everyToken(organization.id))).toStrictEqual([token]);
        }),
      );
    });

    it("S4: sessions and signing keys come back as they went in", async () => {
      const bytes = fc.uint8Array({ minLength: 1, maxLength: 200 });
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId, userId } = await someMember(storage);
      const client = fc.constantFrom("api" as const, "browser" as const);
      const sessionFields = fc.record({
        createdAt: time,
        expiresAt: time,
        endedAt: optional(time),
        client,
        method: text,
      });
      await fc.assert(
        fc.asyncProperty(sessionFields, async (fields) => {
          const session = someSession({ organizationId, userId, ...fields });
          await storage.createSession(session, someFingerprint(), someChange());
          expect(await storage.getSession(session.id)).toStrictEqual(session);
        }),
      );
      await fc.assert(
        fc.asyncProperty(bytes, time, async (sealedPrivateKey, createdAt) => {
          await using another = await openSubject();
          const key = someSigningKey({ sealedPrivateKey, createdAt });
          expect(await another.storage.ensureSigningKey(key)).toStrictEqual([key]);
          expect(await another.storage.listSigningKeys()).toStrictEqual([key]);
        }),
        { numRuns: 5 },
      );
    });

    it("S4: events come back as they went in, and as they were hashed", async () => {
      const { storage } = shared;
      const fields = fc.record({ name: text, plan: text, at: time, id: text, address: text, requestId: text });
      await fc.assert(
        fc.asyncProperty(fields, texts, async ({ name, plan, at, id, address, requestId }, scopes) => {
          const change = { at, actor: { kind: "token", id }, address, requestId } as const;
          const organization = someOrganization({ name, plan });
          const { token, fingerprint } = someToken({ organizationId: organization.id, name, scopes });
          await storage.createOrganization(organization, change);
          await storage.createToken({ token, fingerprint }, change);
          const events = await storage.listEvents(everyEvent({ organizationId: organization.id }));
          expect(events).toMatchObject([
            { ...change, targetName: name, scopes: [] },
            { ...change, targetName: name, scopes },
          ]);
          const [first, second] = events;
          if (first === undefined || second === undefined) throw new Error("an event is missing");
          expect([findFault(EMPTY_CHAIN, first), findFault(first, second)]).toEqual([undefined, undefined]);
        }),
      );
    });

    it("S4: text compares byte for byte", async () => {
      const { storage } = shared;
      const alike = [
        "straße",
        "strasse",
        "e\u0301",
        "\u00e9",
        "a",
        "A",
        "a ",
        " a",
        "ａ",
        "i",
        "ı",
        "\u{1f511}",
        "%",
        "_",
      ];
      const users = alike.map((email) => someUser({ id: `id ${email}`, email }));
      for (const user of users) await storage.createUser(user);
      for (const user of users) {
        expect(await storage.getUser(user.id)).toEqual(user);
        expect(await storage.findUserByEmail(user.email)).toEqual(user);
      }
      expect(await storage.findUserByEmail("STRASSE")).toBeUndefined();
    });

    it("S5: a conflict is an error of its kind that gives nothing away", async () => {
      const { storage } = shared;
      const organization = someOrganization({ name: "Hush & Sons" });
      await storage.createOrganization(organization, someChange());
      const taken = await expectKind(storage.createOrganization(organization, someChange()), "already_exists");
      expectPublic(taken, organization.id, organization.name);
      const orphan = someToken({ organizationId: randomUUID() });
      expectPublic(
        await expectKind(storage.createToken(orphan, someChange()), "failed_precondition"),
        orphan.token.organizationId,
      );
    });

    it("S5: a database that can't be written is unavailable, and what failed is not stored later", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const before = someOrganization();
      await storage.createOrganization(before, someChange());
      const refused = someOrganization();
      {
        await using _blocked = await subject.blockWrites();
        const error = await expectKind(storage.createOrganization(refused, someChange()), "unavailable");
        expectPublic(error);
        expect(await storage.getOrganization(before.id)).toEqual(before);
      }
      const next = someOrganization();
      await storage.createOrganization(next, someChange());
      expect(await storage.getOrganization(next.id)).toEqual(next);
      expect(await storage.getOrganization(refused.id)).toBeUndefined();
    });

    it("S5: a database that can't be read is unavailable", async () => {
      await using subject = await openSubject();
      await subject.breakReads();
      for (const [name, read] of Object.entries(reads(subject.storage))) {
        const error = await expectKind(read(), "unavailable", name);
        expectPublic(error);
      }
    });

    it("S6: an unknown id is nothing, whatever it looks like", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      for (const id of [randomUUID(), "", "tok_x", "'; DROP TABLE tokens; --", "\u{1f511}", "a".repeat(10_000)]) {
        expect(await storage.getOrganization(id)).toBeUndefined();
        expect(await storage.setPlan(id, "pro", someChange())).toBeUndefined();
        expect(await storage.setProfile(id, "plane", "pro", someChange())).toBeUndefined();
        expect(await storage.getUser(id)).toBeUndefined();
        expect(await storage.findUserByEmail(id)).toBeUndefined();
        expect(await storage.getMembership(id, id)).toBeUndefined();
        expect(await storage.setMemberRole(id, id, "owner", someChange())).toBeUndefined();
        expect(await storage.removeMember(id, id, NO_TOKENS, someChange())).toBeUndefined();
        expect(await storage.listMembers(id, undefined, 10)).toEqual([]);
        expect(await storage.listMembershipsOfUser(id)).toEqual([]);
        expect(await storage.getToken(id)).toBeUndefined();
        expect(await storage.listTokens(everyToken(id))).toEqual([]);
        expect(await storage.revokeToken(id, someChange())).toBeUndefined();
        expect(await storage.rotateToken(id, someRotation({ revision: 1 }), someChange())).toBeUndefined();
        expect(await storage.finishRotation(id, someChange())).toBeUndefined();
        expect(await storage.cancelRotation(id, someChange())).toBeUndefined();
        expect(await storage.recordUses([someUse(id, NOW, { daily: [{ day: 1, uses: 2 }] })])).toBeUndefined();
        expect(await storage.readUses(id, 0, 9)).toEqual([]);
        expect(await storage.revokeTokens(someSelection(id), someChange())).toBe(0);
        expect(await storage.countTokens(someSelection(id), NOW)).toBe(0);
        expect(await storage.takeLease(someLeaseRequest({ tokenId: id }))).toEqual({ granted: 1, taken: 1 });
        expect(await storage.readWindow(id, NOW)).toBe(0);
        expect(await storage.returnLeases([{ tokenId: id, windowStart: NOW, units: 1 }])).toBeUndefined();
        expect(await storage.getSession(id)).toBeUndefined();
        expect(await storage.listEvents(everyEvent({ organizationId: id }))).toEqual([]);
        expect(await storage.recordSignInFailure(id, "unknown_address", someChange())).toBeUndefined();
      }
      expect(await storage.findTokenByFingerprint(someFingerprint())).toBeUndefined();
      expect(await storage.findRecordedCall(someFingerprint(), NOW)).toBeUndefined();
      expect(await storage.getImportKey(randomUUID())).toBeUndefined();
      expect(await storage.listDigestSchemes()).toEqual([]);
      expect(await storage.listSigningKeys()).toEqual([]);
    });

    it("SU1: sets up an empty deployment once, with all of it", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const contents = someSetUp(2);
      expect(await storage.setUp(contents, someChange())).toBe(true);
      expect(await storage.getOrganization(contents.organizations[0]?.id ?? "")).toEqual(contents.organizations[0]);
      expect(await storage.getUser(contents.users[0]?.id ?? "")).toEqual(contents.users[0]);
      const [membership] = contents.memberships;
      expect(await storage.listMembershipsOfUser(membership?.userId ?? "")).toEqual([membership]);
      for (const { token, fingerprint } of contents.tokens) {
        const found = await storage.findTokenByFingerprint(fingerprint);
        expect(await storage.getToken(found?.token.id ?? "")).toMatchObject(token);
      }

      const again = someSetUp(1);
      expect(await storage.setUp(again, someChange())).toBe(false);
      expect(await storage.getOrganization(again.organizations[0]?.id ?? "")).toBeUndefined();
      expect(await storage.getUser(again.users[0]?.id ?? "")).toBeUndefined();
    });

    it("E1: each change has its event, and what changes nothing has none", async () => {
      await using subject = await openSubject();
      await checkEachChangeHasItsEvent(subject.storage);
    });

    it("E1: a set-up has the events of all that it makes", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      await storage.setUp(someSetUp(2), someChange());
      const events = await storage.listEvents(everyEvent());
      expect(events.map(({ action }) => action)).toEqual([
        "deployment.set_up",
        "organization.created",
        "member.added",
        "token.issued",
        "token.issued",
      ]);
      checkChains(events);
      await storage.setUp(someSetUp(1), someChange());
      expect(await storage.listEvents(everyEvent())).toEqual(events);
    });

    it("E1: of 1,000 changes whose event can't be stored none is made", async () => {
      await using subject = await openSubject();
      await checkNoChangeWithoutEvent(subject);
    });

    it("E2: 8 writers at once leave no gap and no fork", async () => {
      await using subject = await openSubject();
      await checkConcurrentChains(subject.storage, 250);
    });

    it("E2: a chain goes on after the database was opened again", async () => {
      await using subject = await openSubject();
      const { id } = someOrganization();
      await subject.storage.createOrganization(someOrganization({ id }), someChange());
      const storage = await subject.reopen();
      await storage.setPlan(id, "pro", someChange());
      const events = await storage.listEvents(everyEvent());
      expect(events.map(({ sequence }) => sequence)).toEqual([1, 2]);
      checkChains(events);
    });

    it("E3: an event's revision is its token's, and higher than any before it", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const token = await storage.createToken(someToken({ organizationId }), someChange());
      await someMember(storage);
      const revoked = await storage.revokeToken(token.id, someChange());
      const events = await storage.listEvents(everyEvent());
      const revisions = events.map(({ revision }) => revision);
      expect(revisions).toEqual(revisions.toSorted((one, two) => one - two));
      expect(new Set(revisions).size).toBe(revisions.length);
      const ofToken = events.filter(({ action }) => action.startsWith("token."));
      expect(ofToken.map(({ revision }) => revision)).toEqual([token.revision, revoked?.revision]);
    });

    it("E4: no event can be changed or deleted", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      await someMember(storage);
      await someMember(storage);
      const events = await storage.listEvents(everyEvent());
      expect(await subject.editEvents()).toEqual([]);
      expect(await storage.listEvents(everyEvent())).toEqual(events);
    });

    it("E5: reads what matches, by ascending revision, up to the limit", () => readsWhatMatches(false));

    it("E8: or by descending revision", () => readsWhatMatches(true));

    async function readsWhatMatches(newestFirst: boolean): Promise<void> {
      await using subject = await openSubject();
      const { storage } = subject;
      const members = [await someMember(storage), await someMember(storage)];
      for (const [index, { organizationId, userId }] of [...members, ...members, ...members].entries()) {
        const created = someToken({ organizationId });
        await storage.createToken(created, changeBy(`usr_${index % 3}`, after(index)));
        await storage.revokeToken(created.token.id, changeBy("usr_0", after(index % 4)));
        await storage.recordSignInFailure(userId, "wrong_password", someChange({ at: after(2) }));
      }
      const all = (await storage.listEvents(everyEvent())).toSorted((one, other) =>
        newestFirst ? other.revision - one.revision : one.revision - other.revision,
      );
      expect(all.map(({ organizationId }) => organizationId)).toContain(members[1]?.organizationId);
      const queries = fc.record({
        organizationId: optional(fc.constantFrom(...all.map(({ organizationId }) => organizationId), randomUUID())),
        actions: optional(fc.uniqueArray(fc.constantFrom(...ACTIONS))),
        actor: optional(fc.constantFrom("usr_0", "usr_1", "usr_none", "usr_someone")),
        target: optional(fc.constantFrom(...all.map(({ target }) => target), "tok_none")),
        from: optional(fc.integer({ min: -1, max: 7 }).map(after)),
        until: optional(fc.integer({ min: -1, max: 7 }).map(after)),
        after: fc.constantFrom(undefined, 0, ...all.map(({ revision }) => revision)),
        limit: fc.integer({ min: 1, max: 30 }),
      });
      await fc.assert(
        fc.asyncProperty(queries, async (query) => {
          const expected = all
            .filter(
              ({ organizationId }) => query.organizationId === undefined || organizationId === query.organizationId,
            )
            .filter(({ action }) => query.actions?.includes(action) ?? true)
            .filter(({ actor }) => query.actor === undefined || actor.id === query.actor)
            .filter(({ target }) => query.target === undefined || target === query.target)
            .filter(({ at }) => query.from === undefined || at >= query.from)
            .filter(({ at }) => query.until === undefined || at < query.until)
            .filter(
              ({ revision }) =>
                query.after === undefined || (newestFirst ? revision < query.after : revision > query.after),
            )
            .slice(0, query.limit);
          expect(await storage.listEvents({ ...query, newestFirst })).toEqual(expected);
        }),
        { numRuns: 300 },
      );
    }

    it("E6: reads the newest event's revision, and 0 where there is none", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      expect(await storage.latestRevision()).toBe(0);
      await storage.createOrganization(someOrganization(), someChange());
      await storage.createOrganization(someOrganization(), someChange());
      expect(await storage.latestRevision()).toBe((await storage.listEvents(everyEvent())).at(-1)?.revision);
    });

    it("E9: reads what every event after a revision changed, by ascending revision, up to the limit", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const members = [await someMember(storage), await someMember(storage)];
      for (const { organizationId, userId } of [...members, ...members]) {
        const created = someToken({ organizationId });
        await storage.createToken(created, someChange());
        await storage.revokeToken(created.token.id, someChange());
        await storage.recordSignInFailure(userId, "wrong_password", someChange());
      }
      const all = (await storage.listEvents(everyEvent())).map(({ revision, organizationId, action, target }) => ({
        revision,
        organizationId,
        action,
        target,
      }));
      const last = all.at(-1)?.revision ?? 0;
      expect(await storage.listChanges(0, all.length)).toEqual(all);
      for (const known of [0, ...all.map(({ revision }) => revision), last + 1]) {
        for (const limit of [1, 5, all.length + 1]) {
          const expected = all.filter(({ revision }) => revision > known).slice(0, limit);
          expect(await storage.listChanges(known, limit)).toEqual(expected);
        }
      }
      // Those of a write that has resolved are always there.
      const { organizationId } = await someMember(storage);
      for (let count = 0; count < 20; count++) {
        const known = await storage.latestRevision();
        await storage.createToken(someToken({ organizationId }), someChange());
        expect(await storage.listChanges(known, 10)).toMatchObject([{ action: "token.issued", organizationId }]);
      }
    });

    it("F1: counts changes, so that the count before a write is never seen after it", async () => {
      await using subject = await openSubject();
      await checkChangesAreCounted(subject.storage);
    });

    it("F2: says nothing of changes once it can't be sure", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      await storage.close();
      expect(storage.changeCount()).toBeUndefined();
    });

    it("E7: reads the hashes of all events by ascending revision, from anywhere, up to the limit", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      expect(await storage.listEventHashes(undefined, 10)).toEqual([]);
      const members = [await someMember(storage), await someMember(storage)];
      for (const { organizationId } of [...members, ...members, ...members]) {
        await storage.createToken(someToken({ organizationId }), someChange());
      }
      const all = (await storage.listEvents(everyEvent())).map(({ revision, hash }) => ({ revision, hash }));
      const read = async (start: number | undefined, limit: number) =>
        (await storage.listEventHashes(start, limit)).map(({ revision, hash }) => ({
          revision,
          hash: new Uint8Array(hash),
        }));
      for (const start of [undefined, 0, ...all.map(({ revision }) => revision), 10_000]) {
        for (const limit of [1, 3, 1000]) {
          const expected = all.filter(({ revision }) => revision > (start ?? 0)).slice(0, limit);
          expect(await read(start, limit)).toEqual(expected);
        }
      }
    });

    it("SU1: of several at once exactly one sets up", async () => {
      await using subject = await openSubject();
      await checkOneSetUpWins(subject.storage);
    });

    it("SU1: a signing key or a user doesn't make a deployment set up", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      await storage.ensureSigningKey(someSigningKey());
      await storage.createUser(someUser());
      expect(await storage.setUp(someSetUp(1), someChange())).toBe(true);
    });

    it("SU1: refuses to set up where an organization was made one by one", async () => {
      await using subject = await openSubject();
      await subject.storage.createOrganization(someOrganization(), someChange());
      expect(await subject.storage.setUp(someSetUp(1), someChange())).toBe(false);
    });

    it("SU2: is empty until it is set up", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      expect(await storage.isEmpty()).toBe(true);
      await storage.ensureSigningKey(someSigningKey());
      expect(await storage.isEmpty()).toBe(true);
      await storage.setUp(someSetUp(1), someChange());
      expect(await storage.isEmpty()).toBe(false);
    });

    it("O1: stores an organization and answers it, and refuses an id that is taken", async () => {
      const { storage } = shared;
      const organization = someOrganization();
      expect(await storage.createOrganization(organization, someChange())).toEqual(organization);
      await expectKind(
        storage.createOrganization(someOrganization({ id: organization.id }), someChange()),
        "already_exists",
      );
      expect(await storage.getOrganization(organization.id)).toEqual(organization);
    });

    it("O2: reads the organization with this id only", async () => {
      const { storage } = shared;
      const [one, two] = [someOrganization(), someOrganization()];
      await storage.createOrganization(one, someChange());
      await storage.createOrganization(two, someChange());
      expect(await storage.getOrganization(one.id)).toEqual(one);
      expect(await storage.getOrganization(two.id)).toEqual(two);
    });

    it("O3: lists organizations, the newest first, then by descending id", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      expect(await storage.listOrganizations(undefined, 10)).toEqual([]);
      const stored = [2, 0, 1, 1, 3, 1, -1].map((milliseconds) => someOrganization({ createdAt: after(milliseconds) }));
      for (const organization of stored) await storage.createOrganization(organization, someChange());
      const expected = stored.toSorted(byAge);
      expect(await storage.listOrganizations(undefined, 10)).toEqual(expected);
      for (const limit of [1, 2, 3, 7]) {
        const listed = await pages((last) => storage.listOrganizations(last, limit));
        expect(listed).toEqual(expected);
      }
      const nowhere = { createdAt: after(1), id: "\u{10ffff}" };
      expect(await storage.listOrganizations(nowhere, 10)).toEqual(expected.slice(2));
    });

    it("O4: changes the plan, and nothing else", async () => {
      const { storage } = shared;
      const [organization, other] = [someOrganization(), someOrganization()];
      await storage.createOrganization(organization, someChange());
      await storage.createOrganization(other, someChange());
      const changed = { ...organization, plan: "pro" };
      expect(await storage.setPlan(organization.id, "pro", someChange())).toEqual(changed);
      expect(await storage.getOrganization(organization.id)).toEqual(changed);
      expect(await storage.getOrganization(other.id)).toEqual(other);
      expect(await storage.setPlan(randomUUID(), "pro", someChange())).toBeUndefined();
    });

    it("O4: a token that is found comes with the new plan", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const stored = someToken({ organizationId });
      await storage.createToken(stored, someChange());
      await storage.setPlan(organizationId, "pro", someChange());
      const found = await storage.findTokenByFingerprint(stored.fingerprint);
      expect(found?.organization).toEqual({ id: organizationId, plan: "pro" });
    });

    it("O5: changes the profile and the plan of an organization without tokens of its profile", async () => {
      const { storage } = shared;
      const [organization, other] = [someOrganization(), someOrganization()];
      await storage.createOrganization(organization, someChange());
      await storage.createOrganization(other, someChange());
      await storage.createToken(someToken({ organizationId: other.id }), someChange());
      await storage.createToken(
        someToken({ organizationId: organization.id, profile: SERVICE_PROFILE_ID }),
        someChange(),
      );
      const changed = { ...organization, profile: "plane", plan: "pro" };
      expect(await storage.setProfile(organization.id, "plane", "pro", someChange())).toEqual(changed);
      expect(await storage.getOrganization(organization.id)).toEqual(changed);
      expect(await storage.getOrganization(other.id)).toEqual(other);
      expect(await storage.setProfile(randomUUID(), "plane", "pro", someChange())).toBeUndefined();
    });

    it("O5: refuses an organization that has a token of its profile, in whatever state", async () => {
      const { storage } = shared;
      const revoked = { revokedAt: NOW, revokedBy: "usr_someone" };
      for (const state of [{}, { enabled: false }, { expiresAt: after(-1) }, revoked]) {
        const organization = someOrganization();
        await storage.createOrganization(organization, someChange());
        await storage.createToken(someToken({ organizationId: organization.id, ...state }), someChange());
        const refusal = await expectKind(
          storage.setProfile(organization.id, "plane", "pro", someChange()),
          "failed_precondition",
          JSON.stringify(state),
        );
        expect(refusal.message).toBe("An organization that has tokens keeps its profile.");
        expect(await storage.getOrganization(organization.id)).toEqual(organization);
      }
    });

    it("O5: no token is issued in between", async () => {
      await checkProfileChange(shared.storage);
    });

    it("U1: stores a user, and refuses an id or an email that is taken", async () => {
      const { storage } = shared;
      const user = someUser();
      await storage.createUser(user);
      await expectKind(storage.createUser(someUser({ id: user.id })), "already_exists");
      await expectKind(storage.createUser(someUser({ email: user.email })), "already_exists");
      expect(await storage.getUser(user.id)).toEqual(user);
    });

    it("U2: reads the user with this id only", async () => {
      const { storage } = shared;
      const [one, two] = [someUser(), someUser()];
      await storage.createUser(one);
      await storage.createUser(two);
      expect(await storage.getUser(one.id)).toEqual(one);
      expect(await storage.getUser(two.id)).toEqual(two);
    });

    it("U3: finds the user with this email only", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const [one, two] = [someUser({ email: "one@example.com" }), someUser({ email: "two@example.com" })];
      await storage.createUser(one);
      await storage.createUser(two);
      expect(await storage.findUserByEmail("one@example.com")).toEqual(one);
      expect(await storage.findUserByEmail("two@example.com")).toEqual(two);
      expect(await storage.findUserByEmail("ONE@example.com")).toBeUndefined();
    });

    it("U4: gives a user another password, and ends all sessions but one", async () => {
      const { storage } = shared;
      const ids = await someMember(storage);
      const [elsewhere, stranger] = [someOrganization(), await someMember(storage)];
      await storage.createOrganization(elsewhere, someChange());
      await storage.putMembership(someMembership({ ...ids, organizationId: elsewhere.id }), someChange());
      const sessions = {
        kept: someSession(ids),
        other: someSession(ids),
        elsewhere: someSession({ ...ids, organizationId: elsewhere.id }),
        ended: someSession({ ...ids, endedAt: after(1) }),
        expired: someSession({ ...ids, expiresAt: after(5) }),
        strangers: someSession(stranger),
      };
      for (const session of Object.values(sessions)) {
        await storage.createSession(session, someFingerprint(), someChange());
      }
      const user = await storage.getUser(ids.userId);
      const password = { before: user?.passwordHash ?? "", after: "new hash", keptSessionId: sessions.kept.id };
      expect(await storage.changePassword(ids.userId, password, someChange({ at: after(5) }))).toBe(true);
      expect(await storage.getUser(ids.userId)).toEqual({ ...user, passwordHash: "new hash" });
      for (const [name, session] of Object.entries(sessions)) {
        const endedAt = ["other", "elsewhere"].includes(name) ? after(5) : session.endedAt;
        expect(await storage.getSession(session.id), name).toEqual({ ...session, endedAt });
      }
      expect((await storage.getUser(stranger.userId))?.passwordHash).toBe(user?.passwordHash);
    });

    it("U8: a new password uses up the links to another one", async () => {
      const { storage } = shared;
      const [user, other] = [someUser(), someUser()];
      for (const one of [user, other]) await storage.createUser(one);
      const [mine, theirs] = [somePasswordLink(user.id), somePasswordLink(other.id)];
      for (const link of [mine, theirs]) await storage.createPasswordLink(link, someChange());
      const password = { before: user.passwordHash, after: "new hash", keptSessionId: randomUUID() };
      await storage.changePassword(user.id, password, someChange());
      expect(await storage.findPasswordLink(mine.fingerprint, NOW)).toBeUndefined();
      expect(await storage.findPasswordLink(theirs.fingerprint, NOW)).toEqual(other);
    });

    it("PL1: stores a link for a user, and for nobody else", async () => {
      const { storage } = shared;
      const user = someUser();
      await storage.createUser(user);
      const link = somePasswordLink(user.id);
      expect(await storage.createPasswordLink(link, someChange())).toBe(true);
      expect(await storage.findPasswordLink(link.fingerprint, NOW)).toEqual(user);
      const orphan = somePasswordLink(randomUUID());
      await expectKind(storage.createPasswordLink(orphan, someChange()), "failed_precondition");
      expect(await storage.findPasswordLink(orphan.fingerprint, NOW)).toBeUndefined();
    });

    it("PL2: stores no more links of a user than may work at a time, and takes none away", async () => {
      const { storage } = shared;
      const user = someUser();
      await storage.createUser(user);
      const links = Array.from({ length: MAX_PASSWORD_LINKS + 3 }, () => somePasswordLink(user.id));
      const answers = await Promise.all(links.map((link) => storage.createPasswordLink(link, someChange())));
      expect(answers.filter((wasStored) => wasStored)).toHaveLength(MAX_PASSWORD_LINKS);
      for (const [index, { fingerprint }] of links.entries()) {
        expect(await storage.findPasswordLink(fingerprint, NOW)).toEqual(answers[index] ? user : undefined);
      }
      const later = { ...somePasswordLink(user.id), expiresAt: after(120_000) };
      expect(await storage.createPasswordLink(later, someChange({ at: after(60_000) }))).toBe(true);
    });

    it("PL3: finds a link by the exact fingerprint, until its time is over", async () => {
      const { storage } = shared;
      const user = someUser();
      await storage.createUser(user);
      const link = somePasswordLink(user.id);
      await storage.createPasswordLink(link, someChange());
      expect(await storage.findPasswordLink(link.fingerprint, after(59_999))).toEqual(user);
      expect(await storage.findPasswordLink(link.fingerprint, after(60_000))).toBeUndefined();
      expect(await storage.findPasswordLink(link.fingerprint.slice(1), NOW)).toBeUndefined();
    });

    it("PL4: a link resets the password once, uses up all others, and ends every session", async () => {
      await checkOneResetWins(shared.storage);
    });

    it("PL4: a link whose time is over resets nothing", async () => {
      const { storage } = shared;
      const user = someUser();
      await storage.createUser(user);
      const link = somePasswordLink(user.id);
      await storage.createPasswordLink(link, someChange());
      const late = someChange({ at: after(60_000) });
      expect(await storage.resetPassword(link.fingerprint, "new hash", late)).toBe(false);
      expect(await storage.resetPassword(someFingerprint(), "new hash", someChange())).toBe(false);
      expect(await storage.getUser(user.id)).toEqual(user);
    });

    it("PL5: forgets the links whose time is over, up to the limit", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const user = someUser();
      await storage.createUser(user);
      const links = [10, 20, 30, 40].map((end) => ({ ...somePasswordLink(user.id), expiresAt: after(end) }));
      for (const link of links) await storage.createPasswordLink(link, someChange());
      expect(await storage.sweepPasswordLinks(after(30), 2)).toBe(2);
      expect(await storage.sweepPasswordLinks(after(30), 2)).toBe(1);
      expect(await storage.sweepPasswordLinks(after(30), 2)).toBe(0);
      const kept = await Promise.all(links.map(({ fingerprint }) => storage.findPasswordLink(fingerprint, NOW)));
      expect(kept).toEqual([undefined, undefined, undefined, user]);
    });

    it("M10: adds nobody of whom it isn't certain that they have the mailbox, where that is asked for", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage, "owner");
      const membership = { organizationId, role: "member", createdAt: NOW } as const;
      const add = (user: User) => storage.addMember(membership, user, someChange(), undefined, true);
      const [fresh, unsure, reset] = [someUser(), someUser(), someUser()];
      for (const user of [unsure, reset]) await storage.createUser(user);
      const link = somePasswordLink(reset.id);
      await storage.createPasswordLink(link, someChange());
      await storage.resetPassword(link.fingerprint, "new hash", someChange());

      expect((await add(fresh)).user).toEqual(fresh);
      await expectKind(add(unsure), "failed_precondition");
      expect(await storage.getMembership(organizationId, unsure.id)).toBeUndefined();
      expect((await add(reset)).user.id).toBe(reset.id);
      expect((await storage.addMember(membership, unsure, someChange())).user).toEqual(unsure);
      await expectKind(add(unsure), "already_exists");
    });

    it("IV1: stores one invitation for an email, and none for a member", async () => {
      const { storage } = shared;
      const { organizationId, userId } = await someMember(storage);
      const member = await storage.getUser(userId);
      const first = someInvitation(organizationId);
      const { email } = first.invitation;
      const second = someInvitation(organizationId, { email, role: "member", isMailed: false });
      for (const one of [first, second]) {
        expect(await storage.createInvitation(one, someChange())).toEqual(one.invitation);
      }
      expect(await storage.listInvitations(organizationId, NOW)).toEqual([second.invitation]);
      expect(await storage.findInvitation(first.fingerprint, NOW)).toBeUndefined();
      const ofMember = someInvitation(organizationId, { email: member?.email ?? "" });
      await expectKind(storage.createInvitation(ofMember, someChange()), "already_exists");
      const twin = { ...someInvitation(organizationId), fingerprint: second.fingerprint };
      await expectKind(storage.createInvitation(twin, someChange()), "already_exists");
      await expectKind(storage.createInvitation(someInvitation(randomUUID()), someChange()), "failed_precondition");
      expect(await storage.listInvitations(organizationId, NOW)).toEqual([second.invitation]);
    });

    it("IV1: stores as many as an organization has at a time, and goes on when some are over", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const all = Array.from({ length: MAX_INVITATIONS + 1 }, () => someInvitation(organizationId));
      const [last, ...others] = all;
      if (last === undefined) throw new Error("too few");
      await Promise.all(others.map((one) => storage.createInvitation(one, someChange())));
      await expectKind(storage.createInvitation(last, someChange()), "failed_precondition");
      const [{ invitation } = last] = others;
      const again = someInvitation(organizationId, { email: invitation.email });
      await storage.createInvitation(again, someChange());
      await storage.createInvitation(last, someChange({ at: after(60_000) }));
    });

    it("IV2: lists the invitations of one organization that work, the oldest first", async () => {
      const { storage } = shared;
      const [{ organizationId }, other] = [await someMember(storage), await someMember(storage)];
      const made = [5, 1, 3].map((time) => someInvitation(organizationId, { createdAt: after(time) }));
      const over = someInvitation(organizationId, { expiresAt: after(10) });
      const elsewhere = someInvitation(other.organizationId);
      for (const one of [...made, over, elsewhere]) await storage.createInvitation(one, someChange());
      const [five, one, three] = made.map(({ invitation }) => invitation);
      expect(await storage.listInvitations(organizationId, after(10))).toEqual([one, three, five]);
    });

    it("IV3: ends an invitation of this organization, once", async () => {
      const { storage } = shared;
      const [{ organizationId }, other] = [await someMember(storage), await someMember(storage)];
      const { invitation, fingerprint } = someInvitation(organizationId);
      await storage.createInvitation({ invitation, fingerprint }, someChange());
      const end = (id: string) => storage.revokeInvitation(id, invitation.id, someChange());
      expect(await end(other.organizationId)).toBeUndefined();
      expect(await storage.findInvitation(fingerprint, NOW)).toEqual(invitation);
      expect(await end(organizationId)).toEqual(invitation);
      expect(await end(organizationId)).toBeUndefined();
      expect(await storage.findInvitation(fingerprint, NOW)).toBeUndefined();
    });

    it("IV4: finds an invitation by the exact fingerprint, until its time is over", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const { invitation, fingerprint } = someInvitation(organizationId);
      await storage.createInvitation({ invitation, fingerprint }, someChange());
      expect(await storage.findInvitation(fingerprint, after(59_999))).toEqual(invitation);
      expect(await storage.findInvitation(fingerprint, after(60_000))).toBeUndefined();
      expect(await storage.findInvitation(fingerprint.slice(1), NOW)).toBeUndefined();
    });

    it("IV5: makes a newcomer a member once, with the invitation's email and role", async () => {
      await checkOneAcceptanceWins(shared.storage);
    });

    it("IV5: an invitation that is over makes nobody a member, and a member stays as they are", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const [user, made] = [someUser(), someInvitation(organizationId)];
      await storage.createInvitation(made, someChange());
      const late = someChange({ at: after(60_000) });
      expect(await storage.acceptInvitation(made.fingerprint, { kind: "newcomer", user }, late)).toBeUndefined();
      expect(await storage.getUser(user.id)).toBeUndefined();

      const offered = someInvitation(organizationId, { email: user.email, role: "owner" });
      await storage.createInvitation(offered, someChange());
      const { membership } = await storage.addMember(
        { organizationId, role: "member", createdAt: NOW },
        user,
        someChange(),
      );
      const person = { kind: "person", userId: user.id } as const;
      expect(await storage.acceptInvitation(offered.fingerprint, person, someChange())).toEqual({ membership, user });
    });

    it("IV6: takes an account over only with a mailed invitation, and only where nobody proved to have the mailbox", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const home = await someMember(storage);
      const squatter = await storage.getUser(home.userId);
      const { email = "" } = squatter ?? {};
      const session = someSession(home);
      const presented = somePasswordLink(home.userId);
      await storage.createSession(session, someFingerprint(), someChange());
      await storage.createPasswordLink(presented, someChange());
      const newcomer = { kind: "newcomer", user: someUser({ email, passwordHash: "new hash" }) } as const;

      const handed = someInvitation(organizationId, { email, isMailed: false });
      await storage.createInvitation(handed, someChange());
      await expectKind(storage.acceptInvitation(handed.fingerprint, newcomer, someChange()), "failed_precondition");
      expect(await storage.getUser(home.userId)).toEqual(squatter);
      expect(await storage.findInvitation(handed.fingerprint, NOW)).toEqual(handed.invitation);

      const mailed = someInvitation(organizationId, { email });
      await storage.createInvitation(mailed, someChange());
      const member = await storage.acceptInvitation(mailed.fingerprint, newcomer, someChange({ at: after(3) }));
      expect(member?.user).toEqual({ ...squatter, passwordHash: "new hash" });
      expect(await storage.getSession(session.id)).toEqual({ ...session, endedAt: after(3) });
      expect(await storage.findPasswordLink(presented.fingerprint, NOW)).toBeUndefined();

      const elsewhere = await someMember(storage);
      const again = someInvitation(elsewhere.organizationId, { email });
      await storage.createInvitation(again, someChange());
      const other = { kind: "newcomer", user: { ...newcomer.user, passwordHash: "another hash" } } as const;
      await expectKind(storage.acceptInvitation(again.fingerprint, other, someChange()), "failed_precondition");
      expect((await storage.getUser(home.userId))?.passwordHash).toBe("new hash");
      const stranger = { kind: "person", userId: elsewhere.userId } as const;
      await expectKind(storage.acceptInvitation(again.fingerprint, stranger, someChange()), "failed_precondition");
      const person = { kind: "person", userId: home.userId } as const;
      expect((await storage.acceptInvitation(again.fingerprint, person, someChange()))?.user.id).toBe(home.userId);
    });

    it("IV7: forgets the invitations whose time is over, up to the limit", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const ends = [10, 20, 30, 40].map((end) => someInvitation(organizationId, { expiresAt: after(end) }));
      for (const one of ends) await storage.createInvitation(one, someChange());
      expect(await storage.sweepInvitations(after(30), 2)).toBe(2);
      expect(await storage.sweepInvitations(after(30), 2)).toBe(1);
      expect(await storage.sweepInvitations(after(30), 2)).toBe(0);
      expect(await storage.listInvitations(organizationId, NOW)).toEqual([ends[3]?.invitation]);
    });

    it("IV8: the invitations of a member end with the membership, and no others", async () => {
      const { storage } = shared;
      const [{ organizationId, userId }, elsewhere] = [await someMember(storage), await someMember(storage)];
      const createdBy = toPublicId("usr", userId);
      const theirs = someInvitation(organizationId, { createdBy });
      const others = [someInvitation(organizationId), someInvitation(elsewhere.organizationId, { createdBy })];
      for (const one of [theirs, ...others]) await storage.createInvitation(one, someChange());
      await storage.removeMember(organizationId, userId, NO_TOKENS, someChange());
      expect(await storage.findInvitation(theirs.fingerprint, NOW)).toBeUndefined();
      for (const { fingerprint, invitation } of others) {
        expect(await storage.findInvitation(fingerprint, NOW)).toEqual(invitation);
      }
    });

    it("ID1: reads the user of an identity, by exactly its texts", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const [identity, user] = [someIdentity(), someUser()];
      await storage.createUser(user);
      expect(await storage.findUserByIdentity(identity)).toBeUndefined();
      await storage.linkIdentity(identity, user.email, "new hash", someChange());
      expect((await storage.findUserByIdentity(identity))?.id).toBe(user.id);
      for (const other of [
        { ...identity, issuer: identity.issuer.toUpperCase() },
        { ...identity, subject: identity.subject.toUpperCase() },
        { ...identity, subject: `${identity.subject} ` },
        { issuer: identity.subject, subject: identity.issuer },
      ]) {
        expect(await storage.findUserByIdentity(other)).toBeUndefined();
      }
    });

    it("ID2: links an identity to the user with the email, whose mailbox is certain then, or changes nothing", async () => {
      const { storage } = shared;
      const { organizationId, userId } = await someMember(storage);
      const user = (await storage.getUser(userId)) ?? someUser();
      const identity = someIdentity();
      expect(await storage.linkIdentity(identity, someUser().email, "new hash", someChange())).toBeUndefined();
      expect(await storage.findUserByIdentity(identity)).toBeUndefined();
      expect(await storage.linkIdentity(identity, user.email, "new hash", someChange())).toMatchObject({ id: userId });
      // Only a person whose mailbox is certain is added as they are.
      const elsewhere = someOrganization();
      await storage.createOrganization(elsewhere, someChange());
      const membership = { organizationId: elsewhere.id, role: "member", createdAt: NOW } as const;
      await storage.addMember(membership, { ...someUser(), email: user.email }, someChange(), undefined, true);
      expect(await storage.getMembership(elsewhere.id, userId)).toBeDefined();
      expect(await storage.getMembership(organizationId, userId)).toBeDefined();
    });

    it("ID3: leaves an identity with the user that it was linked to first", async () => {
      const { storage } = shared;
      const [identity, first, second] = [someIdentity(), someUser(), someUser()];
      await Promise.all([storage.createUser(first), storage.createUser(second)]);
      const linked = await Promise.all(
        [first, second, first].map(({ email }) => storage.linkIdentity(identity, email, "new hash", someChange())),
      );
      const winner = await storage.findUserByIdentity(identity);
      expect(linked.map((user) => user?.id)).toEqual([winner?.id, winner?.id, winner?.id]);
      const other = [first, second].find(({ id }) => id !== winner?.id);
      expect(await storage.getUser(other?.id ?? "")).toEqual(other);
    });

    it("ID4: refuses another identity of the same issuer, and none of another one", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const [identity, user] = [someIdentity(), someUser()];
      await storage.createUser(user);
      await storage.linkIdentity(identity, user.email, "new hash", someChange());
      const [sameIssuer, other] = [{ ...identity, subject: "another" }, someIdentity()];
      await expectKind(storage.linkIdentity(sameIssuer, user.email, "x", someChange()), "failed_precondition");
      expect(await storage.findUserByIdentity(sameIssuer)).toBeUndefined();
      expect((await storage.linkIdentity(other, user.email, "x", someChange()))?.id).toBe(user.id);
    });

    it("ID5: takes an account from whoever made it, unless its person had proved to have the mailbox", async () => {
      const { storage } = shared;
      const ids = await someMember(storage);
      const { email = "" } = (await storage.getUser(ids.userId)) ?? {};
      const open = async () => {
        const [session, fingerprint] = [someSession(ids), someFingerprint()];
        await storage.createSession(session, fingerprint, someChange());
        const link = somePasswordLink(ids.userId);
        await storage.createPasswordLink(link, someChange());
        return { session, link };
      };
      const before = await open();
      const change = someChange({ at: after(1) });
      expect((await storage.linkIdentity(someIdentity(), email, "new hash", change))?.passwordHash).toBe("new hash");
      expect((await storage.getSession(before.session.id))?.endedAt).toEqual(after(1));
      expect(await storage.findPasswordLink(before.link.fingerprint, NOW)).toBeUndefined();
      const since = await open();
      expect((await storage.linkIdentity(someIdentity(), email, "newer hash", change))?.passwordHash).toBe("new hash");
      expect((await storage.getSession(since.session.id))?.endedAt).toBeUndefined();
      expect(await storage.findPasswordLink(since.link.fingerprint, NOW)).toBeDefined();
    });

    it("U6: stores an organization and a user who owns it, or nothing", async () => {
      const { storage } = shared;
      const [organization, user] = [someOrganization(), someUser()];
      expect(await storage.register(organization, user, someChange({ at: after(3) }))).toBe(true);
      expect(await storage.getOrganization(organization.id)).toEqual(organization);
      const membership = { organizationId: organization.id, userId: user.id, role: "owner", createdAt: after(3) };
      expect(await storage.listMembers(organization.id, undefined, 10)).toEqual([{ membership, user }]);

      const [other, stranger] = [someOrganization(), someUser()];
      await expectKind(storage.register(organization, stranger, someChange()), "already_exists");
      await expectKind(storage.register(other, { ...stranger, id: user.id }, someChange()), "already_exists");
      expect(await storage.findUserByEmail(stranger.email)).toBeUndefined();
      expect(await storage.getOrganization(other.id)).toBeUndefined();
    });

    it("U7: stores nothing for an email that somebody has, and of several at once one is stored", async () => {
      await checkOneRegistrationWins(shared.storage);
    });

    it("U5: changes nothing for another hash, and once for one hash", async () => {
      await checkOnePasswordWins(shared.storage);
    });

    it("M1: stores a membership, and changes nothing but the role of one that is there", async () => {
      const { storage } = shared;
      const ids = await someMember(storage);
      const other = await someMember(storage);
      await storage.putMembership(someMembership({ ...ids, role: "admin", createdAt: after(5) }), someChange());
      expect(await storage.getMembership(ids.organizationId, ids.userId)).toEqual(
        someMembership({ ...ids, role: "admin" }),
      );
      expect(await storage.getMembership(other.organizationId, other.userId)).toEqual(someMembership(other));
    });

    it("M1: refuses an organization or a user that doesn't exist", async () => {
      const { storage } = shared;
      const { organizationId, userId } = await someMember(storage);
      const strangers = [
        { organizationId, userId: randomUUID() },
        { organizationId: randomUUID(), userId },
      ];
      for (const ids of strangers) {
        await expectKind(storage.putMembership(someMembership(ids), someChange()), "failed_precondition");
        expect(await storage.getMembership(ids.organizationId, ids.userId)).toBeUndefined();
      }
    });

    it("M4: adds somebody new, and answers the member", async () => {
      const { storage } = shared;
      const organization = someOrganization();
      await storage.createOrganization(organization, someChange());
      const user = someUser();
      const membership = { organizationId: organization.id, role: "admin", createdAt: after(3) } as const;
      const member = { membership: { ...membership, userId: user.id }, user };
      expect(await storage.addMember(membership, user, someChange())).toEqual(member);
      expect(await storage.getUser(user.id)).toEqual(user);
      expect(await storage.getMembership(organization.id, user.id)).toEqual(member.membership);
    });

    it("M4: somebody who has the email already keeps their account", async () => {
      const { storage } = shared;
      const { userId } = await someMember(storage);
      const existing = await storage.getUser(userId);
      const organization = someOrganization();
      await storage.createOrganization(organization, someChange());
      const invited = someUser({ email: existing?.email ?? "", passwordHash: "another", firstName: "Else" });
      const membership = { organizationId: organization.id, role: "member", createdAt: NOW } as const;
      const added = await storage.addMember(membership, invited, someChange());
      expect(added).toEqual({ membership: { ...membership, userId }, user: existing });
      expect(await storage.findUserByEmail(invited.email)).toEqual(existing);
      expect(await storage.getUser(invited.id)).toBeUndefined();
    });

    it("M4: refuses a member, and an organization that doesn't exist, and stores nobody", async () => {
      const { storage } = shared;
      const ids = await someMember(storage);
      const existing = await storage.getUser(ids.userId);
      const membership = { organizationId: ids.organizationId, role: "owner", createdAt: after(1) } as const;
      const again = someUser({ email: existing?.email ?? "" });
      await expectKind(storage.addMember(membership, again, someChange()), "already_exists");
      expect(await storage.getMembership(ids.organizationId, ids.userId)).toEqual(someMembership(ids));

      const stranger = someUser();
      const nowhere = { ...membership, organizationId: randomUUID() };
      await expectKind(storage.addMember(nowhere, stranger, someChange()), "failed_precondition");
      expect(await storage.getUser(stranger.id)).toBeUndefined();
    });

    it("M4: of several with one email at once exactly one account is stored", async () => {
      const { storage } = shared;
      const organizations = Array.from({ length: 8 }, () => someOrganization());
      for (const organization of organizations) await storage.createOrganization(organization, someChange());
      const members = await Promise.all(
        organizations.map(({ id }) => {
          const user = someUser({ email: "one@example.com" });
          return storage.addMember({ organizationId: id, role: "member", createdAt: NOW }, user, someChange());
        }),
      );
      const stored = await storage.findUserByEmail("one@example.com");
      for (const { user } of members) expect(user).toEqual(stored);
    });

    it("M5: changes a member's role, and nothing else", async () => {
      const { storage } = shared;
      const ids = await someMember(storage);
      const user = await storage.getUser(ids.userId);
      const other = await someMember(storage);
      for (const role of ["admin", "owner", "owner"] as const) {
        const membership = someMembership({ ...ids, role });
        expect(await storage.setMemberRole(ids.organizationId, ids.userId, role, someChange())).toEqual({
          membership,
          user,
        });
        expect(await storage.getMembership(ids.organizationId, ids.userId)).toEqual(membership);
      }
      expect(await storage.getMembership(other.organizationId, other.userId)).toEqual(someMembership(other));
      expect(await storage.setMemberRole(ids.organizationId, other.userId, "owner", someChange())).toBeUndefined();
    });

    it("M5: the last owner keeps the role", async () => {
      const { storage } = shared;
      const ids = await someMember(storage, "owner");
      await storage.addMember({ ...ids, role: "admin", createdAt: NOW }, someUser(), someChange());
      // An owner of another organization is none of this one.
      await someMember(storage, "owner");
      for (const role of ["admin", "member"] as const) {
        const refused = storage.setMemberRole(ids.organizationId, ids.userId, role, someChange());
        const { message } = await expectKind(refused, "failed_precondition");
        expect(message).toBe("An organization keeps at least one owner.");
      }
      expect((await storage.getMembership(ids.organizationId, ids.userId))?.role).toBe("owner");
    });

    it("M5: of owners who resign at once one stays", async () => {
      await checkOneOwnerStays(shared.storage);
    });

    it("M6: ends this membership only, and leaves the user", async () => {
      const { storage } = shared;
      const ids = await someMember(storage, "owner");
      const user = someUser();
      await storage.addMember({ ...ids, role: "owner", createdAt: NOW }, user, someChange());
      expect(await storage.removeMember(ids.organizationId, user.id, NO_TOKENS, someChange())).toEqual({
        revokedTokens: 0,
      });
      expect(await storage.getMembership(ids.organizationId, user.id)).toBeUndefined();
      expect(await storage.getMembership(ids.organizationId, ids.userId)).toBeDefined();
      expect(await storage.getUser(user.id)).toEqual(user);
      expect(await storage.removeMember(ids.organizationId, user.id, NO_TOKENS, someChange())).toBeUndefined();
    });

    it("M6: the last owner can't be removed, whoever else is there", async () => {
      const { storage } = shared;
      const ids = await someMember(storage, "owner");
      const admin = someUser();
      await storage.addMember({ ...ids, role: "admin", createdAt: NOW }, admin, someChange());
      await expectKind(
        storage.removeMember(ids.organizationId, ids.userId, NO_TOKENS, someChange()),
        "failed_precondition",
      );
      expect(await storage.getMembership(ids.organizationId, ids.userId)).toBeDefined();
      await storage.removeMember(ids.organizationId, admin.id, NO_TOKENS, someChange());
      await expectKind(
        storage.removeMember(ids.organizationId, ids.userId, NO_TOKENS, someChange()),
        "failed_precondition",
      );
    });

    it("M8: revokes the member's tokens of those types, and ends their sessions, in that organization only", async () => {
      const { storage } = shared;
      const { organizationId, userId: owner } = await someMember(storage, "owner");
      const other = await someMember(storage, "owner");
      const { organizationId: elsewhere } = other;
      const user = someUser();
      for (const id of [organizationId, elsewhere]) {
        await storage.addMember({ organizationId: id, role: "member", createdAt: NOW }, user, someChange());
      }
      const ids = { organizationId, userId: user.id };
      const ofUser = { ...ids, type: "personal" };
      const samples = {
        personal: someToken(ofUser),
        disabled: someToken({ ...ofUser, enabled: false }),
        bot: someToken({ ...ofUser, type: "bot" }),
        service: someToken({ ...ofUser, type: "service" }),
        ended: someToken({ ...ofUser, expiresAt: after(5) }),
        expires: someToken({ ...ofUser, expiresAt: after(6) }),
        key: someToken({ ...ofUser, profile: SERVICE_PROFILE_ID }),
        others: someToken({ ...ofUser, userId: owner }),
        nobodys: someToken({ ...ofUser, userId: undefined }),
        elsewhere: someToken({ ...ofUser, organizationId: elsewhere }),
      };
      for (const token of Object.values(samples)) await storage.createToken(token, someChange());
      const sessions = {
        one: someSession(ids),
        two: someSession(ids),
        ended: someSession({ ...ids, endedAt: after(1) }),
        expired: someSession({ ...ids, expiresAt: after(5) }),
        others: someSession({ organizationId, userId: owner }),
        elsewhere: someSession({ ...ids, organizationId: elsewhere }),
      };
      for (const session of Object.values(sessions))
        await storage.createSession(session, someFingerprint(), someChange());
      const [first, second] = [someFingerprint(), someFingerprint()];
      const rotated = someSession(ids);
      await storage.createSession(rotated, first, someChange());
      await storage.rotateRefreshToken({ presented: first, next: second }, someChange());

      const change = changeBy("usr_author", after(5));
      const types = { profile: "watchplane", types: ["personal", "bot"] };
      const removed = await storage.removeMember(organizationId, user.id, types, change);
      expect(removed).toEqual({ revokedTokens: 4 });
      const revoked: string[] = [];
      for (const [name, { token }] of Object.entries(samples)) {
        const stored = await storage.getToken(token.id);
        const revision = stored?.revision;
        if (stored?.revokedAt === undefined) expect(stored).toEqual({ ...token, revision });
        else {
          expect(stored).toEqual({ ...token, revokedAt: after(5), revokedBy: "usr_author", revision });
          revoked.push(name);
        }
      }
      expect(revoked).toEqual(["personal", "disabled", "bot", "expires"]);
      for (const [name, session] of Object.entries(sessions)) {
        const endedAt = ["one", "two"].includes(name) ? after(5) : session.endedAt;
        expect(await storage.getSession(session.id), name).toEqual({ ...session, endedAt });
      }
      const next = { presented: second, next: someFingerprint() };
      expect(await storage.rotateRefreshToken(next, someChange({ at: after(6) }))).toEqual({ kind: "refused" });
      // Who comes back has to sign in anew.
      await storage.addMember({ organizationId, role: "member", createdAt: NOW }, user, someChange());
      expect(await storage.rotateRefreshToken(next, someChange({ at: after(6) }))).toEqual({ kind: "refused" });

      const all = { profile: "watchplane", types: undefined };
      const rest = await storage.removeMember(organizationId, user.id, all, changeBy("usr_author", after(7)));
      expect(rest).toEqual({ revokedTokens: 1 });
      expect((await storage.getToken(samples.service.token.id))?.revokedAt).toEqual(after(7));
      expect((await storage.getToken(samples.key.token.id))?.revokedAt).toBeUndefined();
    });

    it("M8: nobody sees the member gone and a token still there", async () => {
      await checkRemovalIsWhole(shared.storage);
    });

    it("M9: refuses a personal token of somebody who isn't a member", async () => {
      const { storage } = shared;
      const { organizationId, userId } = await someMember(storage);
      const { userId: stranger } = await someMember(storage);
      const personal = (id: string | undefined) => ({ ...someToken({ organizationId, userId: id }), isPersonal: true });
      const refused = personal(stranger);
      const error = await expectKind(storage.createToken(refused, someChange()), "failed_precondition");
      expect(error.message).toBe("The person isn't a member of the organization.");
      expect(await storage.getToken(refused.token.id)).toBeUndefined();
      for (const fitting of [
        personal(userId),
        personal(undefined),
        { ...personal(stranger), isPersonal: false },
        someToken({ organizationId, userId: stranger }),
      ]) {
        await storage.createToken(fitting, someChange());
      }
    });

    it("M7: lists members, the oldest first, then by user id", async () => {
      const { storage } = shared;
      const organization = someOrganization();
      await storage.createOrganization(organization, someChange());
      await someMember(storage);
      for (const [id, milliseconds] of [
        ["b", 1],
        ["d", 0],
        ["a", 1],
        ["c", 2],
        ["e", -1],
      ] as const) {
        const membership = { organizationId: organization.id, role: "member", createdAt: after(milliseconds) } as const;
        await storage.addMember(membership, someUser({ id, createdAt: after(-milliseconds) }), someChange());
      }
      const expected = ["e", "d", "a", "b", "c"];
      for (const limit of [1, 2, 5, 9]) {
        const listed = await pages(async (last) => {
          const members = await storage.listMembers(organization.id, last, limit);
          return members.map(({ membership, user }) => ({ createdAt: membership.createdAt, id: user.id }));
        });
        expect(listed.map(({ id }) => id)).toEqual(expected);
      }
      const nowhere = { createdAt: after(1), id: "" };
      const rest = await storage.listMembers(organization.id, nowhere, 9);
      expect(rest.map(({ user }) => user.id)).toEqual(["a", "b", "c"]);
    });

    it("M2: reads the membership of this user in this organization only", async () => {
      const { storage } = shared;
      const [one, two] = [await someMember(storage), await someMember(storage)];
      expect(await storage.getMembership(one.organizationId, one.userId)).toEqual(someMembership(one));
      expect(await storage.getMembership(one.organizationId, two.userId)).toBeUndefined();
      expect(await storage.getMembership(two.organizationId, one.userId)).toBeUndefined();
    });

    it("M3: lists a user's memberships, the oldest first, then by organization id", async () => {
      const { storage } = shared;
      const user = someUser();
      await storage.createUser(user);
      await someMember(storage);
      const memberships = [
        ["b", 1],
        ["d", 0],
        ["a", 1],
        ["c", 2],
      ] as const;
      for (const [organizationId, milliseconds] of memberships) {
        await storage.createOrganization(someOrganization({ id: organizationId }), someChange());
        await storage.putMembership(
          someMembership({ organizationId, userId: user.id, createdAt: after(milliseconds) }),
          someChange(),
        );
      }
      const listed = await storage.listMembershipsOfUser(user.id);
      expect(listed.map(({ organizationId }) => organizationId)).toEqual(["d", "a", "b", "c"]);
    });

    it("T1: refuses an id or a fingerprint that is taken, and an organization that doesn't exist", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const stored = someToken({ organizationId });
      const token = await storage.createToken(stored, someChange());
      const sameId = someToken({ organizationId, id: token.id });
      const sameFingerprint = { ...someToken({ organizationId }), fingerprint: stored.fingerprint };
      const orphan = someToken({ organizationId: randomUUID() });
      await expectKind(storage.createToken(sameId, someChange()), "already_exists");
      await expectKind(storage.createToken(sameFingerprint, someChange()), "already_exists");
      await expectKind(storage.createToken(orphan, someChange()), "failed_precondition");
      expect(await storage.listTokens(everyToken(organizationId))).toEqual([token]);
      expect(await storage.getToken(orphan.token.id)).toBeUndefined();

      const rotated = await storage.rotateToken(token.id, someRotation(token), someChange());
      const error = await expectKind(storage.createToken(sameFingerprint, someChange()), "already_exists");
      expectPublic(error);
      expect(await storage.listTokens(everyToken(organizationId))).toEqual([rotated]);
    });

    it("T1: refuses a token of another profile than its organization's, unless it is a service key", async () => {
      const { storage } = shared;
      const organization = someOrganization({ profile: "plane" });
      await storage.createOrganization(organization, someChange());
      const stray = someToken({ organizationId: organization.id, profile: "watchplane" });
      const { message } = await expectKind(storage.createToken(stray, someChange()), "failed_precondition");
      expect(message).toBe("Its organization has another profile.");
      expect(await storage.getToken(stray.token.id)).toBeUndefined();
      for (const profile of ["plane", SERVICE_PROFILE_ID]) {
        const fitting = someToken({ organizationId: organization.id, profile });
        expect(await storage.createToken(fitting, someChange())).toMatchObject(fitting.token);
      }
    });

    it("T1: a revision is higher than any before it", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const batch = () =>
        Promise.all(Array.from({ length: 50 }, () => storage.createToken(someToken({ organizationId }), someChange())));
      const first = (await batch()).map(({ revision }) => revision);
      const second = (await batch()).map(({ revision }) => revision);
      expect(new Set([...first, ...second]).size).toBe(100);
      expect(Math.min(...second)).toBeGreaterThan(Math.max(...first));
      const reopened = await subject.reopen();
      const { revision } = await reopened.createToken(someToken({ organizationId }), someChange());
      expect(revision).toBeGreaterThan(Math.max(...second));
    });

    it("T2: reads the token with this id only", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const one = await storage.createToken(someToken({ organizationId }), someChange());
      const two = await storage.createToken(someToken({ organizationId }), someChange());
      expect(await storage.getToken(one.id)).toEqual(one);
      expect(await storage.getToken(two.id)).toEqual(two);
    });

    it("T3: finds a token and its organization by the exact fingerprint only", async () => {
      const { storage } = shared;
      const organization = someOrganization();
      await storage.createOrganization(organization, someChange());
      const stored = someToken({ organizationId: organization.id });
      const { fingerprint } = stored;
      const token = await storage.createToken(stored, someChange());
      await storage.createToken(someToken({ organizationId: organization.id }), someChange());
      const found = knownRecord(token, organization, { kind: "current" });
      expect(await storage.findTokenByFingerprint(fingerprint)).toStrictEqual(found);

      const almost = [
        fingerprint.subarray(0, 31),
        Uint8Array.from([...fingerprint, 0]),
        new Uint8Array(0),
        fingerprint.toReversed(),
        ...[0, 15, 31].map((place) => fingerprint.with(place, (fingerprint[place] ?? 0) ^ 1)),
      ];
      for (const other of almost) expect(await storage.findTokenByFingerprint(other)).toBeUndefined();
    });

    it("T3: finds a token by each secret that it ever had, and says which one it is", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const organization = (await storage.getOrganization(organizationId)) ?? expect.fail("it is gone");
      const created = someToken({ organizationId });
      const first = await storage.createToken(created, someChange());
      const atOnce = someRotation(first);
      const second = await storage.rotateToken(first.id, atOnce, someChange());
      if (second === undefined) throw new Error("it is gone");
      const overlapping = someRotation(second, { overlapEndsAt: after(5) });
      const token = await storage.rotateToken(first.id, overlapping, someChange());
      if (token === undefined) throw new Error("it is gone");
      for (const [{ fingerprint }, secret] of [
        [overlapping, { kind: "current" }],
        [atOnce, { kind: "former", endsAt: after(5) }],
        [created, { kind: "former", endsAt: undefined }],
      ] as const) {
        const found = knownRecord(token, organization, secret);
        expect(await storage.findTokenByFingerprint(fingerprint)).toStrictEqual(found);
        expect(await storage.findTokenByFingerprint(fingerprint.subarray(0, 31))).toBeUndefined();
      }
      const reopened = await subject.reopen();
      expect((await reopened.findTokenByFingerprint(atOnce.fingerprint))?.token.id).toBe(token.id);
    });

    it("T3: finds by a view of a larger buffer", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const buffer = Buffer.concat([someFingerprint(), someFingerprint(), someFingerprint()]);
      const { token } = someToken({ organizationId });
      await storage.createToken({ token, fingerprint: buffer.subarray(32, 64) }, someChange());
      expect((await storage.findTokenByFingerprint(buffer.subarray(32, 64)))?.token.id).toBe(token.id);
      expect(await storage.findTokenByFingerprint(buffer.subarray(0, 32))).toBeUndefined();
    });

    it("T4: lists what matches, in order, up to the limit", async () => {
      const { storage } = shared;
      const state = fc.constantFrom<TokenState>("active", "disabled", "expired", "revoked");
      const near = fc.integer({ min: -2, max: 2 }).map(after);
      const tokens = fc.array(
        fc.record({
          createdAt: near,
          profile: fc.constantFrom("watchplane", "latchkey"),
          enabled: fc.boolean(),
          expiresAt: optional(near),
          revokedAt: optional(near),
          type: fc.constantFrom("", "bot", "Bot"),
          name: fc.constantFrom("deploy", "deploy 2", "Deploy"),
          createdBy: fc.constantFrom("usr_one", "tok_two"),
          userId: optional(fc.constantFrom(...PEOPLE)),
          lastUsedAt: optional(near),
        }),
        { maxLength: 20 },
      );
      const queries = fc.record({
        type: optional(fc.constantFrom("bot", "b", "")),
        namePrefix: optional(fc.constantFrom("dep", "deploy ", "")),
        createdBy: optional(fc.constantFrom("usr_one", "usr_")),
        userId: optional(fc.constantFrom(PEOPLE[0], randomUUID())),
        unusedSince: optional(near),
        profile: optional(fc.constantFrom("watchplane", "latchkey", "none")),
        states: optional(fc.uniqueArray(state)),
        now: near,
        limit: fc.integer({ min: 1, max: 25 }),
      });
      const neighbour = await someMember(storage);
      await storage.createToken(someToken({ organizationId: neighbour.organizationId }), someChange());
      await fc.assert(
        fc.asyncProperty(tokens, fc.array(queries, { maxLength: 10 }), fc.nat(), async (rows, all, place) => {
          const { organizationId } = await someMember(storage);
          const stored = await Promise.all(
            rows.map((row) =>
              storage.createToken(
                someToken({ organizationId, ...row, revokedBy: row.revokedAt && "usr_someone" }),
                someChange(),
              ),
            ),
          );
          for (const query of all) {
            const last = place % 2 === 0 ? undefined : stored[place % (stored.length + 1)];
            const expected = stored
              .filter((token) => query.profile === undefined || token.profile === query.profile)
              .filter((token) => query.type === undefined || token.type === query.type)
              .filter((token) => query.namePrefix === undefined || token.name.startsWith(query.namePrefix))
              .filter((token) => query.createdBy === undefined || token.createdBy === query.createdBy)
              .filter((token) => query.userId === undefined || token.userId === query.userId)
              .filter(({ lastUsedAt, createdAt }) => {
                return query.unusedSince === undefined || (lastUsedAt ?? createdAt) < query.unusedSince;
              })
              .filter((token) => query.states?.includes(tokenState(token, query.now.getTime())) ?? true)
              .filter((token) => last === undefined || byAge(last, token) < 0)
              .toSorted(byAge)
              .slice(0, query.limit);
            expect(await storage.listTokens({ organizationId, ...query, after: last })).toEqual(expected);
          }
        }),
        { numRuns: 50 },
      );
    });

    it("TF1: a name starts with a prefix byte for byte", async () => {
      await checkNamePrefix(shared.storage);
    });

    it("TF1: matches what has all that is named", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const [userId, anotherId] = PEOPLE;
      const fields = { type: "bot", name: "deploy", createdBy: "tok_one", userId };
      const token = await storage.createToken(someToken({ organizationId, ...fields }), someChange());
      const all = { type: "bot", namePrefix: "dep", createdBy: "tok_one", userId, unusedSince: after(1) };
      const list = (filter: Partial<TokenFilter>) => storage.listTokens(everyToken(organizationId, filter));
      expect(await list(all)).toEqual([token]);
      const others = { type: "Bot", namePrefix: "Dep", createdBy: "tok_on", userId: anotherId, unusedSince: NOW };
      for (const [name, value] of Object.entries(others)) {
        expect(await list({ [name]: value }), name).toEqual([]);
        expect(await list({ ...all, [name]: value }), name).toEqual([]);
      }
      // A token without a person is nobody's.
      await storage.createToken(someToken({ organizationId }), someChange());
      expect(await list({ userId })).toEqual([token]);
    });

    it("TF2: a token is unused since what comes after its last use, or after its creation without one", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const unusedSince = async (milliseconds: number): Promise<readonly string[]> => {
        const query = everyToken(organizationId, { unusedSince: after(milliseconds) });
        return (await storage.listTokens(query)).map(({ id }) => id);
      };
      const { id } = await storage.createToken(someToken({ organizationId }), someChange());
      expect([await unusedSince(0), await unusedSince(1)]).toEqual([[], [id]]);
      await storage.recordUses([someUse(id, after(5))]);
      expect([await unusedSince(1), await unusedSince(5), await unusedSince(6)]).toEqual([[], [], [id]]);
    });

    it("T5: pages hold every token that was there throughout exactly once", async () => {
      await checkPaging(shared.storage);
    });

    it("T6: revokes once, with a new revision", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const token = await storage.createToken(someToken({ organizationId }), someChange());
      const neighbour = await storage.createToken(someToken({ organizationId }), someChange());

      const revoked = await storage.revokeToken(token.id, changeBy("usr_one", after(1)));
      expect(revoked).toEqual({ ...token, revokedAt: after(1), revokedBy: "usr_one", revision: revoked?.revision });
      expect(revoked?.revision).toBeGreaterThan(neighbour.revision);
      expect(await storage.revokeToken(token.id, changeBy("usr_two", after(2)))).toEqual(revoked);
      expect(await storage.getToken(token.id)).toEqual(revoked);
      expect(await storage.getToken(neighbour.id)).toEqual(neighbour);
    });

    it("T6: of several revokes at once the first one stays", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const token = await storage.createToken(someToken({ organizationId }), someChange());
      const authors = Array.from({ length: 16 }, (_, index) => `usr_${index}`);
      const answers = await Promise.all(
        authors.map((author, index) => storage.revokeToken(token.id, changeBy(author, after(index)))),
      );
      const stored = await storage.getToken(token.id);
      expect(stored?.revokedBy).toSatisfy((author: string) => authors.includes(author));
      for (const answer of answers) expect(answer).toEqual(stored);
    });

    it("T6: answers nothing for an unknown token", async () => {
      expect(await shared.storage.revokeToken(randomUUID(), changeBy("usr_one", NOW))).toBeUndefined();
    });

    it("TU1: gives a token other settings, and changes nothing else", async () => {
      const { storage } = shared;
      const organization = someOrganization();
      await storage.createOrganization(organization, someChange());
      const organizationId = organization.id;
      const issued = someToken({ organizationId, type: "bot", userId: randomUUID(), createdBy: "usr_one" });
      const created = await storage.createToken(issued, someChange());
      const neighbour = await storage.createToken(someToken({ organizationId }), someChange());
      await storage.recordUses([someUse(created.id, after(7))]);
      let { revision } = neighbour;
      await fc.assert(
        fc.asyncProperty(tokenFields, async (fields) => {
          const before = await storage.getToken(created.id);
          const settings = settingsOf(fields);
          const updated = await storage.updateToken(created.id, settings, before?.revision ?? 0, someChange());
          expect(updated).toStrictEqual({
            ...created,
            ...settings,
            lastUsedAt: after(7),
            revision: updated?.revision,
          });
          if (!isDeepStrictEqual(before && settingsOf(before), settings)) {
            expect(updated?.revision).toBeGreaterThan(revision);
            revision = updated?.revision ?? 0;
          }
          expect(await storage.getToken(created.id)).toStrictEqual(updated);
          const found = await storage.findTokenByFingerprint(issued.fingerprint);
          if (updated === undefined) throw new Error("it is gone");
          expect(found).toStrictEqual(knownRecord(updated, organization, { kind: "current" }));
        }),
      );
      expect(await storage.getToken(neighbour.id)).toEqual(neighbour);
    });

    it("TU1: settings that a token has already change nothing", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const fields = { scopes: ["a", "b"], metadata: { one: "1", two: "2" }, expiresAt: after(5) };
      const token = await storage.createToken(someToken({ organizationId, ...fields }), someChange());
      const events = await storage.listEvents(everyEvent());
      const same = someSettings({ ...fields, metadata: { two: "2", one: "1" }, expiresAt: after(5) });
      expect(await storage.updateToken(token.id, same, token.revision, someChange())).toEqual(token);
      expect(await storage.getToken(token.id)).toEqual(token);
      expect(await storage.listEvents(everyEvent())).toEqual(events);
      // A list has an order, and its texts have ends.
      for (const scopes of [["b", "a"], ["a b"], ["a"]]) {
        const { revision = 0 } = (await storage.getToken(token.id)) ?? {};
        const updated = await storage.updateToken(
          token.id,
          someSettings({ ...fields, scopes }),
          revision,
          someChange(),
        );
        expect(updated?.scopes).toEqual(scopes);
        expect(updated?.revision).toBeGreaterThan(revision);
      }
    });

    it("TU2: a token that has another revision by now, or is unknown, isn't changed", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const token = await storage.createToken(someToken({ organizationId }), someChange());
      const settings = someSettings({ name: "new" });
      const updated = await storage.updateToken(token.id, settings, token.revision, someChange());
      expect(updated?.name).toBe("new");
      const events = await storage.listEvents(everyEvent());
      const { revision = 0 } = updated ?? {};
      for (const other of [token.revision, revision - 1, revision + 1, 0, -1]) {
        const late = someSettings({ name: "late" });
        expect(await storage.updateToken(token.id, late, other, someChange())).toBeUndefined();
        expect(await storage.updateToken(token.id, settings, other, someChange())).toBeUndefined();
      }
      expect(await storage.updateToken(randomUUID(), settings, revision, someChange())).toBeUndefined();
      expect(await storage.getToken(token.id)).toEqual(updated);
      expect(await storage.listEvents(everyEvent())).toEqual(events);
      // A use is no change.
      await storage.recordUses([someUse(token.id, after(1))]);
      const again = await storage.updateToken(token.id, someSettings({ name: "used" }), revision, someChange());
      expect(again).toMatchObject({ name: "used", lastUsedAt: after(1) });
    });

    it("TU2: of many at once that go by what they have read none undoes another", async () => {
      await checkUpdatesGoByWhatTheyRead(shared.storage);
    });

    it("TU3: a revoked token can't be changed", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const token = await storage.createToken(someToken({ organizationId }), someChange());
      const revoked = await storage.revokeToken(token.id, someChange());
      for (const revision of [revoked?.revision ?? 0, token.revision]) {
        const settings = someSettings({ name: "new" });
        const error = await expectKind(
          storage.updateToken(token.id, settings, revision, someChange()),
          "failed_precondition",
        );
        expect(error.message).toBe("A revoked token can't be changed.");
      }
      expect(await storage.getToken(token.id)).toEqual(revoked);
    });

    it("TU3: a revoke at the same time stays, whichever comes first", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const outcomes = new Set<string>();
      for (let race = 0; race < 20; race++) {
        const { id, revision } = await storage.createToken(someToken({ organizationId }), someChange());
        const update = () =>
          storage
            .updateToken(id, someSettings({ name: "new" }), revision, someChange())
            .catch((error: unknown) => error);
        const revoke = () => storage.revokeToken(id, changeBy("usr_one", after(1)));
        const calls = race % 2 === 0 ? [update, revoke] : [revoke, update];
        const answers = await Promise.all(calls.map((call) => call()));
        const token = await storage.getToken(id);
        expect(token).toMatchObject({ revokedAt: after(1), revokedBy: "usr_one" });
        expect(answers.some((answer) => answer instanceof AppError)).toBe(token?.name === "deploy");
        outcomes.add(token?.name ?? "");
      }
      expect([...outcomes].toSorted()).toEqual(["deploy", "new"]);
    });

    it("IM1: stores tokens and answers for each in order, taken where its fingerprint is", async () => {
      const { storage } = shared;
      const [here, there] = [await someMember(storage), await someMember(storage)];
      const { organizationId } = here;
      const native = someToken(there);
      const { revision: before } = await storage.createToken(native, someChange());
      const old = { createdAt: after(-1e9), enabled: false, metadata: { from: "elsewhere" } };
      const [one, two, three] = [someToken({ organizationId, ...old }), someToken(here), someToken(here)];
      const as = (fingerprint: Uint8Array) => ({ ...someToken({ organizationId }), fingerprint });
      const rows = [one, as(native.fingerprint), two, as(two.fingerprint), three, as(one.fingerprint)];
      const answers = await storage.importTokens(rows, [SHA256], someChange());

      const stored = answers.filter((answer) => answer !== "taken");
      expect(answers.map((answer) => answer === "taken")).toEqual([false, true, false, true, false, true]);
      expect(stored).toMatchObject([one.token, two.token, three.token]);
      const revisions = [before, ...stored.map(({ revision }) => revision)];
      expect(new Set(revisions).size).toBe(4);
      expect(revisions).toEqual(revisions.toSorted((first, second) => first - second));
      expect(await storage.listTokens(everyToken(organizationId))).toEqual(stored.toSorted(byAge));
      expect((await storage.findTokenByFingerprint(one.fingerprint))?.token.id).toBe(stored[0]?.id);
      const owner = await storage.findTokenByFingerprint(native.fingerprint);
      expect(owner?.token.organizationId).toBe(there.organizationId);
    });

    it("IM1: of several at once exactly one gets a fingerprint, and nobody sees a part", async () => {
      await checkImportsAtOnce(shared.storage);
    });

    it("IM1: nothing stays where one event can't be stored", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const events = await storage.listEvents(everyEvent());
      await subject.failEvents("doomed");
      const rows = Array.from({ length: 3 }, () => someToken({ organizationId }));
      const doomed = someChange({ requestId: "doomed" });
      await expectKind(storage.importTokens(rows, [someHmacScheme()], doomed), "unavailable");
      expect(await storage.listTokens(everyToken(organizationId))).toEqual([]);
      expect(await storage.listDigestSchemes()).toEqual([]);
      expect(await storage.listEvents(everyEvent())).toEqual(events);
    });

    it("IM2: refuses what createToken refuses, and service keys, and stores nothing", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const { id } = await storage.createToken(someToken({ organizationId }), someChange());
      const good = someToken({ organizationId });
      for (const [bad, kind] of [
        [someToken({ organizationId: randomUUID() }), "failed_precondition"],
        [someToken({ organizationId, profile: "plane" }), "failed_precondition"],
        [someToken({ organizationId, profile: SERVICE_PROFILE_ID }), "failed_precondition"],
        [someToken({ organizationId, id }), "already_exists"],
      ] as const) {
        const record = someRecord();
        await expectKind(storage.importTokens([good, bad], [SHA256], someChange(), record), kind);
        expect(await storage.findRecordedCall(record.keyHash, NOW)).toBeUndefined();
      }
      expect(await storage.findTokenByFingerprint(good.fingerprint)).toBeUndefined();
      expect(await storage.listTokens(everyToken(organizationId))).toHaveLength(1);
      expect(await storage.listDigestSchemes()).toEqual([]);
    });

    it("IM3: keeps each scheme once from the first token on, and the first of a key", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const stored = someToken({ organizationId });
      await storage.importTokens([], [SHA256], someChange());
      expect(await storage.listDigestSchemes()).toEqual([]);
      await storage.createToken(stored, someChange());
      await storage.importTokens([stored], [SHA256], someChange());
      expect(await storage.listDigestSchemes()).toEqual([]);

      const importOne = (...schemes: readonly NewDigestScheme[]) =>
        storage.importTokens([someToken({ organizationId })], schemes, someChange());
      const key = someImportKey();
      await importOne(someHmacScheme(key), { algorithm: "sha512", key: undefined });
      await importOne(someHmacScheme({ ...someImportKey({ id: key.id, createdAt: after(1) }) }), SHA256);
      const inUse = [
        { algorithm: "sha256", keyId: undefined },
        { algorithm: "hmac_sha256", keyId: key.id },
        { algorithm: "sha512", keyId: undefined },
      ];
      expect(await storage.listDigestSchemes()).toEqual(inUse);
      expect(await storage.getImportKey(key.id)).toEqual(key);
      const reopened = await subject.reopen();
      expect(await reopened.listDigestSchemes()).toEqual(inUse);
    });

    it("IM4: refuses one HMAC key too many, and stores nothing of that import", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const keys = Array.from({ length: MAX_IMPORT_KEYS }, () => someImportKey());
      for (const key of keys) {
        await storage.importTokens([someToken({ organizationId })], [someHmacScheme(key)], someChange());
      }
      const refused = someToken({ organizationId });
      const error = await expectKind(
        storage.importTokens([refused], [someHmacScheme()], someChange()),
        "failed_precondition",
      );
      expect(error.message).toBe("A deployment keeps up to 16 HMAC keys of imports, and has as many.");
      expect(await storage.findTokenByFingerprint(refused.fingerprint)).toBeUndefined();
      expect(await storage.listDigestSchemes()).toHaveLength(MAX_IMPORT_KEYS);
      await storage.importTokens([refused], [someHmacScheme(keys[3])], someChange());
    });

    it("IM5: lists the schemes in use, SHA-256 first", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const keys = [someImportKey(), someImportKey()].toSorted((one, two) => (one.id < two.id ? -1 : 1));
      const schemes = [...keys.map((key) => someHmacScheme(key)), { algorithm: "sha512", key: undefined }] as const;
      for (const scheme of [...schemes, SHA256]) {
        await storage.importTokens([someToken({ organizationId })], [scheme], someChange());
      }
      expect(await storage.listDigestSchemes()).toEqual(
        [SHA256, ...schemes].map(({ algorithm, key }) => ({ algorithm, keyId: key?.id })),
      );
    });

    it("IM6: reads the HMAC key with this id only, as it went in", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const bytes = fc.uint8Array({ minLength: 1, maxLength: 1100 });
      const keys = fc
        .sample(fc.tuple(bytes, time), 4)
        .map(([sealedKey, createdAt]) => ({ ...someImportKey(), sealedKey, createdAt }));
      for (const key of keys) {
        await storage.importTokens([someToken({ organizationId })], [someHmacScheme(key)], someChange());
      }
      for (const key of keys) expect(await storage.getImportKey(key.id)).toStrictEqual(key);
      for (const id of ["", randomUUID(), keys[0]!.id.toUpperCase()]) {
        expect(await storage.getImportKey(id)).toBeUndefined();
      }
    });

    it("B1: revokes what matches, and leaves all else as it is", async () => {
      await checkBulkRevocation(shared.storage);
    });

    it("B1: nobody sees a part of it", async () => {
      await checkBulkRevocationIsWhole(shared.storage);
    });

    it("B2: the event of the whole comes first; nothing to revoke has none, and is recorded", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const tokens = [someToken({ organizationId }), someToken({ organizationId })];
      for (const token of tokens) await storage.createToken(token, someChange());
      const last = (await storage.listEvents(everyEvent())).at(-1)?.revision;
      expect(await storage.revokeTokens(someSelection(organizationId), someChange())).toBe(2);
      const events = await storage.listEvents(everyEvent({ after: last }));
      expect(events.map(({ action }) => action)).toEqual(["tokens.revoked_many", "token.revoked", "token.revoked"]);

      const record = someRecord();
      expect(await storage.revokeTokens(someSelection(organizationId), someChange(), record)).toBe(0);
      expect(await storage.listEvents(everyEvent({ after: last }))).toEqual(events);
      const { sealedAnswer = new Uint8Array(0) } = (await storage.findRecordedCall(record.keyHash, NOW)) ?? {};
      expect(openAnswer(record.sealing.key, sealedAnswer)).toMatchObject({ result: 0 });
      // The repeat must find nothing to revoke either.
      const late = await storage.createToken(someToken({ organizationId }), someChange());
      const again = storage.revokeTokens(someSelection(organizationId), someChange(), { ...record });
      await expectKind(again, "already_exists");
      expect(await storage.getToken(late.id)).toEqual(late);
    });

    it("B3: counts what would be revoked at that moment, and changes nothing", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const token = await storage.createToken(someToken({ organizationId, expiresAt: after(5) }), someChange());
      const events = await storage.listEvents(everyEvent());
      for (const [now, count] of [
        [after(4), 1],
        [after(5), 0],
      ] as const) {
        expect(await storage.countTokens(someSelection(organizationId), now)).toBe(count);
      }
      expect(await storage.getToken(token.id)).toEqual(token);
      expect(await storage.listEvents(everyEvent())).toEqual(events);
    });

    it("P1: deletes what ended before, the longest ended first, up to the limit", async () => {
      await using subject = await openSubject();
      await checkPurge(subject.storage);
    });

    it("P1: deletes what belongs to a token with it", async () => {
      await using subject = await openSubject();
      await checkPurgeTakesAll(subject.storage);
    });

    it("P2: what hasn't ended stays, whatever is asked", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const alive = [{}, { enabled: false }, { expiresAt: after(11) }, { enabled: false, expiresAt: after(1e9) }];
      const created = alive.map((fields) =>
        storage.createToken(someToken({ organizationId, ...fields }), someChange()),
      );
      const stored = await Promise.all(created);
      const dead = await storage.createToken(someToken({ organizationId, expiresAt: after(10) }), someChange());
      expect(await storage.purgeTokens(after(1e12), 100, someChange({ at: after(10) }))).toBe(1);
      expect(await storage.getToken(dead.id)).toBeUndefined();
      for (const token of stored) expect(await storage.getToken(token.id)).toEqual(token);
    });

    it("T7: a last use never moves back", async () => {
      await checkLastUse(shared.storage);
    });

    it("T7: the address is that of the last use, also where it isn't known", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const { id } = await storage.createToken(someToken({ organizationId }), someChange());
      const lastUse = async (at: number, address: string) => {
        await storage.recordUses([someUse(id, after(at), { address })]);
        const { lastUsedAt, lastUsedAddress } = (await storage.getToken(id)) ?? {};
        return [lastUsedAt, lastUsedAddress];
      };
      expect(await lastUse(2, "192.0.2.1")).toEqual([after(2), "192.0.2.1"]);
      expect(await lastUse(1, "192.0.2.2")).toEqual([after(2), "192.0.2.1"]);
      expect(await lastUse(3, "2001:db8::1")).toEqual([after(3), "2001:db8::1"]);
      expect(await lastUse(4, "")).toEqual([after(4), ""]);
    });

    it("T7: goes on from the last use that a token came with", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const came = { lastUsedAt: after(5), lastUsedAddress: "192.0.2.9" };
      const token = await storage.createToken(someToken({ organizationId, ...came }), someChange());
      const unusedSince = async (at: number) =>
        (await storage.listTokens(everyToken(organizationId, { unusedSince: after(at) }))).length === 1;
      const lastUse = async (at: number, address: string) => {
        await storage.recordUses([someUse(token.id, after(at), { address })]);
        return storage.getToken(token.id);
      };
      expect(await lastUse(3, "192.0.2.1")).toEqual(token);
      expect([await unusedSince(5), await unusedSince(6)]).toEqual([false, true]);
      const later = { lastUsedAt: after(9), lastUsedAddress: "" };
      expect(await lastUse(9, "")).toEqual({ ...token, ...later });
      expect([await unusedSince(9), await unusedSince(10)]).toEqual([false, true]);
      const selection = someSelection(organizationId, { unusedSince: after(9) });
      expect(await storage.countTokens(selection, NOW)).toBe(0);
      expect(await storage.countTokens({ ...selection, unusedSince: after(10) }, NOW)).toBe(1);
      expect(await storage.rotateToken(token.id, someRotation(token), someChange())).toMatchObject(later);
    });

    it("T7: passes over unknown tokens, and leaves all else as it is", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const token = await storage.createToken(someToken({ organizationId }), someChange());
      const unused = await storage.createToken(someToken({ organizationId }), someChange());
      await storage.recordUses([
        someUse(randomUUID(), after(9), { daily: [{ day: 7, uses: 1 }] }),
        someUse(token.id, after(3), { daily: [{ day: 7, uses: 2 }] }),
        someUse(token.id, after(2)),
      ]);
      await storage.recordUses([]);
      expect(await storage.getToken(token.id)).toEqual({ ...token, lastUsedAt: after(3) });
      expect(await storage.readUses(token.id, 7, 7)).toEqual([{ day: 7, uses: 2 }]);
      expect(await storage.getToken(unused.id)).toEqual(unused);
    });

    it("T7: finds the last use among however many, and T8: adds up those of a day", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const create = () => storage.createToken(someToken({ organizationId }), someChange());
      const [busy, quiet] = [await create(), await create()];
      const uses = Array.from({ length: 500 }, (_, place) =>
        someUse(place === 100 ? quiet.id : busy.id, after(place === 300 ? 9 : 3), { daily: [{ day: 7, uses: place }] }),
      );
      await storage.recordUses(uses);
      expect(await storage.getToken(busy.id)).toMatchObject({ lastUsedAt: after(9) });
      expect(await storage.getToken(quiet.id)).toMatchObject({ lastUsedAt: after(3) });
      expect(await storage.readUses(busy.id, 7, 7)).toEqual([{ day: 7, uses: (499 * 500) / 2 - 100 }]);
      expect(await storage.readUses(quiet.id, 7, 7)).toEqual([{ day: 7, uses: 100 }]);
    });

    it("T8: uses are added to those of the day, however many record at once", async () => {
      await checkUsesAreAdded(shared.storage);
    });

    it("T8: a write that fails has counted nothing", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const { id } = await storage.createToken(someToken({ organizationId }), someChange());
      const daily = [{ day: 7, uses: 2 }];
      {
        await using _blocked = await subject.blockWrites();
        await expectKind(storage.recordUses([someUse(id, NOW, { daily })]), "unavailable");
      }
      expect(await storage.readUses(id, 7, 7)).toEqual([]);
      // What is wrong with one use leaves none of them.
      const wrong = someUse(id, new Date(Number.NaN), { daily });
      await expect(storage.recordUses([someUse(id, NOW, { daily }), wrong])).rejects.toThrow(
        "an invalid Date can't be stored",
      );
      expect(await storage.readUses(id, 7, 7)).toEqual([]);
    });

    it("T9: reads the days asked for, of one token, the oldest first", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const create = () => storage.createToken(someToken({ organizationId }), someChange());
      const [token, other, unused] = [await create(), await create(), await create()];
      const days = [20_005, -3, 20_001, 0, 20_003].map((day, index) => ({ day, uses: index + 1 }));
      await storage.recordUses([
        someUse(token.id, NOW, { daily: days }),
        someUse(other.id, NOW, { daily: [{ day: 20_003, uses: 2 ** 40 }] }),
      ]);
      const shown = [
        { day: 20_001, uses: 3 },
        { day: 20_003, uses: 5 },
        { day: 20_005, uses: 1 },
      ];
      expect(await storage.readUses(token.id, 20_001, 20_005)).toEqual(shown);
      expect(await storage.readUses(token.id, 20_002, 20_004)).toEqual([{ day: 20_003, uses: 5 }]);
      expect(await storage.readUses(token.id, -9, 0)).toEqual([
        { day: -3, uses: 2 },
        { day: 0, uses: 4 },
      ]);
      expect(await storage.readUses(other.id, 0, 30_000)).toEqual([{ day: 20_003, uses: 2 ** 40 }]);
      expect(await storage.readUses(unused.id, 0, 30_000)).toEqual([]);
    });

    it("T11: reads the days of many tokens, in their order", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const tokens = await Promise.all(
        Array.from({ length: 4 }, () => storage.createToken(someToken({ organizationId }), someChange())),
      );
      const daily = (...days: readonly number[]) => days.map((day) => ({ day, uses: day + 1 }));
      const [a, b, c, unused] = tokens.map(({ id }) => id) as [string, string, string, string];
      await storage.recordUses([
        someUse(a, NOW, { daily: daily(7, 3, 9) }),
        someUse(b, NOW, { daily: daily(4) }),
        someUse(c, NOW, { daily: daily(2, 10) }),
      ]);
      const ids = [b, unused, a, randomUUID(), c, a];
      const uses = await storage.readUsesOfTokens(ids, 3, 9);
      expect(uses).toEqual([daily(4), [], daily(3, 7, 9), [], [], daily(3, 7, 9)]);
      expect(uses).toEqual(await Promise.all(ids.map((id) => storage.readUses(id, 3, 9))));
      expect(await storage.readUsesOfTokens([], 3, 9)).toEqual([]);
    });

    it("T10: forgets the days before, the oldest first, up to the limit", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const create = () => storage.createToken(someToken({ organizationId }), someChange());
      const ids = [(await create()).id, (await create()).id];
      const daily = [5, 6, 7].map((day) => ({ day, uses: 1 }));
      await storage.recordUses(ids.map((id) => someUse(id, NOW, { daily })));
      const left = async () => (await Promise.all(ids.map((id) => storage.readUses(id, 0, 9)))).flat();
      expect(await storage.sweepUses(5, 10)).toBe(0);
      expect(await storage.sweepUses(7, 3)).toBe(3);
      expect((await left()).map(({ day }) => day).toSorted((one, two) => one - two)).toEqual([6, 7, 7]);
      expect(await storage.sweepUses(7, 3)).toBe(1);
      expect((await left()).map(({ day }) => day)).toEqual([7, 7]);
      expect(await storage.sweepUses(7, 3)).toBe(0);
    });

    it("TR1: gives a new secret, and nothing else", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const created = someToken({ organizationId, expiresAt: after(50), scopes: ["a"], metadata: { b: "c" } });
      const token = await storage.createToken(created, someChange());
      const neighbour = await storage.createToken(someToken({ organizationId }), someChange());
      const buffer = Buffer.concat([someFingerprint(), someFingerprint()]);
      const fields = { fingerprint: buffer.subarray(32), hint: "wp_…f00d", overlapEndsAt: after(7) };
      const rotated = await storage.rotateToken(token.id, someRotation(token, fields), someChange({ at: after(2) }));
      expect(rotated).toStrictEqual({
        ...token,
        hint: "wp_…f00d",
        rotation: {
          startedAt: after(2),
          overlapEndsAt: after(7),
          previousHint: token.hint,
          previousLastUsedAt: undefined,
        },
        revision: rotated?.revision,
      });
      expect(rotated?.revision).toBeGreaterThan(neighbour.revision);
      expect(await storage.getToken(token.id)).toEqual(rotated);
      expect(await storage.getToken(neighbour.id)).toEqual(neighbour);
      expect((await storage.findTokenByFingerprint(buffer.subarray(32)))?.token.id).toBe(rotated?.id);
      expect(await storage.findTokenByFingerprint(buffer.subarray(0, 32))).toBeUndefined();
    });

    it("TR1: whoever reads meanwhile knows the old secret throughout", async () => {
      await checkOldSecretIsKnown(shared.storage);
    });

    it("TR2: refuses what is revoked, expired, changed meanwhile or in an overlap, and changes nothing", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const make = (fields = {}) => storage.createToken(someToken({ organizationId, ...fields }), someChange());
      const inOverlap = await make();
      const overlap = await storage.rotateToken(
        inOverlap.id,
        someRotation(inOverlap, { overlapEndsAt: after(5) }),
        someChange(),
      );
      const revoked = await make({ revokedAt: NOW, revokedBy: "usr_someone" });
      const changed = await make();
      for (const [token, at, message] of [
        [revoked, NOW, "A token that is revoked can't be rotated. Issue a new one."],
        [await make({ expiresAt: after(3) }), after(3), "A token that is expired can't be rotated. Issue a new one."],
        [{ ...changed, revision: changed.revision + 1 }, NOW, /^The token was changed at the same time\. Look/],
        [overlap ?? inOverlap, after(4), /is running\. Finish or cancel that rotation first\.$/],
      ] as const) {
        const before = await storage.getToken(token.id);
        const rotation = someRotation(token, { overlapEndsAt: after(100) });
        const call = storage.rotateToken(token.id, rotation, someChange({ at }));
        const error = await expectKind(call, "failed_precondition");
        expect(error.message).toMatch(message);
        expectPublic(error);
        expect(await storage.getToken(token.id)).toEqual(before);
        expect(await storage.findTokenByFingerprint(rotation.fingerprint)).toBeUndefined();
      }
      // To the millisecond; and one that is switched off keeps being a token that can be rotated.
      for (const [token, at] of [
        [overlap ?? inOverlap, after(5)],
        [await make({ expiresAt: after(3) }), after(2)],
        [await make({ enabled: false }), NOW],
      ] as const) {
        expect(await storage.rotateToken(token.id, someRotation(token), someChange({ at }))).toBeDefined();
      }
    });

    it("TR2: of several at once exactly one is made", async () => {
      await checkOneSecretWins(shared.storage);
    });

    it("TR2: a token that is revoked at the same time has no secret that works", async () => {
      await checkRevokeOfRotated(shared.storage);
    });

    it("TR3: refuses a fingerprint that any token has or had", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const [created, other] = [someToken({ organizationId }), someToken({ organizationId })];
      const first = await storage.createToken(created, someChange());
      const neighbour = await storage.createToken(other, someChange());
      const next = someRotation(first);
      const token = (await storage.rotateToken(first.id, next, someChange())) ?? first;
      const cancelled = someRotation(neighbour, { overlapEndsAt: after(9) });
      await storage.rotateToken(neighbour.id, cancelled, someChange());
      await storage.cancelRotation(neighbour.id, someChange());
      for (const { fingerprint } of [created, next, other, cancelled]) {
        const again = storage.rotateToken(token.id, someRotation(token, { fingerprint }), someChange());
        expectPublic(await expectKind(again, "already_exists"));
        expect(await storage.getToken(token.id)).toEqual(token);
      }
    });

    it("TR4: ends the old secret at once and for good, and only once", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const created = someToken({ organizationId });
      const token = await storage.createToken(created, someChange());
      expect(await storage.finishRotation(token.id, someChange())).toEqual(token);
      const rotation = someRotation(token, { overlapEndsAt: after(9) });
      const rotated = await storage.rotateToken(token.id, rotation, someChange());
      const finished = await storage.finishRotation(token.id, someChange({ at: after(4) }));
      const details = { ...rotated?.rotation, overlapEndsAt: after(4) };
      expect(finished).toStrictEqual({ ...rotated, rotation: details, revision: finished?.revision });
      expect(finished?.revision).toBeGreaterThan(rotated?.revision ?? 0);
      const { secret } = (await storage.findTokenByFingerprint(created.fingerprint)) ?? {};
      expect(secret).toEqual({ kind: "former", endsAt: undefined });
      // Also for a clock that is set back.
      expect(await storage.finishRotation(token.id, someChange({ at: after(1) }))).toEqual(finished);
      await expectKind(storage.cancelRotation(token.id, someChange({ at: after(1) })), "failed_precondition");
    });

    it("TR4: leaves a token as it is whose overlap is over, or that is revoked", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const token = await storage.createToken(someToken({ organizationId }), someChange());
      const rotation = someRotation(token, { overlapEndsAt: after(9) });
      const rotated = await storage.rotateToken(token.id, rotation, someChange());
      expect(await storage.finishRotation(token.id, someChange({ at: after(9) }))).toEqual(rotated);
      const revoked = await storage.revokeToken(token.id, someChange());
      expect(await storage.finishRotation(token.id, someChange())).toEqual(revoked);
    });

    it("TR4: of many that finish and cancel at once one does", async () => {
      await checkOneEndOfOverlap(shared.storage);
    });

    it("TR5: makes the old secret the only one again", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const created = someToken({ organizationId });
      const token = await storage.createToken(created, someChange());
      const rotation = someRotation(token, { overlapEndsAt: after(9) });
      await storage.rotateToken(token.id, rotation, someChange());
      await storage.recordUses([someUse(token.id, after(1), { secret: "former" })]);
      const cancelled = await storage.cancelRotation(token.id, someChange({ at: after(8) }));
      expect(cancelled).toStrictEqual({ ...token, lastUsedAt: after(1), revision: cancelled?.revision });
      expect(cancelled?.revision).toBeGreaterThan(token.revision);
      const secretOf = async (fingerprint: Uint8Array) => (await storage.findTokenByFingerprint(fingerprint))?.secret;
      expect(await secretOf(created.fingerprint)).toEqual({ kind: "current" });
      expect(await secretOf(rotation.fingerprint)).toEqual({ kind: "former", endsAt: undefined });
      expect(await storage.getToken(token.id)).toEqual(cancelled);
    });

    it("TR5: refuses where no overlap is running", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const token = await storage.createToken(someToken({ organizationId }), someChange());
      const refuse = async (at: Date) => {
        const before = await storage.getToken(token.id);
        const error = await expectKind(storage.cancelRotation(token.id, someChange({ at })), "failed_precondition");
        expect(error.message).toBe("No overlap is running, so there is no rotation to cancel.");
        expect(await storage.getToken(token.id)).toEqual(before);
      };
      await refuse(NOW);
      const rotated = (await storage.rotateToken(token.id, someRotation(token), someChange())) ?? token;
      await refuse(NOW);
      await refuse(after(-5));
      await storage.rotateToken(token.id, someRotation(rotated, { overlapEndsAt: after(9) }), someChange());
      await refuse(after(9));
      await storage.revokeToken(token.id, someChange());
      await refuse(NOW);
    });

    it("TR6: which secrets work is as a model of it says, whatever happens", async () => {
      await checkRotations(shared.storage);
    });

    it("TR7: a use of the old secret is the rotation's and the token's, and never moves back", async () => {
      await checkFormerUse(shared.storage);
    });

    it("L1: grants as many as the window has left", async () => {
      const { storage } = shared;
      const units = fc.array(fc.integer({ min: 1, max: 15 }), { maxLength: 12 });
      await fc.assert(
        fc.asyncProperty(units, fc.integer({ min: 0, max: 60 }), async (wanted, limit) => {
          const request = someLeaseRequest({ limit });
          // Sent at once, they are still taken one after the other.
          const leases = await Promise.all(wanted.map((some) => storage.takeLease({ ...request, units: some })));
          let taken = 0;
          for (const [index, lease] of leases.entries()) {
            const granted = Math.min(wanted[index] ?? 0, limit - taken);
            taken += granted;
            expect(lease).toEqual({ granted, taken });
          }
          expect(await storage.readWindow(request.tokenId, request.windowStart)).toBe(taken);
        }),
      );
    });

    it("L1: 16 takers with 10,000 attempts get 60 of 60", async () => {
      await using subject = await openSubject();
      await checkLeases(subject.storage);
    });

    it("L1: grants no more than the limit when the taker is killed in mid-window", async () => {
      await using subject = await openSubject();
      await checkLeasesSurvive(subject);
    });

    it("L1: counts each token and each window by itself", async () => {
      const { storage } = shared;
      const request = someLeaseRequest({ limit: 5, units: 5 });
      const next = { ...request, windowStart: request.windowEnd, windowEnd: after(120_000) };
      for (const one of [request, next, someLeaseRequest({ limit: 5, units: 5 })]) {
        expect(await storage.takeLease(one)).toEqual({ granted: 5, taken: 5 });
      }
    });

    it("L2: each grant holds to its own limit", async () => {
      const { storage } = shared;
      const { limit: _, ...request } = someLeaseRequest({ units: 10 });
      expect(await storage.takeLease({ ...request, limit: 25 })).toEqual({ granted: 10, taken: 10 });
      expect(await storage.takeLease({ ...request, limit: 5 })).toEqual({ granted: 0, taken: 10 });
      expect(await storage.takeLease({ ...request, limit: 10 })).toEqual({ granted: 0, taken: 10 });
      expect(await storage.takeLease({ ...request, limit: 12 })).toEqual({ granted: 2, taken: 12 });
      expect(await storage.takeLease({ ...request, limit: 25 })).toEqual({ granted: 10, taken: 22 });
      expect(await storage.takeLease({ ...request, limit: 25 })).toEqual({ granted: 3, taken: 25 });
    });

    it("L3: gives units back to their window, which can be taken again", async () => {
      const { storage } = shared;
      const [one, two] = [someLeaseRequest({ units: 60 }), someLeaseRequest({ units: 60 })];
      await storage.takeLease(one);
      await storage.takeLease(two);
      const unknown = [
        { tokenId: randomUUID(), windowStart: one.windowStart, units: 5 },
        { tokenId: one.tokenId, windowStart: one.windowEnd, units: 5 },
      ];
      await storage.returnLeases([
        ...unknown,
        { tokenId: one.tokenId, windowStart: one.windowStart, units: 7 },
        { tokenId: two.tokenId, windowStart: two.windowStart, units: 1 },
      ]);
      expect(await storage.takeLease(one)).toEqual({ granted: 7, taken: 60 });
      expect(await storage.takeLease(two)).toEqual({ granted: 1, taken: 60 });
      for (const { tokenId, windowStart } of unknown) expect(await storage.readWindow(tokenId, windowStart)).toBe(0);
    });

    it("L3: never gives back more than was taken", async () => {
      const { storage } = shared;
      const request = someLeaseRequest({ units: 100 });
      await storage.takeLease({ ...request, units: 3 });
      await storage.returnLeases([{ ...request, units: 50 }]);
      expect(await storage.takeLease(request)).toEqual({ granted: 60, taken: 60 });
    });

    it("L4: reads how many are taken, and takes none", async () => {
      const { storage } = shared;
      const { tokenId, windowStart, windowEnd, ...rest } = someLeaseRequest({ units: 4 });
      expect(await storage.readWindow(tokenId, windowStart)).toBe(0);
      await storage.takeLease({ tokenId, windowStart, windowEnd, ...rest });
      expect(await storage.readWindow(tokenId, windowStart)).toBe(4);
      expect(await storage.readWindow(tokenId, windowStart)).toBe(4);
      expect(await storage.readWindow(tokenId, windowEnd)).toBe(0);
    });

    it("L5: forgets the windows that ended before, the longest gone first, up to the limit", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const requests = [0, 10, 20, 30, 40].map((end) =>
        someLeaseRequest({ windowStart: after(end - 10), windowEnd: after(end) }),
      );
      for (const request of requests) await storage.takeLease(request);
      const taken = async () =>
        sum(await Promise.all(requests.map(({ tokenId, windowStart }) => storage.readWindow(tokenId, windowStart))));
      expect(await storage.sweepWindows(after(0), 10)).toBe(0);
      expect(await taken()).toBe(5);
      expect(await storage.sweepWindows(after(31), 3)).toBe(3);
      expect(await taken()).toBe(2);
      expect(await storage.sweepWindows(after(31), 3)).toBe(1);
      expect(await storage.sweepWindows(after(31), 3)).toBe(0);
      const last = requests.at(-1) ?? someLeaseRequest();
      expect(await storage.readWindow(last.tokenId, last.windowStart)).toBe(1);
    });

    it("I1: a record, its change and the event are stored together, or none is", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId } = await someMember(storage);
      const stored = someToken({ organizationId });
      const record = someRecord();
      const token = await storage.createToken(stored, someChange(), record);
      {
        await using _blocked = await subject.blockWrites();
        const [refused, refusedRecord] = [someToken({ organizationId }), someRecord()];
        await expectKind(storage.createToken(refused, someChange(), refusedRecord), "unavailable");
        expect(await storage.findRecordedCall(refusedRecord.keyHash, NOW)).toBeUndefined();
      }
      {
        await subject.failEvents("doomed");
        const [refused, refusedRecord] = [someToken({ organizationId }), someRecord()];
        const doomed = someChange({ requestId: "doomed" });
        await expectKind(storage.createToken(refused, doomed, refusedRecord), "unavailable");
        expect(await storage.findRecordedCall(refusedRecord.keyHash, NOW)).toBeUndefined();
      }
      const reopened = await subject.reopen();
      expect(await reopened.listTokens(everyToken(organizationId))).toEqual([token]);
      expect(await reopened.listEvents(everyEvent({ actions: ["token.issued"] }))).toHaveLength(1);
      expect((await reopened.findRecordedCall(record.keyHash, NOW))?.requestHash).toEqual(record.requestHash);
    });

    it("I1: after the process was killed there is a record and an event for each change, and none more", async () => {
      await using subject = await openSubject();
      const { id } = await subject.storage.createOrganization(someOrganization(), someChange());
      await subject.storage.close();
      await using recording = startRecordingProcess(subject.location, id);
      await recording.acknowledged(50);
      const acknowledged = await recording.kill();
      const storage = await subject.reopen();
      const tokens = await storage.listTokens(everyToken(id, { limit: 100_000 }));
      expect(tokens.length).toBeGreaterThanOrEqual(acknowledged.length);
      // The child named each token after its record's key.
      for (const { name } of tokens)
        expect(await storage.findRecordedCall(Buffer.from(name, "hex"), NOW)).toBeDefined();
      expect(await storage.sweepRecordedCalls(after(60_000), 100_000)).toBe(tokens.length);
      const events = await storage.listEvents(everyEvent({ actions: ["token.issued"] }));
      expect(events.map(({ revision }) => revision)).toEqual(
        tokens.map(({ revision }) => revision).toSorted((a, b) => a - b),
      );
    });

    it("I2: of several with one key at once exactly one changes something", async () => {
      await checkOnce(shared.storage);
    });

    it("I2: every write that takes a record refuses a key that is there, before all else, and changes nothing", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const record = someRecord();
      const ids = await someMember(storage, "owner");
      const { organizationId, userId } = ids;
      const organization = await storage.getOrganization(organizationId);
      await storage.setPlan(organizationId, "free", someChange(), record);
      const token = await storage.createToken(someToken({ organizationId, profile: SERVICE_PROFILE_ID }), someChange());
      const member = await storage.listMembers(organizationId, undefined, 10);
      const events = await storage.listEvents(everyEvent());
      const [created, added] = [someOrganization(), someUser()];
      const twin = { ...someRecord(), keyHash: record.keyHash };
      for (const [name, write] of Object.entries({
        ...recordedWrites(storage, { ...ids, tokenId: token.id, organization: created, user: added }),
        // Each would be refused for another reason too.
        "a taken id": (again: IdempotencyRecord) =>
          storage.createOrganization(someOrganization({ id: organizationId }), someChange(), again),
        "the last owner": (again: IdempotencyRecord) =>
          storage.removeMember(organizationId, userId, NO_TOKENS, someChange(), again),
        "somebody unknown": (again: IdempotencyRecord) =>
          storage.removeMember(organizationId, randomUUID(), NO_TOKENS, someChange(), again),
      })) {
        const error = await expectKind(write(twin), "already_exists", name);
        expect(error.reason, name).toBe("idempotency_key_reused");
        expectPublic(error, organizationId);
      }
      expect(await storage.listEvents(everyEvent())).toEqual(events);
      expect(await storage.getOrganization(organizationId)).toEqual(organization);
      expect(await storage.getOrganization(created.id)).toBeUndefined();
      expect(await storage.getUser(added.id)).toBeUndefined();
      expect(await storage.listMembers(organizationId, undefined, 10)).toEqual(member);
      expect(await storage.listTokens(everyToken(organizationId))).toEqual([token]);
      expect((await storage.findRecordedCall(record.keyHash, NOW))?.requestHash).toEqual(record.requestHash);
    });

    it("I2: a record whose time is over, to the millisecond, makes way for the next", async () => {
      const { storage } = shared;
      const { organizationId } = await someMember(storage);
      const first = someRecord({ expiresAt: after(100) });
      await storage.setPlan(organizationId, "pro", someChange(), first);
      const early = someRecord({ keyHash: first.keyHash, createdAt: after(99), expiresAt: after(199) });
      await expectKind(storage.setPlan(organizationId, "free", someChange(), early), "already_exists");
      const next = someRecord({ keyHash: first.keyHash, createdAt: after(100), expiresAt: after(200) });
      expect(await storage.setPlan(organizationId, "free", someChange(), next)).toMatchObject({ plan: "free" });
      expect((await storage.findRecordedCall(first.keyHash, after(100)))?.requestHash).toEqual(next.requestHash);
    });

    it("I3: a write that is refused, or finds nothing to change, stores no record and no event", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const { organizationId, userId } = await someMember(storage, "owner");
      const token = someToken({ organizationId });
      await storage.createToken(token, someChange());
      const events = await storage.listEvents(everyEvent());
      const refused: Record<string, (record: IdempotencyRecord) => Promise<unknown>> = {
        "a taken organization": (record) =>
          storage.createOrganization(someOrganization({ id: organizationId }), someChange(), record),
        "a taken token": (record) => storage.createToken(token, someChange(), record),
        "an organization with tokens": (record) =>
          storage.setProfile(organizationId, "plane", "pro", someChange(), record),
        "the last owner's role": (record) =>
          storage.setMemberRole(organizationId, userId, "member", someChange(), record),
        "the last owner": (record) => storage.removeMember(organizationId, userId, NO_TOKENS, someChange(), record),
        "a rotation of what was changed": (record) =>
          storage.rotateToken(token.token.id, someRotation({ revision: 1 }), someChange(), record),
        "a rotation that isn't there": (record) => storage.cancelRotation(token.token.id, someChange(), record),
        "a member already": (record) =>
          storage.addMember(someMembership({ organizationId, userId }), someUser({ id: userId }), someChange(), record),
      };
      for (const [name, write] of Object.entries(refused)) {
        const record = someRecord();
        await expect(write(record), name).rejects.toBeInstanceOf(AppError);
        expect(await storage.findRecordedCall(record.keyHash, NOW), name).toBeUndefined();
      }
      const pointless: Record<string, (record: IdempotencyRecord) => Promise<unknown>> = {
        setPlan: (record) => storage.setPlan(randomUUID(), "pro", someChange(), record),
        setProfile: (record) => storage.setProfile(randomUUID(), "plane", "pro", someChange(), record),
        setMemberRole: (record) => storage.setMemberRole(organizationId, randomUUID(), "owner", someChange(), record),
        removeMember: (record) => storage.removeMember(organizationId, randomUUID(), NO_TOKENS, someChange(), record),
        updateToken: (record) => storage.updateToken(randomUUID(), someSettings(), 1, someChange(), record),
        "a stale updateToken": (record) =>
          storage.updateToken(token.token.id, someSettings({ name: "late" }), 0, someChange(), record),
        revokeToken: (record) => storage.revokeToken(randomUUID(), someChange(), record),
        rotateToken: (record) => storage.rotateToken(randomUUID(), someRotation({ revision: 1 }), someChange(), record),
        finishRotation: (record) => storage.finishRotation(randomUUID(), someChange(), record),
        cancelRotation: (record) => storage.cancelRotation(randomUUID(), someChange(), record),
      };
      for (const [name, write] of Object.entries(pointless)) {
        const record = someRecord();
        expect(await write(record), name).toBeUndefined();
        expect(await storage.findRecordedCall(record.keyHash, NOW), name).toBeUndefined();
      }
      expect(await storage.listEvents(everyEvent())).toEqual(events);
    });

    it("I4: reads the record with this exact hash, while its time isn't over", async () => {
      const { storage } = shared;
      const [one, other] = [someRecord({ expiresAt: after(100) }), someRecord()];
      await storage.createOrganization(someOrganization(), someChange(), one);
      await storage.createOrganization(someOrganization(), someChange(), other);
      expect((await storage.findRecordedCall(one.keyHash, after(99)))?.requestHash).toEqual(one.requestHash);
      expect((await storage.findRecordedCall(other.keyHash, after(100)))?.requestHash).toEqual(other.requestHash);
      expect(await storage.findRecordedCall(one.keyHash, after(100))).toBeUndefined();
      expect(await storage.findRecordedCall(one.keyHash, after(1e9))).toBeUndefined();
      for (const hash of [one.keyHash.subarray(0, 31), one.keyHash.toReversed(), new Uint8Array(0), one.requestHash]) {
        expect(await storage.findRecordedCall(hash, NOW)).toBeUndefined();
      }
    });

    it("I5: the answer of every write opens with the record's key to what it was then", async () => {
      const { storage } = shared;
      const ids = await someMember(storage, "owner");
      const token = await storage.createToken(someToken({ ...ids, profile: SERVICE_PROFILE_ID }), someChange());
      const confidential = { secret: "wp_0123", at: NOW, nothing: undefined };
      const answers = new Map<IdempotencyRecord, unknown>();
      const organization = someOrganization();
      for (const write of Object.values(
        recordedWrites(storage, { ...ids, tokenId: token.id, organization, user: someUser() }),
      )) {
        const record = someRecord({ confidential });
        answers.set(record, await write(record));
      }
      expect(answers.size).toBe(15);
      await storage.setPlan(ids.organizationId, "another", someChange());
      for (const [{ keyHash, sealing }, result] of answers) {
        const { sealedAnswer = new Uint8Array(0) } = (await storage.findRecordedCall(keyHash, NOW)) ?? {};
        expect(openAnswer(sealing.key, sealedAnswer)).toStrictEqual({ result, confidential });
        expect(() => openAnswer(someFingerprint(), sealedAnswer)).toThrow("unable to authenticate");
        const flipped = sealedAnswer.with(20, (sealedAnswer[20] ?? 0) ^ 1);
        expect(() => openAnswer(sealing.key, flipped)).toThrow("unable to authenticate");
      }
    });

    it("I6: forgets the records whose time is over, the longest gone first, up to the limit", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const records = [0, 10, 20, 30, 40].map((end) => someRecord({ createdAt: after(-50), expiresAt: after(end) }));
      for (const record of records) await storage.createOrganization(someOrganization(), someChange(), record);
      const kept = async () => {
        const found = await Promise.all(records.map(({ keyHash }) => storage.findRecordedCall(keyHash, after(-1))));
        return found.map((one) => one !== undefined);
      };
      expect(await storage.sweepRecordedCalls(after(-1), 10)).toBe(0);
      expect(await storage.sweepRecordedCalls(after(30), 3)).toBe(3);
      expect(await kept()).toEqual([false, false, false, true, true]);
      expect(await storage.sweepRecordedCalls(after(30), 3)).toBe(1);
      expect(await storage.sweepRecordedCalls(after(30), 3)).toBe(0);
      expect(await kept()).toEqual([false, false, false, false, true]);
    });

    it("R1: stores a session with its first refresh token, and refuses somebody who isn't a member", async () => {
      const { storage } = shared;
      const ids = await someMember(storage);
      const session = someSession(ids);
      const first = someFingerprint();
      await storage.createSession(session, first, someChange());
      expect(await storage.getSession(session.id)).toEqual(session);
      const rotated = await storage.rotateRefreshToken({ presented: first, next: someFingerprint() }, someChange());
      expect(rotated).toEqual({ kind: "rotated", session });

      const { userId: stranger } = await someMember(storage);
      for (const userId of [randomUUID(), stranger]) {
        const orphan = someSession({ ...ids, userId });
        await expectKind(storage.createSession(orphan, someFingerprint(), someChange()), "failed_precondition");
        expect(await storage.getSession(orphan.id)).toBeUndefined();
      }
    });

    it("R2: reads the session with this id only", async () => {
      const { storage } = shared;
      const ids = await someMember(storage);
      const [one, two] = [someSession(ids), someSession({ ...ids, expiresAt: after(5) })];
      await storage.createSession(one, someFingerprint(), someChange());
      await storage.createSession(two, someFingerprint(), someChange());
      expect(await storage.getSession(one.id)).toEqual(one);
      expect(await storage.getSession(two.id)).toEqual(two);
    });

    it("R3: rotates from one refresh token to the next", async () => {
      const { storage } = shared;
      const session = someSession(await someMember(storage));
      const chain = Array.from({ length: 5 }, someFingerprint);
      const [first] = chain;
      if (first === undefined) throw new Error("the sample is too small");
      await storage.createSession(session, first, someChange());
      for (const [index, next] of chain.slice(1).entries()) {
        const presented = chain[index] ?? first;
        expect(await storage.rotateRefreshToken({ presented, next }, someChange())).toEqual({
          kind: "rotated",
          session,
        });
      }
      expect(await storage.getSession(session.id)).toEqual(session);
    });

    it("R3: refuses what is unknown, expired or ended, and uses nothing up", async () => {
      const { storage } = shared;
      const ids = await someMember(storage);
      const session = someSession({ ...ids, expiresAt: after(10) });
      const presented = someFingerprint();
      await storage.createSession(session, presented, someChange());
      const rotate = (fingerprint: Uint8Array, now: Date) =>
        storage.rotateRefreshToken({ presented: fingerprint, next: someFingerprint() }, someChange({ at: now }));

      expect(await rotate(someFingerprint(), NOW)).toEqual({ kind: "refused" });
      expect(await rotate(presented, after(11))).toEqual({ kind: "refused" });
      expect(await rotate(presented, after(10))).toEqual({ kind: "refused" });
      expect(await rotate(presented, after(9))).toEqual({ kind: "rotated", session });

      const ended = someSession({ ...ids, endedAt: after(1) });
      const ofEnded = someFingerprint();
      await storage.createSession(ended, ofEnded, someChange());
      expect(await rotate(ofEnded, after(2))).toEqual({ kind: "refused" });
    });

    it("R4: of several uses of one refresh token exactly one rotates, and the session ends", async () => {
      await checkOneRotationWins(shared.storage);
    });

    it("R4: a reuse ends its own session only, at its time", async () => {
      const { storage } = shared;
      const ids = await someMember(storage);
      const [session, other] = [someSession(ids), someSession(ids)];
      const [used, next, ofOther] = [someFingerprint(), someFingerprint(), someFingerprint()];
      await storage.createSession(session, used, someChange());
      await storage.createSession(other, ofOther, someChange());
      await storage.rotateRefreshToken({ presented: used, next }, someChange());

      const reuse = { presented: used, next: someFingerprint() };
      const ended = { ...session, endedAt: after(7) };
      expect(await storage.rotateRefreshToken(reuse, someChange({ at: after(7) }))).toEqual({
        kind: "reused",
        session: ended,
      });
      expect(await storage.rotateRefreshToken(reuse, someChange({ at: after(8) }))).toEqual({
        kind: "reused",
        session: ended,
      });
      expect(await storage.getSession(session.id)).toEqual(ended);
      const newest = { presented: next, next: someFingerprint() };
      expect(await storage.rotateRefreshToken(newest, someChange({ at: after(8) }))).toEqual({ kind: "refused" });
      const untouched = { presented: ofOther, next: someFingerprint() };
      expect(await storage.rotateRefreshToken(untouched, someChange({ at: after(8) }))).toEqual({
        kind: "rotated",
        session: other,
      });
    });

    it("R5: records a refused sign-in where the user belongs, else in the system organization", async () => {
      await checkSignInFailures(shared.storage);
    });

    it("R7: reads the session of a refresh token, used or not", async () => {
      const { storage } = shared;
      const ids = await someMember(storage);
      const [session, other] = [someSession(ids), someSession(ids)];
      const [first, next] = [someFingerprint(), someFingerprint()];
      await storage.createSession(session, first, someChange());
      await storage.createSession(other, someFingerprint(), someChange());
      await storage.rotateRefreshToken({ presented: first, next }, someChange());
      for (const fingerprint of [first, next]) expect(await storage.findSession(fingerprint)).toEqual(session);
      expect(await storage.findSession(someFingerprint())).toBeUndefined();
    });

    it("R10: a browser's secret is no refresh token, and its session goes on", async () => {
      const { storage } = shared;
      const session = someSession({ ...(await someMember(storage)), client: "browser", method: "example" });
      const secret = someFingerprint();
      await storage.createSession(session, secret, someChange());
      for (const at of [after(1), after(2)]) {
        const rotation = { presented: secret, next: someFingerprint() };
        expect(await storage.rotateRefreshToken(rotation, someChange({ at }))).toEqual({ kind: "refused" });
      }
      expect(await storage.findSession(secret)).toEqual(session);
    });

    it("R8: ends a session once, at its time, and no other", async () => {
      const { storage } = shared;
      const ids = await someMember(storage);
      const [session, other] = [someSession({ ...ids, expiresAt: after(50) }), someSession(ids)];
      const presented = someFingerprint();
      await storage.createSession(session, presented, someChange());
      await storage.createSession(other, someFingerprint(), someChange());
      const ended = { ...session, endedAt: after(7) };
      expect(await storage.endSession(session.id, someChange({ at: after(7) }))).toEqual(ended);
      expect(await storage.endSession(session.id, someChange({ at: after(8) }))).toEqual(ended);
      expect(await storage.getSession(session.id)).toEqual(ended);
      expect(await storage.getSession(other.id)).toEqual(other);
      const rotation = { presented, next: someFingerprint() };
      expect(await storage.rotateRefreshToken(rotation, someChange({ at: after(8) }))).toEqual({ kind: "refused" });

      const expired = someSession({ ...ids, expiresAt: after(5) });
      await storage.createSession(expired, someFingerprint(), someChange());
      expect(await storage.endSession(expired.id, someChange({ at: after(5) }))).toEqual(expired);
      expect(await storage.endSession(randomUUID(), someChange())).toBeUndefined();
    });

    it("R9: starts no session by a password that was changed meanwhile", async () => {
      const { storage } = shared;
      const ids = await someMember(storage);
      const { passwordHash = "" } = (await storage.getUser(ids.userId)) ?? {};
      const [good, bad] = [someSession(ids), someSession(ids)];
      await storage.createSession(good, someFingerprint(), someChange(), passwordHash);
      await expectKind(
        storage.createSession(bad, someFingerprint(), someChange(), "another hash"),
        "failed_precondition",
      );
      expect(await storage.getSession(good.id)).toEqual(good);
      expect(await storage.getSession(bad.id)).toBeUndefined();
    });

    it("R6: forgets the sessions that were over before, up to the limit, and what is presented of them is refused", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const ids = await someMember(storage);
      const over = [
        { expiresAt: after(10) },
        { expiresAt: after(100), endedAt: after(20) },
        { expiresAt: after(30), endedAt: after(90) },
        { expiresAt: after(40) },
        { expiresAt: after(100) },
      ];
      const stored: { id: string; used: Uint8Array; newest: Uint8Array }[] = [];
      for (const fields of over) {
        const session = someSession({ ...ids, ...fields, endedAt: undefined });
        const [used, newest] = [someFingerprint(), someFingerprint()];
        await storage.createSession({ ...session, endedAt: fields.endedAt }, used, someChange());
        if (fields.endedAt === undefined) {
          await storage.rotateRefreshToken({ presented: used, next: newest }, someChange());
        }
        stored.push({ id: session.id, used, newest });
      }
      const kept = async () => {
        const found = await Promise.all(stored.map(({ id }) => storage.getSession(id)));
        return found.map((session) => session !== undefined);
      };
      const events = await storage.listEvents(everyEvent());
      expect(await storage.sweepSessions(after(10), 10)).toBe(0);
      expect(await storage.sweepSessions(after(40), 2)).toBe(2);
      expect(await kept()).toEqual([false, false, true, true, true]);
      expect(await storage.sweepSessions(after(40), 2)).toBe(1);
      expect(await storage.sweepSessions(after(40), 2)).toBe(0);
      expect(await kept()).toEqual([false, false, false, true, true]);
      const present = async (presented: Uint8Array, at = after(50)) =>
        (await storage.rotateRefreshToken({ presented, next: someFingerprint() }, someChange({ at }))).kind;
      for (const { used, newest } of stored.slice(0, 3)) {
        expect(await present(used)).toBe("refused");
        expect(await present(newest)).toBe("refused");
      }
      expect(await storage.listEvents(everyEvent())).toEqual(events);
      // Reuse is still found in those that stay, whether they go on or not.
      for (const { used, newest } of stored.slice(3)) {
        expect(await present(used)).toBe("reused");
        expect(await present(newest)).toBe("refused");
      }
    });

    it("K1: keeps the first signing key, and of several at once exactly one", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      await checkOneSigningKey(storage);
      const stored = await storage.listSigningKeys();
      expect(await storage.ensureSigningKey(someSigningKey({ createdAt: after(-1) }))).toEqual(stored);
      const reopened = await subject.reopen();
      expect(await reopened.ensureSigningKey(someSigningKey())).toEqual(stored);
    });

    it("K2: lists the signing keys", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      expect(await storage.listSigningKeys()).toEqual([]);
      const key = someSigningKey();
      await storage.ensureSigningKey(key);
      expect(await storage.listSigningKeys()).toEqual([key]);
    });

    it("K3: adds a signing key where the newest one is as expected, and of several at once exactly one", async () => {
      await checkOneKeyReplacement(shared.storage);
    });

    it("K4: forgets the signing keys whose successor is older, and never the newest", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const keys = [0, 10, 20].map((createdAt) => someSigningKey({ createdAt: after(createdAt) }));
      const [first, second, third] = keys;
      if (first === undefined || second === undefined || third === undefined) throw new Error("too few keys");
      await storage.ensureSigningKey(first);
      await storage.replaceSigningKey(first.id, second);
      await storage.replaceSigningKey(second.id, third);
      await storage.deleteSigningKeys(after(10));
      expect(await storage.listSigningKeys()).toEqual(keys);
      await storage.deleteSigningKeys(after(11));
      expect(await storage.listSigningKeys()).toEqual([second, third]);
      await storage.deleteSigningKeys(after(1e9));
      expect(await storage.listSigningKeys()).toEqual([third]);
    });

    it("H1: answers when the database can be read, also while it can't be written", async () => {
      await using subject = await openSubject();
      await subject.storage.ping();
      await using _blocked = await subject.blockWrites();
      await subject.storage.ping();
    });

    it("H1: rejects when the database can't be read", async () => {
      await using subject = await openSubject();
      await subject.breakReads();
      await expectKind(subject.storage.ping(), "unavailable");
    });

    it("H3: answers when the database can be written, and rejects while it can't", async () => {
      await using subject = await openSubject();
      await checkWriteHealth(subject);
    });

    it("H3: changes nothing that can be read, and has no event", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const organization = await storage.createOrganization(someOrganization(), someChange());
      const before = await storage.listEvents(everyEvent());
      for (let pings = 0; pings < 3; pings++) await storage.pingWrites();
      const { revision } = await storage.createToken(someToken({ organizationId: organization.id }), someChange());
      expect(revision).toBe((before.at(-1)?.revision ?? 0) + 1);
      expect(await storage.listEvents(everyEvent())).toMatchObject([...before, { revision }]);
    });

    it("H2: waits for the writes that were accepted", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const organizations = Array.from({ length: 200 }, () => someOrganization());
      const settled: string[] = [];
      const accepted = organizations.map(async (organization) => {
        await storage.createOrganization(organization, someChange());
        settled.push(organization.id);
      });
      await storage.close();
      expect(settled).toHaveLength(organizations.length);
      await Promise.all(accepted);
      const reopened = await subject.reopen();
      for (const organization of organizations) {
        expect(await reopened.getOrganization(organization.id)).toEqual(organization);
      }
    });

    it("H2: every call after it is unavailable, from the moment that it is called", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      const closing = storage.close();
      for (const [name, call] of Object.entries({ ...reads(storage), ...writes(storage) })) {
        await expectKind(call(), "unavailable", name);
      }
      await closing;
      for (const [name, call] of Object.entries({ ...reads(storage), ...writes(storage) })) {
        await expectKind(call(), "unavailable", name);
      }
    });

    it("H2: closing twice is closing once", async () => {
      await using subject = await openSubject();
      const { storage } = subject;
      await Promise.all([storage.close(), storage.close()]);
      await storage.close();
      const reopened = await subject.reopen();
      await storage.close();
      await reopened.pingWrites();
    });
  });
}

/** Any text that UTF-8 can carry, but for U+0000. */
const text = fc.string({ unit: "binary", maxLength: 40 }).map((drawn) => drawn.replaceAll("\0", "\u0001"));
const time = fc.date({ min: new Date(0), max: new Date("9999-12-31T23:59:59.999Z"), noInvalidDate: true });
const texts = fc.array(text, { maxLength: 5 });

const PEOPLE = [randomUUID(), randomUUID()] as const;

const tokenFields = fc
  .record({
    profile: text,
    type: text,
    name: text,
    hint: text,
    permission: text,
    scopes: texts,
    ipAllowlist: texts,
    metadata: fc.dictionary(text, text, { noNullPrototype: true }),
    enabled: fc.boolean(),
    createdBy: text,
    userId: optional(fc.uuid()),
    createdAt: time,
    expiresAt: optional(time),
    lastUsedAt: optional(time),
    lastUsedAddress: text,
    revocation: optional(fc.record({ revokedAt: time, revokedBy: text })),
    rotation: optional(
      fc.record(
        { startedAt: time, overlapEndsAt: time, previousHint: text, previousLastUsedAt: optional(time) },
        { noNullPrototype: true },
      ),
    ),
  })
  .map(({ revocation, ...fields }) => ({
    ...fields,
    revokedAt: revocation?.revokedAt,
    revokedBy: revocation?.revokedBy,
  }));

function optional<Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> {
  return fc.option(arbitrary, { nil: undefined });
}

/** The order of `Position`. */
function byAge(one: Position, two: Position): number {
  return two.createdAt.getTime() - one.createdAt.getTime() || Number(one.id < two.id) - Number(one.id > two.id);
}

/** Stores a user who is a member of an organization, both new. */
async function someMember(
  storage: Storage,
  role: Role = "member",
): Promise<{ organizationId: string; userId: string }> {
  const organization = someOrganization();
  const user = someUser();
  const ids = { organizationId: organization.id, userId: user.id };
  await storage.createOrganization(organization, someChange());
  await storage.createUser(user);
  await storage.putMembership(someMembership({ ...ids, role }), someChange());
  return ids;
}

/** Everything on the pages that follow each other. */
async function pages<Item extends Position>(
  read: (last: Position | undefined) => Promise<readonly Item[]>,
): Promise<readonly Item[]> {
  const items: Item[] = [];
  for (;;) {
    const page = await read(items.at(-1));
    if (page.length === 0) return items;
    items.push(...page);
  }
}

/** A call of every method that reads. */
function reads(storage: Storage): Record<string, () => Promise<unknown>> {
  return {
    isEmpty: () => storage.isEmpty(),
    getOrganization: () => storage.getOrganization(randomUUID()),
    listOrganizations: () => storage.listOrganizations(undefined, 1),
    getUser: () => storage.getUser(randomUUID()),
    findUserByEmail: () => storage.findUserByEmail("someone@example.com"),
    getMembership: () => storage.getMembership(randomUUID(), randomUUID()),
    listMembershipsOfUser: () => storage.listMembershipsOfUser(randomUUID()),
    listMembers: () => storage.listMembers(randomUUID(), undefined, 1),
    getToken: () => storage.getToken(randomUUID()),
    findTokenByFingerprint: () => Promise.resolve(storage.findTokenByFingerprint(someFingerprint())),
    listDigestSchemes: () => storage.listDigestSchemes(),
    getImportKey: () => storage.getImportKey(randomUUID()),
    listTokens: () => storage.listTokens(everyToken(randomUUID())),
    countTokens: () => storage.countTokens(someSelection(randomUUID()), NOW),
    readWindow: () => storage.readWindow(randomUUID(), NOW),
    readUses: () => storage.readUses(randomUUID(), 0, 1),
    findRecordedCall: () => storage.findRecordedCall(someFingerprint(), NOW),
    getSession: () => storage.getSession(randomUUID()),
    listInvitations: () => storage.listInvitations(randomUUID(), NOW),
    findInvitation: () => storage.findInvitation(someFingerprint(), NOW),
    findPasswordLink: () => storage.findPasswordLink(someFingerprint(), NOW),
    findSession: () => storage.findSession(someFingerprint()),
    listEvents: () => storage.listEvents(everyEvent()),
    listEventHashes: () => storage.listEventHashes(undefined, 10),
    listEventsOfOrganization: () => storage.listEvents(everyEvent({ organizationId: randomUUID() })),
    listSigningKeys: () => storage.listSigningKeys(),
    ping: () => storage.ping(),
  };
}

/** A call of every method that writes. */
function writes(storage: Storage): Record<string, () => Promise<unknown>> {
  const ids = { organizationId: randomUUID(), userId: randomUUID() };
  return {
    setUp: () => storage.setUp(someSetUp(1), someChange()),
    createOrganization: () => storage.createOrganization(someOrganization(), someChange()),
    createUser: () => storage.createUser(someUser()),
    setPlan: () => storage.setPlan(randomUUID(), "pro", someChange()),
    setProfile: () => storage.setProfile(randomUUID(), "plane", "pro", someChange()),
    putMembership: () => storage.putMembership(someMembership(ids), someChange()),
    addMember: () => storage.addMember(someMembership(ids), someUser(), someChange()),
    setMemberRole: () => storage.setMemberRole(randomUUID(), randomUUID(), "owner", someChange()),
    removeMember: () => storage.removeMember(randomUUID(), randomUUID(), NO_TOKENS, someChange()),
    createToken: () => storage.createToken(someToken(ids), someChange()),
    updateToken: () => storage.updateToken(randomUUID(), someSettings(), 1, someChange()),
    revokeToken: () => storage.revokeToken(randomUUID(), someChange()),
    rotateToken: () => storage.rotateToken(randomUUID(), someRotation({ revision: 1 }), someChange()),
    finishRotation: () => storage.finishRotation(randomUUID(), someChange()),
    cancelRotation: () => storage.cancelRotation(randomUUID(), someChange()),
    importTokens: () => storage.importTokens([someToken(ids)], [someHmacScheme()], someChange()),
    revokeTokens: () => storage.revokeTokens(someSelection(randomUUID()), someChange()),
    purgeTokens: () => storage.purgeTokens(NOW, 1, someChange()),
    sweepSessions: () => storage.sweepSessions(NOW, 1),
    replaceSigningKey: () => storage.replaceSigningKey("", someSigningKey()),
    deleteSigningKeys: () => storage.deleteSigningKeys(NOW),
    endSession: () => storage.endSession(randomUUID(), someChange()),
    createInvitation: () => storage.createInvitation(someInvitation(randomUUID()), someChange()),
    revokeInvitation: () => storage.revokeInvitation(randomUUID(), randomUUID(), someChange()),
    acceptInvitation: () =>
      storage.acceptInvitation(someFingerprint(), { kind: "person", userId: randomUUID() }, someChange()),
    sweepInvitations: () => storage.sweepInvitations(NOW, 1),
    createPasswordLink: () => storage.createPasswordLink(somePasswordLink(randomUUID()), someChange()),
    resetPassword: () => storage.resetPassword(someFingerprint(), "new", someChange()),
    sweepPasswordLinks: () => storage.sweepPasswordLinks(NOW, 1),
    linkIdentity: () => storage.linkIdentity(someIdentity(), "nobody@example.com", "hash", someChange()),
    register: () => storage.register(someOrganization(), someUser(), someChange()),
    changePassword: () =>
      storage.changePassword(randomUUID(), { before: "", after: "new", keptSessionId: randomUUID() }, someChange()),
    recordUses: () => storage.recordUses([]),
    sweepUses: () => storage.sweepUses(0, 1),
    takeLease: () => storage.takeLease(someLeaseRequest()),
    returnLeases: () => storage.returnLeases([]),
    sweepWindows: () => storage.sweepWindows(NOW, 1),
    sweepRecordedCalls: () => storage.sweepRecordedCalls(NOW, 1),
    createSession: () => storage.createSession(someSession(ids), someFingerprint(), someChange()),
    rotateRefreshToken: () =>
      storage.rotateRefreshToken({ presented: someFingerprint(), next: someFingerprint() }, someChange()),
    recordSignInFailure: () => storage.recordSignInFailure(undefined, "unknown_address", someChange()),
    pingWrites: () => storage.pingWrites(),
    ensureSigningKey: () => storage.ensureSigningKey(someSigningKey()),
  };
}

const SHA256: NewDigestScheme = { algorithm: "sha256", key: undefined };

/** A call of every write that takes a record, each of which changes something. The owner stays. */
function recordedWrites(
  storage: Storage,
  {
    organizationId,
    tokenId,
    organization,
    user,
  }: {
    readonly organizationId: string;
    readonly tokenId: string;
    readonly organization: Organization;
    readonly user: User;
  },
): Record<string, (record: IdempotencyRecord) => Promise<unknown>> {
  const membership = { organizationId, role: "admin", createdAt: after(1) } as const;
  const rotate = async (record: IdempotencyRecord) => {
    const { revision = 0 } = (await storage.getToken(tokenId)) ?? {};
    return storage.rotateToken(tokenId, someRotation({ revision }, { overlapEndsAt: after(9) }), someChange(), record);
  };
  return {
    createOrganization: (record) => storage.createOrganization(organization, someChange(), record),
    setPlan: (record) => storage.setPlan(organizationId, "pro", someChange(), record),
    setProfile: (record) => storage.setProfile(organizationId, "plane", "pro", someChange(), record),
    addMember: (record) => storage.addMember(membership, user, someChange(), record),
    setMemberRole: (record) => storage.setMemberRole(organizationId, user.id, "member", someChange(), record),
    removeMember: (record) => storage.removeMember(organizationId, user.id, NO_TOKENS, someChange(), record),
    createToken: (record) =>
      storage.createToken(
        someToken({ organizationId, profile: SERVICE_PROFILE_ID, expiresAt: after(5) }),
        someChange(),
        record,
      ),
    rotateToken: rotate,
    cancelRotation: (record) => storage.cancelRotation(tokenId, someChange(), record),
    "rotateToken again": rotate,
    finishRotation: (record) => storage.finishRotation(tokenId, someChange(), record),
    updateToken: async (record) => {
      const { revision = 0 } = (await storage.getToken(tokenId)) ?? {};
      return storage.updateToken(tokenId, someSettings({ name: "new" }), revision, someChange(), record);
    },
    revokeToken: (record) => storage.revokeToken(tokenId, someChange({ at: after(2) }), record),
    // The profile that it has by now.
    importTokens: (record) =>
      storage.importTokens([someToken({ organizationId, profile: "plane" })], [someHmacScheme()], someChange(), record),
    revokeTokens: (record) =>
      storage.revokeTokens(
        someSelection(organizationId, { profile: SERVICE_PROFILE_ID }),
        someChange({ at: after(3) }),
        record,
      ),
  };
}

async function expectKind(call: Promise<unknown>, kind: ErrorKind, what?: string): Promise<AppError> {
  const error = await call.then(
    (value) => `answered ${JSON.stringify(value)}`,
    (reason: unknown) => reason,
  );
  expect(error, what).toBeInstanceOf(AppError);
  expect(error, what).toMatchObject({ kind });
  return error as AppError;
}

/** A message that callers may see names neither the database's inside nor what is private. */
function expectPublic({ message }: AppError, ...secrets: readonly string[]): void {
  expect(message).not.toMatch(/sql|constraint|table|column|select|insert|\/|organizations|tokens/i);
  for (const secret of secrets) expect(message).not.toContain(secret);
}
