/** Keeps the writer thread alive, and connects the threads that serve with it. */
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import type { Logger } from "../../domain/logger.ts";
import type { FromWriterThread, ToWriterThread, WriterThreadOptions } from "./messages.ts";

export interface WriterHostOptions extends Omit<WriterThreadOptions, "changes"> {
  readonly logger: Logger;
}

type Attach = (port: MessagePort) => void;

const MIN_RESTART_DELAY_MS = 100;
const MAX_RESTART_DELAY_MS = 5_000;

export class WriterHost {
  readonly #logger: Logger;
  readonly #threadOptions: WriterThreadOptions;
  readonly #connected = new Set<Attach>();
  /** Undefined while there is none that takes commands. */
  #thread: Worker | undefined;
  #failedStarts = 0;
  #restart: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  private constructor({ logger, ...threadOptions }: WriterHostOptions) {
    this.#logger = logger;
    this.#threadOptions = { ...threadOptions, changes: new Int32Array(new SharedArrayBuffer(4)) };
  }

  /** Resolves when the thread takes commands; rejects when it can't start. */
  static async start(options: WriterHostOptions): Promise<WriterHost> {
    const host = new WriterHost(options);
    await host.#startThread();
    return host;
  }

  /** See `WriterThreadOptions.changes`. */
  get changes(): Int32Array<SharedArrayBuffer> {
    return this.#threadOptions.changes;
  }

  /**
   * Hands out a port to the thread, at once and again whenever another thread had to be started. A port closes
   * when its thread ends.
   *
   * @returns what ends that
   */
  connect(attach: Attach): () => void {
    this.#connected.add(attach);
    if (this.#thread !== undefined) connectTo(this.#thread, attach);
    return () => void this.#connected.delete(attach);
  }

  /** Ends the thread. What is connected must have got its answers. Never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
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
        // It makes little garbage, and V8 would let it pile up.
        resourceLimits: { maxYoungGenerationSizeMb: 16 },
        workerData: this.#threadOptions,
      });
      thread.on("message", (message: FromWriterThread) => {
        if (message.kind === "ready") {
          this.#thread = thread;
          this.#failedStarts = 0;
          for (const attach of this.#connected) connectTo(thread, attach);
          resolve();
        } else {
          this.#logger.warn({ detail: message.detail }, "a checkpoint of the database failed");
        }
      });
      thread.on("error", (error) => {
        failure = error instanceof Error ? error : new Error(String(error));
      });
      thread.on("exit", () => {
        const wasReady = this.#thread === thread;
        this.#thread = undefined;
        // It may have ended between a commit and its count, and a retry of that change will change nothing.
        Atomics.add(this.changes, 0, 1);
        reject(failure);
        if (wasReady) this.#restartLater(failure);
      });
    });
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

function connectTo(thread: Worker, attach: Attach): void {
  const { port1, port2 } = new MessageChannel();
  thread.postMessage({ kind: "connect", port: port1 } satisfies ToWriterThread, [port1]);
  attach(port2);
}
