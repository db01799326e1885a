/**
 * The shape of a token's secret: a prefix, random characters, and a checksum over everything before it.
 *
 * The checksum is CRC-32 (ISO-HDLC, as in zlib). It refuses a mistyped or made-up key without a look-up,
 * and lets a secret scanner match without false alarms. It is a filter, not authentication.
 */
import type { Entropy } from "./clock.ts";

export type Alphabet = "hex" | "base62";

export interface SecretFormat {
  /** Starts every secret, and no other format's. Ends with `_`. */
  readonly prefix: string;
  readonly alphabet: Alphabet;
  /** Random characters after the prefix. The checksum's come after them. */
  readonly randomLength: number;
}

interface Digits {
  readonly characters: string;
  /** What the characters stand for, by their codes. */
  readonly values: Uint8Array;
  /** Characters that hold the 32 bits of a checksum. */
  readonly checksumLength: number;
}

const NO_DIGIT = 0xff;
/** It has this bit, and no digit has. */
const NO_DIGIT_BIT = 0x80;

// 16⁸ = 2³², and 62⁶ > 2³².
const HEX = digits("0123456789abcdef", 8);
const BASE62 = digits("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 6);

/** CRC-32 before the first byte. */
const NO_BYTES = -1;

/** CRC-32 of each byte, by the polynomial of ISO-HDLC, the lowest bit first. */
const CRC_OF_BYTE = Int32Array.from({ length: 0x100 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0xedb88320;
  return crc;
});

/** The same of bytes with one, two and three bytes of zero behind them: so four bytes can be taken at a time. */
const CRC_BEFORE_ONE = CRC_OF_BYTE.map(withZero);
const CRC_BEFORE_TWO = CRC_BEFORE_ONE.map(withZero);
const CRC_BEFORE_THREE = CRC_BEFORE_TWO.map(withZero);

/** The length of a whole secret in characters, all of them ASCII. */
export function secretLength(format: SecretFormat): number {
  return format.prefix.length + format.randomLength + digitsOf(format.alphabet).checksumLength;
}

/** Makes a new secret. Every character is drawn evenly from the alphabet. */
export function generateSecret(format: SecretFormat, entropy: Entropy): string {
  const body = format.prefix + randomDigits(format.alphabet, format.randomLength, entropy);
  return body + checksum(format.alphabet, body);
}

/** Whether the text has the format's shape and a matching checksum. Looks nothing up. */
export function isWellFormed(format: SecretFormat, text: string): boolean {
  const { prefix, alphabet } = format;
  if (text.length !== secretLength(format) || !text.startsWith(prefix)) return false;
  const { characters, values, checksumLength } = digitsOf(alphabet);
  const bodyLength = text.length - checksumLength;
  // This is part of every check. So it takes four characters at a time, and looks once whether all of them were digits.
  let crc = NO_BYTES;
  let place = 0;
  for (; place < prefix.length; place++) crc = withByte(crc, text.charCodeAt(place));
  let seen = 0;
  for (; place + 4 <= bodyLength; place += 4) {
    const one = text.charCodeAt(place);
    const two = text.charCodeAt(place + 1);
    const three = text.charCodeAt(place + 2);
    const four = text.charCodeAt(place + 3);
    seen |= valueOf(values, one) | valueOf(values, two) | valueOf(values, three) | valueOf(values, four);
    const word = crc ^ (one | (two << 8) | (three << 16) | (four << 24));
    crc =
      (CRC_BEFORE_THREE[word & 0xff] as number) ^
      (CRC_BEFORE_TWO[(word >>> 8) & 0xff] as number) ^
      (CRC_BEFORE_ONE[(word >>> 16) & 0xff] as number) ^
      (CRC_OF_BYTE[word >>> 24] as number);
  }
  for (; place < bodyLength; place++) {
    const code = text.charCodeAt(place);
    seen |= valueOf(values, code);
    crc = withByte(crc, code);
  }
  let stated = 0;
  for (; place < text.length; place++) {
    const digit = valueOf(values, text.charCodeAt(place));
    seen |= digit;
    stated = stated * characters.length + digit;
  }
  return seen < NO_DIGIT_BIT && stated === checksumOf(crc);
}

/** What may be shown of a secret to tell tokens apart: the prefix and the last four characters. */
export function secretHint(format: SecretFormat, secret: string): string {
  return `${format.prefix}…${secret.slice(-4)}`;
}

function digits(characters: string, checksumLength: number): Digits {
  const values = new Uint8Array(0x80).fill(NO_DIGIT);
  for (let value = 0; value < characters.length; value++) values[characters.charCodeAt(value)] = value;
  return { characters, values, checksumLength };
}

/** A choice rather than a table: an index by name takes longer, and this is part of every check. */
function digitsOf(alphabet: Alphabet): Digits {
  return alphabet === "hex" ? HEX : BASE62;
}

function checksum(alphabet: Alphabet, body: string): string {
  const { characters, checksumLength } = digitsOf(alphabet);
  let crc = NO_BYTES;
  for (let place = 0; place < body.length; place++) crc = withByte(crc, body.charCodeAt(place));
  let value = checksumOf(crc);
  let text = "";
  for (let place = 0; place < checksumLength; place++) {
    text = characters.charAt(value % characters.length) + text;
    value = Math.floor(value / characters.length);
  }
  return text;
}

function randomDigits(alphabet: Alphabet, length: number, entropy: Entropy): string {
  const { characters } = digitsOf(alphabet);
  // Bytes from the last, partial run of the alphabet are thrown away; else early digits came up more often.
  const evenBelow = 256 - (256 % characters.length);
  let text = "";
  while (text.length < length) {
    for (const byte of entropy(length)) {
      if (byte < evenBelow && text.length < length) text += characters.charAt(byte % characters.length);
    }
  }
  return text;
}

function valueOf(values: Uint8Array, code: number): number {
  return values[code] ?? NO_DIGIT;
}

/** CRC-32 so far, with one more byte. A call into zlib takes longer than the few bytes of a secret. */
function withByte(crc: number, byte: number): number {
  return (CRC_OF_BYTE[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
}

function withZero(crc: number): number {
  return withByte(crc, 0);
}

function checksumOf(crc: number): number {
  return ~crc >>> 0;
}
