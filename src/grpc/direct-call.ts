/**
 * A call with one message in and one out, answered on its HTTP/2 stream without grpc-js: for methods that answer
 * encoded messages, whose own work is less than grpc-js's would be. What is unusual about a call before its message
 * (compression, a deadline that can't be read) is left to grpc-js; everything else is as in a `UnaryExchange`.
 */
import type { Http2Session, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { DescMethod } from "@bufbuild/protobuf";
import { AppError } from "../domain/errors.ts";
import type { Call, CallControl, IncomingCall, Protocol, Surface } from "../rpc/call.ts";
import { MAX_REQUEST_BYTES, MAX_TIMEOUT_MS } from "../rpc/limits.ts";
import type { Pipeline } from "../rpc/pipeline.ts";
import { OK, STATUS, type Status } from "../rpc/status.ts";
import {
  answerTookTooLong,
  DEADLINE_SLACK_MS,
  type OpenCall,
  oneMessageOnly,
  peerAddress,
  REQUEST_ID_HEADER,
  requestTookTooLong,
} from "./exchange.ts";
import { toGrpcStatus } from "./status.ts";
import type { StreamTaker } from "./stream-server.ts";
import { readTimeout } from "./timeout-header.ts";

export interface DirectCallDeps {
  readonly pipeline: Pipeline;
  /** The calls that aren't finished, the oldest first. */
  readonly open: Set<OpenCall>;
}

const PREFIX_BYTES = 5;
const CONTENT_TYPE = "application/grpc+proto";
const HEADERS = [":status", "200", "content-type", CONTENT_TYPE];
const TRAILERS_FOLLOW = { waitForTrailers: true };
const NOTHING_FOLLOWS = { endStream: true };
const TRAILERS_OF_OK = { "grpc-status": "0" };

/** Takes the calls of the methods that can be answered so. */
export function directCalls(deps: DirectCallDeps): StreamTaker {
  const methods = new Map<string, DescMethod>(
    deps.pipeline.services.flatMap(({ service, encoded = {} }) =>
      service.methods
        .filter((method) => method.methodKind === "unary" && encoded[method.localName] !== undefined)
        .map((method) => [`/${method.parent.typeName}/${method.name}`, method] as const),
    ),
  );
  return (stream, headers) => {
    const method = methods.get(headers[":path"] ?? "");
    if (method === undefined || !isUsual(headers)) return false;
    const timeout = headers["grpc-timeout"];
    const timeoutMs = timeout === undefined ? Number.POSITIVE_INFINITY : readTimeout(String(timeout));
    if (timeoutMs === undefined) return false;
    new DirectCall(deps, method, stream, headers, timeoutMs).begin();
    return true;
  };
}

function isUsual(headers: IncomingHttpHeaders): boolean {
  const encoding = headers["grpc-encoding"];
  return (
    headers[":method"] === "POST" &&
    headers["content-type"]?.startsWith("application/grpc") === true &&
    (encoding === undefined || encoding === "identity")
  );
}

/** Addresses of connections, which are slow to ask for. */
const peers = new WeakMap<Http2Session, string>();

function peerOf({ session }: ServerHttp2Stream): string {
  if (session === undefined) return peerAddress(undefined);
  let peer = peers.get(session);
  if (peer === undefined) {
    peer = peerAddress(session.socket.remoteAddress);
    peers.set(session, peer);
  }
  return peer;
}

/** A stream leads to its call, so that its listeners are the same functions for all calls. */
const CALL = Symbol("call");
type DirectStream = ServerHttp2Stream & { [CALL]?: DirectCall | undefined };

function onData(this: DirectStream, chunk: Buffer): void {
  this[CALL]?.take(chunk);
}

function onEnd(this: DirectStream): void {
  this[CALL]?.answer();
}

function onWantTrailers(this: DirectStream): void {
  this.sendTrailers(TRAILERS_OF_OK);
}

/** Whatever goes wrong with a stream, it closes after it. */
function onError(): void {}

function onClose(this: DirectStream): void {
  this[CALL]?.onCancel();
  // Node lets go of a stream late. What it leads to needn't wait for that.
  this[CALL] = undefined;
}

class DirectCall implements IncomingCall, OpenCall {
  readonly method: DescMethod;
  readonly surface: Surface = "internal";
  readonly protocol: Protocol = "grpc";
  readonly peer: string;
  readonly #deps: DirectCallDeps;
  readonly #stream: DirectStream;
  readonly #headers: IncomingHttpHeaders;
  readonly #call: Call;
  /** On the clock of `performance.now()`. */
  readonly #deadlineMs: number;
  #bytes: Buffer | undefined;
  #moreBytes: Buffer[] | undefined;
  #size = 0;
  #hasRequest = false;
  #isFinished = false;
  /** Watches the deadline of an answer that takes longer. */
  #timer: NodeJS.Timeout | undefined;
  #abort: AbortController | undefined;

  constructor(
    deps: DirectCallDeps,
    method: DescMethod,
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    timeoutMs: number,
  ) {
    this.method = method;
    this.peer = peerOf(stream);
    this.#deps = deps;
    this.#stream = stream;
    this.#headers = headers;
    this.#call = deps.pipeline.open(this);
    this.#deadlineMs = this.#call.startedAtMs + Math.min(timeoutMs, MAX_TIMEOUT_MS);
  }

  header(name: string): string | undefined {
    const value = this.#headers[name];
    return typeof value === "string" ? value : undefined;
  }

  begin(): void {
    const stream = this.#stream;
    stream[CALL] = this;
    stream.on("error", onError);
    stream.on("close", onClose);
    this.#deps.open.add(this);
    this.#attempt(() => {
      const pending = this.#deps.pipeline.authenticate(this.#call);
      return pending === undefined ? this.#read() : pending.then(() => this.#read());
    });
  }

  take(chunk: Buffer): void {
    if (this.#isFinished) return;
    this.#size += chunk.length;
    if (this.#bytes === undefined) this.#bytes = chunk;
    else (this.#moreBytes ??= []).push(chunk);
    if (this.#size > MAX_REQUEST_BYTES + PREFIX_BYTES) {
      this.#fail(new AppError("too_large", `The request is larger than ${MAX_REQUEST_BYTES} bytes.`));
    }
  }

  /** The request is in. */
  answer(): void {
    if (this.#isFinished || this.#isGone()) return;
    this.#attempt(() => {
      const request = this.#message();
      this.#hasRequest = true;
      const answer = this.#deps.pipeline.answer(this.#call, request, this.#control);
      if (!(answer instanceof Promise)) return this.#reply(answer);
      this.#timer = setTimeout(() => this.expire(), Math.max(0, this.#deadlineMs - performance.now()));
      return answer.then((bytes) => this.#reply(bytes));
    });
  }

  /** The stream is gone: too early, or after an orderly end. */
  onCancel(): void {
    if (this.#isFinished) return;
    // A client whose deadline passes resets the stream itself, often before a timer of ours.
    const isLate = this.isLate(performance.now() + DEADLINE_SLACK_MS);
    this.#finish(isLate ? STATUS.deadline_exceeded : STATUS.cancelled);
    this.#abort?.abort();
  }

  isLate(nowMs: number): boolean {
    return nowMs >= this.#deadlineMs;
  }

  expire(): void {
    this.#fail(this.#hasRequest ? answerTookTooLong() : requestTookTooLong());
  }

  #read(): void {
    if (this.#isFinished) return;
    this.#stream.on("end", onEnd);
    this.#stream.on("data", onData);
  }

  #message(): Buffer {
    const bytes =
      this.#moreBytes === undefined ? this.#bytes : Buffer.concat([this.#bytes ?? NOTHING, ...this.#moreBytes]);
    if (bytes === undefined || bytes.length < PREFIX_BYTES || bytes.readUInt32BE(1) !== bytes.length - PREFIX_BYTES) {
      throw oneMessageOnly();
    }
    if (bytes[0] !== 0) {
      throw new AppError("internal", "The request message is compressed, and the call names no grpc-encoding.");
    }
    return bytes.subarray(PREFIX_BYTES);
  }

  #reply(answer: Buffer): void {
    if (this.#isFinished || this.#isGone()) return;
    const { pipeline } = this.#deps;
    const framed = Buffer.allocUnsafe(PREFIX_BYTES + answer.length);
    framed[0] = 0;
    framed.writeUInt32BE(answer.length, 1);
    framed.set(answer, PREFIX_BYTES);
    const stream = this.#stream;
    // An id that the caller doesn't know and the log doesn't hold is of no use, and every call would pay for it.
    const headers = pipeline.isQuiet(this.#call) ? HEADERS : [...HEADERS, REQUEST_ID_HEADER, this.#call.requestId];
    stream.respond(headers, TRAILERS_FOLLOW);
    stream.on("wantTrailers", onWantTrailers);
    stream.end(framed);
    this.#finish(OK);
  }

  /** The client went away; the stream says so soon, and nothing can be answered until then. */
  #isGone(): boolean {
    return this.#stream.closed || this.#stream.destroyed;
  }

  #attempt(part: () => void | Promise<void>): void {
    try {
      part()?.catch((thrown: unknown) => this.#fail(thrown));
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** Ends the call with an error, unless it has ended: then nobody is left to hear it. */
  #fail(thrown: unknown): void {
    // Also when nobody waits for it any more: somebody should know.
    const error = this.#deps.pipeline.toError(this.#call, thrown);
    if (this.#isFinished) return;
    const { code, details, metadata } = toGrpcStatus(error);
    const stream = this.#stream;
    if (!this.#isGone()) {
      stream.respond(
        {
          ":status": 200,
          "content-type": CONTENT_TYPE,
          "grpc-status": code,
          "grpc-message": encodeURI(details),
          ...metadata?.toHttp2Headers(),
          [REQUEST_ID_HEADER]: this.#call.requestId,
        },
        NOTHING_FOLLOWS,
      );
      // What still comes of the request is thrown away.
      stream.resume();
    }
    this.#finish(STATUS[error.kind]);
    this.#abort?.abort();
  }

  #finish(outcome: Status): void {
    this.#isFinished = true;
    this.#bytes = undefined;
    this.#moreBytes = undefined;
    clearTimeout(this.#timer);
    this.#deps.open.delete(this);
    this.#deps.pipeline.finish(this.#call, outcome);
  }

  readonly #control = (): CallControl => {
    this.#abort ??= new AbortController();
    return { signal: this.#abort.signal, timeoutMs: Math.max(0, this.#deadlineMs - performance.now()) };
  };
}

const NOTHING = Buffer.alloc(0);
