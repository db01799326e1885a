/** What the main thread and a thread that serves say to each other. */
import type { Config } from "../config.ts";
import type { SignedCheckpoint } from "../domain/checkpoint.ts";
import type { ErrorKind } from "../domain/errors.ts";
import type { Profile } from "../domain/profile.ts";
import type { ServiceIdentity } from "../domain/service-identity.ts";
import type { NoteKey } from "../domain/signed-note.ts";
import type { DatabaseShare } from "../storage/database.ts";
import type { Metric } from "../telemetry/metric.ts";
import type { ServerTls } from "../tls/server-tls.ts";
import type { DatabaseState } from "./serving.ts";

/** A thread's `workerData`: all that it knows of the deployment. */
export interface ServingThreadOptions {
  readonly config: Config;
  /** Of Latchkey. */
  readonly version: string;
  readonly rootKey: Uint8Array;
  readonly database: DatabaseShare;
  /** As they were read when the process started, so that all threads have the same. */
  readonly profiles: readonly Profile[];
  readonly checkpointKey: NoteKey;
}

export type ToServingThread =
  /** Listens from now on; answered by `listening`. */
  | { readonly kind: "listen"; readonly address: string; readonly tls: ServerTls | undefined }
  | { readonly kind: "tls"; readonly tls: ServerTls }
  | { readonly kind: "services"; readonly services: readonly ServiceIdentity[] }
  | { readonly kind: "database"; readonly state: DatabaseState }
  /** Answered by `metrics`. */
  | { readonly kind: "read_metrics" }
  | { readonly kind: "signed"; readonly id: number; readonly outcome: SigningOutcome }
  /** Says NOT_SERVING, lets calls finish, writes down and sends what waits, and ends. */
  | { readonly kind: "stop" };

export type FromServingThread =
  /** Everything is there but the listener. */
  | { readonly kind: "prepared" }
  | { readonly kind: "listening" }
  | { readonly kind: "metrics"; readonly metrics: readonly Metric[] }
  /** A line for the log. */
  | { readonly kind: "log"; readonly line: string }
  /** A call failed that may have failed because of the database. */
  | { readonly kind: "doubt" }
  /** Wants a checkpoint signed; answered by `signed`. */
  | { readonly kind: "sign"; readonly id: number };

export type SigningOutcome =
  | { readonly ok: true; readonly signed: SignedCheckpoint }
  | { readonly ok: false; readonly kind: ErrorKind; readonly message: string };
