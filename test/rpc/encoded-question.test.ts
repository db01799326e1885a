/** What is read straight from the wire is what protobuf reads, and what isn't plain is left to it. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BatchIntrospectRequestSchema, IntrospectRequestSchema } from "../../gen/latchkey/v1/introspection_pb.ts";
import * as fromWire from "../../src/rpc/introspection/encoded-question.ts";
import { question } from "../../src/rpc/introspection/judgement.ts";
import { validate } from "../../src/rpc/validation.ts";
import type { IntrospectTokenInput } from "../../src/usecases/introspect-token.ts";

type Init = MessageInitShape<typeof IntrospectRequestSchema>;

const text = (maxLength: number) =>
  fc.oneof(
    { weight: 6, arbitrary: fc.string({ unit: "grapheme-ascii", maxLength }) },
    fc.string({ unit: "grapheme", maxLength }),
  );

const request: fc.Arbitrary<Init> = fc.record(
  {
    token: fc.oneof(
      text(60),
      fc.nat(40_000).map((length) => "x".repeat(length)),
    ),
    requiredScopes: fc.oneof(fc.array(text(70), { maxLength: 5 }), fc.constant(Array<string>(101).fill("read"))),
    clientIp: fc.oneof(fc.ipV4(), fc.ipV6(), text(10)),
    dryRun: fc.boolean(),
    cost: fc.oneof(fc.nat(300), fc.nat(1_100_000), fc.constant(0xffff_ffff)),
  },
  { requiredKeys: [] },
);

const encode = (init: Init): Buffer =>
  Buffer.from(toBinary(IntrospectRequestSchema, create(IntrospectRequestSchema, init)));

/** Secrets as texts: what lies in a request is no string yet. */
const readQuestion = (...place: Parameters<typeof fromWire.readQuestion>) => withText(fromWire.readQuestion(...place));
const readBatch = (bytes: Buffer) => fromWire.readBatch(bytes)?.map(withText);
const withText = <Q extends IntrospectTokenInput | undefined>(asked: Q) =>
  asked && { ...asked, secret: asked.secret.toString() };

/** What the general way makes of the bytes; undefined when it refuses them. */
function general(bytes: Uint8Array): ReturnType<typeof question> | undefined {
  try {
    const message = fromBinary(IntrospectRequestSchema, bytes);
    validate(IntrospectRequestSchema, message);
    return question(message);
  } catch {
    return undefined;
  }
}

describe("a question read from the wire", () => {
  it("is what protobuf and the rules make of it, or is left to them", () => {
    let read = 0;
    fc.assert(
      fc.property(request, (init) => {
        const bytes = encode(init);
        const found = readQuestion(bytes, 0, bytes.length);
        if (found === undefined) return;
        read++;
        expect(found).toEqual(general(bytes));
      }),
      { numRuns: 3_000 },
    );
    expect(read).toBeGreaterThan(500);
  });

  it("is read whenever it is plain", () => {
    for (const init of [
      {},
      { token: "wp_1", clientIp: "192.0.2.7", requiredScopes: ["a", "b"], cost: 5, dryRun: true },
      { token: "x".repeat(2_000_000), clientIp: "2001:db8::1" },
      { cost: 1_000_000 },
    ]) {
      const bytes = encode(init);
      expect(readQuestion(bytes, 0, bytes.length)).toEqual(general(bytes));
    }
  });

  it("is never taken from bytes that protobuf reads otherwise or not at all", () => {
    fc.assert(
      fc.property(request, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }), (init, edits) => {
        const bytes = encode({ ...init, token: init.token?.slice(0, 50) ?? "wp_" });
        for (const [place, value] of edits) bytes[place % bytes.length] = value;
        const found = readQuestion(bytes, 0, bytes.length);
        if (found !== undefined) expect(found).toEqual(general(bytes));
      }),
      { numRuns: 20_000 },
    );
  });

  it("ends where it ends, whatever comes after it", () => {
    fc.assert(
      fc.property(request, fc.uint8Array({ maxLength: 8 }), fc.nat(8), (init, rest, cut) => {
        const bytes = encode(init);
        const longer = Buffer.concat([bytes, rest]);
        expect(readQuestion(longer, 0, bytes.length)).toEqual(readQuestion(bytes, 0, bytes.length));
        const end = Math.max(0, bytes.length - cut);
        expect(readQuestion(longer, 0, end)).toEqual(readQuestion(bytes.subarray(0, end), 0, end));
      }),
      { numRuns: 3_000 },
    );
  });
});

describe("a batch read from the wire", () => {
  const batch = (requests: readonly Init[]): Buffer =>
    Buffer.from(
      toBinary(BatchIntrospectRequestSchema, create(BatchIntrospectRequestSchema, { requests: [...requests] })),
    );

  it("holds each question in its place, or is left to protobuf", () => {
    let read = 0;
    fc.assert(
      fc.property(fc.array(request, { maxLength: 8 }), (requests) => {
        const found = readBatch(batch(requests));
        if (found === undefined) return;
        read++;
        expect(found).toEqual(requests.map((one) => general(encode(one))));
      }),
      { numRuns: 3_000 },
    );
    expect(read).toBeGreaterThan(50);
  });

  it("has its bounds", () => {
    expect(readBatch(batch([]))).toBeUndefined();
    expect(readBatch(batch(Array.from({ length: 1_000 }, () => ({ token: "a" }))))).toHaveLength(1_000);
    expect(readBatch(batch(Array.from({ length: 1_001 }, () => ({ token: "a" }))))).toBeUndefined();
  });
});
