/** What must hold when many things happen at once. Each throws when it doesn't. */
import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { expect } from "vitest";
import type { Token } from "../../src/domain/entities.ts";
import { AppError } from "../../src/domain/errors.ts";
import { openAnswer } from "../../src/domain/idempotency.ts";
import { toPublicId } from "../../src/domain/ids.ts";
import type { Position, SetUp, Storage } from "../../src/domain/storage.ts";
import {
  after,
  everyEvent,
  everyToken,
  NO_TOKENS,
  NOW,
  someChange,
  someFingerprint,
  someInvitation,
  someLeaseRequest,
  someMembership,
  someOrganization,
  somePasswordLink,
  someRecord,
  someSession,
  someSettings,
  someSigningKey,
  someToken,
  someUse,
  someUser,
} from "./samples.ts";
import type { StorageSubject } from "./storage-contract.ts";

const AT_ONCE = 16;

/** S2. The storage is empty or not; nothing else writes. */
export async function checkReadsSeeWrites(storage: Storage): Promise<void> {
  const organization = someOrganization();
  await storage.createOrganization(organization, someChange());
  expect(await storage.getOrganization(organization.id)).toEqual(organization);
  const { token } = someToken({ organizationId: organization.id });
  const created = await storage.createToken({ token, fingerprint: someFingerprint() }, someChange());
  for (let use = 1; use <= 20; use++) {
    await storage.recordUses([someUse(token.id, after(use))]);
    expect(await storage.getToken(token.id)).toEqual({ ...created, lastUsedAt: after(use) });
  }
  const updated = await storage.updateToken(token.id, someSettings({ name: "new" }), created.revision, someChange());
  expect(updated).toBeDefined();
  expect(await storage.getToken(token.id)).toEqual(updated);
  const revoked = await storage.revokeToken(token.id, someChange());
  expect(await storage.getToken(token.id)).toEqual(revoked);
}

/** S3. The storage is empty. */
export async function checkSetUpIsWhole(storage: Storage): Promise<void> {
  const contents = someSetUp(50);
  const organizationId = contents.organizations[0]?.id ?? "";
  let isDone = false;
  const done = storage.setUp(contents, someChange()).finally(() => {
    isDone = true;
  });
  const seen: number[] = [];
  while (!isDone) {
    // The emptiness is read first: what comes after it can only be more.
    const wasEmpty = await storage.isEmpty();
    const tokens = await storage.listTokens(everyToken(organizationId));
    if (!wasEmpty) seen.push(tokens.length);
    await setImmediate();
  }
  expect(await done).toBe(true);
  expect(seen).toEqual(seen.map(() => contents.tokens.length));
}

/** SU1. The storage is empty. */
export async function checkOneSetUpWins(storage: Storage): Promise<void> {
  const all = Array.from({ length: AT_ONCE }, () => someSetUp(2));
  const answers = await Promise.all(all.map((contents) => storage.setUp(contents, someChange())));
  expect(answers.filter(Boolean)).toHaveLength(1);
  for (const [index, { organizations, users, memberships, tokens }] of all.entries()) {
    const isStored = [
      ...(await Promise.all(organizations.map(({ id }) => storage.getOrganization(id)))),
      ...(await Promise.all(users.map(({ id }) => storage.getUser(id)))),
      ...(await Promise.all(
        memberships.map(({ organizationId, userId }) => storage.getMembership(organizationId, userId)),
      )),
      ...(await Promise.all(tokens.map(({ token }) => storage.getToken(token.id)))),
    ].map((entity) => entity !== undefined);
    expect(isStored).toEqual(isStored.map(() => answers[index]));
  }
}

/** O5, over many races. */
export async function checkProfileChange(storage: Storage): Promise<void> {
  const outcomes = new Set<string>();
  for (let race = 0; race < 60; race++) {
    const { id } = someOrganization();
    await storage.createOrganization(someOrganization({ id }), someChange());
    const issue = () => orKind<unknown>(storage.createToken(someToken({ organizationId: id }), someChange()));
    const change = () => orKind<unknown>(storage.setProfile(id, "plane", "pro", someChange()));
    // One writer takes them in order, so the change comes first, last or in between.
    const calls = [issue, issue].toSpliced(race % 3, 0, change);
    const answers = await Promise.all(calls.map((call) => call()));

    const organization = await storage.getOrganization(id);
    const tokens = await storage.listTokens(everyToken(id));
    const wasChanged = organization?.profile === "plane";
    expect(tokens.filter(({ profile }) => profile !== organization?.profile)).toEqual([]);
    expect(answers.filter((answer) => answer === "failed_precondition")).toHaveLength(wasChanged ? 2 : 1);
    expect(organization?.plan).toBe(wasChanged ? "pro" : "free");
    outcomes.add(String(wasChanged));
  }
  expect(outcomes.size).toBe(2);
}

/** M5 and M6. All owners of an organization try at once to be one no longer. */
export async function checkOneOwnerStays(storage: Storage): Promise<void> {
  for (let race = 0; race < 10; race++) {
    const organization = someOrganization();
    await storage.createOrganization(organization, someChange());
    const owners = Array.from({ length: race % 2 === 0 ? 2 : AT_ONCE }, () => someUser());
    for (const user of owners) {
      await storage.addMember({ organizationId: organization.id, role: "owner", createdAt: NOW }, user, someChange());
    }
    const answers = await Promise.all(
      owners.map(({ id }, index) =>
        orKind<unknown>(
          index % 2 === race % 3
            ? storage.removeMember(organization.id, id, NO_TOKENS, someChange())
            : storage.setMemberRole(organization.id, id, "member", someChange()),
        ),
      ),
    );
    expect(answers.filter((answer) => answer === "failed_precondition")).toHaveLength(1);
    const members = await storage.listMembers(organization.id, undefined, 100);
    expect(members.filter(({ membership }) => membership.role === "owner")).toHaveLength(1);
  }
}

/** L1. 16 takers make 10,000 attempts in a window of 60. */
export async function checkLeases(storage: Storage): Promise<void> {
  const request = someLeaseRequest({ limit: 60, units: 1 });
  const taker = async (): Promise<number> => {
    let granted = 0;
    for (let attempt = 0; attempt < 10_000 / AT_ONCE; attempt++) granted += (await storage.takeLease(request)).granted;
    return granted;
  };
  const granted = await Promise.all(Array.from({ length: AT_ONCE }, taker));
  expect(sum(granted)).toBe(60);
  expect(await storage.readWindow(request.tokenId, request.windowStart)).toBe(60);
}

/** I1 and I2. Many at once with one key, over many races. */
export async function checkOnce(storage: Storage): Promise<void> {
  for (let race = 0; race < 10; race++) {
    const { id } = await storage.createOrganization(someOrganization(), someChange());
    const { keyHash } = someRecord();
    const attempts = Array.from({ length: AT_ONCE }, (_, index) => ({
      token: someToken({ organizationId: id }),
      record: someRecord({ keyHash, confidential: index }),
    }));
    const answers = await Promise.all(
      attempts.map(({ token, record }) => orKind<Token>(storage.createToken(token, someChange(), record))),
    );
    expect(answers.filter((answer) => answer === "already_exists")).toHaveLength(AT_ONCE - 1);
    const winner = answers.findIndex((answer) => typeof answer !== "string");
    expect(await storage.listTokens(everyToken(id))).toEqual([answers[winner]]);
    const events = await storage.listEvents(everyEvent({ organizationId: id, actions: ["token.issued"] }));
    expect(events).toMatchObject([{ target: toPublicId("tok", attempts[winner]?.token.token.id ?? "") }]);
    const recorded = await storage.findRecordedCall(keyHash, NOW);
    const { record } = attempts[winner] ?? { record: someRecord() };
    expect(recorded?.requestHash).toEqual(record.requestHash);
    const answer = openAnswer(record.sealing.key, recorded?.sealedAnswer ?? new Uint8Array(0));
    expect(answer).toEqual({ result: answers[winner], confidential: winner });
  }
}

/** TF1. Names that are alike to a database that folds, normalizes or guesses. */
export async function checkNamePrefix(storage: Storage): Promise<void> {
  const { id: organizationId } = await storage.createOrganization(someOrganization(), someChange());
  const letter = fc.constantFrom("a", "A", "%", "_", "*", "\u00e9", "e", "\u0301", "ß", "ss", "\u{1f511}", "\u0001");
  const letters = fc.array(letter, { maxLength: 4 }).map((list) => list.join(""));
  const names = fc.sample(letters, 200);
  const tokens = names.map((name) => someToken({ organizationId, name }));
  await Promise.all(tokens.map((token) => storage.createToken(token, someChange())));
  await fc.assert(
    fc.asyncProperty(letters, async (namePrefix) => {
      const found = await storage.listTokens(everyToken(organizationId, { namePrefix }));
      const expected = names.filter((name) => name.startsWith(namePrefix));
      expect(found.map(({ name }) => name).toSorted()).toEqual(expected.toSorted());
    }),
  );
}

/** TU2. Each of many takes a scope away, going by the scopes that it has read. None may come back. */
export async function checkUpdatesGoByWhatTheyRead(storage: Storage): Promise<void> {
  const { id: organizationId } = await storage.createOrganization(someOrganization(), someChange());
  for (let race = 0; race < 10; race++) {
    const scopes = Array.from({ length: AT_ONCE }, (_, index) => `scope ${index}`);
    const { id } = await storage.createToken(someToken({ organizationId, scopes }), someChange());
    const revisions = new Set<number>();
    const takeAway = async (scope: string): Promise<void> => {
      for (;;) {
        const token = await storage.getToken(id);
        if (token === undefined) throw new Error("expected the token to be there");
        const settings = someSettings({ scopes: token.scopes.filter((other) => other !== scope) });
        const updated = await storage.updateToken(id, settings, token.revision, someChange());
        if (updated === undefined) continue;
        expect(updated.scopes).toEqual(settings.scopes);
        revisions.add(updated.revision);
        return;
      }
    };
    await Promise.all(scopes.map(takeAway));
    expect((await storage.getToken(id))?.scopes).toEqual([]);
    expect(revisions.size).toBe(AT_ONCE);
  }
}

/** IM1. Importers at once, some of whose keys are the same, into organizations of their own. */
export async function checkImportsAtOnce(storage: Storage): Promise<void> {
  const shared = Array.from({ length: 20 }, someFingerprint);
  const imports = await Promise.all(
    Array.from({ length: AT_ONCE }, async (_, index) => {
      const { id } = await storage.createOrganization(someOrganization(), someChange());
      const own = Array.from({ length: 5 }, () => someToken({ organizationId: id }));
      const fingerprints = index % 2 === 0 ? shared : shared.toReversed();
      const alike = fingerprints.map((fingerprint) => ({ ...someToken({ organizationId: id }), fingerprint }));
      return { id, rows: [...own, ...alike], seen: new Set<number>() };
    }),
  );
  let isDone = false;
  const done = Promise.all(
    imports.map(({ rows }) => storage.importTokens(rows, [{ algorithm: "sha256", key: undefined }], someChange())),
  ).finally(() => {
    isDone = true;
  });
  while (!isDone) {
    for (const { id, seen } of imports) seen.add((await storage.listTokens(everyToken(id))).length);
    await setImmediate();
  }
  const answers = await done;
  const stored = answers.map((answer) => answer.filter((one) => one !== "taken"));
  expect(stored.flat()).toHaveLength(AT_ONCE * 5 + shared.length);
  for (const [index, { id, seen }] of imports.entries()) {
    const tokens = await storage.listTokens(everyToken(id));
    expect(tokens.map((token) => token.id).toSorted()).toEqual(stored[index]?.map((token) => token.id).toSorted());
    expect([0, tokens.length]).toEqual(expect.arrayContaining([...seen]));
  }
  const owners = await Promise.all(shared.map(async (fingerprint) => storage.findTokenByFingerprint(fingerprint)));
  expect(owners.filter((owner) => owner === undefined)).toEqual([]);
}

/** T5, over many histories. */
export async function checkPaging(storage: Storage): Promise<void> {
  const age = fc.integer({ min: 0, max: 4 });
  const interference = fc.oneof(
    fc.record({ kind: fc.constant("issue" as const), age: fc.integer({ min: -2, max: 6 }) }),
    fc.record({ kind: fc.constant("revoke" as const), index: fc.nat() }),
    fc.record({ kind: fc.constant("update" as const), index: fc.nat() }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(age, { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 1, max: 5 }),
      fc.array(interference, { maxLength: 20 }),
      async (ages, limit, interferences) => {
        const organization = someOrganization();
        await storage.createOrganization(organization, someChange());
        const issue = async (milliseconds: number): Promise<string> => {
          const { token } = await issueToken(storage, organization.id, milliseconds);
          return token.id;
        };
        const throughout = await Promise.all(ages.map(issue));

        const meanwhile: Promise<unknown>[] = [];
        const seen: Position[] = [];
        for (;;) {
          const next = interferences[meanwhile.length];
          if (next?.kind === "issue") meanwhile.push(issue(next.age));
          if (next?.kind === "revoke") {
            const id = throughout[next.index % throughout.length] ?? "";
            meanwhile.push(storage.revokeToken(id, someChange()));
          }
          if (next?.kind === "update") {
            const token = await storage.getToken(throughout[next.index % throughout.length] ?? "");
            const settings = someSettings({ name: `deploy ${meanwhile.length}`, enabled: false });
            // One that is revoked already stays as it is.
            const update = storage.updateToken(token?.id ?? "", settings, token?.revision ?? 0, someChange());
            meanwhile.push(update.catch(() => {}));
          }
          // Half of the changes are done before the page is read, the others happen at the same time.
          if (meanwhile.length % 2 === 0) await meanwhile.at(-1);
          const query = everyToken(organization.id, { namePrefix: "deploy", limit, after: seen.at(-1) });
          const page = await storage.listTokens(query);
          seen.push(...page);
          if (page.length === 0) break;
        }
        await Promise.all(meanwhile);

        const ids = seen.map(({ id }) => id);
        expect(new Set(ids).size).toBe(ids.length);
        expect(ids).toEqual(expect.arrayContaining(throughout));
      },
    ),
    { numRuns: 50 },
  );
}

/** T7, over many histories. */
export async function checkLastUse(storage: Storage): Promise<void> {
  const organization = someOrganization();
  await storage.createOrganization(organization, someChange());
  const time = fc.integer({ min: 0, max: 50 });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(time, { maxLength: 5 }), { maxLength: 8 }), async (batches) => {
      const { token } = await issueToken(storage, organization.id, 0);
      let lastSeen = -1;
      const writes = batches.map(async (batch) => {
        await storage.recordUses(batch.map((millis) => someUse(token.id, after(millis))));
        const lastUsedAt = (await storage.getToken(token.id))?.lastUsedAt;
        const seen = lastUsedAt === undefined ? -1 : lastUsedAt.getTime() - NOW.getTime();
        expect(seen).toBeGreaterThanOrEqual(Math.max(lastSeen, ...batch));
        lastSeen = seen;
      });
      await Promise.all(writes);
      expect(lastSeen).toBe(Math.max(-1, ...batches.flat()));
    }),
    { numRuns: 50 },
  );
}

/** T8, over many histories of two tokens, all of whose writes are under way at once. */
export async function checkUsesAreAdded(storage: Storage): Promise<void> {
  const organization = someOrganization();
  await storage.createOrganization(organization, someChange());
  const use = fc.record({
    token: fc.nat(1),
    secret: fc.constantFrom("current" as const, "former" as const),
    daily: fc.array(fc.record({ day: fc.nat(2), uses: fc.integer({ min: 1, max: 9 }) }), { maxLength: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(use, { maxLength: 4 }), { maxLength: 6 }), async (batches) => {
      const tokens = [
        (await issueToken(storage, organization.id, 0)).token,
        (await issueToken(storage, organization.id, 0)).token,
      ];
      await Promise.all(
        batches.map((batch) =>
          storage.recordUses(
            batch.map(({ token, secret, daily }) => someUse(tokens[token]?.id ?? "", NOW, { secret, daily })),
          ),
        ),
      );
      for (const [index, { id }] of tokens.entries()) {
        const counted = batches.flat().flatMap(({ token, daily }) => (token === index ? daily : []));
        const expected = [0, 1, 2]
          .map((day) => ({ day, uses: sum(counted.map((one) => (one.day === day ? one.uses : 0))) }))
          .filter(({ uses }) => uses > 0);
        expect(await storage.readUses(id, 0, 2)).toEqual(expected);
      }
    }),
    { numRuns: 50 },
  );
}

/** U7. */
export async function checkOneRegistrationWins(storage: Storage): Promise<void> {
  const { email } = someUser();
  const all = Array.from({ length: AT_ONCE }, () => [someOrganization(), someUser({ email })] as const);
  const answers = await Promise.all(
    all.map(([organization, user]) => storage.register(organization, user, someChange())),
  );
  expect(answers.filter((wasMade) => wasMade)).toHaveLength(1);
  for (const [index, [organization, user]] of all.entries()) {
    const [made, owner] = answers[index] ? [organization, user] : [undefined, undefined];
    expect(await storage.getOrganization(organization.id)).toEqual(made);
    expect(await storage.getUser(user.id)).toEqual(owner);
  }
}

/** IV5. */
export async function checkOneAcceptanceWins(storage: Storage): Promise<void> {
  const organization = someOrganization();
  await storage.createOrganization(organization, someChange());
  const { invitation, fingerprint } = someInvitation(organization.id);
  await storage.createInvitation({ invitation, fingerprint }, someChange());
  const users = Array.from({ length: AT_ONCE }, () => someUser());
  const answers = await Promise.all(
    users.map((user) =>
      storage.acceptInvitation(fingerprint, { kind: "newcomer", user }, someChange({ at: after(3) })),
    ),
  );
  const [member, ...more] = answers.filter((answer) => answer !== undefined);
  expect(more).toEqual([]);
  const user = { ...users[answers.findIndex((answer) => answer !== undefined)], email: invitation.email };
  const membership = { organizationId: organization.id, userId: user.id, role: invitation.role, createdAt: after(3) };
  expect(member).toEqual({ membership, user });
  expect(await storage.listMembers(organization.id, undefined, 10)).toEqual([member]);
}

/** PL4. */
export async function checkOneResetWins(storage: Storage): Promise<void> {
  const [organization, user] = [someOrganization(), someUser()];
  const { id: userId } = user;
  await storage.createOrganization(organization, someChange());
  await storage.addMember({ organizationId: organization.id, role: "owner", createdAt: NOW }, user, someChange());
  const session = someSession({ organizationId: organization.id, userId });
  await storage.createSession(session, someFingerprint(), someChange());
  const [link, other] = [somePasswordLink(userId), somePasswordLink(userId)];
  for (const one of [link, other]) await storage.createPasswordLink(one, someChange());

  const uses = Array.from({ length: AT_ONCE }, (_, index) =>
    storage.resetPassword(link.fingerprint, `hash ${index}`, someChange({ at: after(7) })),
  );
  const answers = await Promise.all(uses);
  expect(answers.filter((wasUsed) => wasUsed)).toHaveLength(1);
  expect(await storage.getUser(userId)).toEqual({ ...user, passwordHash: `hash ${answers.indexOf(true)}` });
  expect(await storage.getSession(session.id)).toEqual({ ...session, endedAt: after(7) });
  for (const { fingerprint } of [link, other]) {
    expect(await storage.findPasswordLink(fingerprint, NOW)).toBeUndefined();
    expect(await storage.resetPassword(fingerprint, "another hash", someChange())).toBe(false);
  }
}

/** U5. */
export async function checkOnePasswordWins(storage: Storage): Promise<void> {
  const user = someUser();
  await storage.createUser(user);
  const change = (before: string, hash: string) =>
    storage.changePassword(user.id, { before, after: hash, keptSessionId: randomUUID() }, someChange());
  expect(await change("another hash", "new hash")).toBe(false);
  expect(await storage.getUser(user.id)).toEqual(user);
  const answers = await Promise.all(
    Array.from({ length: AT_ONCE }, (_, index) => change(user.passwordHash, `hash ${index}`)),
  );
  expect(answers.filter((wasMade) => wasMade)).toHaveLength(1);
  expect(await storage.getUser(user.id)).toEqual({ ...user, passwordHash: `hash ${answers.indexOf(true)}` });
  const unknown = { before: user.passwordHash, after: "new hash", keptSessionId: randomUUID() };
  expect(await storage.changePassword(randomUUID(), unknown, someChange())).toBe(false);
}

/** R4. */
export async function checkOneRotationWins(storage: Storage): Promise<void> {
  const organization = someOrganization();
  const user = someUser();
  await storage.createOrganization(organization, someChange());
  await storage.createUser(user);
  await storage.putMembership(someMembership({ organizationId: organization.id, userId: user.id }), someChange());
  const session = someSession({ organizationId: organization.id, userId: user.id });
  const presented = someFingerprint();
  await storage.createSession(session, presented, someChange());

  const nexts = Array.from({ length: AT_ONCE }, someFingerprint);
  const outcomes = await Promise.all(
    nexts.map((next, index) => storage.rotateRefreshToken({ presented, next }, someChange({ at: after(index) }))),
  );
  expect(outcomes.filter(({ kind }) => kind === "rotated")).toHaveLength(1);
  expect(outcomes.filter(({ kind }) => kind === "reused")).toHaveLength(AT_ONCE - 1);
  const { endedAt } = (await storage.getSession(session.id)) ?? {};
  expect(endedAt).toBeInstanceOf(Date);
  for (const outcome of outcomes) {
    if (outcome.kind === "rotated") expect(outcome.session).toEqual(session);
    if (outcome.kind === "reused") expect(outcome.session).toEqual({ ...session, endedAt });
  }
  for (const next of nexts) {
    const outcome = await storage.rotateRefreshToken({ presented: next, next: someFingerprint() }, someChange());
    expect(outcome).toEqual({ kind: "refused" });
  }
}

/** K3. The storage has no signing key. */
export async function checkOneKeyReplacement(storage: Storage): Promise<void> {
  const first = someSigningKey();
  expect(await storage.replaceSigningKey(first.id, someSigningKey())).toBe(false);
  await storage.ensureSigningKey(first);
  expect(await storage.replaceSigningKey(randomUUID(), someSigningKey())).toBe(false);
  // By a clock that was set back.
  const keys = Array.from({ length: AT_ONCE }, () => someSigningKey({ createdAt: after(-5) }));
  const answers = await Promise.all(keys.map((key) => storage.replaceSigningKey(first.id, key)));
  expect(answers.filter((wasStored) => wasStored)).toHaveLength(1);
  const stored = keys[answers.indexOf(true)];
  expect(await storage.listSigningKeys()).toEqual([first, { ...stored, createdAt: after(1) }]);
  expect(await storage.replaceSigningKey(stored?.id ?? "", someSigningKey())).toBe(true);
}

/** K1. The storage has no signing key. */
export async function checkOneSigningKey(storage: Storage): Promise<void> {
  const keys = Array.from({ length: AT_ONCE }, () => someSigningKey());
  const answers = await Promise.all(keys.map((key) => storage.ensureSigningKey(key)));
  const stored = await storage.listSigningKeys();
  expect(stored).toHaveLength(1);
  expect(keys).toContainEqual(stored[0]);
  for (const answer of answers) expect(answer).toEqual(stored);
}

/** H3. Nothing else writes. */
export async function checkWriteHealth({
  storage,
  blockWrites,
}: Pick<StorageSubject, "storage" | "blockWrites">): Promise<void> {
  await storage.pingWrites();
  {
    await using _blocked = await blockWrites();
    expect(await orKind(storage.pingWrites())).toBe("unavailable");
  }
  await storage.pingWrites();
}

/** Contents of a deployment with one organization and so many tokens. */
export function someSetUp(tokenCount: number): SetUp {
  const organization = someOrganization();
  const user = someUser();
  return {
    organizations: [organization],
    users: [user],
    memberships: [someMembership({ organizationId: organization.id, userId: user.id, role: "owner" })],
    tokens: Array.from({ length: tokenCount }, () => someToken({ organizationId: organization.id })),
  };
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** The answer, or the kind of the error that it was refused with. */
async function orKind<Answer>(call: Promise<Answer>): Promise<Answer | string> {
  return call.catch((error: unknown) => {
    if (error instanceof AppError) return error.kind;
    throw error;
  });
}

async function issueToken(storage: Storage, organizationId: string, milliseconds: number) {
  const created = someToken({ organizationId, createdAt: after(milliseconds) });
  return { token: await storage.createToken(created, someChange()), fingerprint: created.fingerprint };
}
