/** Follows the audit log, signs checkpoints of it, and has them kept where whoever edits the log can't reach them. */
import { setImmediate } from "node:timers/promises";
import {
  CheckedTree,
  type Checkpoint,
  checkpointName,
  type SignedCheckpoint,
  signCheckpoint,
} from "../domain/checkpoint.ts";
import type { CheckpointFolder, CheckpointOutlet } from "../domain/checkpoint-outlets.ts";
import type { Clock } from "../domain/clock.ts";
import { AppError } from "../domain/errors.ts";
import type { Logger } from "../domain/logger.ts";
import type { NoteKey, NoteSigner } from "../domain/signed-note.ts";
import type { Storage } from "../domain/storage.ts";
import { refuseRollback } from "./rollback-guard.ts";

/** Reading and hashing so many takes about half a millisecond, in which nothing else is answered. */
const BATCH_SIZE = 100;

/** A folder on a machine that is gone may never answer. */
const KEEP_TIMEOUT_MS = 5_000;

export interface CheckpointerOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signer: NoteSigner;
  /** What they hold is also what the log has to agree with. */
  readonly folders: readonly CheckpointFolder[];
  /** Where checkpoints are sent besides, as long as the service runs. */
  readonly receivers: readonly CheckpointOutlet[];
  /** Milliseconds from one checkpoint to the next; 0 for none but those that are asked for. */
  readonly intervalMs: number;
  /** How long a checkpoint's keeping is waited for. */
  readonly keepTimeoutMs?: number;
  /** See `refuseRollback`. */
  readonly acceptedRollback: string | undefined;
}

/** Makes checkpoints of the log that there is now, all of them over the same history. */
export class Checkpointer {
  readonly #options: CheckpointerOptions;
  readonly #tree: CheckedTree;
  readonly #stopping = new AbortController();
  readonly #keptBy = new Map<CheckpointOutlet, SignedCheckpoint>();
  readonly #busy = new Set<CheckpointOutlet>();
  #revision = 0;
  /** The one that outlets are to have. */
  #newest: SignedCheckpoint | undefined;
  #isCurrent = false;
  #reading: Promise<void> = Promise.resolve();
  #publishing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  private constructor(options: CheckpointerOptions, earlier: readonly SignedCheckpoint[]) {
    this.#options = options;
    this.#tree = new CheckedTree(earlier.map(({ checkpoint }) => checkpoint));
    this.#newest = earlier.toSorted((one, two) => two.checkpoint.size - one.checkpoint.size)[0];
  }

  /** @throws StartError when the database is older than the newest checkpoint that a folder holds */
  static async open(options: CheckpointerOptions): Promise<Checkpointer> {
    const { signer, ...others } = options;
    return new Checkpointer(options, await refuseRollback({ ...others, key: signer.key }));
  }

  /** The key that verifies the checkpoints. */
  get key(): NoteKey {
    return this.#options.signer.key;
  }

  /**
   * Publishes a checkpoint now and at every interval, if there is one to make.
   *
   * @throws StartError when a folder can't keep any
   */
  async start(): Promise<void> {
    const { folders, intervalMs } = this.#options;
    if (intervalMs === 0) return;
    await Promise.all(folders.map((folder) => folder.prepare()));
    this.#timer = setInterval(() => void this.publish(), intervalMs);
    this.#timer.unref();
    void this.publish();
  }

  /**
   * Signs a checkpoint over every event that is stored.
   *
   * @throws AppError: `failed_precondition` when the log isn't the one that an earlier checkpoint is of;
   *   `unavailable` when it can't be read.
   */
  async sign(): Promise<SignedCheckpoint> {
    await this.#readOn();
    const foreign = this.#tree.contradicted ?? this.#tree.coming;
    if (foreign !== undefined) throw notTheLogOf(foreign);
    const { clock, signer } = this.#options;
    const content = {
      size: this.#tree.size,
      root: this.#tree.root(),
      revision: this.#revision,
      time: new Date(clock()),
    };
    const signed = signCheckpoint(content, signer);
    // What nobody has added to isn't published again.
    if (content.size > (this.#newest?.checkpoint.size ?? 0)) this.#newest = signed;
    return signed;
  }

  /** Has the newest checkpoint kept everywhere. Never rejects: what fails is tried again an interval later. */
  publish(): Promise<void> {
    this.#publishing ??= this.#publish().finally(() => {
      this.#publishing = undefined;
    });
    return this.#publishing;
  }

  /** Stops the timer, and leaves a last checkpoint in the folders: while nobody serves a database it may be changed. */
  async stop(): Promise<void> {
    const wasStarted = this.#timer !== undefined;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#stopping.abort();
    await this.#publishing;
    if (wasStarted && this.#isCurrent) await this.publish();
  }

  async #publish(): Promise<void> {
    const { folders, receivers, logger } = this.#options;
    try {
      await this.sign();
    } catch (error) {
      if (!this.#stopping.signal.aborted) logger.error({ err: error }, "no checkpoint of the audit log can be signed");
      return;
    }
    const newest = this.#newest;
    if (newest === undefined) return;
    const outlets = this.#stopping.signal.aborted ? folders : [...folders, ...receivers];
    await Promise.all(outlets.map((outlet) => this.#handTo(outlet, newest)));
  }

  async #handTo(outlet: CheckpointOutlet, signed: SignedCheckpoint): Promise<void> {
    if (this.#keptBy.get(outlet) === signed || this.#busy.has(outlet)) return;
    const { logger, keepTimeoutMs = KEEP_TIMEOUT_MS } = this.#options;
    const fields = { outlet: outlet.name, checkpoint: checkpointName(signed.checkpoint) };
    const timeout = AbortSignal.timeout(keepTimeoutMs);
    this.#busy.add(outlet);
    const keeping = outlet
      .keep(signed, AbortSignal.any([timeout, this.#stopping.signal]))
      .then(() => {
        this.#keptBy.set(outlet, signed);
        logger.info(fields, "checkpoint kept");
      })
      .finally(() => this.#busy.delete(outlet));
    try {
      await Promise.race([keeping, rejectedBy(timeout)]);
    } catch (error) {
      logger.warn({ err: error, ...fields }, "a checkpoint could not be kept; trying again");
    }
  }

  /** Reads what was stored since the last time; whoever calls later waits for its own reading. */
  #readOn(): Promise<void> {
    const read = this.#reading.then(() => this.#read());
    this.#reading = read.catch(() => {});
    return read;
  }

  async #read(): Promise<void> {
    const { storage } = this.#options;
    for (;;) {
      const after = this.#tree.size === 0 ? undefined : this.#revision;
      const events = await storage.listEventHashes(after, BATCH_SIZE);
      for (const { hash, revision } of events) {
        this.#tree.append(hash);
        this.#revision = revision;
      }
      if (events.length < BATCH_SIZE) break;
      await setImmediate();
      // The end of a long log may be too far away to wait for.
      if (this.#stopping.signal.aborted && !this.#isCurrent) {
        throw new AppError("unavailable", "The service is stopping.");
      }
    }
    this.#isCurrent = true;
  }
}

function rejectedBy(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}

function notTheLogOf(checkpoint: Checkpoint): AppError {
  return new AppError(
    "failed_precondition",
    `The audit log isn't the one that the checkpoint ${checkpointName(checkpoint)} was signed over: ` +
      "its history was changed. Run `latchkey audit verify` with the checkpoints.",
  );
}
