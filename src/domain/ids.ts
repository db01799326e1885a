/**
 * Identifiers: UUIDv7 inside (RFC 9562), and outside the TypeID text form: a prefix that says what it
 * names, and the UUID's 128 bits as 26 characters of lower-case Crockford base32.
 */

/** A UUID in its canonical lower-case text form. */
export type Id = string;

export type IdPrefix = "tok" | "org" | "usr";

/** The organization that owns the service keys of all organizations. */
export const SYSTEM_ORGANIZATION_ID: Id = "00000000-0000-0000-0000-000000000000";

const BASE32 = "0123456789abcdefghjkmnpqrstvwxyz";
const BASE32_VALUE = new Map(Array.from(BASE32, (character, value) => [character, BigInt(value)]));
const PUBLIC_DIGITS = 26;
const MAX_UUID = (1n << 128n) - 1n;

/**
 * Makes a UUIDv7. Ids made by one process sort in the order of their milliseconds.
 *
 * @param nowMs milliseconds since the epoch
 * @param random at least 10 random bytes
 */
export function uuidV7(nowMs: number, random: Uint8Array): Id {
  const bytes = Buffer.alloc(16);
  bytes.writeUIntBE(nowMs, 0, 6);
  bytes.set(random.subarray(0, 10), 6);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const [DASH, ZERO, LOWER_A] = [0x2d, 0x30, 0x61];

/** Two characters for each 10 bits. */
const PAIRS = Array.from({ length: 1 << 10 }, (_, bits) => BASE32.charAt(bits >> 5) + BASE32.charAt(bits & 31));

/** The public form of an id, for example `tok_01k9z…`. */
export function toPublicId(prefix: IdPrefix, id: Id): string {
  let text = `${prefix}_`;
  // 13 times 10 bits are two more than there are: those of two zeros in front.
  let bits = 0;
  let count = 2;
  for (let place = 0; place < id.length; place++) {
    const code = id.charCodeAt(place);
    if (code === DASH) continue;
    bits = (bits << 4) | (code < LOWER_A ? code - ZERO : code - LOWER_A + 10);
    count += 4;
    if (count < 10) continue;
    count -= 10;
    text += PAIRS[bits >> count];
    bits &= (1 << count) - 1;
  }
  return text;
}

const CANONICAL_UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The id behind a public form or a plain UUID, which some products show. Only canonical texts are. */
export function fromAnyId(prefix: IdPrefix, text: string): Id | undefined {
  return CANONICAL_UUID.test(text) ? text : fromPublicId(prefix, text);
}

/** The id behind a public form, or undefined when the text isn't one. Only the canonical text is. */
export function fromPublicId(prefix: IdPrefix, text: string): Id | undefined {
  if (text.length !== prefix.length + 1 + PUBLIC_DIGITS || !text.startsWith(`${prefix}_`)) return undefined;
  let value = 0n;
  for (const character of text.slice(prefix.length + 1)) {
    const digit = BASE32_VALUE.get(character);
    if (digit === undefined) return undefined;
    value = (value << 5n) | digit;
  }
  if (value > MAX_UUID) return undefined;
  const hex = value.toString(16).padStart(32, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
