/**
 * One call on grpc-js, from its headers to its status. The caller is known before the body is read;
 * every end of the call carries the request id and is logged once, also when grpc-js itself ends it or
 * the client goes away.
 */
import { type DescMethod, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import {
  status as grpcCode,
  Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
} from "@grpc/grpc-js";
import { AppError } from "../domain/errors.ts";
import type { Call, CallControl } from "../rpc/call.ts";
import type { StreamHandler, UnaryHandler } from "../rpc/handlers.ts";
import { MAX_TIMEOUT_MS, maxRequestBytes } from "../rpc/limits.ts";
import type { Pipeline } from "../rpc/pipeline.ts";
import { OK, STATUS, type Status } from "../rpc/status.ts";
import { toGrpcStatus } from "./status.ts";

/** A method and what answers it. */
export type Route =
  | { readonly kind: "unary"; readonly method: DescMethod; readonly handler: UnaryHandler<DescMethod> }
  | {
      readonly kind: "server_streaming" | "bidi_streaming";
      readonly method: DescMethod;
      readonly handler: StreamHandler<DescMethod>;
    };

const REQUEST_ID_HEADER = "x-request-id";

type GrpcStatus = Parameters<ServerInterceptingCallInterface["sendStatus"]>[0];

/** Messages of a stream that may wait for a slow client before the handler does. */
const MAX_UNSENT = 16;

const STATUS_BY_CODE: ReadonlyMap<number, Status> = new Map(
  [...Object.values(STATUS), OK].map((status) => [status.code, status]),
);

/**
 * grpc-js lets an interceptor take a call over as soon as its headers are in, while its own handlers start
 * after the body. So this takes the place of both: it drives the transport and leaves the handler out.
 */
export class Exchange extends ServerInterceptingCall {
  readonly #pipeline: Pipeline;
  readonly #route: Route;
  readonly #transport: ServerInterceptingCallInterface;
  readonly #open: Set<Exchange>;
  readonly #abort = new AbortController();
  #call: Call | undefined;
  #isFinished = false;
  #arrival: NodeJS.Timeout | undefined;
  /** Resolves the read that waits: with a message, or with undefined when no more will come. */
  #onRead: ((bytes: Buffer | undefined) => void) | undefined;
  #unsent = 0;
  #onSent: (() => void) | undefined;

  /** @param open where the call stands until it is finished */
  constructor(pipeline: Pipeline, route: Route, transport: ServerInterceptingCallInterface, open: Set<Exchange>) {
    super(transport);
    this.#pipeline = pipeline;
    this.#route = route;
    this.#transport = transport;
    this.#open = open;
    // grpc-js ends some calls by itself (too long a message, a deadline). This is where all ends meet.
    const sendStatus = transport.sendStatus.bind(transport);
    transport.sendStatus = (status) => sendStatus(this.#conclude(status));
  }

  /** Called by grpc-js with its own handler's listener, which stays out of it. */
  override start(): void {
    this.#transport.start(this);
  }

  onReceiveMetadata(metadata: Metadata): void {
    this.#call = this.#pipeline.open({
      method: this.#route.method,
      surface: "internal",
      protocol: "grpc",
      peer: peerAddress(this.#transport.getConnectionInfo().remoteAddress),
      header: (name) => {
        const [value] = metadata.get(name);
        return typeof value === "string" ? value : undefined;
      },
    });
    this.#open.add(this);
    void this.#serve(this.#call);
  }

  onReceiveMessage(bytes: Buffer): void {
    this.#onRead?.(bytes);
  }

  onReceiveHalfClose(): void {
    this.#onRead?.(undefined);
  }

  /** The stream is gone: too early, or after an orderly end. */
  onCancel(): void {
    if (this.#isFinished) return;
    // A client whose deadline passes resets the stream itself, often before a timer of ours.
    const isLate = Number(this.#transport.getDeadline()) <= Date.now();
    this.#finish(isLate ? STATUS.deadline_exceeded : STATUS.cancelled);
    this.#abort.abort();
  }

  /** Never rejects. */
  async #serve(call: Call): Promise<void> {
    // A client that never sends its request must not hold its place, and there may be no deadline.
    this.#arrival = setTimeout(
      () => this.#fail(call, new AppError("deadline_exceeded", "The request took too long to arrive.")),
      MAX_TIMEOUT_MS,
    );
    try {
      await this.#pipeline.authenticate(call);
      if (this.#route.kind === "unary") await this.#serveUnary(call, this.#route.handler);
      else await this.#serveStream(call, this.#route.handler);
    } catch (thrown) {
      this.#fail(call, thrown);
    }
  }

  async #serveUnary(call: Call, handler: UnaryHandler<DescMethod>): Promise<void> {
    const request = this.#decode(await this.#readOnly());
    const response = await this.#pipeline.unary(call, handler, request, this.#control());
    const bytes = this.#encode(response);
    if (this.#isFinished) return;
    this.#sendHeaders(call);
    // The status needn't wait until the message is out: they leave in this order, in one write.
    this.#transport.sendMessage(bytes, () => {});
    this.#transport.sendStatus({ code: grpcCode.OK, details: "OK" });
  }

  async #serveStream(call: Call, handler: StreamHandler<DescMethod>): Promise<void> {
    const requests = this.#route.kind === "bidi_streaming" ? this.#readAll() : [await this.#readOnly()];
    clearTimeout(this.#arrival);
    if (this.#isFinished) return;
    this.#sendHeaders(call);
    const responses = this.#pipeline.stream(call, handler, this.#decodeAll(requests), this.#control());
    for await (const response of responses) {
      if (this.#isFinished) return;
      await this.#send(this.#encode(response));
    }
    if (!this.#isFinished) this.#transport.sendStatus({ code: grpcCode.OK, details: "OK" });
  }

  /** Ends the call with an error, unless it has ended: then nobody is left to hear it. */
  #fail(call: Call, thrown: unknown): void {
    if (this.#isFinished) return;
    this.#transport.sendStatus(toGrpcStatus(this.#pipeline.toError(call, thrown)));
  }

  /** What leaves as the call's status. */
  #conclude(status: GrpcStatus): GrpcStatus {
    const call = this.#call;
    if (this.#isFinished || call === undefined) return status;
    this.#finish(STATUS_BY_CODE.get(status.code) ?? STATUS.internal);
    if (status.code === grpcCode.OK) return status;
    this.#abort.abort();
    const metadata = status.metadata?.clone() ?? new Metadata();
    metadata.set(REQUEST_ID_HEADER, call.requestId);
    return { ...status, metadata };
  }

  #finish(outcome: Status): void {
    this.#isFinished = true;
    this.#open.delete(this);
    clearTimeout(this.#arrival);
    if (this.#call) this.#pipeline.finish(this.#call, outcome);
    this.#onRead?.(undefined);
    this.#onSent?.();
  }

  #control(): CallControl {
    const leftMs = Math.max(0, Number(this.#transport.getDeadline()) - Date.now());
    return { signal: this.#abort.signal, timeoutMs: Number.isFinite(leftMs) ? leftMs : undefined };
  }

  #sendHeaders(call: Call): void {
    const metadata = new Metadata();
    metadata.set(REQUEST_ID_HEADER, call.requestId);
    this.#transport.sendMetadata(metadata);
  }

  /** Resolves when there is room for another message, or the call is over. */
  async #send(bytes: Buffer): Promise<void> {
    this.#unsent += 1;
    this.#transport.sendMessage(bytes, () => {
      this.#unsent -= 1;
      this.#onSent?.();
    });
    if (this.#unsent < MAX_UNSENT || this.#isFinished) return;
    await new Promise<void>((resolve) => {
      this.#onSent = resolve;
    });
  }

  /** The next message, or undefined when no more will come. */
  #read(): Promise<Buffer | undefined> {
    if (this.#isFinished) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#onRead = resolve;
      this.#transport.startRead();
    });
  }

  /** The one message of a request that isn't a stream. */
  async #readOnly(): Promise<Buffer> {
    const bytes = await this.#read();
    const end = bytes && (await this.#read());
    clearTimeout(this.#arrival);
    if (bytes === undefined || end !== undefined) {
      throw new AppError("unimplemented", "The method takes exactly one request message.");
    }
    return bytes;
  }

  async *#readAll(): AsyncGenerator<Buffer> {
    for (let bytes = await this.#read(); bytes !== undefined; bytes = await this.#read()) yield bytes;
  }

  async *#decodeAll(requests: Iterable<Buffer> | AsyncIterable<Buffer>): AsyncGenerator<Message> {
    for await (const bytes of requests) yield this.#decode(bytes);
  }

  #decode(bytes: Buffer): Message {
    const { method } = this.#route;
    const limit = maxRequestBytes(method);
    if (bytes.byteLength > limit) throw new AppError("too_large", `The request is larger than ${limit} bytes.`);
    try {
      return fromBinary(method.input, bytes);
    } catch {
      throw new AppError("invalid_argument", `The request is not a valid ${method.input.typeName} message.`);
    }
  }

  #encode(message: Message): Buffer {
    const bytes = toBinary(this.#route.method.output, message);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}

/** The peer as it is logged. A listener on both families shows IPv4 peers in their mapped form. */
export function peerAddress(remoteAddress: string | undefined): string {
  return remoteAddress?.replace(/^::ffff:(?=\d+\.)/i, "") ?? "unknown";
}
