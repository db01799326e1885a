/**
 * Serves the Connect protocol and gRPC-Web at `/<service>/<method>`. Connect frames, encodes and maps
 * status codes; everything that is decided about a call is decided in the pipeline or here, because
 * what Connect says of a message that it can't read or write quotes the message.
 */
import {
  type DescMethod,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type Message,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import {
  ConnectError,
  type ConnectRouter,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.ts";
import type { Clock } from "../domain/clock.ts";
import { AppError, invalidArgument } from "../domain/errors.ts";
import { retryAfterSeconds } from "../domain/rate-window.ts";
import type { CallControl, Protocol } from "../rpc/call.ts";
import type { ServiceEntry, StreamHandler, UnaryHandler } from "../rpc/handlers.ts";
import { maxRequestBytes } from "../rpc/limits.ts";
import type { Pipeline } from "../rpc/pipeline.ts";
import { OK, STATUS } from "../rpc/status.ts";
import { send, sendJson } from "./answer.ts";
import { browserOf } from "./browser.ts";
import { type Exchange, type HttpCall, openCall } from "./exchange.ts";
import { compressed, readBody } from "./request-body.ts";
import { messageFromJson } from "./request-json.ts";

/** How a request message is put on the wire. */
interface WireFormat {
  readonly contentType: string;
  readonly protocol: Protocol;
  readonly isJson: boolean;
  /** Whether the message has five bytes in front: a byte of flags, and its length. */
  readonly isEnveloped: boolean;
}

const FORMATS: readonly WireFormat[] = [
  { contentType: "application/json", protocol: "connect", isJson: true, isEnveloped: false },
  { contentType: "application/proto", protocol: "connect", isJson: false, isEnveloped: false },
  { contentType: "application/connect+json", protocol: "connect", isJson: true, isEnveloped: true },
  { contentType: "application/connect+proto", protocol: "connect", isJson: false, isEnveloped: true },
  { contentType: "application/grpc-web", protocol: "grpc-web", isJson: false, isEnveloped: true },
  { contentType: "application/grpc-web+proto", protocol: "grpc-web", isJson: false, isEnveloped: true },
  { contentType: "application/grpc-web+json", protocol: "grpc-web", isJson: true, isEnveloped: true },
];

const ENVELOPE_BYTES = 5;

/** Timers count to here; later ones fire at once. */
const MAX_TIMER_MS = 0x7fffffff;

const GRPC_TIMEOUT_UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** A call on its way through Connect. */
interface BridgedCall extends HttpCall {
  readonly exchange: Exchange;
  readonly format: WireFormat;
  /** Set once the call's headers have been read. */
  timeoutMs: number | undefined;
}

const BRIDGED_CALL = createContextKey<BridgedCall | undefined>(undefined);

export interface ConnectBridgeDeps {
  readonly pipeline: Pipeline;
  readonly services: readonly ServiceEntry[];
  readonly clock: Clock;
  /** Where people find the dashboard, if that is set. */
  readonly publicUrl: string | undefined;
}

export class ConnectBridge {
  readonly #pipeline: Pipeline;
  readonly #handlers: ReadonlyMap<string, UniversalHandler>;
  readonly #clock: Clock;
  readonly #publicUrl: string | undefined;

  /** Serves the unary and the server-streaming methods; the others need HTTP/2, and the gRPC port has it. */
  constructor({ pipeline, services, clock, publicUrl }: ConnectBridgeDeps) {
    this.#pipeline = pipeline;
    this.#clock = clock;
    this.#publicUrl = publicUrl;
    const router = createConnectRouter({
      grpc: false,
      jsonOptions: { ignoreUnknownFields: false },
      requestGate: (context) => this.#admit(context),
    });
    for (const { service, handlers } of services) {
      for (const method of service.methods) {
        const handler = handlers[method.localName];
        if (handler !== undefined) this.#route(router, method, handler);
      }
    }
    this.#handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  }

  /** Whether the path is one of a method. */
  serves(path: string): boolean {
    return this.#handlers.has(path);
  }

  /** Answers a POST to a path that is served. Rejects when the answer can't be finished. */
  async handle(exchange: Exchange): Promise<void> {
    const handler = this.#handlers.get(exchange.path);
    if (handler === undefined) throw new Error("not a path of the bridge");
    const format = formatOf(handler.method, exchange.header("content-type"));
    const httpCall = openCall(this.#pipeline, exchange, {
      method: handler.method,
      protocol: format?.protocol ?? "connect",
      // The protocol of our own pages, and the only one that a cookie counts with.
      browser: format?.protocol === "connect" ? browserOf(exchange, this.#publicUrl) : undefined,
    });
    if (format === undefined) {
      await this.#refuseFormat(exchange, httpCall);
      return;
    }
    const bridged: BridgedCall = { ...httpCall, exchange, format, timeoutMs: undefined };
    const answer = await handler({
      httpVersion: exchange.request.httpVersion,
      method: "POST",
      url: `http://localhost${exchange.path}`,
      // Nothing but the type: compression and deadlines are not left to Connect.
      header: new Headers({ "content-type": format.contentType }),
      body: this.#readableBody(bridged),
      signal: exchange.signal,
      contextValues: createContextValues().set(BRIDGED_CALL, bridged),
    });
    await send(exchange, answer.status, answer.header ?? {}, answer.body ?? []);
  }

  #route(
    router: ConnectRouter,
    method: DescMethod,
    handler: UnaryHandler<DescMethod> | StreamHandler<DescMethod>,
  ): void {
    const options = { readMaxBytes: maxRequestBytes(method) };
    switch (method.methodKind) {
      case "unary": {
        const unary = handler as UnaryHandler<DescMethod>;
        router.rpc(
          method as DescMethodUnary,
          (request, context) => this.#unary(unary, request, bridgedCall(context)),
          options,
        );
        break;
      }
      case "server_streaming": {
        const stream = handler as StreamHandler<DescMethod>;
        router.rpc(
          method as DescMethodServerStreaming,
          (request, context) => this.#stream(stream, request, bridgedCall(context)),
          options,
        );
        break;
      }
      case "client_streaming":
      case "bidi_streaming":
        break;
    }
  }

  /** Lets a call in on the strength of its headers, before any of its body is read. */
  async #admit(context: HandlerContext): Promise<void> {
    const bridged = bridgedCall(context);
    try {
      await this.#pipeline.authenticate(bridged.call);
      bridged.timeoutMs = readTimeoutMs(bridged);
    } catch (thrown) {
      throw this.#fail(bridged, thrown);
    }
  }

  async #unary(handler: UnaryHandler<DescMethod>, request: Message, bridged: BridgedCall): Promise<Message> {
    try {
      const response = await this.#pipeline.unary(bridged.call, handler, request, control(bridged));
      checkEncodable(bridged, response);
      bridged.settle(OK);
      return response;
    } catch (thrown) {
      throw this.#fail(bridged, thrown);
    }
  }

  async *#stream(handler: StreamHandler<DescMethod>, request: Message, bridged: BridgedCall): AsyncGenerator<Message> {
    const { exchange, call } = bridged;
    // Only now: an idle stream is fine, an idle request is not.
    exchange.response.setTimeout(0);
    const limits = control(bridged);
    const deadline =
      limits.timeoutMs === undefined
        ? undefined
        : setTimeout(
            () => exchange.abort(new AppError("deadline_exceeded", "The call took longer than its deadline.")),
            Math.min(limits.timeoutMs, MAX_TIMER_MS),
          );
    try {
      for await (const response of this.#pipeline.stream(call, handler, only(request), limits)) {
        checkEncodable(bridged, response);
        yield response;
      }
      // A handler that was told to stop may have ended as if it were done.
      exchange.signal.throwIfAborted();
      bridged.settle(OK);
    } catch (thrown) {
      throw this.#fail(bridged, exchange.signal.aborted ? exchange.signal.reason : thrown);
    } finally {
      clearTimeout(deadline);
    }
  }

  /** The body, once it has been seen to hold a message that Connect will be able to read. */
  async *#readableBody(bridged: BridgedCall): AsyncGenerator<Uint8Array> {
    const { exchange, call, format } = bridged;
    let body: Uint8Array;
    try {
      body = await readBody(exchange, maxRequestBytes(call.method), format.isEnveloped ? ENVELOPE_BYTES : 0);
      const message = format.isEnveloped ? openEnvelope(body) : body;
      if (format.isJson) messageFromJson(call.method.input, message);
      else checkBinary(call.method, message);
    } catch (thrown) {
      throw this.#fail(bridged, thrown);
    }
    yield body;
  }

  /** Makes an error leave through Connect, which sends a ConnectError as it is. */
  #fail(bridged: BridgedCall, thrown: unknown): ConnectError {
    const error = this.#pipeline.toError(bridged.call, thrown);
    bridged.settle(error);
    if (error.rateStatus !== undefined && !bridged.exchange.response.headersSent) {
      const seconds = retryAfterSeconds(error.rateStatus, this.#clock());
      bridged.exchange.response.setHeader("Retry-After", `${seconds}`);
    }
    return connectError(error);
  }

  async #refuseFormat(exchange: Exchange, { call, settle }: HttpCall): Promise<void> {
    let error = new AppError("unsupported_media_type", "The content type is not one that this method takes.");
    try {
      await this.#pipeline.authenticate(call);
    } catch (thrown) {
      error = this.#pipeline.toError(call, thrown);
    }
    settle(error);
    await sendJson(exchange, { status: STATUS[error.kind].http, body: errorToJson(connectError(error), undefined) });
  }
}

function bridgedCall(context: HandlerContext): BridgedCall {
  const bridged = context.values.get(BRIDGED_CALL);
  if (bridged === undefined) throw new Error("a call without its exchange");
  return bridged;
}

function connectError({ kind, message, violations }: AppError): ConnectError {
  const fieldViolations = violations.map(({ field, description }) => ({ field, description }));
  return new ConnectError(
    message,
    // Connect numbers its codes as gRPC does.
    STATUS[kind].code,
    undefined,
    violations.length === 0 ? [] : [{ desc: BadRequestSchema, value: { fieldViolations } }],
  );
}

/** A unary method of the Connect protocol takes a bare message; everything else comes in envelopes. */
function formatOf(method: DescMethod, contentType: string | undefined): WireFormat | undefined {
  const type = /^([^; ]+) *(?:; *charset="?utf-8"? *)?$/i.exec(contentType ?? "")?.[1]?.toLowerCase();
  const format = FORMATS.find((candidate) => candidate.contentType === type);
  const isStream = method.methodKind !== "unary";
  return format?.protocol === "connect" && format.isEnveloped !== isStream ? undefined : format;
}

/** What the call has left of the time that its client gives it; the pipeline holds it to that. */
function control({ exchange, call, timeoutMs }: BridgedCall): CallControl {
  return {
    signal: exchange.signal,
    timeoutMs: timeoutMs === undefined ? undefined : Math.max(0, timeoutMs - (performance.now() - call.startedAtMs)),
  };
}

/** Connect would refuse a long deadline, and end a call that runs out of time as cancelled. */
function readTimeoutMs({ exchange, format }: BridgedCall): number | undefined {
  const name = format.protocol === "grpc-web" ? "grpc-timeout" : "connect-timeout-ms";
  const text = exchange.header(name);
  if (text === undefined) return undefined;
  const pattern = format.protocol === "grpc-web" ? /^(\d{1,8})([HMSmun])$/ : /^(\d{1,10})()$/;
  const [, count, unit = ""] = pattern.exec(text) ?? [];
  if (count === undefined) throw invalidArgument({ field: name, description: "is not a timeout" });
  return Number(count) * (GRPC_TIMEOUT_UNIT_MS[unit] ?? 1);
}

/** The one message in a body of envelopes. */
function openEnvelope(body: Uint8Array): Uint8Array {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  if (body.length < ENVELOPE_BYTES || view.getUint32(1) !== body.length - ENVELOPE_BYTES) {
    throw new AppError("invalid_argument", "The request body must hold exactly one message.");
  }
  if (view.getUint8(0) !== 0) throw compressed();
  return body.subarray(ENVELOPE_BYTES);
}

function checkBinary({ input }: DescMethod, bytes: Uint8Array): void {
  try {
    fromBinary(input, bytes);
  } catch {
    throw new AppError("invalid_argument", `The request body is not a ${input.typeName}.`);
  }
}

/** Throws what Connect would send to the client in its own words, values included. */
function checkEncodable({ call, format }: BridgedCall, response: Message): void {
  if (format.isJson) toJson(call.method.output, response);
  else toBinary(call.method.output, response);
}

async function* only(request: Message): AsyncGenerator<Message> {
  yield request;
}
