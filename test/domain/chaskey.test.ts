/** Tags of Chaskey-12: those that its authors published, of the first bytes that count up from 0. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Chaskey12 } from "../../src/domain/chaskey.ts";

const KEY = Buffer.from("33343d839f389f004fe6982339cf7a41", "hex");
const COUNTED = Buffer.from(Array.from({ length: 64 }, (_, byte) => byte));

/** By the message's length. Each word is written as a number. */
const PUBLISHED = new Map([
  [0, "43cb1f41 51eba0c2 ff0a8ac3 7ee3f642"],
  [1, "f9ac2067 9c35a846 441aad3d 777b7330"],
  [15, "03cfb44b 283c8163 fca71448 c40a0aea"],
  [16, "5dd0e2a9 fb5eac8c 633a392e 500c36f3"],
  [17, "8b5f6d5a 202314f6 22092368 9639e606"],
  [31, "1d3d30b1 01d74fca 3b2eb54c d8cd36b4"],
  [32, "77962784 07c647fa dd752c0f d2f5a799"],
  [33, "d74bb867 2c0dfb3a b697e9cd 5658edda"],
  [47, "8494b5bc 5317b7b3 cfe08756 97a2d14e"],
  [48, "f36e748b 8f34677f 1e00ba1b dd7da46d"],
  [63, "2dd072e1 42b89efe fb26b615 049aa451"],
]);

function tagOf(bytes: Uint8Array, start = 0, end = bytes.length, key: Uint8Array = KEY): string {
  const code = new Chaskey12(key);
  code.ofBytes(bytes, start, end);
  return written(code);
}

function written({ tag: { a, b, c, d } }: Chaskey12): string {
  return [a, b, c, d].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join(" ");
}

describe("a tag", () => {
  it("is the published one", () => {
    for (const [length, tag] of PUBLISHED) expect(tagOf(COUNTED, 0, length), `${length} bytes`).toBe(tag);
  });

  it("is of the bytes between two places, whatever is around them and was tagged before", () => {
    const code = new Chaskey12(KEY);
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), fc.uint8Array(), (before, bytes, after) => {
        code.ofBytes(Buffer.concat([before, bytes, after]), before.length, before.length + bytes.length);
        expect(written(code)).toBe(tagOf(bytes));
      }),
    );
  });

  it("is another for another message and for another key", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (bytes, place, change) => {
          const flipped = (given: Uint8Array): Uint8Array =>
            given.map((byte, index) => (index === place % given.length ? byte ^ change : byte));
          const tag = tagOf(bytes);
          expect(tagOf(flipped(bytes))).not.toBe(tag);
          expect(tagOf(Buffer.concat([bytes, Buffer.of(0)]))).not.toBe(tag);
          expect(tagOf(bytes, 0, bytes.length, flipped(KEY))).not.toBe(tag);
        },
      ),
    );
  });

  it("of a text is that of its UTF-8 bytes, however long it is", () => {
    const code = new Chaskey12(KEY);
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.constantFrom(1, 1_000), (text, times) => {
        const long = text.repeat(times);
        code.ofText(long);
        expect(written(code)).toBe(tagOf(Buffer.from(long)));
      }),
    );
  });

  it("stays when it is kept", () => {
    const code = new Chaskey12(KEY);
    code.ofText("one");
    const kept = code.tag;
    const { a } = kept;
    code.ofText("two");
    expect(kept.a).toBe(a);
    expect(code.a).not.toBe(a);
  });

  it("takes a key of 16 bytes only", () => {
    for (const size of [0, 15, 17]) expect(() => new Chaskey12(new Uint8Array(size))).toThrow("has 16 bytes");
  });
});
