/** Keeps the further threads that serve gRPC alive, and speaks for them to the rest of the process. */
import { Worker } from "node:worker_threads";
import { AppError } from "../domain/errors.ts";
import type { Logger } from "../domain/logger.ts";
import type { ServiceIdentity } from "../domain/service-identity.ts";
import { StartError } from "../domain/start-error.ts";
import { type DatabaseShare, transferOf } from "../storage/database.ts";
import { combine, type Metric } from "../telemetry/metric.ts";
import type { ServerTls } from "../tls/server-tls.ts";
import type { Checkpointer } from "../usecases/checkpointer.ts";
import type { FromServingThread, ServingThreadOptions, SigningOutcome, ToServingThread } from "./messages.ts";
import type { DatabaseState } from "./serving.ts";

export interface ServingThreadsOptions {
  /** How many. */
  readonly count: number;
  readonly deployment: Omit<ServingThreadOptions, "database" | "checkpointKey">;
  /** Made anew for each thread. */
  readonly shareDatabase: () => DatabaseShare;
  readonly checkpointer: Pick<Checkpointer, "key" | "sign">;
  /** See `ServingParts`. */
  readonly onUnavailable: () => void;
  /** Takes the threads' log lines as they are, and what is to be said of the threads. */
  readonly logger: Logger & { pass(line: string): void };
}

const MIN_RESTART_DELAY_MS = 100;
const MAX_RESTART_DELAY_MS = 5_000;

/** A thread that is too busy to say its numbers shows the ones that it said last. */
const METRICS_TIMEOUT_MS = 1_000;

/** Longer than its calls, letters and exports are given. One that hangs is cut off. */
const STOP_TIMEOUT_MS = 20_000;

export class ServingThreads {
  readonly #options: ServingThreadsOptions;
  readonly #threads: readonly ServingThread[];
  #database: DatabaseState = { canIntrospect: false, reads: false, writes: false };
  #services: readonly ServiceIdentity[] = [];
  #tls: ServerTls | undefined;
  #address: string | undefined;
  #isStopping = false;

  private constructor(options: ServingThreadsOptions) {
    this.#options = options;
    this.#threads = Array.from({ length: options.count }, () => new ServingThread(options));
  }

  /**
   * Starts them, up to the point where they only have to listen.
   *
   * @throws StartError when one of them can't start
   */
  static async start(options: ServingThreadsOptions): Promise<ServingThreads> {
    const threads = new ServingThreads(options);
    await threads.#each((thread) => thread.start());
    return threads;
  }

  /** @throws StartError when one of them can't listen */
  async listen(address: string, tls: ServerTls | undefined): Promise<void> {
    this.#address = address;
    this.#tls = tls;
    await this.#each((thread) => thread.listen(address, this.#tls));
    for (const thread of this.#threads) thread.onEnd = (failure) => this.#restart(thread, failure, 0);
  }

  /** See `Serving`. */
  showHealth(state: DatabaseState): void {
    this.#database = state;
    for (const thread of this.#threads) thread.send({ kind: "database", state });
  }

  /** See `Serving`. */
  identifyAs(services: readonly ServiceIdentity[]): void {
    this.#services = services;
    for (const thread of this.#threads) thread.send({ kind: "services", services });
  }

  /** See `GrpcServer`. */
  renewTls(tls: ServerTls): void {
    this.#tls = tls;
    for (const thread of this.#threads) thread.send({ kind: "tls", tls });
  }

  /** The numbers of all of them together, those of threads that ended included. Never rejects. */
  async metrics(): Promise<readonly Metric[]> {
    return combine(await Promise.all(this.#threads.map((thread) => thread.metrics())));
  }

  /** Ends them as `App.stop` ends the process. Never rejects. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#threads.map((thread) => thread.stop()));
  }

  /** If one fails, the others end too. */
  async #each(step: (thread: ServingThread) => Promise<void>): Promise<void> {
    try {
      await Promise.all(this.#threads.map(step));
    } catch (cause) {
      await this.stop();
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new StartError(`A thread that serves gRPC doesn't start: ${reason}`, { cause });
    }
  }

  #restart(thread: ServingThread, err: unknown, failures: number): void {
    if (this.#isStopping) return;
    const delayMs = Math.min(MIN_RESTART_DELAY_MS * 2 ** failures, MAX_RESTART_DELAY_MS);
    this.#options.logger.error({ err, delayMs }, "a thread that serves gRPC ended; another one is started");
    thread.onEnd = undefined;
    setTimeout(() => void this.#startAnother(thread, failures), delayMs).unref();
  }

  async #startAnother(thread: ServingThread, failures: number): Promise<void> {
    if (this.#isStopping) return;
    try {
      await thread.start();
      // It was told to end meanwhile.
      if (this.#isStopping) return;
      thread.send({ kind: "database", state: this.#database });
      thread.send({ kind: "services", services: this.#services });
      await thread.listen(this.#address ?? "", this.#tls);
      thread.onEnd = (failure) => this.#restart(thread, failure, 0);
    } catch (error) {
      await thread.kill();
      this.#restart(thread, error, failures + 1);
    }
  }
}

/** The place of one thread, which others take after it. */
class ServingThread {
  readonly #options: ServingThreadsOptions;
  #worker: Worker | undefined;
  #ended: Promise<unknown> = Promise.resolve();
  /** Called for the next message of a kind, or with the failure when none comes any more. */
  readonly #expected = new Map<FromServingThread["kind"], PromiseWithResolvers<void>>();
  /** What it said last, and what its predecessors had counted. */
  #metrics: readonly Metric[] = [];
  #inherited: readonly Metric[] = [];
  /** Called when it ends without having been told to. */
  onEnd: ((failure: unknown) => void) | undefined;

  constructor(options: ServingThreadsOptions) {
    this.#options = options;
  }

  /** Resolves when it only has to listen. */
  start(): Promise<void> {
    const { deployment, shareDatabase, checkpointer } = this.#options;
    const database = shareDatabase();
    const worker = new Worker(new URL("./serving-thread.ts", import.meta.url), {
      name: "grpc",
      workerData: { ...deployment, database, checkpointKey: checkpointer.key } satisfies ServingThreadOptions,
      transferList: [...transferOf(database)],
    });
    this.#worker = worker;
    let failure: unknown = new Error("the thread ended");
    worker.on("message", (message: FromServingThread) => this.#receive(message));
    worker.on("error", (error) => {
      failure = error;
    });
    this.#ended = new Promise<void>((resolve) => {
      worker.once("exit", () => {
        this.#worker = undefined;
        this.#inherit();
        for (const { reject } of this.#expected.values()) reject(failure);
        this.#expected.clear();
        this.onEnd?.(failure);
        resolve();
      });
    });
    return this.#next("prepared");
  }

  listen(address: string, tls: ServerTls | undefined): Promise<void> {
    this.send({ kind: "listen", address, tls });
    return this.#next("listening");
  }

  /** Does nothing while there is no thread. */
  send(message: ToServingThread): void {
    this.#worker?.postMessage(message);
  }

  async metrics(): Promise<readonly Metric[]> {
    if (this.#worker !== undefined) {
      this.send({ kind: "read_metrics" });
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, METRICS_TIMEOUT_MS);
      await Promise.race([this.#next("metrics").catch(() => {}), late]);
      clearTimeout(timer);
    }
    return combine([this.#metrics, this.#inherited]);
  }

  async stop(): Promise<void> {
    this.send({ kind: "stop" });
    const timer = setTimeout(() => void this.#worker?.terminate(), STOP_TIMEOUT_MS);
    await this.#ended;
    clearTimeout(timer);
  }

  async kill(): Promise<void> {
    await this.#worker?.terminate();
    await this.#ended;
  }

  #next(kind: FromServingThread["kind"]): Promise<void> {
    const known = this.#expected.get(kind);
    if (known !== undefined) return known.promise;
    const expected = Promise.withResolvers<void>();
    this.#expected.set(kind, expected);
    return expected.promise;
  }

  #receive(message: FromServingThread): void {
    switch (message.kind) {
      case "metrics":
        this.#metrics = message.metrics;
        break;
      case "log":
        this.#options.logger.pass(message.line);
        break;
      case "doubt":
        this.#options.onUnavailable();
        break;
      case "sign":
        void this.#sign(message.id);
        break;
      case "prepared":
      case "listening":
    }
    this.#expected.get(message.kind)?.resolve();
    this.#expected.delete(message.kind);
  }

  async #sign(id: number): Promise<void> {
    const outcome = await this.#options.checkpointer.sign().then(
      (signed): SigningOutcome => ({ ok: true, signed }),
      (error: unknown): SigningOutcome => {
        if (error instanceof AppError) return { ok: false, kind: error.kind, message: error.message };
        this.#options.logger.error({ err: error }, "a checkpoint could not be signed");
        return { ok: false, kind: "internal", message: "Something went wrong here." };
      },
    );
    this.send({ kind: "signed", id, outcome });
  }

  /** Counters never go back. What it had counted since it was asked last is lost. */
  #inherit(): void {
    const counted = this.#metrics.filter(({ type }) => type === "counter" || type === "histogram");
    this.#inherited = combine([this.#inherited, counted]);
    this.#metrics = [];
  }
}
