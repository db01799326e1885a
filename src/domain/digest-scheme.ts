/**
 * How other systems digest the keys that they made, and how such a digest becomes the fingerprint that the
 * store finds the key by.
 */
import { createHmac, hash } from "node:crypto";

export const DIGEST_ALGORITHMS = ["sha256", "sha512", "hmac_sha256"] as const;

export type DigestAlgorithm = (typeof DIGEST_ALGORITHMS)[number];

export type DigestEncoding = "hex" | "base64";

/** One way from a key's text to its fingerprint. */
export interface DigestScheme {
  readonly algorithm: DigestAlgorithm;
  /** Id of the HMAC key; undefined for an algorithm without one. */
  readonly keyId: string | undefined;
}

/** The key of an HMAC, as it is stored. */
export interface ImportKey {
  /** Says nothing of the key, and is the same for the same key. */
  readonly id: string;
  /** The key, sealed under the root key. */
  readonly sealedKey: Uint8Array;
  readonly createdAt: Date;
}

/** So many HMAC keys does a deployment keep: each is tried on a text of which nothing else is known. */
export const MAX_IMPORT_KEYS = 16;

const DIGEST_BYTES: Readonly<Record<DigestAlgorithm, number>> = { sha256: 32, sha512: 64, hmac_sha256: 32 };

/** The digest of a text's UTF-8 bytes, as the other system made it. */
export function digestOf(algorithm: DigestAlgorithm, text: string, hmacKey: Uint8Array): Uint8Array {
  switch (algorithm) {
    case "sha256":
    case "sha512":
      return hash(algorithm, text, "buffer");
    case "hmac_sha256":
      return createHmac("sha256", hmacKey).update(text).digest();
  }
}

/** The bytes of a written digest; undefined for a text that isn't one of the algorithm's length. */
export function decodeDigest(
  text: string,
  algorithm: DigestAlgorithm,
  encoding: DigestEncoding,
): Uint8Array | undefined {
  const [written, bytes] = encoding === "hex" ? fromHex(text) : fromBase64(text);
  // Node passes over what it can't read, so only what comes out as it went in is a digest.
  const isWhole =
    bytes.length === DIGEST_BYTES[algorithm] && bytes.toString(encoding === "hex" ? "hex" : "base64url") === written;
  return isWhole ? bytes : undefined;
}

/**
 * The fingerprint of a key with this digest, 32 bytes. A SHA-256 digest is one already. Any other is hashed
 * together with the name of its scheme, so that no digest of one scheme passes for that of another.
 */
export function schemeFingerprint({ algorithm, keyId = "" }: DigestScheme, digest: Uint8Array): Uint8Array {
  if (algorithm === "sha256") return digest;
  const domain = Buffer.from(`latchkey.import.${algorithm}.v1\0${keyId}`);
  return hash("sha256", Buffer.concat([domain, digest]), "buffer");
}

function fromHex(text: string): readonly [string, Buffer] {
  return [text.toLowerCase(), Buffer.from(text, "hex")];
}

/** Either alphabet, as the URL one without padding. */
function fromBase64(text: string): readonly [string, Buffer] {
  const written = text
    .replace(/={1,2}$/, "")
    .replaceAll("+", "-")
    .replaceAll("/", "_");
  return [written, Buffer.from(written, "base64url")];
}
