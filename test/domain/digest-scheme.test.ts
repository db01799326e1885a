/** Digests of other systems: how they are read, and what they are found by. */
import { createHash, createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  DIGEST_ALGORITHMS,
  type DigestAlgorithm,
  type DigestScheme,
  decodeDigest,
  digestOf,
  schemeFingerprint,
} from "../../src/domain/digest-scheme.ts";
import { fingerprint } from "../../src/domain/fingerprint.ts";

const LENGTH: Readonly<Record<DigestAlgorithm, number>> = { sha256: 32, sha512: 64, hmac_sha256: 32 };
const algorithm = fc.constantFrom(...DIGEST_ALGORITHMS);
const text = fc.string({ unit: "binary" });

describe("a digest", () => {
  it("is what the other system made of the text's UTF-8", () => {
    fc.assert(
      fc.property(text, fc.uint8Array({ minLength: 1, maxLength: 200 }), (key, hmacKey) => {
        const none = new Uint8Array(0);
        expect(digestOf("sha256", key, none)).toEqual(createHash("sha256").update(key, "utf8").digest());
        expect(digestOf("sha512", key, none)).toEqual(createHash("sha512").update(key, "utf8").digest());
        const hmac = createHmac("sha256", hmacKey).update(key, "utf8").digest();
        expect(digestOf("hmac_sha256", key, hmacKey)).toEqual(hmac);
      }),
    );
  });

  it("is read from hex of either case, and from base64 of either alphabet, padded or not", () => {
    fc.assert(
      fc.property(algorithm, fc.uint8Array({ minLength: 64, maxLength: 64 }), (name, bytes) => {
        const digest = Buffer.from(bytes.subarray(0, LENGTH[name]));
        const hex = digest.toString("hex");
        for (const written of [hex, hex.toUpperCase()]) expect(decodeDigest(written, name, "hex")).toEqual(digest);
        const [standard, url] = [digest.toString("base64"), digest.toString("base64url")];
        const forms = [standard, url, standard.replace(/=+$/, ""), url.padEnd(standard.length, "=")];
        for (const written of forms) expect(decodeDigest(written, name, "base64")).toEqual(digest);
      }),
    );
  });

  it.each([
    ["nothing", ""],
    ["one byte less", "00".repeat(31)],
    ["one byte more", "00".repeat(33)],
    ["an odd digit more", `${"00".repeat(32)}0`],
    ["a digit that isn't one", `${"00".repeat(31)}0g`],
    ["a character behind it", `${"00".repeat(32)}\n`],
    ["a space before it", ` ${"00".repeat(32)}`],
    ["a prefix", `0x${"00".repeat(32)}`],
    ["full-width digits", "０".repeat(64)],
  ])("is not hex with %s", (_, written) => {
    expect(decodeDigest(written, "sha256", "hex")).toBeUndefined();
  });

  it.each([
    ["nothing", ""],
    ["one byte less", Buffer.alloc(31).toString("base64")],
    ["one byte more", Buffer.alloc(33).toString("base64")],
    ["bits that are nobody's", `${"A".repeat(42)}B=`],
    ["too much padding", `${"A".repeat(43)}===`],
    ["padding inside", `${"A".repeat(20)}=${"A".repeat(22)}=`],
    ["a line break", `${"A".repeat(43)}=\n`],
    ["another character", `${"A".repeat(42)}!`],
    ["hex in its place", "00".repeat(32)],
  ])("is not base64 with %s", (_, written) => {
    expect(decodeDigest(written, "sha256", "base64")).toBeUndefined();
  });
});

describe("the fingerprint of a digest", () => {
  const digest = Buffer.alloc(64, 7);

  it("of SHA-256 is that of a secret", () => {
    fc.assert(
      fc.property(text, (key) => {
        const scheme: DigestScheme = { algorithm: "sha256", keyId: undefined };
        expect(schemeFingerprint(scheme, digestOf("sha256", key, digest))).toEqual(fingerprint(key));
      }),
    );
  });

  it("of any other is SHA-256 of the scheme's name, a zero, the key's id and the digest", () => {
    const bytes = (...parts: readonly (string | Uint8Array)[]) =>
      createHash("sha256")
        .update(Buffer.concat(parts.map((part) => Buffer.from(part))))
        .digest();
    expect(schemeFingerprint({ algorithm: "sha512", keyId: undefined }, digest)).toEqual(
      bytes("latchkey.import.sha512.v1", "\0", digest),
    );
    expect(schemeFingerprint({ algorithm: "hmac_sha256", keyId: "c0ffee" }, digest)).toEqual(
      bytes("latchkey.import.hmac_sha256.v1", "\0", "c0ffee", digest),
    );
  });

  it("differs with the scheme, the key and the digest", () => {
    const schemes: readonly DigestScheme[] = [
      { algorithm: "sha256", keyId: undefined },
      { algorithm: "sha512", keyId: undefined },
      { algorithm: "hmac_sha256", keyId: "a" },
      { algorithm: "hmac_sha256", keyId: "b" },
    ];
    const all = schemes.flatMap((scheme) =>
      [digest.subarray(0, 32), Buffer.alloc(32)].map((one) =>
        Buffer.from(schemeFingerprint(scheme, one)).toString("hex"),
      ),
    );
    expect(new Set(all).size).toBe(8);
    for (const one of all) expect(one).toHaveLength(64);
  });
});
