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

const ONLY_DIGITS: Readonly<Record<Alphabet, RegExp>> = { hex: /^[0-9a-f]*$/, base62: /^[0-9A-Za-z]*$/ };

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
  if (!ONLY_DIGITS[alphabet].test(text.slice(prefix.length))) return false;
  const bodyLength = text.length - CHECKSUM_LENGTH[alphabet];
  return valueOf(alphabet, text, bodyLength) === crc32(text.slice(0, bodyLength));
}

/** What may be shown of a secret to tell tokens apart: the prefix and the last four characters. */
export function secretHint(format: SecretFormat, secret: string): string {
  return `${format.prefix}…${secret.slice(-4)}`;
}

/** The number that the digits from a place on stand for. */
function valueOf(alphabet: Alphabet, text: string, start: number): number {
  if (alphabet === "hex") return Number.parseInt(text.slice(start), 16);
  let value = 0;
  for (let place = start; place < text.length; place++) {
    value = value * DIGITS[alphabet].length + DIGITS[alphabet].indexOf(text.charAt(place));
  }
  return value;
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
