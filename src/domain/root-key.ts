/** The root key: 32 bytes that live outside the database, and seal what it alone must not reveal. */

export const ROOT_KEY_BYTES = 32;

/** The text form of a root key in its file or setting: base64url, 43 characters. */
export function formatRootKey(key: Uint8Array): string {
  return Buffer.from(key).toString("base64url");
}

/** The key behind the text form, or undefined when the text isn't one. */
export function parseRootKey(text: string): Uint8Array | undefined {
  const trimmed = text.trim();
  const key = Buffer.from(trimmed, "base64url");
  return key.length === ROOT_KEY_BYTES && formatRootKey(key) === trimmed ? key : undefined;
}
