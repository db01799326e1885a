/** The way of a REST request: who calls → what is asked → the handler → the product's JSON. */
import { create, type DescMethod, type Message, mergeFromJson } from "@bufbuild/protobuf";
import { AppError } from "../domain/errors.ts";
import { maxRequestBytes } from "../rpc/limits.ts";
import type { Pipeline } from "../rpc/pipeline.ts";
import { OK } from "../rpc/status.ts";
import { sendJson } from "./answer.ts";
import { type Exchange, openCall } from "./exchange.ts";
import type { JsonAnswer, Presenter } from "./presenter.ts";
import { readBody } from "./request-body.ts";
import { messageFromJson } from "./request-json.ts";
import { type PathValue, urlParameters } from "./rest-parameters.ts";
import type { RestRoute } from "./rest-routes.ts";

const JSON_TYPE = /^application\/json *(?:; *charset="?utf-8"? *)?$/i;

/** Answers one request, whatever happens, as the presenter says. */
export async function handleRest(
  { pipeline, presenter }: { readonly pipeline: Pipeline; readonly presenter: Presenter },
  exchange: Exchange,
  { route, pathValues }: { readonly route: RestRoute; readonly pathValues: readonly PathValue[] },
): Promise<void> {
  const { call, settle } = openCall(pipeline, exchange, route.method, "rest");
  let answer: JsonAnswer;
  try {
    await pipeline.authenticate(call);
    const request = await readRequest(exchange, route, pathValues);
    const control = { signal: exchange.signal, timeoutMs: undefined };
    const response = await pipeline.unary(call, route.handler, request, control);
    answer = presenter.success(route.method, response);
    settle(OK);
  } catch (thrown) {
    const error = pipeline.toError(call, thrown);
    answer = presenter.failure(error);
    settle(error);
  }
  await sendJson(exchange, answer);
}

async function readRequest(
  exchange: Exchange,
  { method, body }: RestRoute,
  pathValues: readonly PathValue[],
): Promise<Message> {
  const parameters = urlParameters(method.input, pathValues, exchange.query, body);
  const bytes = await readBody(exchange, maxRequestBytes(method));
  const request = bytes.length === 0 ? create(method.input) : readMessage(exchange, method, body, bytes);
  // Last, so that what the path names is what the call is about.
  return mergeFromJson(method.input, request, parameters);
}

function readMessage(exchange: Exchange, method: DescMethod, body: string, bytes: Uint8Array): Message {
  if (body === "") throw new AppError("invalid_argument", "This route takes no body.");
  if (!JSON_TYPE.test(exchange.header("content-type") ?? "")) {
    throw new AppError("unsupported_media_type", "The body must be application/json.");
  }
  return messageFromJson(method.input, bytes, body === "*" ? undefined : body);
}
