/**
 * Signed notes (c2sp.org/signed-note) with Ed25519 signatures: a text, an empty line, and lines that each
 * hold the name of a key and a signature.
 */
import { createPublicKey, hash, verify } from "node:crypto";

/** The only type of signature that is made and verified here. */
const ED25519 = 1;
const KEY_ID_BYTES = 4;
const PUBLIC_KEY_BYTES = 32;

/** What stands before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410). */
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

/** The public half of a key that signs notes. */
export interface NoteKey {
  /** See `isKeyName`. */
  readonly name: string;
  /** 32 bytes of Ed25519. */
  readonly publicKey: Uint8Array;
}

export interface NoteSigner {
  readonly key: NoteKey;
  /** The Ed25519 signature over these bytes. */
  sign(bytes: Uint8Array): Uint8Array;
}

export type NoteFault =
  /** It isn't a signed note at all. */
  | "malformed"
  /** None of its signatures is by the key. */
  | "unknown_key"
  /** A signature claims to be by the key, and isn't. */
  | "bad_signature";

export type OpenedNote =
  | { readonly text: string; readonly fault?: never }
  | { readonly fault: NoteFault; readonly text?: never };

/** Whether a text can name a key: it is printable, not empty, and without spaces and plus signs. */
export function isKeyName(text: string): boolean {
  return /^[^\s+\p{C}]+$/u.test(text);
}

/** A key as others are given it: `name+id+key`. */
export function formatVerifierKey(key: NoteKey): string {
  return `${key.name}+${keyId(key).toString("hex")}+${typedKey(key).toString("base64")}`;
}

/** The key behind its text form, or undefined when the text isn't one. */
export function parseVerifierKey(text: string): NoteKey | undefined {
  // The base64 at the end may hold plus signs; the name can't.
  const [, name = "", , encoded = ""] = /^([^+]*)\+([0-9a-f]{8})\+(.*)$/s.exec(text) ?? [];
  const typed = parseBase64(encoded);
  if (!isKeyName(name) || typed?.length !== 1 + PUBLIC_KEY_BYTES) return undefined;
  const key = { name, publicKey: typed.subarray(1) };
  return formatVerifierKey(key) === text ? key : undefined;
}

/** @param text lines, each with its newline */
export function signNote(text: string, signer: NoteSigner): string {
  if (!text.endsWith("\n")) throw new Error("a note's text ends with a newline");
  const { key } = signer;
  const signature = Buffer.concat([keyId(key), signer.sign(Buffer.from(text))]);
  return `${text}\n— ${key.name} ${signature.toString("base64")}\n`;
}

/**
 * Answers the text of a note that the key has signed. Signatures by other keys are passed over; of the
 * key's own each has to be good.
 */
export function openNote(note: string, key: NoteKey): OpenedNote {
  const end = note.lastIndexOf("\n\n") + 1;
  const text = note.slice(0, end);
  const lines = note.slice(end + 1).split("\n");
  if (end === 0 || lines.pop() !== "" || lines.length === 0) return { fault: "malformed" };
  let isSigned = false;
  for (const line of lines) {
    const [, name, encoded = ""] = /^— ([^\s+]+) ([^\s]+)$/.exec(line) ?? [];
    const bytes = parseBase64(encoded);
    if (name === undefined || bytes === undefined || bytes.length <= KEY_ID_BYTES) return { fault: "malformed" };
    if (name !== key.name || !keyId(key).equals(bytes.subarray(0, KEY_ID_BYTES))) continue;
    if (!isSignature(bytes.subarray(KEY_ID_BYTES), text, key)) return { fault: "bad_signature" };
    isSigned = true;
  }
  return isSigned ? { text } : { fault: "unknown_key" };
}

function isSignature(signature: Uint8Array, text: string, { publicKey }: NoteKey): boolean {
  const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: "der", type: "spki" });
  return verify(null, Buffer.from(text), key, signature);
}

function keyId(key: NoteKey): Buffer {
  const named = Buffer.concat([Buffer.from(`${key.name}\n`), typedKey(key)]);
  return hash("sha256", named, "buffer").subarray(0, KEY_ID_BYTES);
}

function typedKey({ publicKey }: NoteKey): Buffer {
  return Buffer.concat([Buffer.of(ED25519), publicKey]);
}

/** Only the one canonical text of some bytes: another one would be a change that no signature shows. */
function parseBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}
