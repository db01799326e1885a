/** A call whose answers are a stream; its requests are one message, or a stream too. */
import { type DescMethod, type Message, toBinary } from "@bufbuild/protobuf";
import type { ServerInterceptingCallInterface } from "@grpc/grpc-js";
import type { Call } from "../rpc/call.ts";
import type { StreamHandler } from "../rpc/handlers.ts";
import { decodeRequest } from "../rpc/messages-in.ts";
import { Exchange, type ExchangeDeps, OK_STATUS, oneMessageOnly } from "./exchange.ts";

/** Messages of a stream that may wait for a slow client before the handler does. */
const MAX_UNSENT = 16;

export class StreamExchange extends Exchange {
  readonly #handler: StreamHandler<DescMethod>;
  /** Resolves the read that waits: with a message, or with undefined when no more will come. */
  #onRead: ((bytes: Buffer | undefined) => void) | undefined;
  #unsent = 0;
  #onSent: (() => void) | undefined;

  constructor(
    deps: ExchangeDeps,
    method: DescMethod,
    transport: ServerInterceptingCallInterface,
    handler: StreamHandler<DescMethod>,
  ) {
    super(deps, method, transport);
    this.#handler = handler;
  }

  protected override async serve(call: Call): Promise<void> {
    const requests = this.method.methodKind === "bidi_streaming" ? this.#readAll() : [await this.#readOnly()];
    this.hasRequest = true;
    if (this.isFinished) return;
    this.sendHeaders(call);
    const responses = this.pipeline.stream(call, this.#handler, this.#decodeAll(requests), this.control());
    for await (const response of responses) {
      if (this.isFinished) return;
      const bytes = toBinary(this.method.output, response);
      await this.#send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    }
    if (!this.isFinished) this.transport.sendStatus(OK_STATUS);
  }

  override onReceiveMessage(bytes: Buffer): void {
    this.#onRead?.(bytes);
  }

  override onReceiveHalfClose(): void {
    this.#onRead?.(undefined);
  }

  protected override onFinish(): void {
    this.#onRead?.(undefined);
    this.#onSent?.();
  }

  /** Resolves when there is room for another message, or the call is over. */
  async #send(bytes: Buffer): Promise<void> {
    this.#unsent += 1;
    this.transport.sendMessage(bytes, () => {
      this.#unsent -= 1;
      this.#onSent?.();
    });
    if (this.#unsent < MAX_UNSENT || this.isFinished) return;
    await new Promise<void>((resolve) => {
      this.#onSent = resolve;
    });
  }

  /** The next message, or undefined when no more will come. */
  #read(): Promise<Buffer | undefined> {
    if (this.isFinished) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#onRead = resolve;
      this.transport.startRead();
    });
  }

  /** The one message of a request that isn't a stream. */
  async #readOnly(): Promise<Buffer> {
    const bytes = await this.#read();
    const end = bytes && (await this.#read());
    if (bytes === undefined || end !== undefined) throw oneMessageOnly();
    return bytes;
  }

  async *#readAll(): AsyncGenerator<Buffer> {
    for (let bytes = await this.#read(); bytes !== undefined; bytes = await this.#read()) yield bytes;
  }

  async *#decodeAll(requests: Iterable<Buffer> | AsyncIterable<Buffer>): AsyncGenerator<Message> {
    for await (const bytes of requests) yield decodeRequest(this.method, bytes);
  }
}
