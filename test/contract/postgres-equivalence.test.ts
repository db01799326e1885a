/** Whatever is done in whatever order, PostgreSQL answers as SQLite does. */
import fc from "fast-check";
import { describe, expect, inject, it } from "vitest";
import { AppError } from "../../src/domain/errors.ts";
import { toPublicId } from "../../src/domain/ids.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { openPostgresSubject } from "../helpers/postgres.ts";
import { openSqliteSubject } from "../helpers/sqlite.ts";
import {
  after,
  changeBy,
  everyEvent,
  everyToken,
  NO_FILTER,
  NOW,
  someInvitation,
  someLeaseRequest,
  someRecord,
  someSelection,
  someSession,
  someSettings,
  someSigningKey,
  someToken,
  someUser,
} from "./samples.ts";

/** Few of each, so that operations meet. */
const ids = (kind: number): readonly string[] =>
  Array.from({ length: 5 }, (_, index) =>
    `01890a5d-ac96-774b-bcce-b30209${kind}00${index}00`.slice(0, 36).padEnd(36, "0"),
  );
const [ORGANIZATIONS, USERS, TOKENS, SESSIONS, INVITATIONS] = [1, 2, 3, 4, 5].map(ids) as [
  readonly string[],
  readonly string[],
  readonly string[],
  readonly string[],
  readonly string[],
];
const NAMES = ["ci", "CI", "ci-1", "çi", "c%", "_i", "", "\u{1f511}", "z", "Z", "a b", "ab"];
const EMAILS = ["ada@example.com", "ädä@example.com", "b@example.com"];
const ISSUERS = ["https://id.example.com", "https://ID.example.com"];
const OPERATIONS = 1_000;

/** Which of those that end together go first isn't the same everywhere. */
const ALL = 1_000;

const organizationId = fc.constantFrom(...ORGANIZATIONS);
const userId = fc.constantFrom(...USERS);
const tokenId = fc.constantFrom(...TOKENS);
const sessionId = fc.constantFrom(...SESSIONS);
const time = fc.integer({ min: -5, max: 20 }).map(after);
const byte = fc.integer({ min: 0, max: 9 });
const name = fc.constantFrom(...NAMES);
const profile = fc.constantFrom("watchplane", "plane", "latchkey");
const role = fc.constantFrom("owner" as const, "admin" as const, "member" as const);
const limit = fc.integer({ min: 1, max: 5 });
const record = fc.option(fc.tuple(byte, time), { nil: undefined, freq: 4 });

const print = (value: number): Uint8Array => new Uint8Array(32).fill(value);
const changeAt = (at: Date) => changeBy("usr_someone", at);
const recordOf = (some: readonly [number, Date] | undefined) =>
  some && someRecord({ keyHash: print(some[0]), createdAt: some[1], expiresAt: new Date(some[1].getTime() + 5) });

/** What is done to a storage, and what it answers. Revisions are looked up, so that changes meet what is there. */
type Operation = (storage: Storage) => Promise<unknown>;

const revisionOf = async (storage: Storage, id: string): Promise<number> => (await storage.getToken(id))?.revision ?? 0;

const anyOperation: fc.Arbitrary<Operation> = fc.oneof(
  fc.tuple(organizationId, name, profile, time, record).map(
    ([id, text, conventions, at, some]): Operation =>
      (storage) => {
        const organization = { id, name: text, profile: conventions, plan: "free", createdAt: at };
        return storage.createOrganization(organization, changeAt(at), recordOf(some));
      },
  ),
  fc.tuple(organizationId, fc.constantFrom("free", "pro"), profile, time).map(
    ([id, plan, conventions, at]): Operation =>
      (storage) =>
        plan === "pro"
          ? storage.setPlan(id, plan, changeAt(at))
          : storage.setProfile(id, conventions, plan, changeAt(at)),
  ),
  fc.tuple(userId, fc.constantFrom(...EMAILS), time).map(
    ([id, email, at]): Operation =>
      (storage) =>
        storage.createUser(someUser({ id, email, createdAt: at })),
  ),
  fc.tuple(organizationId, userId, role, time).map(
    ([organization, user, as, at]): Operation =>
      (storage) => {
        const membership = { organizationId: organization, userId: user, role: as, createdAt: at };
        return storage.putMembership(membership, changeAt(at));
      },
  ),
  fc.tuple(organizationId, userId, role, time, record).map(
    ([organization, user, as, at, some]): Operation =>
      (storage) =>
        storage.setMemberRole(organization, user, as, changeAt(at), recordOf(some)),
  ),
  fc.tuple(organizationId, userId, time).map(
    ([organization, user, at]): Operation =>
      (storage) =>
        storage.removeMember(organization, user, { profile: "watchplane", types: undefined }, changeAt(at)),
  ),
  fc.tuple(organizationId, userId, fc.constantFrom(...EMAILS), time, fc.boolean()).map(
    ([organization, user, email, at, confirmedOnly]): Operation =>
      (storage) => {
        const membership = { organizationId: organization, role: "member" as const, createdAt: at };
        const person = someUser({ id: user, email, createdAt: at });
        return storage.addMember(membership, person, changeAt(at), undefined, confirmedOnly);
      },
  ),
  fc.tuple(organizationId, fc.constantFrom(...INVITATIONS), fc.constantFrom(...EMAILS), byte, time).map(
    ([organization, id, email, secret, at]): Operation =>
      (storage) => {
        const { invitation } = someInvitation(organization, { id, email, createdAt: at, expiresAt: after(10) });
        return storage.createInvitation({ invitation, fingerprint: print(secret) }, changeAt(at));
      },
  ),
  fc.tuple(byte, userId, time).map(
    ([secret, user, at]): Operation =>
      (storage) =>
        storage.acceptInvitation(print(secret), { kind: "person", userId: user }, changeAt(at)),
  ),
  fc
    .record({
      id: tokenId,
      organizationId,
      name,
      profile,
      createdAt: time,
      expiresAt: fc.option(time, { nil: undefined }),
    })
    .chain((fields) => fc.tuple(fc.constant(fields), byte, userId, fc.boolean(), record))
    .map(
      ([fields, secret, user, isPersonal, some]): Operation =>
        (storage) => {
          const { token } = someToken({ ...fields, ...(isPersonal && { userId: user }) });
          return storage.createToken(
            { token, fingerprint: print(secret), isPersonal },
            changeAt(fields.createdAt),
            recordOf(some),
          );
        },
    ),
  fc.tuple(fc.array(fc.tuple(tokenId, byte, name), { minLength: 1, maxLength: 3 }), organizationId, time).map(
    ([rows, organization, at]): Operation =>
      (storage) => {
        const tokens = rows.map(([id, secret, text]) => ({
          ...someToken({ organizationId: organization, id, name: text }),
          fingerprint: print(secret),
        }));
        return storage.importTokens(tokens, [{ algorithm: "sha256", key: undefined }], changeAt(at));
      },
  ),
  fc.tuple(tokenId, time, record).map(
    ([id, at, some]): Operation =>
      (storage) =>
        storage.revokeToken(id, changeAt(at), recordOf(some)),
  ),
  fc.tuple(tokenId, name, fc.boolean(), fc.option(time, { nil: undefined }), time).map(
    ([id, text, enabled, expiresAt, at]): Operation =>
      async (storage) => {
        const settings = someSettings({ name: text, enabled, expiresAt });
        return storage.updateToken(id, settings, await revisionOf(storage, id), changeAt(at));
      },
  ),
  fc.tuple(tokenId, byte, time, time).map(
    ([id, secret, overlapEndsAt, at]): Operation =>
      async (storage) => {
        const rotation = {
          revision: await revisionOf(storage, id),
          fingerprint: print(secret),
          hint: "…",
          overlapEndsAt,
        };
        return storage.rotateToken(id, rotation, changeAt(at));
      },
  ),
  fc.tuple(tokenId, fc.boolean(), time).map(
    ([id, finishes, at]): Operation =>
      (storage) =>
        finishes ? storage.finishRotation(id, changeAt(at)) : storage.cancelRotation(id, changeAt(at)),
  ),
  fc.tuple(organizationId, fc.option(name, { nil: undefined }), fc.option(time, { nil: undefined }), time).map(
    ([organization, namePrefix, unusedSince, at]): Operation =>
      async (storage) => {
        const selection = someSelection(organization, { namePrefix, unusedSince });
        return [await storage.countTokens(selection, at), await storage.revokeTokens(selection, changeAt(at))];
      },
  ),
  fc.tuple(time, limit, time).map(
    ([before, many, at]): Operation =>
      (storage) =>
        storage.purgeTokens(before, many, changeAt(at)),
  ),
  fc.tuple(tokenId, time, fc.constantFrom("current" as const, "former" as const), fc.integer({ min: 1, max: 3 })).map(
    ([id, usedAt, secret, uses]): Operation =>
      async (storage) => {
        await storage.recordUses([{ tokenId: id, secret, usedAt, address: "192.0.2.1", daily: [{ day: uses, uses }] }]);
        return [await storage.readUses(id, 0, 9), uses === 3 ? await storage.sweepUses(2, ALL) : 0];
      },
  ),
  fc.tuple(tokenId, fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 30 }), fc.boolean()).map(
    ([id, units, most, givesBack]): Operation =>
      async (storage) => {
        const request = someLeaseRequest({ tokenId: id, units, limit: most });
        const lease = await storage.takeLease(request);
        if (givesBack) await storage.returnLeases([{ tokenId: id, windowStart: request.windowStart, units: 3 }]);
        return [lease, await storage.readWindow(id, request.windowStart)];
      },
  ),
  fc.tuple(sessionId, organizationId, userId, byte, time, fc.constantFrom("api" as const, "browser" as const)).map(
    ([id, organization, user, secret, at, client]): Operation =>
      (storage) => {
        const session = someSession({
          id,
          organizationId: organization,
          userId: user,
          createdAt: at,
          expiresAt: after(12),
          client,
          method: client === "browser" ? "google" : "password",
        });
        return storage.createSession(session, print(secret), changeAt(at));
      },
  ),
  fc.tuple(byte, byte, time).map(
    ([presented, next, at]): Operation =>
      (storage) =>
        storage.rotateRefreshToken({ presented: print(presented), next: print(next) }, changeAt(at)),
  ),
  fc.tuple(sessionId, time).map(
    ([id, at]): Operation =>
      (storage) =>
        storage.endSession(id, changeAt(at)),
  ),
  time.map(
    (at): Operation =>
      async (storage) => [
        await storage.sweepSessions(at, ALL),
        await storage.sweepRecordedCalls(at, ALL),
        await storage.sweepInvitations(at, ALL),
        await storage.sweepPasswordLinks(at, ALL),
        await storage.sweepWindows(at, ALL),
      ],
  ),
  fc.tuple(userId, byte, time).map(
    ([user, secret, at]): Operation =>
      async (storage) => {
        const link = { fingerprint: print(secret), userId: user, expiresAt: after(10) };
        return [
          await storage.createPasswordLink(link, changeAt(at)),
          await storage.findPasswordLink(print(secret), at),
        ];
      },
  ),
  fc.tuple(byte, fc.constantFrom("one", "two"), time).map(
    ([secret, hash, at]): Operation =>
      (storage) =>
        storage.resetPassword(print(secret), hash, changeAt(at)),
  ),
  fc.tuple(fc.constantFrom(...ISSUERS), fc.constantFrom(...NAMES), fc.constantFrom(...EMAILS), time).map(
    ([issuer, subject, email, at]): Operation =>
      async (storage) => [
        await storage.findUserByIdentity({ issuer, subject }),
        await storage.linkIdentity({ issuer, subject }, email, "three", changeAt(at)),
      ],
  ),
  fc.tuple(fc.option(userId, { nil: undefined }), time).map(
    ([user, at]): Operation =>
      (storage) =>
        storage.recordSignInFailure(user, "wrong_password", changeAt(at)),
  ),
  fc.tuple(byte, time).map(
    ([id, at]): Operation =>
      (storage) =>
        storage.ensureSigningKey(someSigningKey({ id: String(id), sealedPrivateKey: print(id), createdAt: at })),
  ),
  // What is read of all that.
  fc
    .tuple(
      organizationId,
      fc.option(name, { nil: undefined }),
      time,
      fc.constantFrom("active", "disabled", "expired", "revoked"),
    )
    .map(
      ([organization, namePrefix, now, state]): Operation =>
        async (storage) => [
          await storage.listTokens(everyToken(organization, { namePrefix, now, states: [state, "active"] })),
          await storage.listMembers(organization, undefined, 10),
          await storage.listInvitations(organization, now),
          await storage.getOrganization(organization),
        ],
    ),
  byte.map(
    (secret): Operation =>
      async (storage) => [
        await storage.findTokenByFingerprint(print(secret)),
        await storage.findSession(print(secret)),
        await storage.findInvitation(print(secret), NOW),
      ],
  ),
  fc.tuple(userId, fc.constantFrom(...EMAILS)).map(
    ([id, email]): Operation =>
      async (storage) => [
        await storage.getUser(id),
        await storage.findUserByEmail(email),
        await storage.listMembershipsOfUser(id),
      ],
  ),
  fc.array(tokenId, { maxLength: 4 }).map(
    (many): Operation =>
      (storage) =>
        storage.readUsesOfTokens(many, 2, 9),
  ),
  fc.tuple(tokenId, limit, fc.option(organizationId, { nil: undefined }), fc.boolean()).map(
    ([id, many, organization, newestFirst]): Operation =>
      async (storage) => [
        await storage.listEvents(
          everyEvent({
            organizationId: organization,
            target: toPublicId("tok", id),
            actions: ["token.issued", "token.revoked"],
            newestFirst,
            limit: many,
          }),
        ),
        await storage.listOrganizations({ createdAt: NOW, id: "" }, many),
      ],
  ),
);

/** Shown by its number only: a thousand of them would fill the screen. */
const operation = anyOperation.map((run) => Object.assign(run, { [fc.toStringMethod]: () => "…" }));

describe("a sequence of 1,000 operations", () => {
  it("gets the same answers from both engines", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { minLength: OPERATIONS, maxLength: OPERATIONS }), async (operations) => {
        await using sqlite = await openSqliteSubject();
        await using postgres = await openPostgresSubject(inject("postgresUrl"));
        let refused = 0;
        for (const [index, run] of operations.entries()) {
          const [expected, found] = await Promise.all([answer(run, sqlite.storage), answer(run, postgres.storage)]);
          expect(found, `operation ${index}: ${run.toString()}`).toEqual(expected);
          if (isRefusal(expected)) refused++;
        }
        // Of everything there is something, and not all of it was refused.
        expect(refused).toBeGreaterThan(OPERATIONS / 100);
        expect(refused).toBeLessThan(OPERATIONS / 2);
        const logs = await Promise.all([sqlite, postgres].map(({ storage }) => storage.listEvents(everyEvent())));
        expect(logs[1]).toEqual(logs[0]);
        expect(logs[0]?.length).toBeGreaterThan(OPERATIONS / 10);
        const selection = someSelection(ORGANIZATIONS[0] ?? "", NO_FILTER);
        expect(await postgres.storage.countTokens(selection, NOW)).toBe(
          await sqlite.storage.countTokens(selection, NOW),
        );
      }),
      { numRuns: 1, endOnFailure: true },
    );
  }, 120_000);
});

interface Refusal {
  readonly refusal: readonly unknown[];
}

async function answer(run: Operation, storage: Storage): Promise<unknown> {
  try {
    return await run(storage);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { refusal: [error.kind, error.message, error.reason] } satisfies Refusal;
  }
}

function isRefusal(given: unknown): given is Refusal {
  return typeof given === "object" && given !== null && "refusal" in given;
}
