/** An answer written straight to the wire is, byte for byte, what protobuf makes of the same judgement. */
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BatchIntrospectResponseSchema, IntrospectResponseSchema } from "../../gen/latchkey/v1/introspection_pb.ts";
import type { KnownRecord } from "../../src/domain/decision.ts";
import type { RateStatus } from "../../src/domain/rate-window.ts";
import { loadProfiles } from "../../src/profiles/load-profiles.ts";
import { AnswerEncoder } from "../../src/rpc/introspection/encoded.ts";
import { encodeAllowed, withRateLimit } from "../../src/rpc/introspection/encoded-answer.ts";
import { type JudgementDeps, judgementMessage } from "../../src/rpc/introspection/judgement.ts";
import { ByteShelf } from "../../src/usecases/byte-shelf.ts";
import type { Judgement } from "../../src/usecases/introspect-token.ts";
import { KeptRecord } from "../../src/usecases/token-cache.ts";
import { someOrganization, someToken } from "../contract/samples.ts";

const NOW_MS = Date.parse("2026-03-04T05:06:07Z");

const [defaultProfile] = loadProfiles(undefined).offered;
if (defaultProfile === undefined) throw new Error("no profiles");
/** All that an answer is made of. */
const deps = { defaultProfile, clock: () => NOW_MS } as JudgementDeps;

/** Of every length that has a length of its own on the wire, and of characters of one to four bytes. */
const text = fc.oneof(
  fc.string({ maxLength: 30 }),
  fc.string({ unit: "binary", maxLength: 50 }),
  fc.constantFrom(0, 1, 126, 127, 128, 129, 16_383, 16_384).map((length) => "x".repeat(length)),
  fc.constantFrom(42, 43, 63, 64, 127, 128).map((length) => "é".repeat(length)),
  // Half of a pair is no character. Protobuf writes a replacement for it.
  fc.constantFrom("\ud800", "x\udc00y"),
);

const record: fc.Arbitrary<KnownRecord> = fc
  .record({
    profile: text,
    type: text,
    name: text,
    permission: text,
    plan: text,
    scopes: fc.oneof(fc.array(text, { maxLength: 4 }), fc.constant(Array<string>(1_000).fill("databases:read"))),
    userId: fc.option(fc.uuid(), { nil: undefined }),
    expiresAt: fc.option(
      fc.oneof(
        fc.date({ min: new Date(1), noInvalidDate: true }),
        fc.constantFrom(new Date(1), new Date(1_000), new Date(NOW_MS + 1)),
      ),
      { nil: undefined },
    ),
    revision: fc.oneof(fc.nat(300), fc.maxSafeNat()),
    id: fc.uuid(),
    organizationId: fc.uuid(),
  })
  .map(({ plan, organizationId, ...fields }) => ({
    token: { ...someToken({ organizationId }).token, ...fields },
    organization: someOrganization({ id: organizationId, plan }),
    secret: { kind: "current" },
  }));

const rateStatus: fc.Arbitrary<RateStatus | undefined> = fc.option(
  fc.record({
    limit: fc.oneof(fc.nat(200), fc.nat()),
    remaining: fc.oneof(fc.nat(200), fc.nat()),
    resetMs: fc.oneof(fc.nat(3_000), fc.nat({ max: 8_640_000_000_000_000 })),
  }),
  { nil: undefined },
);

const asProtobuf = (found: KnownRecord, status: RateStatus | undefined): Buffer => {
  const message = create(IntrospectResponseSchema, judgementMessage(deps, allowed(found, status)));
  return Buffer.from(toBinary(IntrospectResponseSchema, message));
};

const shelf = new ByteShelf();

const keep = (found: KnownRecord): KeptRecord =>
  new KeptRecord(
    { a: 0, b: 0, c: 0, d: 0 },
    found,
    { organization: found.organization, answers: shelf, isStale: false, entries: 1 },
    undefined,
  );

describe("an answer that allows", () => {
  it("is protobuf's", () => {
    fc.assert(
      fc.property(record, rateStatus, (found, status) => {
        const fixed = encodeAllowed(found);
        const answer = status === undefined ? fixed : withRateLimit(fixed, status);
        expect(answer.equals(asProtobuf(found, status))).toBe(true);
      }),
      { numRuns: 3_000 },
    );
  });

  it("is the same in a list, of tokens that are kept in memory and others, with a rate limit and without", () => {
    const encoder = new AnswerEncoder(deps);
    const entry = fc.record({ found: record, status: rateStatus, isKept: fc.boolean() });
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 5 }), (entries) => {
        const judgements = entries.map(({ found, status, isKept }) => allowed(isKept ? keep(found) : found, status));
        const expected = Buffer.from(asProtobufList(entries.map(({ found, status }) => allowed(found, status))));
        // What is kept in memory has its answer from the second time on. No list changes when another one is written.
        const first = encoder.encodeAll(judgements);
        encoder.encodeAll(judgements.toReversed());
        const second = encoder.encodeAll(judgements);
        encoder.encodeAll(judgements.toReversed());
        expect(first.equals(expected) && second.equals(expected)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it("is the same for a record that is kept in memory, the first time and after", () => {
    const encoder = new AnswerEncoder(deps);
    fc.assert(
      fc.property(record, rateStatus, rateStatus, fc.boolean(), (found, first, second, isKept) => {
        const kept = isKept ? keep(found) : found;
        for (const status of [first, second, first]) {
          const answer = encoder.encode(allowed(kept, status));
          expect(answer.equals(asProtobuf(found, status))).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("has another token's place in no case, however alike they are", () => {
    const encoder = new AnswerEncoder(deps);
    const organization = someOrganization();
    const token = { ...someToken({ organizationId: organization.id }).token, revision: 7 };
    const secret = { kind: "current" } as const;
    const one = keep({ token, organization, secret });
    const other = keep({ token: { ...token, permission: "other" }, organization, secret });
    for (const each of [one, other, one, other]) {
      const judgement = allowed(each, undefined);
      expect(encoder.encode(judgement).equals(asProtobuf(each, undefined))).toBe(true);
    }
  });
});

function allowed(found: KnownRecord, status: RateStatus | undefined): Judgement {
  return {
    decision: { active: true, allowed: true, record: found },
    profile: defaultProfile,
    rateStatus: status,
  };
}

function asProtobufList(judgements: readonly Judgement[]): Uint8Array {
  const responses = judgements.map((judgement) => judgementMessage(deps, judgement));
  return toBinary(BatchIntrospectResponseSchema, create(BatchIntrospectResponseSchema, { responses }));
}
