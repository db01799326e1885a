/**
 * One call on grpc-js, from its headers to its status. The caller is known before the body is read;
 * every end of the call carries the request id and is logged once, also when grpc-js itself ends it or
 * the client goes away.
 */
import { X509Certificate } from "node:crypto";
import type { DescMethod } from "@bufbuild/protobuf";
import {
  status as grpcCode,
  Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
} from "@grpc/grpc-js";
import { AppError } from "../domain/errors.ts";
import type { ClientCertificate } from "../domain/service-identity.ts";
import type { Call, CallControl, IncomingCall, Protocol, Surface } from "../rpc/call.ts";
import { MAX_TIMEOUT_MS } from "../rpc/limits.ts";
import type { Pipeline } from "../rpc/pipeline.ts";
import { OK, STATUS, type Status } from "../rpc/status.ts";
import { readClientCertificate } from "./client-certificate.ts";
import type { OpenCall, OpenCalls } from "./open-calls.ts";
import { toGrpcStatus } from "./status.ts";

/** What the exchanges of a server share. */
export interface ExchangeDeps {
  readonly pipeline: Pipeline;
  /** The calls that aren't finished. */
  readonly open: OpenCalls;
}

/** A client's deadline counts from when it sent the call, and so comes a little before ours. */
export const DEADLINE_SLACK_MS = 20;

export const REQUEST_ID_HEADER = "x-request-id";

export type GrpcStatus = Parameters<ServerInterceptingCallInterface["sendStatus"]>[0];

const STATUS_BY_CODE: ReadonlyMap<number, Status> = new Map(
  [...Object.values(STATUS), OK].map((status) => [status.code, status]),
);

const NO_HEADERS = new Metadata();

export const OK_STATUS: GrpcStatus = { code: grpcCode.OK, details: "" };

/**
 * grpc-js lets an interceptor take a call over as soon as its headers are in, while its own handlers start
 * after the body. So this takes the place of both: it drives the transport and leaves the handler out.
 */
export abstract class Exchange extends ServerInterceptingCall implements IncomingCall, OpenCall {
  place = -1;
  readonly method: DescMethod;
  readonly surface: Surface = "internal";
  readonly protocol: Protocol = "grpc";
  readonly peer: string;
  protected readonly pipeline: Pipeline;
  protected readonly transport: ServerInterceptingCallInterface;
  /** Set once all of the request is in, or enough of it to serve the call. */
  protected hasRequest = false;
  protected isFinished = false;
  readonly #open: OpenCalls;
  #metadata = NO_HEADERS;
  #call: Call | undefined;
  #certificate: ClientCertificate | undefined;
  /** Made when somebody asks for its signal. */
  #abort: AbortController | undefined;

  constructor({ pipeline, open }: ExchangeDeps, method: DescMethod, transport: ServerInterceptingCallInterface) {
    super(transport);
    this.pipeline = pipeline;
    this.method = method;
    this.transport = transport;
    this.peer = peerAddress(transport.getConnectionInfo().remoteAddress);
    this.#open = open;
    // grpc-js ends some calls by itself (too long a message, a deadline). This is where all ends meet.
    const sendStatus = transport.sendStatus.bind(transport);
    transport.sendStatus = (status) => sendStatus(this.#conclude(status));
  }

  /** The caller is known, and the request may be read. */
  protected abstract serve(call: Call): void | Promise<void>;

  abstract onReceiveMessage(bytes: Buffer): void;

  abstract onReceiveHalfClose(): void;

  /** Somebody who waits for the request or for the client to read needn't wait any more. */
  protected onFinish(): void {}

  /** Called by grpc-js with its own handler's listener, which stays out of it. */
  override start(): void {
    this.transport.start(this);
  }

  onReceiveMetadata(metadata: Metadata): void {
    this.#metadata = metadata;
    const call = this.pipeline.open(this);
    this.#call = call;
    this.#open.add(this);
    this.attempt(() => {
      const pending = this.pipeline.authenticate(call);
      return pending === undefined ? this.#begin(call) : pending.then(() => this.#begin(call));
    });
  }

  header(name: string): string | undefined {
    const [value] = this.#metadata.get(name);
    return typeof value === "string" ? value : undefined;
  }

  /**
   * Of the class, as all that a call is asked for: an object with a getter of its own gets a hidden class of its own
   * too, which is old from the start, and keeps the call until a full collection.
   */
  get certificate(): ClientCertificate | undefined {
    return (this.#certificate ??= certificateOf(this.transport));
  }

  /** The stream is gone: too early, or after an orderly end. */
  onCancel(): void {
    if (this.isFinished) return;
    // A client whose deadline passes resets the stream itself, often before a timer of ours.
    const isLate = Number(this.transport.getDeadline()) - DEADLINE_SLACK_MS <= Date.now();
    this.#finish(isLate ? STATUS.deadline_exceeded : STATUS.cancelled);
    this.#abort?.abort();
  }

  isLate(nowMs: number): boolean {
    return (
      nowMs - (this.#call?.startedAtMs ?? nowMs) >= MAX_TIMEOUT_MS &&
      (!this.hasRequest || this.method.methodKind === "unary")
    );
  }

  /** A client that never sends its request must not hold its place. */
  expire(): void {
    this.fail(this.hasRequest ? answerTookTooLong() : requestTookTooLong());
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
    if (this.#call === undefined) return;
    // Also when nobody waits for it any more: somebody should know.
    const error = this.pipeline.toError(this.#call, thrown);
    if (!this.isFinished) this.transport.sendStatus(toGrpcStatus(error));
  }

  protected readonly control = (): CallControl => {
    const leftMs = Math.max(0, Number(this.transport.getDeadline()) - Date.now());
    this.#abort ??= new AbortController();
    return { signal: this.#abort.signal, timeoutMs: Number.isFinite(leftMs) ? leftMs : undefined };
  };

  protected sendHeaders(call: Call): void {
    // An id that the caller doesn't know and the log doesn't hold is of no use, and every call would pay for it.
    if (this.pipeline.isQuiet(call)) return this.transport.sendMetadata(NO_HEADERS);
    const metadata = new Metadata();
    metadata.set(REQUEST_ID_HEADER, call.requestId);
    this.transport.sendMetadata(metadata);
  }

  #begin(call: Call): void | Promise<void> {
    return this.isFinished ? undefined : this.serve(call);
  }

  /** What leaves as the call's status. */
  #conclude(status: GrpcStatus): GrpcStatus {
    const call = this.#call;
    if (this.isFinished || call === undefined) return status;
    this.#finish(STATUS_BY_CODE.get(status.code) ?? STATUS.internal);
    if (status.code === grpcCode.OK) return status;
    this.#abort?.abort();
    const metadata = status.metadata?.clone() ?? new Metadata();
    metadata.set(REQUEST_ID_HEADER, call.requestId);
    return { ...status, metadata };
  }

  #finish(outcome: Status): void {
    this.isFinished = true;
    this.#open.delete(this);
    if (this.#call) this.pipeline.finish(this.#call, outcome);
    this.onFinish();
  }
}

export function requestTookTooLong(): AppError {
  return new AppError("deadline_exceeded", "The request took too long to arrive.");
}

export function answerTookTooLong(): AppError {
  return new AppError("deadline_exceeded", "The call took longer than its deadline.");
}

export function oneMessageOnly(): AppError {
  return new AppError("unimplemented", "The method takes exactly one request message.");
}

/** That of the connection, where it is verified. */
function certificateOf(transport: ServerInterceptingCallInterface): ClientCertificate | undefined {
  const { sslPeerCertificate } = transport.getAuthContext();
  return sslPeerCertificate && readClientCertificate(new X509Certificate(sslPeerCertificate.raw));
}

/** The peer as it is logged. A listener on both families shows IPv4 peers in their mapped form. */
export function peerAddress(remoteAddress: string | undefined): string {
  if (remoteAddress === undefined) return "unknown";
  return remoteAddress.startsWith("::ffff:") ? remoteAddress.replace(/^::ffff:(?=\d+\.)/, "") : remoteAddress;
}
