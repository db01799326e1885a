/** What makes two calls one, and how what is kept of them goes. */
import { hash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Caller } from "../../src/domain/caller.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { identityOf } from "../../src/usecases/idempotency.ts";
import { RecordedCallsSweeper } from "../../src/usecases/recorded-calls-sweeper.ts";
import { after, NOW, someChange, someOrganization, someRecord } from "../contract/samples.ts";
import { openSqliteSubject, silentLogger } from "../helpers/sqlite.ts";

interface Identity {
  readonly organizationId: string;
  readonly userId: string;
  readonly method: string;
  readonly key: string;
}

const hashOf = ({ organizationId, userId, method, key }: Identity): string => {
  const caller: Caller = { kind: "user", userId, organizationId, role: "admin", profile: "watchplane" };
  return hash("sha256", identityOf(caller, { method, key }));
};

describe("the hash that a call is known by", () => {
  // Few characters and short texts, so that parts often run into each other; lengths are among them.
  const piece = fc.string({ unit: fc.constantFrom("a", "b", "\u0000", "\u0001", "/", "|"), maxLength: 4 });
  const identity = fc.record({ organizationId: piece, userId: fc.uuid(), method: piece, key: piece });

  it("is the same for the same caller, method and key only", () => {
    fc.assert(
      fc.property(identity, identity, fc.boolean(), (one, other, sameUser) => {
        const second = sameUser ? { ...other, userId: one.userId } : other;
        const isSame = (Object.keys(one) as (keyof Identity)[]).every((name) => one[name] === second[name]);
        expect(hashOf(one) === hashOf(second)).toBe(isSame);
      }),
      { numRuns: 5_000 },
    );
  });

  it("differs wherever a part ends, although the texts joined are the same", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 2, maxLength: 40 }), fc.uuid(), (text, userId) => {
        const hashes = Array.from(text, (_, end) =>
          hashOf({ organizationId: "org", userId, method: text.slice(0, end), key: text.slice(end) }),
        );
        expect(new Set(hashes).size).toBe(hashes.length);
      }),
    );
  });
});

describe("the sweeper of recorded calls", () => {
  it("forgets all whose time is over, in batches, and no others", async () => {
    await using subject = await openSqliteSubject();
    const { storage } = subject;
    const gone = Array.from({ length: 2_500 }, () => someRecord({ expiresAt: after(-1) }));
    const kept = someRecord({ expiresAt: after(1) });
    await Promise.all(
      [...gone, kept].map((record) =>
        storage.createOrganization(someOrganization(), someChange(), { ...record, createdAt: after(-5) }),
      ),
    );
    const batches: number[] = [];
    const sweeper = new RecordedCallsSweeper(countBatches(storage, batches), () => NOW.getTime(), silentLogger);
    await Promise.all([sweeper.sweep(), sweeper.sweep()]);
    expect(batches).toEqual([1_000, 1_000, 500]);
    expect(await storage.findRecordedCall(kept.keyHash, NOW)).toBeDefined();
    await sweeper.stop();
  });

  it("survives a store that fails, and tries again", async () => {
    await using subject = await openSqliteSubject();
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (_: object, message: string) => void warnings.push(message) };
    const sweeper = new RecordedCallsSweeper(subject.storage, () => NOW.getTime(), logger);
    const record = someRecord({ expiresAt: NOW, createdAt: after(-1) });
    await subject.storage.createOrganization(someOrganization(), someChange(), record);
    {
      await using _blocked = await subject.blockWrites();
      await sweeper.sweep();
    }
    expect(warnings).toEqual(["answers that are kept for retries could not be swept; trying again"]);
    await sweeper.sweep();
    expect(await subject.storage.sweepRecordedCalls(NOW, 10)).toBe(0);
    await sweeper.stop();
  });
});

function countBatches(storage: Storage, batches: number[]): Storage {
  return new Proxy(storage, {
    get(target, name: keyof Storage) {
      if (name !== "sweepRecordedCalls") return target[name].bind(target);
      return async (now: Date, limit: number) => {
        const swept = await target.sweepRecordedCalls(now, limit);
        batches.push(swept);
        return swept;
      };
    },
  });
}
