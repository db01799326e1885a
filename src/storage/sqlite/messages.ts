/** What the main thread and the writer thread say to each other. */
import type { IdempotencyRecord } from "../../domain/idempotency.ts";
import type { CommandName } from "./commands.ts";
import type { SentError } from "./errors.ts";

/** The writer thread's `workerData`. */
export interface WriterThreadOptions {
  readonly path: string;
  readonly busyTimeoutMs: number;
  readonly checkpointIntervalMs: number;
  /** Counts the groups that changed something, in its only element, as 32 bits that run over. */
  readonly changes: Int32Array<SharedArrayBuffer>;
}

export interface CommandRequest {
  readonly kind: "command";
  readonly id: number;
  readonly name: CommandName;
  readonly input: unknown;
  /** Of the call that the command is for, where it may be repeated. */
  readonly record?: IdempotencyRecord | undefined;
}

export type ToWriterThread =
  | CommandRequest
  /** Commits what came before it. Answered once, by `replies`. */
  | { readonly kind: "commit" }
  /** Nothing comes after it. */
  | { readonly kind: "close" };

export type CommandReply =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly error: SentError };

export type FromWriterThread =
  | { readonly kind: "ready" }
  /** The outcomes of one group, after its transaction is durable. More may be waiting, where it was large. */
  | { readonly kind: "replies"; readonly replies: readonly CommandReply[] }
  | { readonly kind: "checkpoint_failed"; readonly detail: string };
