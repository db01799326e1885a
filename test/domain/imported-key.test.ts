/** Keys of other systems: which texts may be one, and how much of one is shown. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { importedHint, mayBeImportedKey, showsTooMuch } from "../../src/domain/imported-key.ts";

const key = fc.string({ unit: "grapheme-ascii", minLength: 16, maxLength: 80 });

describe("a text", () => {
  it.each([
    ["the shortest", "x".repeat(16)],
    ["the longest", "x".repeat(512)],
    ["a UUID", "0b1f5d3a-7c40-4c59-9a1a-2f6f0a3b9d11"],
    ["a Stripe key", "sk_live_4eC39HqLyjWDarjtT1zdp7dc"],
    ["base64", "q83vEjRWeJCrze8SNFZ4kA=="],
    ["a JSON Web Token", `eyJhbGciOiJIUzI1NiJ9.${"e".repeat(40)}.${"s".repeat(43)}`],
    ["spaces, which only a digest can hold", "correct horse battery staple"],
    ["other scripts", "ключключ"],
  ])("may be a key: %s", (_, text) => {
    expect(mayBeImportedKey(text)).toBe(true);
  });

  it.each([
    ["nothing", ""],
    ["a byte too short", "x".repeat(15)],
    ["a byte too long", "x".repeat(513)],
    ["more bytes than characters", "ж".repeat(257)],
    ["a NUL", `${"x".repeat(20)}\0`],
    ["a line break", `${"x".repeat(20)}\n`],
    ["a C1 control character", `${"x".repeat(20)}\u0085`],
    ["a megabyte", "x".repeat(1024 * 1024)],
  ])("can't be a key: %s", (_, text) => {
    expect(mayBeImportedKey(text)).toBe(false);
  });
});

describe("the hint", () => {
  it.each([
    ["sk_live_4eC39HqLyjWDarjtT1zdp7dc", "sk_live_…p7dc"],
    ["acme_live_7f9c2ba4e88f827d", "acme_…827d"],
    ["0b1f5d3a-7c40-4c59-9a1a-2f6f0a3b9d11", "…9d11"],
    ["verylongprefix_4eC39HqLyjWDarjtT1zdp7dc", "…p7dc"],
    // Too little would stay hidden, and the underscore may be chance.
    ["a1_b2_c34eC39HqL", "…9HqL"],
    ["sk_live_4eC39HqLyjWDarj", "…Darj"],
    ["sk_live_4eC39HqLyjWDarjtT1zd", "sk_live_…T1zd"],
    [`${"x".repeat(20)}🔑🔑🔑🔑🔑`, "…🔑🔑🔑🔑"],
  ])("of %s is %s", (text, hint) => {
    expect(importedHint(text)).toBe(hint);
  });

  it("that is made is one that may be given, and leaves twelve characters hidden or more", () => {
    fc.assert(
      fc.property(key, (text) => {
        const hint = importedHint(text);
        expect(showsTooMuch(hint, text)).toBe(false);
        expect([...hint].length).toBeLessThanOrEqual([...text].length - 11);
        expect([...hint].length).toBeLessThanOrEqual(13);
      }),
    );
  });

  it("that is given shows no run of five of the key but in its prefix", () => {
    const text = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";
    for (const hint of ["", "sk_live_…p7dc", "the old one", "p7dc", "sk_live_", "live key p7dc"]) {
      expect(showsTooMuch(hint, text), hint).toBe(false);
    }
    for (const hint of [text, "sk_live_4…", "zdp7dc", "4eC39", "key: yjWDar", "sk_live_4eC39HqLyjWDarjt…p7dc"]) {
      expect(showsTooMuch(hint, text), hint).toBe(true);
    }
    fc.assert(
      fc.property(key, fc.nat(), fc.integer({ min: 9, max: 30 }), fc.string(), (secret, at, length, around) => {
        const start = at % Math.max(1, secret.length - length);
        expect(showsTooMuch(`${around}${secret.slice(start, start + length)}${around}`, secret)).toBe(true);
      }),
    );
  });
});
