/**
 * Questions straight from the wire. These readers know the common form of a request and nothing else: for one
 * with anything unusual in it (an unknown field, a text beyond ASCII, a value out of its bounds) they answer
 * undefined, and the general way decodes, validates and refuses it.
 */
import { isIP } from "node:net";
import type { IntrospectTokenInput } from "../../usecases/introspect-token.ts";
import { EncodedText } from "../../usecases/token-finder.ts";

/** The tags of `IntrospectRequest`: field numbers with their wire types. */
const TOKEN = 0x0a;
const REQUIRED_SCOPES = 0x12;
const CLIENT_IP = 0x1a;
const DRY_RUN = 0x20;
const COST = 0x28;

/** The one tag of `BatchIntrospectRequest`. */
const REQUESTS = 0x0a;

/** The bounds of the proto file. */
const MAX_QUESTIONS = 1_000;
const MAX_SCOPES = 100;
const MAX_SCOPE_LENGTH = 64;
const MAX_COST = 1_000_000;

const NO_SCOPES: string[] = [];
const NO_SECRET = new EncodedText(Buffer.alloc(0), 0, 0);

/** Reads the `IntrospectRequest` between two places of a buffer. */
export function readQuestion(bytes: Buffer, start: number, end: number): IntrospectTokenInput | undefined {
  let secret = NO_SECRET;
  let clientIp: string | undefined;
  let requiredScopes: string[] = NO_SCOPES;
  let dryRun = false;
  let cost = 0;
  let place = start;
  while (place < end) {
    const tag = bytes[place++];
    if (tag === DRY_RUN) {
      const value = bytes[place++] ?? 0xff;
      if (value > 1) return undefined;
      dryRun = value === 1;
      continue;
    }
    // A length or a cost, as a varint of at most three bytes.
    let value = bytes[place++] ?? 0xff;
    for (let shift = 7; value >= 1 << shift; shift += 7) {
      if (shift === 21) return undefined;
      value = (value & ((1 << shift) - 1)) | ((bytes[place++] ?? 0xff) << shift);
    }
    if (tag === COST) {
      cost = value;
      continue;
    }
    const textEnd = place + value;
    if (textEnd > end) return undefined;
    if (!isAscii(bytes, place, textEnd)) return undefined;
    const textStart = place;
    place = textEnd;
    if (tag === TOKEN) {
      secret = new EncodedText(bytes, textStart, textEnd);
      continue;
    }
    const text = bytes.toString("latin1", textStart, textEnd);
    if (tag === CLIENT_IP) {
      clientIp = text;
    } else if (tag === REQUIRED_SCOPES) {
      if (text.length === 0 || text.length > MAX_SCOPE_LENGTH || requiredScopes.length === MAX_SCOPES) return undefined;
      if (text.includes("\0")) return undefined;
      if (requiredScopes === NO_SCOPES) requiredScopes = [text];
      else requiredScopes.push(text);
    } else {
      return undefined;
    }
  }
  if (place !== end || cost > MAX_COST) return undefined;
  if (clientIp === "") clientIp = undefined;
  if (clientIp !== undefined && isIP(clientIp) === 0) return undefined;
  return { secret, requiredScopes, clientIp, cost: Math.max(1, cost), dryRun };
}

/** Reads a `BatchIntrospectRequest`. */
export function readBatch(bytes: Buffer): readonly IntrospectTokenInput[] | undefined {
  const questions: IntrospectTokenInput[] = [];
  for (let place = 0; place < bytes.length; ) {
    if (bytes[place++] !== REQUESTS) return undefined;
    let length = bytes[place++] ?? 0xff;
    if (length >= 0x80) length = (length & 0x7f) | ((bytes[place++] ?? 0xff) << 7);
    // Longer ones have a third byte of length, and can take the general way.
    const end = place + length;
    if (length >= 1 << 14 || end > bytes.length || questions.length === MAX_QUESTIONS) return undefined;
    const question = readQuestion(bytes, place, end);
    if (question === undefined) return undefined;
    questions.push(question);
    place = end;
  }
  return questions.length === 0 ? undefined : questions;
}

function isAscii(bytes: Buffer, start: number, end: number): boolean {
  for (let place = start; place < end; place++) if ((bytes[place] as number) >= 0x80) return false;
  return true;
}
