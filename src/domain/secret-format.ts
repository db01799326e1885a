/**
 * The shape of a token's secret: a prefix, random characters, and a checksum over everything before it.
 *
 * The checksum is CRC-32 (ISO-HDLC, as in zlib). It refuses a mistyped or made-up key without a look-up,
 * and lets a secret scanner match without false alarms. It is a filter, not authentication.
 */
import { crc32 } from "node:zlib";
import type { Entropy } from "./clock.ts";

export type Alphabet = "hex" | "base62";

export interface SecretFormat {
  /** Starts every secret, and no other format's. Ends with `_`. */
  readonly prefix: string;
  readonly alphabet: Alphabet;
  /** Random characters after the prefix. The checksum's come after them. */
  readonly randomLength: number;
}

const DIGITS: Readonly<Record<Alphabet, string>> = {
  hex: "0123456789abcdef",
  base62: "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
};

const NO_DIGIT = 0xff;

/** What the digits stand for, by their character codes. */
const VALUES: Readonly<Record<Alphabet, Uint8Array>> = { hex: valuesOf(DIGITS.hex), base62: valuesOf(DIGITS.base62) };

/** Characters that hold 32 bits: 16⁸ = 2³², and 62⁶ > 2³². */
const CHECKSUM_LENGTH: Readonly<Record<Alphabet, number>> = { hex: 8, base62: 6 };

/** The length of a whole secret in characters, all of them ASCII. */
export function secretLength(format: SecretFormat): number {
  return format.prefix.length + format.randomLength + CHECKSUM_LENGTH[format.alphabet];
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
  const values = VALUES[alphabet];
  const bodyLength = text.length - CHECKSUM_LENGTH[alphabet];
  let stated = 0;
  for (let place = prefix.length; place < text.length; place++) {
    const digit = values[text.charCodeAt(place)] ?? NO_DIGIT;
    if (digit === NO_DIGIT) return false;
    if (place >= bodyLength) stated = stated * DIGITS[alphabet].length + digit;
  }
  return stated === crc32(text.slice(0, bodyLength));
}

/** What may be shown of a secret to tell tokens apart: the prefix and the last four characters. */
export function secretHint(format: SecretFormat, secret: string): string {
  return `${format.prefix}…${secret.slice(-4)}`;
}

function valuesOf(digits: string): Uint8Array {
  const values = new Uint8Array(0x80).fill(NO_DIGIT);
  for (let value = 0; value < digits.length; value++) values[digits.charCodeAt(value)] = value;
  return values;
}

function checksum(alphabet: Alphabet, body: string): string {
  const digits = DIGITS[alphabet];
  let value = crc32(body);
  let text = "";
  for (let place = 0; place < CHECKSUM_LENGTH[alphabet]; place++) {
    text = digits.charAt(value % digits.length) + text;
    value = Math.floor(value / digits.length);
  }
  return text;
}

function randomDigits(alphabet: Alphabet, length: number, entropy: Entropy): string {
  const digits = DIGITS[alphabet];
  // Bytes from the last, partial run of the alphabet are thrown away; else early digits came up more often.
  const evenBelow = 256 - (256 % digits.length);
  let text = "";
  while (text.length < length) {
    for (const byte of entropy(length)) {
      if (byte < evenBelow && text.length < length) text += digits.charAt(byte % digits.length);
    }
  }
  return text;
}
