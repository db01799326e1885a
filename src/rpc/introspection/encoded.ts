/**
 * The introspection methods on encoded messages: the same questions, judgements and answers as the handlers',
 * without decoding or encoding what is the same each time. Most calls of the service are these.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import {
  IntrospectionService,
  IntrospectRequestSchema,
  IntrospectResponseSchema,
} from "../../../gen/latchkey/v1/introspection_pb.ts";
import type { TokenRecord } from "../../domain/decision.ts";
import type { Profile } from "../../domain/profile.ts";
import type { RateStatus } from "../../domain/rate-window.ts";
import { type IntrospectTokenInput, introspectToken, type Judgement } from "../../usecases/introspect-token.ts";
import type { EncodedHandler } from "../handlers.ts";
import { decodeRequest } from "../messages-in.ts";
import { validate } from "../validation.ts";
import { readBatch, readQuestion } from "./encoded-question.ts";
import { type JudgementDeps, judgementMessage, question } from "./judgement.ts";

const { introspect, batchIntrospect, introspectStream } = IntrospectionService.method;

/** `Introspect` */
export function encodedIntrospect(deps: JudgementDeps, answers: AnswerEncoder): EncodedHandler {
  return (request, call) => {
    const judgement = introspectToken(deps, call.caller, readQuestion(request, 0, request.length) ?? decode(request));
    return judgement instanceof Promise
      ? judgement.then((judged) => answers.encode(judged))
      : answers.encode(judgement);
  };

  function decode(request: Buffer): IntrospectTokenInput {
    const message = decodeRequest(introspect, request);
    validate(introspect.input, message);
    return question(message);
  }
}

/** Each message of `IntrospectStream`. On the wire it is a batch of one. */
export function encodedIntrospectStream(deps: JudgementDeps, answers: AnswerEncoder): EncodedHandler {
  return (request, call) => {
    const [asked, ...others] = readBatch(request) ?? [];
    const isPlain = asked !== undefined && others.length === 0;
    const judgement = introspectToken(deps, call.caller, isPlain ? asked : decode(request));
    return judgement instanceof Promise
      ? judgement.then((judged) => asList([answers.encode(judged)]))
      : asList([answers.encode(judgement)]);
  };

  function decode(request: Buffer): IntrospectTokenInput {
    const message = decodeRequest(introspectStream, request);
    validate(introspectStream.input, message);
    // Validation has seen that it is there.
    return question(message.request ?? create(IntrospectRequestSchema));
  }
}

/** `BatchIntrospect` */
export function encodedBatchIntrospect(deps: JudgementDeps, answers: AnswerEncoder): EncodedHandler {
  return (request, call) => {
    const questions = readBatch(request) ?? decode(request);
    let isLate = false;
    const judgements = questions.map((one) => {
      const judgement = introspectToken(deps, call.caller, one);
      isLate ||= judgement instanceof Promise;
      return judgement;
    });
    if (!isLate) return encode(judgements as Judgement[]);
    return Promise.all(judgements.map(async (judgement) => judgement)).then(encode);
  };

  function decode(request: Buffer): readonly IntrospectTokenInput[] {
    const message = decodeRequest(batchIntrospect, request);
    validate(batchIntrospect.input, message);
    return message.requests.map(question);
  }

  function encode(judgements: readonly Judgement[]): Buffer {
    return asList(judgements.map((judgement) => answers.encode(judgement)));
  }
}

/** Encodes judgements as `IntrospectResponse`, and keeps what will be the same next time. */
export class AnswerEncoder {
  readonly #deps: JudgementDeps;
  /** What is always the same about a token that is allowed. */
  readonly #allowed = new WeakMap<TokenRecord, Buffer>();
  /** Refusals tell nothing of the token, so there are few. */
  readonly #refusals = new Map<Profile | undefined, Map<string, Buffer>>();

  constructor(deps: JudgementDeps) {
    this.#deps = deps;
  }

  encode(judgement: Judgement): Buffer {
    const { decision, profile, rateStatus } = judgement;
    if (decision.active && decision.allowed) {
      let fixed = this.#allowed.get(decision.record);
      if (fixed === undefined) {
        fixed = this.#encode({ ...judgement, rateStatus: undefined });
        this.#allowed.set(decision.record, fixed);
      }
      return rateStatus === undefined ? fixed : withRateLimit(fixed, rateStatus);
    }
    if (decision.active) return this.#encode(judgement);
    let byReason = this.#refusals.get(profile);
    if (byReason === undefined) {
      byReason = new Map();
      this.#refusals.set(profile, byReason);
    }
    let refusal = byReason.get(decision.reason);
    if (refusal === undefined) {
      refusal = this.#encode(judgement);
      byReason.set(decision.reason, refusal);
    }
    return refusal;
  }

  #encode(judgement: Judgement): Buffer {
    const message = create(IntrospectResponseSchema, judgementMessage(this.#deps, judgement));
    return Buffer.from(toBinary(IntrospectResponseSchema, message));
  }
}

/** Field 15 of `IntrospectResponse`, and its fields. */
const RATE_LIMIT = 0x7a;
const LIMIT = 0x08;
const REMAINING = 0x10;
const RESET = 0x18;

/** The one tag of `BatchIntrospectResponse`. */
const RESPONSES = 0x0a;

/** A `BatchIntrospectResponse` of encoded answers. */
function asList(answers: readonly Buffer[]): Buffer {
  let size = 0;
  for (const { length } of answers) size += varintField(length) + length;
  const list = Buffer.allocUnsafe(size);
  let place = 0;
  for (const answer of answers) {
    place = writeVarintField(list, place, RESPONSES, answer.length);
    list.set(answer, place);
    place += answer.length;
  }
  return list;
}

/** Appends the rate limit, a message of three varints, to an answer that has none. */
function withRateLimit(fixed: Buffer, { limit, remaining, resetMs }: RateStatus): Buffer {
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

/** Bytes of a field with this value; zero isn't written. */
function varintField(value: number): number {
  if (value === 0) return 0;
  let size = 2;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

function writeVarintField(bytes: Buffer, start: number, tag: number, value: number): number {
  if (value === 0) return start;
  let place = start;
  bytes[place++] = tag;
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes[place++] = (rest % 0x80) | 0x80;
  bytes[place++] = rest;
  return place;
}
