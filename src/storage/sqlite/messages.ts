/** What the threads that serve and the writer thread say to each other. */
import type { MessagePort } from "node:worker_threads";
import type { IdempotencyRecord } from "../../domain/idempotency.ts";
import type { CommandName } from "../commands.ts";
import type { SentError } from "./errors.ts";

/** The writer thread's `workerData`. */
export interface WriterThreadOptions {
  readonly path: string;
  readonly busyTimeoutMs: number;
  readonly checkpointIntervalMs: number;
  /** Counts the groups that changed something, in its only element, as 32 bits that run over. */
  readonly changes: Int32Array<SharedArrayBuffer>;
}

/** From the thread that started it. */
export type ToWriterThread =
  /** Commands come over this port too: messages are `CommandRequest[]` one way, and `Replies` the other. */
  | { readonly kind: "connect"; readonly port: MessagePort }
  /** Nothing comes after it. */
  | { readonly kind: "close" };

export type FromWriterThread =
  | { readonly kind: "ready" }
  | { readonly kind: "checkpoint_failed"; readonly detail: string };

export interface CommandRequest {
  readonly id: number;
  readonly name: CommandName;
  readonly input: unknown;
  /** Of the call that the command is for, where it may be repeated. */
  readonly record?: IdempotencyRecord | undefined;
}

export type CommandReply =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly error: SentError };

/** Outcomes of one group, after its transaction is durable. */
export interface Replies {
  readonly replies: readonly CommandReply[];
  /** Commands in the group, those of other threads included. Only one of these is told. */
  readonly groupSize: number | undefined;
}
