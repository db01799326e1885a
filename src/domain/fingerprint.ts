/** The only trace of a secret that is ever stored. */
import { hash } from "node:crypto";

/** The shortest text that keeps the bytes: maps go over the whole of it. */
const KEY_ENCODING = "binary";

/** SHA-256 of the secret's UTF-8 bytes, 32 bytes. A secret has over 160 random bits, so no salt is needed. */
export function fingerprint(secret: string): Uint8Array {
  return hash("sha256", secret, "buffer");
}

/** The same as a text, a character for each byte: a key in a map, and made several times as fast as bytes are. */
export function fingerprintKey(secret: string): string {
  return hash("sha256", secret, KEY_ENCODING);
}

export function toFingerprintKey(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString(KEY_ENCODING);
}

export function fromFingerprintKey(key: string): Uint8Array {
  return Buffer.from(key, KEY_ENCODING);
}
