/** Seals what the database alone must not reveal, under keys derived from the root key. */
import { hkdfSync } from "node:crypto";
import type { Entropy } from "../domain/clock.ts";
import { NONCE_BYTES, open, SEALING_KEY_BYTES, seal } from "../domain/sealing.ts";

const NO_CONTEXT = new Uint8Array(0);

/** Seals and opens small secrets with AES-256-GCM, under one derived key a purpose. */
export interface Sealer {
  /** @param purpose binds the result: it opens with the same purpose only */
  seal(purpose: string, plaintext: Uint8Array): Uint8Array;
  /** @throws Error when the bytes were sealed under another root key or purpose, or changed. */
  open(purpose: string, sealed: Uint8Array): Uint8Array;
  /** A key for AES-256-GCM that takes both the root key and the context to derive (HKDF-SHA-256). */
  deriveKey(purpose: string, context: Uint8Array): Uint8Array;
}

export function createSealer(rootKey: Uint8Array, entropy: Entropy): Sealer {
  const deriveKey = (purpose: string, context: Uint8Array): Uint8Array =>
    new Uint8Array(hkdfSync("sha256", rootKey, context, `latchkey ${purpose}`, SEALING_KEY_BYTES));
  return {
    seal: (purpose, plaintext) => seal(deriveKey(purpose, NO_CONTEXT), entropy(NONCE_BYTES), plaintext),
    open: (purpose, sealed) => open(deriveKey(purpose, NO_CONTEXT), sealed),
    deriveKey,
  };
}
