/**
 * Answers straight to the wire: the bytes that protobuf makes of `judgementMessage`, for the answers that are
 * given most. They are made for each call where tokens aren't kept in memory, and protobuf takes several times
 * as long.
 */
import type { KnownRecord } from "../../domain/decision.ts";
import { toPublicId } from "../../domain/ids.ts";
import type { RateStatus } from "../../domain/rate-window.ts";
import type { KeptRecord } from "../../usecases/token-cache.ts";

/** The tags of `IntrospectResponse`: field numbers with their wire types. */
const ACTIVE = 0x08;
const ALLOWED = 0x10;
const TOKEN_ID = 0x22;
const ORGANIZATION_ID = 0x2a;
const USER_ID = 0x32;
const PROFILE = 0x3a;
const TYPE = 0x42;
const NAME = 0x4a;
const PERMISSION = 0x52;
const SCOPES = 0x5a;
const PLAN = 0x62;
const EXPIRES_AT = 0x6a;
const REVISION = 0x70;
const RATE_LIMIT = 0x7a;

/** The tags of its `RateLimit`. */
const LIMIT = 0x08;
const REMAINING = 0x10;
const RESET = 0x18;

/** The tags of `google.protobuf.Timestamp`. */
const SECONDS = 0x08;
const NANOS = 0x10;

/** The one tag of `BatchIntrospectResponse`. */
const RESPONSES = 0x0a;

/** More than an answer's fields take without their texts, and the most bytes that a UTF-16 code unit becomes. */
const FIXED_BYTES = 256;
const BYTES_OF_A_UNIT = 3;
/** A tag and a length. */
const TEXT_BYTES = 6;

/** Answers are written here and copied out of it, for their length is known when they are written. */
let paper = Buffer.alloc(4_096);
const listPaper = Buffer.alloc(65_536);

/** The answer about a token that is allowed, but for its rate limit. */
export function encodeAllowed({ token, organization }: KnownRecord): Buffer {
  const { profile, type, name, permission, scopes } = token;
  let units = profile.length + type.length + name.length + permission.length + organization.plan.length;
  for (const scope of scopes) units += scope.length + TEXT_BYTES;
  const room = FIXED_BYTES + units * BYTES_OF_A_UNIT;
  if (paper.length < room) paper = Buffer.alloc(room);
  const bytes = paper;
  // Both may be absent in the message, so they are written whatever they are.
  bytes[0] = ACTIVE;
  bytes[1] = 1;
  bytes[2] = ALLOWED;
  bytes[3] = 1;
  let place = writeText(bytes, 4, TOKEN_ID, toPublicId("tok", token.id));
  place = writeText(bytes, place, ORGANIZATION_ID, toPublicId("org", organization.id));
  if (token.userId !== undefined) place = writeText(bytes, place, USER_ID, toPublicId("usr", token.userId));
  if (profile !== "") place = writeText(bytes, place, PROFILE, profile);
  if (type !== "") place = writeText(bytes, place, TYPE, type);
  if (name !== "") place = writeText(bytes, place, NAME, name);
  if (permission !== "") place = writeText(bytes, place, PERMISSION, permission);
  for (const scope of scopes) place = writeText(bytes, place, SCOPES, scope);
  if (organization.plan !== "") place = writeText(bytes, place, PLAN, organization.plan);
  if (token.expiresAt !== undefined) {
    // It lies ahead, so it isn't before 1970.
    const ms = token.expiresAt.getTime();
    const seconds = Math.floor(ms / 1000);
    const nanos = (ms % 1000) * 1_000_000;
    bytes[place++] = EXPIRES_AT;
    bytes[place++] = varintField(seconds) + varintField(nanos);
    place = writeVarintField(bytes, place, SECONDS, seconds);
    place = writeVarintField(bytes, place, NANOS, nanos);
  }
  place = writeVarintField(bytes, place, REVISION, token.revision);
  const answer = Buffer.allocUnsafe(place);
  bytes.copy(answer, 0, 0, place);
  return answer;
}

/** Appends the rate limit, a message of three varints, to an answer that has none. */
export function withRateLimit(fixed: Buffer, { limit, remaining, resetMs }: RateStatus): Buffer {
  const reset = Math.ceil(resetMs / 1000);
  const size = varintField(limit) + varintField(remaining) + varintField(reset);
  const answer = Buffer.allocUnsafe(fixed.length + 2 + size);
  answer.set(fixed);
  let place = fixed.length;
  answer[place++] = RATE_LIMIT;
  answer[place++] = size;
  place = writeVarintField(answer, place, LIMIT, limit);
  place = writeVarintField(answer, place, REMAINING, remaining);
  writeVarintField(answer, place, RESET, reset);
  return answer;
}

/** A `BatchIntrospectResponse`. One is written at a time, for all are on the same paper. */
export class AnswerList {
  #paper = listPaper;
  #size = 0;

  add(answer: Buffer): void {
    const place = this.#begin(answer.length);
    this.#paper.set(answer, place);
  }

  /** Adds the answer that a record in memory has. */
  addKept(record: KeptRecord): void {
    const place = this.#begin(record.answerLength);
    record.copyAnswer(this.#paper, place);
  }

  get bytes(): Buffer {
    return Buffer.from(this.#paper.subarray(0, this.#size));
  }

  /** Begins an answer of this length, and says where its bytes go. */
  #begin(length: number): number {
    const start = this.#size;
    const end = start + varintField(length) + length;
    if (this.#paper.length < end) this.#paper = Buffer.concat([this.#paper], 2 * end);
    this.#size = end;
    return writeVarintField(this.#paper, start, RESPONSES, length);
  }
}

/** Bytes of a field with this value; zero isn't written. */
function varintField(value: number): number {
  if (value === 0) return 0;
  let size = 2;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

function writeVarintField(bytes: Buffer, start: number, tag: number, value: number): number {
  if (value === 0) return start;
  bytes[start] = tag;
  return writeVarint(bytes, start + 1, value);
}

/** Writes a text with its tag and length. */
function writeText(bytes: Buffer, start: number, tag: number, text: string): number {
  const { length } = text;
  bytes[start] = tag;
  if (length < 0x80) {
    bytes[start + 1] = length;
    const first = start + 2;
    let index = 0;
    for (; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code >= 0x80) break;
      bytes[first + index] = code;
    }
    if (index === length) return first + length;
  }
  const size = Buffer.byteLength(text);
  const place = writeVarint(bytes, start + 1, size);
  bytes.write(text, place);
  return place + size;
}

function writeVarint(bytes: Buffer, start: number, value: number): number {
  let place = start;
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes[place++] = (rest % 0x80) | 0x80;
  bytes[place++] = rest;
  return place;
}
