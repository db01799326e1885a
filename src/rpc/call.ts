/** One call, in the same terms whatever protocol it came by. */
import type { DescMethod } from "@bufbuild/protobuf";
import type { Caller } from "../domain/caller.ts";

/** Which listener the call came through: the one for backends, or the one for customers. */
export type Surface = "internal" | "public";

export type Protocol = "grpc" | "grpc-web" | "connect" | "rest";

/** What a transport knows of a call before anything is decided. */
export interface IncomingCall {
  readonly method: DescMethod;
  readonly surface: Surface;
  readonly protocol: Protocol;
  /** Address of the peer, without its port. */
  readonly peer: string;
  /** The value of a request header (gRPC metadata), by its lower-case name. Of several, the first. */
  header(name: string): string | undefined;
}

/** A call in the pipeline. */
export interface Call extends IncomingCall {
  /** The caller's own, or made here; goes out with the answer and into the log. */
  readonly requestId: string;
  readonly startedAtMs: number;
  /** Anonymous until the pipeline has authenticated the call. */
  caller: Caller;
  isFinished: boolean;
}

/** What the transport knows once the request is in. */
export interface CallControl {
  /** Aborts when the client has gone, or the server stops. */
  readonly signal: AbortSignal;
  /** Milliseconds that the client gives the call; undefined when it names no deadline. */
  readonly timeoutMs: number | undefined;
}
