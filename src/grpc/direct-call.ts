/**
 * A call that is answered on its HTTP/2 stream, from its headers to its status. As on grpc-js, the caller is known
 * before the request is read, and every end of the call is counted once.
 */
import type { Http2Session, IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { TLSSocket } from "node:tls";
import type { DescMethod } from "@bufbuild/protobuf";
import { AppError } from "../domain/errors.ts";
import type { ClientCertificate } from "../domain/service-identity.ts";
import type { Call, CallControl, IncomingCall, Protocol, Surface } from "../rpc/call.ts";
import { MAX_REQUEST_BYTES } from "../rpc/limits.ts";
import type { Pipeline } from "../rpc/pipeline.ts";
import { OK, STATUS, type Status } from "../rpc/status.ts";
import { readClientCertificate } from "./client-certificate.ts";
import {
  answerTookTooLong,
  DEADLINE_SLACK_MS,
  type OpenCall,
  peerAddress,
  REQUEST_ID_HEADER,
  requestTookTooLong,
} from "./exchange.ts";
import { toGrpcStatus } from "./status.ts";

export interface DirectCallDeps {
  readonly pipeline: Pipeline;
  /** The calls that aren't finished. */
  readonly open: Set<OpenCall>;
}

/** Before each message: whether it is compressed, and its length. */
export const PREFIX_BYTES = 5;

/** Node fires longer ones at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const CONTENT_TYPE = "application/grpc+proto";
const HEADERS = [":status", "200", "content-type", CONTENT_TYPE];
const TRAILERS_FOLLOW = { waitForTrailers: true };
const NOTHING_FOLLOWS = { endStream: true };
const TRAILERS_OF_OK = { "grpc-status": "0" };

/** A stream leads to its call, so that its listeners are the same functions for all calls. */
const CALL = Symbol("call");
type DirectStream = ServerHttp2Stream & { [CALL]?: DirectCall | undefined };

function onData(this: DirectStream, chunk: Buffer): void {
  this[CALL]?.onData(chunk);
}

function onEnd(this: DirectStream): void {
  this[CALL]?.onEnd();
}

function onDrain(this: DirectStream): void {
  this[CALL]?.onDrain();
}

function onWantTrailers(this: DirectStream): void {
  this.sendTrailers(this[CALL]?.trailers ?? TRAILERS_OF_OK);
}

/** Whatever goes wrong with a stream, it closes after it. */
function onError(): void {}

function onClose(this: DirectStream): void {
  this[CALL]?.onCancel();
  // Node lets go of a stream late. What it leads to needn't wait for that.
  this[CALL] = undefined;
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

/** Certificates of connections, read once; undefined where there is none. */
const certificates = new WeakMap<Http2Session, ClientCertificate | undefined>();

function certificateOf({ session }: ServerHttp2Stream): ClientCertificate | undefined {
  if (session === undefined) return undefined;
  if (!certificates.has(session)) {
    const { socket } = session;
    const certificate = socket instanceof TLSSocket && socket.authorized ? socket.getPeerX509Certificate() : undefined;
    certificates.set(session, certificate && readClientCertificate(certificate));
  }
  return certificates.get(session);
}

export abstract class DirectCall implements IncomingCall, OpenCall {
  readonly method: DescMethod;
  readonly surface: Surface = "internal";
  readonly protocol: Protocol = "grpc";
  readonly peer: string;
  /** Those of a call that failed after its headers had left. */
  trailers: OutgoingHttpHeaders | undefined = undefined;
  protected readonly pipeline: Pipeline;
  protected readonly stream: DirectStream;
  protected readonly call: Call;
  /** On the clock of `performance.now()`. */
  protected readonly deadlineMs: number;
  /** Set once all of the request is in, or enough of it to serve the call. */
  protected hasRequest = false;
  protected isFinished = false;
  readonly #headers: IncomingHttpHeaders;
  readonly #open: Set<OpenCall>;
  #timer: NodeJS.Timeout | undefined;
  #abort: AbortController | undefined;

  /** @param timeoutMs what the client gives the call; infinite when it names no deadline */
  constructor(
    { pipeline, open }: DirectCallDeps,
    method: DescMethod,
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    timeoutMs: number,
  ) {
    this.method = method;
    this.peer = peerOf(stream);
    this.pipeline = pipeline;
    this.stream = stream;
    this.#headers = headers;
    this.#open = open;
    this.call = pipeline.open(this);
    this.deadlineMs = this.call.startedAtMs + timeoutMs;
  }

  /** The caller is known, and the request may be read. */
  protected abstract serve(): void;

  abstract onData(chunk: Buffer): void;

  /** The client has sent all. */
  abstract onEnd(): void;

  /** The client takes more again. */
  onDrain(): void {}

  /** When the call has had its time, on the clock of `performance.now()`. */
  protected abstract get endsAtMs(): number;

  header(name: string): string | undefined {
    const value = this.#headers[name];
    return typeof value === "string" ? value : undefined;
  }

  get certificate(): ClientCertificate | undefined {
    return certificateOf(this.stream);
  }

  begin(): void {
    const { stream } = this;
    stream[CALL] = this;
    stream.on("error", onError);
    stream.on("close", onClose);
    this.#open.add(this);
    this.attempt(() => {
      const pending = this.pipeline.authenticate(this.call);
      return pending === undefined ? this.#read() : pending.then(() => this.#read());
    });
  }

  /** The stream is gone: too early, or after an orderly end. */
  onCancel(): void {
    if (this.isFinished) return;
    // A client whose deadline passes resets the stream itself, often before a timer of ours.
    const isLate = this.deadlineMs - DEADLINE_SLACK_MS <= performance.now();
    this.#finish(isLate ? STATUS.deadline_exceeded : STATUS.cancelled);
    this.#abort?.abort();
  }

  isLate(nowMs: number): boolean {
    return nowMs >= this.endsAtMs;
  }

  expire(): void {
    this.fail(this.hasRequest ? answerTookTooLong() : requestTookTooLong());
  }

  /** Ends the call at its time, to the millisecond; otherwise somebody looks now and then. */
  protected watchTime(): void {
    const leftMs = Math.max(0, this.endsAtMs - performance.now());
    if (leftMs <= LONGEST_TIMER_MS) this.#timer ??= setTimeout(() => this.expire(), leftMs);
  }

  #read(): void {
    if (this.isFinished || this.isGone()) return;
    this.serve();
    this.stream.on("end", onEnd);
    this.stream.on("data", onData);
  }

  /** The client went away; the stream says so soon, and nothing can be answered until then. */
  protected isGone(): boolean {
    return this.stream.closed || this.stream.destroyed;
  }

  protected sendHeaders(): void {
    // An id that the caller doesn't know and the log doesn't hold is of no use, and every call would pay for it.
    const isQuiet = this.pipeline.isQuiet(this.call);
    const headers = isQuiet ? HEADERS : [...HEADERS, REQUEST_ID_HEADER, this.call.requestId];
    this.stream.respond(headers, TRAILERS_FOLLOW);
    this.stream.on("wantTrailers", onWantTrailers);
  }

  /** Hears of it when the client takes more again. */
  protected awaitDrain(): void {
    this.stream.once("drain", onDrain);
  }

  /** @returns false when the client takes less than it is sent */
  protected send(answer: Buffer): boolean {
    return this.stream.write(framed(answer));
  }

  /** Ends the call well, with a last answer if there is one. */
  protected succeed(answer?: Buffer): void {
    if (answer === undefined) this.stream.end();
    else this.stream.end(framed(answer));
    this.#finish(OK);
  }

  /** Does a part of the call, now or later; what is thrown ends the call. */
  protected attempt(part: () => void | Promise<void>): void {
    try {
      part()?.catch((thrown: unknown) => this.fail(thrown));
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  /** Ends the call with an error, unless it has ended: then nobody is left to hear it. */
  protected fail(thrown: unknown): void {
    // Also when nobody waits for it any more: somebody should know.
    const error = this.pipeline.toError(this.call, thrown);
    if (this.isFinished) return;
    if (!this.isGone()) this.#sendFailure(error);
    this.#finish(STATUS[error.kind]);
    this.#abort?.abort();
  }

  #sendFailure(error: AppError): void {
    const { code, details, metadata } = toGrpcStatus(error);
    const { stream } = this;
    const status = {
      "grpc-status": code,
      "grpc-message": encodeURI(details),
      ...metadata?.toHttp2Headers(),
      [REQUEST_ID_HEADER]: this.call.requestId,
    };
    if (stream.headersSent) {
      this.trailers = status;
      stream.end();
    } else {
      stream.respond({ ":status": 200, "content-type": CONTENT_TYPE, ...status }, NOTHING_FOLLOWS);
    }
    // What still comes of the request is thrown away.
    stream.resume();
  }

  #finish(outcome: Status): void {
    this.isFinished = true;
    clearTimeout(this.#timer);
    this.#open.delete(this);
    this.pipeline.finish(this.call, outcome);
  }

  protected readonly control = (): CallControl => {
    this.#abort ??= new AbortController();
    const leftMs = Math.max(0, this.deadlineMs - performance.now());
    return { signal: this.#abort.signal, timeoutMs: Number.isFinite(leftMs) ? leftMs : undefined };
  };
}

/** Length of the message behind a prefix. @throws AppError for one that can't be taken */
export function messageLength(bytes: Buffer): number {
  const length = bytes.readUInt32BE(1);
  if (length > MAX_REQUEST_BYTES) {
    throw new AppError("too_large", `The request is larger than ${MAX_REQUEST_BYTES} bytes.`);
  }
  // As gRPC's protocol says: an internal error.
  if (bytes[0] !== 0) {
    throw new AppError("internal", "The request message is compressed, and the call names no grpc-encoding.");
  }
  return length;
}

function framed(answer: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + answer.length);
  bytes[0] = 0;
  bytes.writeUInt32BE(answer.length, 1);
  bytes.set(answer, PREFIX_BYTES);
  return bytes;
}
