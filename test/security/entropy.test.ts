/** Chance by the portion: as much as was asked for, and never the same twice. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pooledEntropy } from "../../src/security/entropy.ts";

describe("pooled entropy", () => {
  it("has portions of any size, each of which is handed out once", () => {
    const sizes = fc.array(fc.oneof(fc.integer({ min: 16, max: 200 }), fc.constantFrom(4_095, 4_096, 4_097)), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(sizes, (wanted) => {
        const entropy = pooledEntropy();
        const portions = wanted.map((size) => entropy(size));
        expect(portions.map(({ length }) => length)).toEqual(wanted);
        const pieces = portions.flatMap((portion) => cut(portion));
        expect(new Set(pieces).size).toBe(pieces.length);
      }),
    );
  });

  it("keeps nothing of a portion, and changes nothing in it later", () => {
    const entropy = pooledEntropy();
    const first = entropy(32);
    const before = [...first];
    expect(first.buffer.byteLength).toBe(32);
    for (let portion = 0; portion < 1_000; portion++) entropy(32).fill(0);
    expect([...first]).toEqual(before);
  });
});

/** Pieces of 16 bytes, which chance doesn't repeat. */
function cut(portion: Uint8Array): readonly string[] {
  const pieces = Math.floor(portion.length / 16);
  return Array.from({ length: pieces }, (_, index) =>
    Buffer.from(portion.subarray(index * 16, (index + 1) * 16)).toString("hex"),
  );
}
