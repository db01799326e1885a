/** AES-256-GCM, in the one form in which sealed bytes are stored: nonce, ciphertext, tag. */
import { createCipheriv, createDecipheriv } from "node:crypto";

export const SEALING_KEY_BYTES = 32;
export const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** @param nonce must never be used twice with one key */
export function seal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** @throws Error when the bytes were sealed under another key, or changed. */
export function open(key: Uint8Array, sealed: Uint8Array): Uint8Array {
  const tag = sealed.subarray(-TAG_BYTES);
  // Node takes shorter tags, which are easier to guess.
  if (tag.length !== TAG_BYTES) throw new Error("the sealed bytes are too short");
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, NONCE_BYTES));
  decipher.setAuthTag(tag);
  return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
}
