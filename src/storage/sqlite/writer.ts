/** The main thread's end of the writer thread: sends commands, and keeps the thread alive. */
import { Worker } from "node:worker_threads";
import { AppError } from "../../domain/errors.ts";
import type { IdempotencyRecord } from "../../domain/idempotency.ts";
import type { Logger } from "../../domain/logger.ts";
import { WriteMeter } from "../../domain/write-meter.ts";
import type { CommandInput, CommandName, CommandResult } from "./commands.ts";
import { fromSentError } from "./errors.ts";
import type { CommandReply, FromWriterThread, ToWriterThread, WriterThreadOptions } from "./messages.ts";

export interface WriterOptions extends Omit<WriterThreadOptions, "changes"> {
  readonly logger: Logger;
  readonly meter?: WriteMeter | undefined;
}

interface Waiter {
  readonly askedAtMs: number;
  resolve(value: unknown): void;
  reject(error: AppError): void;
}

const MAX_WAITING = 10_000;
const MIN_RESTART_DELAY_MS = 100;
const MAX_RESTART_DELAY_MS = 5_000;

export class Writer {
  readonly #logger: Logger;
  readonly #meter: WriteMeter;
  readonly #threadOptions: WriterThreadOptions;
  readonly #waiting = new Map<number, Waiter>();
  #thread: Worker | undefined;
  #isReady = false;
  #isCommitting = false;
  #nextCommit: NodeJS.Immediate | undefined;
  #lastId = 0;
  #failedStarts = 0;
  #restart: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  private constructor({ logger, meter = new WriteMeter(), ...threadOptions }: WriterOptions) {
    this.#logger = logger;
    this.#meter = meter;
    this.#threadOptions = { ...threadOptions, changes: new Int32Array(new SharedArrayBuffer(4)) };
  }

  /** See `Storage.changeCount`. */
  get changeCount(): number {
    return Atomics.load(this.#threadOptions.changes, 0);
  }

  /** Resolves when the thread takes commands; rejects when it can't start. */
  static async start(options: WriterOptions): Promise<Writer> {
    const writer = new Writer(options);
    await writer.#startThread();
    return writer;
  }

  /**
   * Runs a command and answers when it is durable. Rejects with `unavailable` when the thread is down or
   * too much is waiting. The input is copied before this returns.
   */
  execute<Name extends CommandName>(
    name: Name,
    input: CommandInput<Name>,
    record?: IdempotencyRecord,
  ): Promise<CommandResult<Name>> {
    return new Promise<unknown>((resolve, reject) => {
      if (this.#thread === undefined || !this.#isReady) throw notWritable(new Error("the writer thread is down"));
      if (this.#waiting.size >= MAX_WAITING) throw new AppError("unavailable", "Too many writes are waiting.");
      const id = ++this.#lastId;
      this.#thread.postMessage({ kind: "command", id, name, input, record } satisfies ToWriterThread);
      this.#waiting.set(id, { askedAtMs: performance.now(), resolve, reject });
      this.#meter.waiting = this.#waiting.size;
      this.#commitSoon();
    }) as Promise<CommandResult<Name>>;
  }

  /** Waits for the commands that were accepted, then ends the thread. Never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** What comes in one turn of the event loop shares a commit, and so does what comes while another one runs. */
  #commitSoon(): void {
    if (this.#isCommitting || this.#nextCommit !== undefined) return;
    this.#nextCommit = setImmediate(() => {
      this.#nextCommit = undefined;
      this.#isCommitting = true;
      this.#thread?.postMessage({ kind: "commit" } satisfies ToWriterThread);
    });
  }

  async #close(): Promise<void> {
    clearTimeout(this.#restart);
    const thread = this.#thread;
    if (thread === undefined) return;
    const exited = new Promise((resolve) => thread.once("exit", resolve));
    thread.postMessage({ kind: "close" } satisfies ToWriterThread);
    await exited;
  }

  #startThread(): Promise<void> {
    return new Promise((resolve, reject) => {
      let failure = new Error("the writer thread ended");
      const thread = new Worker(new URL("./writer-thread.ts", import.meta.url), {
        name: "sqlite-writer",
        workerData: this.#threadOptions,
      });
      this.#thread = thread;
      thread.on("message", (message: FromWriterThread) => {
        if (message.kind === "ready") {
          this.#isReady = true;
          this.#failedStarts = 0;
          resolve();
        } else {
          this.#receive(message);
        }
      });
      thread.on("messageerror", (error) => {
        // Somebody's answer is lost, and who it is can't be known.
        failure = error;
        void thread.terminate();
      });
      thread.on("error", (error) => {
        failure = error instanceof Error ? error : new Error(String(error));
      });
      thread.on("exit", () => {
        const wasReady = this.#isReady;
        this.#thread = undefined;
        this.#isReady = false;
        this.#isCommitting = false;
        clearImmediate(this.#nextCommit);
        this.#nextCommit = undefined;
        // It may have ended between a commit and its count, and a retry of that change will change nothing.
        Atomics.add(this.#threadOptions.changes, 0, 1);
        this.#rejectWaiting(failure);
        reject(failure);
        if (wasReady) this.#restartLater(failure);
      });
    });
  }

  #receive(message: Exclude<FromWriterThread, { kind: "ready" }>): void {
    if (message.kind === "replies") {
      this.#meter.groupSizes.observe(message.replies.length);
      this.#isCommitting = false;
      for (const reply of message.replies) this.#settle(reply);
      this.#meter.waiting = this.#waiting.size;
      if (this.#waiting.size > 0) this.#commitSoon();
    } else {
      this.#logger.warn({ detail: message.detail }, "a checkpoint of the database failed");
    }
  }

  #settle(reply: CommandReply): void {
    const waiter = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (waiter === undefined) return;
    this.#meter.seconds.observe((performance.now() - waiter.askedAtMs) / 1000);
    if (reply.ok) waiter.resolve(reply.value);
    else waiter.reject(fromSentError(reply.error));
  }

  #rejectWaiting(cause: unknown): void {
    for (const waiter of this.#waiting.values()) waiter.reject(notWritable(cause));
    this.#waiting.clear();
    this.#meter.waiting = 0;
  }

  #restartLater(err: unknown): void {
    if (this.#closing !== undefined) return;
    const delayMs = Math.min(MIN_RESTART_DELAY_MS * 2 ** this.#failedStarts++, MAX_RESTART_DELAY_MS);
    this.#logger.error({ err, delayMs }, "the database's writer thread ended; another one is started");
    this.#restart = setTimeout(() => {
      this.#startThread().catch((error: unknown) => this.#restartLater(error));
    }, delayMs);
  }
}

function notWritable(cause: unknown): AppError {
  return new AppError("unavailable", "The database can't be written at the moment.", { cause });
}
