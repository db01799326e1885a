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
import type { Profile } from "../../domain/profile.ts";
import { type IntrospectTokenInput, introspectToken, type Judgement } from "../../usecases/introspect-token.ts";
import { KeptRecord } from "../../usecases/token-cache.ts";
import type { EncodedHandler } from "../handlers.ts";
import { decodeRequest } from "../messages-in.ts";
import { validate } from "../validation.ts";
import { AnswerList, encodeAllowed, withRateLimit } from "./encoded-answer.ts";
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
      ? judgement.then((judged) => answers.encodeAll([judged]))
      : answers.encodeAll([judgement]);
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
    const judgements: (Judgement | Promise<Judgement>)[] = [];
    let isLate = false;
    for (const one of readBatch(request) ?? decode(request)) {
      const judgement = introspectToken(deps, call.caller, one);
      if (judgement instanceof Promise) isLate = true;
      judgements.push(judgement);
    }
    return isLate
      ? Promise.all(judgements.map(async (judgement) => judgement)).then((judged) => answers.encodeAll(judged))
      : answers.encodeAll(judgements as Judgement[]);
  };

  function decode(request: Buffer): readonly IntrospectTokenInput[] {
    const message = decodeRequest(batchIntrospect, request);
    validate(batchIntrospect.input, message);
    return message.requests.map(question);
  }
}

/** Encodes judgements as `IntrospectResponse`, and keeps what will be the same next time. */
export class AnswerEncoder {
  readonly #deps: JudgementDeps;
  /** Refusals tell nothing of the token, so there are few. */
  readonly #refusals = new Map<Profile | undefined, Map<string, Buffer>>();

  constructor(deps: JudgementDeps) {
    this.#deps = deps;
  }

  /** As a `BatchIntrospectResponse`. */
  encodeAll(judgements: readonly Judgement[]): Buffer {
    const list = new AnswerList();
    for (const judgement of judgements) {
      const { decision, rateStatus } = judgement;
      if (decision.active && decision.allowed && rateStatus === undefined) {
        const { record } = decision;
        if (record instanceof KeptRecord && record.answerLength > 0) {
          // Without an object for its bytes: they would take longer than all else that is done here.
          list.addKept(record);
          continue;
        }
      }
      list.add(this.encode(judgement));
    }
    return list.bytes;
  }

  encode(judgement: Judgement): Buffer {
    const { decision, profile, rateStatus } = judgement;
    if (decision.active && decision.allowed) {
      const { record } = decision;
      const fixed = record instanceof KeptRecord ? (record.answer ??= encodeAllowed(record)) : encodeAllowed(record);
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
