/** The HMAC keys of imported digests: stored sealed, under ids that say nothing of them. */
import type { ImportKey } from "../domain/digest-scheme.ts";

const ID_CHARACTERS = 32;

/** See `security/sealer.ts`. */
export interface KeySealer {
  seal(purpose: string, plaintext: Uint8Array): Uint8Array;
  open(purpose: string, sealed: Uint8Array): Uint8Array;
  deriveKey(purpose: string, context: Uint8Array): Uint8Array;
}

/** The key as it is stored. Its id takes the root key to derive, and is the same for the same key. */
export function sealImportKey(sealer: Omit<KeySealer, "open">, key: Uint8Array, createdAt: Date): ImportKey {
  const id = Buffer.from(sealer.deriveKey("import key id", key)).toString("hex").slice(0, ID_CHARACTERS);
  return { id, sealedKey: sealer.seal(purposeOf(id), key), createdAt };
}

/** @throws Error when the key was sealed under another root key, or another id. */
export function openImportKey(sealer: Pick<KeySealer, "open">, { id, sealedKey }: ImportKey): Uint8Array {
  try {
    return sealer.open(purposeOf(id), sealedKey);
  } catch (cause) {
    throw new Error("an HMAC key of imported tokens doesn't open: put back the root key that it was sealed under", {
      cause,
    });
  }
}

function purposeOf(id: string): string {
  return `import key ${id}`;
}
