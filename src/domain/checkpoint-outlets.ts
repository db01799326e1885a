/** The ports behind which checkpoints are kept. */
import type { SignedCheckpoint } from "./checkpoint.ts";

/** A place that checkpoints are sent to. */
export interface CheckpointOutlet {
  /** Tells it from others in the log; holds no secret. */
  readonly name: string;
  /**
   * Resolves when the checkpoint is kept there; one that was kept before is kept.
   *
   * @throws Error that says why it isn't kept, also when the signal aborts
   */
  keep(signed: SignedCheckpoint, signal: AbortSignal): Promise<void>;
}

/** A folder that keeps the newest checkpoints, each under its `checkpointName`. */
export interface CheckpointFolder extends CheckpointOutlet {
  /** @throws StartError when nothing can be kept there */
  prepare(): Promise<void>;
  /**
   * The names, the largest first; none of a folder that doesn't exist.
   *
   * @throws StartError when it can't be read
   */
  list(): Promise<readonly string[]>;
  /** @throws StartError when it can't be read */
  read(name: string): Promise<string>;
  /**
   * Keeps a checkpoint under another name, by which it is never listed again.
   *
   * @throws StartError when that can't be done
   */
  putAside(name: string): Promise<void>;
}
