/** A serving thread's end of the writer thread: sends commands in batches, and hands out their outcomes. */
import type { MessagePort } from "node:worker_threads";
import { AppError } from "../../domain/errors.ts";
import type { IdempotencyRecord } from "../../domain/idempotency.ts";
import type { WriteMeter } from "../../domain/write-meter.ts";
import type { CommandInput, CommandName, CommandResult } from "../commands.ts";
import { notWritable } from "../errors.ts";
import { fromSentError } from "./errors.ts";
import type { CommandReply, CommandRequest, Replies } from "./messages.ts";

interface Waiter {
  readonly id: number;
  readonly askedAtMs: number;
  resolve(value: unknown): void;
  reject(error: AppError): void;
  /** Is told the end of a write that is traced. */
  readonly onEnd: ((failed: boolean) => void) | undefined;
}

const MAX_WAITING = 10_000;

/**
 * While a batch is being written, the next one goes as soon as it has so many. Then the writer thread never
 * waits for the others, and a sync is still shared by enough commands.
 */
const MIN_NEXT_BATCH = 16;

export class Writer {
  readonly #changes: Int32Array<SharedArrayBuffer>;
  readonly #meter: WriteMeter;
  /**
   * In the order of their ids, which is nearly that of their replies. An array, for the reason that `OpenCalls` gives.
   */
  readonly #waiting: Waiter[] = [];
  /** Undefined while the writer thread is down. */
  #port: MessagePort | undefined;
  #batch: CommandRequest[] = [];
  #isSendingSoon = false;
  #lastId = 0;
  #onIdle: (() => void) | undefined;

  /** @param changes see `WriterThreadOptions` */
  constructor(changes: Int32Array<SharedArrayBuffer>, meter: WriteMeter) {
    this.#changes = changes;
    this.#meter = meter;
  }

  /** See `Storage.changeCount`. */
  get changeCount(): number {
    return Atomics.load(this.#changes, 0);
  }

  /** Sends commands over the port from now on, until it closes. */
  attach(port: MessagePort): void {
    this.#port = port;
    port.on("message", (message: Replies) => this.#receive(message));
    // Somebody's answer is lost, and who it is can't be known.
    port.on("messageerror", () => port.close());
    port.on("close", () => {
      if (this.#port !== port) return;
      this.#port = undefined;
      this.#rejectWaiting(new Error("the writer thread ended"));
    });
  }

  /**
   * Runs a command and answers when it is durable. Rejects with `unavailable` when the thread is down or
   * too much is waiting. The input must not be changed after that.
   */
  execute<Name extends CommandName>(
    name: Name,
    input: CommandInput<Name>,
    record?: IdempotencyRecord,
  ): Promise<CommandResult<Name>> {
    return new Promise<unknown>((resolve, reject) => {
      if (this.#port === undefined) throw notWritable(new Error("the writer thread is down"));
      if (this.#waiting.length >= MAX_WAITING) throw new AppError("unavailable", "Too many writes are waiting.");
      const id = ++this.#lastId;
      this.#batch.push({ id, name, input, record });
      this.#waiting.push({ id, askedAtMs: performance.now(), resolve, reject, onEnd: this.#meter.follow?.(name) });
      this.#meter.waiting = this.#waiting.length;
      this.#sendSoon();
    }) as Promise<CommandResult<Name>>;
  }

  /** Waits for the outcomes of the commands that were accepted, then lets go of the thread. Never rejects. */
  async close(): Promise<void> {
    if (this.#waiting.length > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    this.#port?.close();
    this.#port = undefined;
  }

  /** What comes in one turn of the event loop goes together. */
  #sendSoon(): void {
    const inFlight = this.#waiting.length - this.#batch.length;
    if (this.#isSendingSoon || this.#batch.length < (inFlight === 0 ? 1 : MIN_NEXT_BATCH)) return;
    this.#isSendingSoon = true;
    setImmediate(() => {
      this.#isSendingSoon = false;
      const batch = this.#batch;
      this.#batch = [];
      try {
        this.#port?.postMessage(batch);
      } catch (error) {
        // Only a fault in the code gives a command something that can't be sent.
        for (const { id } of batch) this.#take(id)?.reject(new AppError("internal", "", { cause: error }));
        this.#afterReplies();
      }
    });
  }

  #receive({ replies, groupSize }: Replies): void {
    if (groupSize !== undefined) this.#meter.groupSizes.observe(groupSize);
    for (const reply of replies) this.#settle(reply);
    this.#afterReplies();
  }

  #settle(reply: CommandReply): void {
    const waiter = this.#take(reply.id);
    if (waiter === undefined) return;
    this.#meter.seconds.observe((performance.now() - waiter.askedAtMs) / 1000);
    waiter.onEnd?.(!reply.ok);
    if (reply.ok) waiter.resolve(reply.value);
    else waiter.reject(fromSentError(reply.error));
  }

  #take(id: number): Waiter | undefined {
    const place = this.#waiting.findIndex((waiter) => waiter.id === id);
    return place < 0 ? undefined : this.#waiting.splice(place, 1)[0];
  }

  #afterReplies(): void {
    this.#meter.waiting = this.#waiting.length;
    if (this.#waiting.length === 0) this.#onIdle?.();
    else this.#sendSoon();
  }

  #rejectWaiting(cause: unknown): void {
    this.#batch = [];
    for (const waiter of this.#waiting.splice(0)) {
      waiter.onEnd?.(true);
      waiter.reject(notWritable(cause));
    }
    this.#afterReplies();
  }
}
