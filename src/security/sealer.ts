/** Seals what the database alone must not reveal, under keys derived from the root key. */
import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import type { Entropy } from "../domain/clock.ts";

const IV_BYTES = 12;
const TAG_BYTES = 16;

/** Seals and opens small secrets with AES-256-GCM, under one derived key a purpose. */
export interface Sealer {
  /** @param purpose binds the result: it opens with the same purpose only */
  seal(purpose: string, plaintext: Uint8Array): Uint8Array;
  /** @throws Error when the bytes were sealed under another root key or purpose, or changed. */
  open(purpose: string, sealed: Uint8Array): Uint8Array;
}

export function createSealer(rootKey: Uint8Array, entropy: Entropy): Sealer {
  const keyFor = (purpose: string): Uint8Array =>
    new Uint8Array(hkdfSync("sha256", rootKey, new Uint8Array(0), `latchkey ${purpose}`, 32));
  return {
    seal(purpose, plaintext) {
      const iv = entropy(IV_BYTES);
      const cipher = createCipheriv("aes-256-gcm", keyFor(purpose), iv);
      return Buffer.concat([iv, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
    },
    open(purpose, sealed) {
      const decipher = createDecipheriv("aes-256-gcm", keyFor(purpose), sealed.subarray(0, IV_BYTES));
      decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
      return Buffer.concat([decipher.update(sealed.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]);
    },
  };
}
