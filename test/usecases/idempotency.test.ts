/** What makes two calls one. */
import { hash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Caller } from "../../src/domain/caller.ts";
import { identityOf } from "../../src/usecases/idempotency.ts";

interface Identity {
  readonly organizationId: string;
  readonly userId: string;
  readonly method: string;
  readonly key: string;
}

const hashOf = ({ organizationId, userId, method, key }: Identity): string => {
  const caller: Caller = {
    kind: "user",
    userId,
    organizationId,
    role: "admin",
    sessionId: userId,
    profile: "watchplane",
  };
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
