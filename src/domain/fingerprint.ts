/** The only trace of a secret that is ever stored. */
import { hash } from "node:crypto";

/** SHA-256 of the secret's UTF-8 bytes, 32 bytes. A secret has over 160 random bits, so no salt is needed. */
export function fingerprint(secret: string): Uint8Array {
  // By way of a text: a buffer of its own for each takes several times as long, and the garbage collector's time besides.
  return Buffer.from(hash("sha256", secret, "binary"), "binary");
}
