import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  generateSecret,
  isWellFormed,
  type SecretFormat,
  secretHint,
  secretLength,
} from "../../src/domain/secret-format.ts";
import { loadProfiles } from "../../src/profiles/load-profiles.ts";

const profiles = loadProfiles(undefined);

const FORMATS = profiles.all
  .map(({ id }) => id)
  .map((id) => {
    const profile = profiles.get(id);
    if (profile === undefined) throw new Error(id);
    return [id, profile.secretFormat] as const;
  });

describe("the documented shapes", () => {
  it.each([
    ["watchplane", /^wp_[0-9a-f]{48}$/],
    ["walwarden", /^wal_[0-9a-f]{64}$/],
    ["watchmantower", /^wmt_api_[0-9A-Za-z]{48}$/],
    ["plane", /^pk_[0-9a-f]{48}$/],
    ["latchkey", /^lk_[0-9A-Za-z]{48}$/],
  ])("%s", (id, shape) => {
    const format = new Map(FORMATS).get(id);
    if (format === undefined) throw new Error(id);
    expect(generateSecret(format, randomBytes)).toMatch(shape);
  });

  // Worked out apart from this code: CRC-32 of "wp_" and 40 zeros.
  it("has CRC-32 of everything before it as its checksum", () => {
    const body = `wp_${"0".repeat(40)}`;
    const format = new Map(FORMATS).get("watchplane");
    if (format === undefined) throw new Error("no format");
    expect(generateSecret(format, (size) => new Uint8Array(size))).toBe(
      body + crc32(Buffer.from(body)).toString(16).padStart(8, "0"),
    );
  });
});

describe.each(FORMATS)("%s secrets", (id, format) => {
  it("are well-formed, of one length, of their own profile only, and never the same twice", () => {
    const secrets = Array.from({ length: 500 }, () => generateSecret(format, randomBytes));
    expect(new Set(secrets).size).toBe(500);
    for (const secret of secrets) {
      expect(secret).toHaveLength(secretLength(format));
      expect(profiles.ofSecret(secret)?.id).toBe(id);
    }
  });

  it("draw every character of the alphabet evenly", () => {
    const counts = new Map<string, number>();
    const rounds = 3000;
    for (let round = 0; round < rounds; round++) {
      const secret = generateSecret(format, randomBytes);
      for (const character of secret.slice(format.prefix.length, format.prefix.length + format.randomLength)) {
        counts.set(character, (counts.get(character) ?? 0) + 1);
      }
    }
    const size = format.alphabet === "hex" ? 16 : 62;
    const expected = (rounds * format.randomLength) / size;
    const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    expect(counts.size).toBe(size);
    // Six standard deviations above the mean of the distribution.
    expect(chiSquare).toBeLessThan(size - 1 + 6 * Math.sqrt(2 * (size - 1)));
  });

  it("are refused after any change of one character", () => {
    fc.assert(
      fc.property(
        fc.nat({ max: secretLength(format) - 1 }),
        fc.oneof(
          fc.constantFrom(...Array.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_- \0éİŁ🔑")),
          fc.string({ unit: "grapheme", minLength: 1, maxLength: 1 }),
        ),
        fc.constantFrom("replace", "insert", "remove"),
        (place, character, edit) => {
          const secret = generateSecret(format, randomBytes);
          const rest = secret.slice(edit === "insert" ? place : place + 1);
          const changed = secret.slice(0, place) + (edit === "remove" ? "" : character) + rest;
          return changed === secret || profiles.ofSecret(changed) === undefined;
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("are refused for a character that isn't the alphabet's, also where the checksum is right", () => {
    const body = secretLength(format) - (format.alphabet === "hex" ? 8 : 6);
    for (let place = format.prefix.length; place < body; place++) {
      for (const character of ["-", "\0", "~", "é", "Ā", ...(format.alphabet === "hex" ? ["g", "A"] : ["_"])]) {
        const secret = generateSecret(format, randomBytes);
        const changed = `${secret.slice(0, place)}${character}${secret.slice(place + 1, body)}`;
        const checksum = withDigits(format, crc32(changed), secret.length - body);
        expect(isWellFormed(format, changed + checksum)).toBe(false);
        // The same way to a checksum is right for what the alphabet has.
        const right = `${secret.slice(0, place)}7${secret.slice(place + 1, body)}`;
        expect(isWellFormed(format, right + withDigits(format, crc32(right), secret.length - body))).toBe(true);
      }
    }
  });

  it("show nothing but the prefix and the last four characters in a hint", () => {
    const secret = generateSecret(format, randomBytes);
    expect(secretHint(format, secret)).toBe(`${format.prefix}…${secret.slice(-4)}`);
    expect(isWellFormed(format, secretHint(format, secret))).toBe(false);
  });
});

function withDigits({ alphabet }: SecretFormat, value: number, length: number): string {
  const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  if (alphabet === "hex") return value.toString(16).padStart(length, "0");
  const places = Array.from({ length }, (_, place) => Math.floor(value / digits.length ** (length - 1 - place)));
  return places.map((place) => digits.charAt(place % digits.length)).join("");
}

it("no text makes the check throw", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => profiles.ofSecret(text) === undefined));
});
