/** The way of a REST request: who calls → what is asked → the handler → the product's JSON. */
import { create, type DescMethod, type Message, mergeFromJson } from "@bufbuild/protobuf";
import { UserService } from "../../gen/latchkey/v1/auth_pb.ts";
import type { Clock } from "../domain/clock.ts";
import { AppError } from "../domain/errors.ts";
import type { Profile } from "../domain/profile.ts";
import { maxRequestBytes } from "../rpc/limits.ts";
import type { Pipeline } from "../rpc/pipeline.ts";
import { type JsonAnswer, presentFailure, presentSuccess, rateLimitHeaders } from "../rpc/presentation.ts";
import { ANNOTATED_BASE_PATH, type Products, productOf } from "../rpc/product.ts";
import { OK } from "../rpc/status.ts";
import { sendJson } from "./answer.ts";
import { type Exchange, openCall } from "./exchange.ts";
import { readBody } from "./request-body.ts";
import { type FieldNames, messageFromJson } from "./request-json.ts";
import { type PathValue, urlParameters } from "./rest-parameters.ts";
import type { RestMatch, RestRoute } from "./rest-routes.ts";

const JSON_TYPE = /^application\/json *(?:; *charset="?utf-8"? *)?$/i;

export interface RestDeps {
  readonly pipeline: Pipeline;
  readonly products: Products;
  readonly clock: Clock;
}

/** Answers one request, whatever happens, as the product does. */
export async function handleRest(
  { pipeline, products, clock }: RestDeps,
  exchange: Exchange,
  basePath: string,
  { route, pathValues }: Extract<RestMatch, { route: RestRoute }>,
): Promise<void> {
  const template = basePath + route.template.slice(ANNOTATED_BASE_PATH.length);
  const { call, settle } = openCall(pipeline, exchange, { method: route.method, protocol: "rest", template });
  let answer: JsonAnswer;
  try {
    await pipeline.authenticate(call);
    const product = productOf(products, call.caller, call, basePath);
    if (!offers(product, route, basePath)) throw nothingHere();
    call.product = product;
    const request = await readRequest(exchange, product, route, pathValues);
    const control = { signal: exchange.signal, timeoutMs: undefined };
    answer = presentSuccess(product, route.method, await pipeline.unary(call, route.handler, request, control));
    settle(OK);
  } catch (thrown) {
    const error = pipeline.toError(call, thrown);
    answer = presentFailure(productOf(products, call.caller, call, basePath), error, clock());
    settle(error);
  }
  const { caller } = call;
  const rate = caller.kind === "token" ? caller.rateStatus : undefined;
  const rateHeaders = rate && rateLimitHeaders(productOf(products, caller, call, basePath), rate);
  await sendJson(exchange, answer, { ...rateHeaders, ...answer.headers });
}

/** The answer for a path that isn't one of the product's. */
export function nothingHere(): AppError {
  return new AppError("not_found", "There is nothing at this path.");
}

function offers({ basePaths, presentation }: Profile, { method }: RestRoute, basePath: string): boolean {
  const isOffered = method !== UserService.method.getMe || presentation.responses.me !== undefined;
  return isOffered && basePaths.includes(basePath);
}

async function readRequest(
  exchange: Exchange,
  { presentation: { requestFields } }: Profile,
  { method, body }: RestRoute,
  pathValues: readonly PathValue[],
): Promise<Message> {
  const parameters = urlParameters(method.input, pathValues, exchange.query, body, requestFields);
  const bytes = await readBody(exchange, maxRequestBytes(method));
  const request = bytes.length === 0 ? create(method.input) : readMessage(exchange, method, body, bytes, requestFields);
  const key = exchange.header("idempotency-key");
  if (key !== undefined && method.input.field["idempotencyKey"] !== undefined) {
    Object.assign(request, { idempotencyKey: key });
  }
  // Last, so that what the path names is what the call is about.
  return mergeFromJson(method.input, request, parameters);
}

function readMessage(
  exchange: Exchange,
  method: DescMethod,
  body: string,
  bytes: Uint8Array,
  names: FieldNames,
): Message {
  if (body === "") throw new AppError("invalid_argument", "This route takes no body.");
  if (!JSON_TYPE.test(exchange.header("content-type") ?? "")) {
    throw new AppError("unsupported_media_type", "The body must be application/json.");
  }
  return messageFromJson(method.input, bytes, body === "*" ? undefined : body, names);
}
