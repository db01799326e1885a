/** One call, in the same terms whatever protocol it came by. */
import type { DescMethod } from "@bufbuild/protobuf";
import type { Caller } from "../domain/caller.ts";
import type { Profile } from "../domain/profile.ts";
import type { ClientCertificate } from "../domain/service-identity.ts";
import type { Status } from "./status.ts";

/** Which listener the call came through: the one for backends, or the one for customers. */
export type Surface = "internal" | "public";

export type Protocol = "grpc" | "grpc-web" | "connect" | "rest";

/** The REST route that a call came by. */
export interface HttpRoute {
  /** As sent. */
  readonly verb: string;
  /** The path with the names of its parameters, never their values. */
  readonly template: string;
  /** Undefined as long as nothing is answered. */
  readonly answeredStatus: () => number | undefined;
}

/** The browser behind a call, where it is certain that a page of ours makes the call in it. */
export interface Browser {
  /** The secret of its session, where it has one. */
  readonly session: string | undefined;
  /** Hands it the secret of its session from now on. */
  keepSession(secret: string, lifetimeMs: number): void;
  forgetSession(): void;
  /** What it keeps of a sign-in by another service that has begun. */
  readonly signIn: string | undefined;
  keepSignIn(kept: string, lifetimeMs: number): void;
  forgetSignIn(): void;
}

/** What a transport knows of a call before anything is decided. */
export interface IncomingCall {
  readonly method: DescMethod;
  readonly surface: Surface;
  readonly protocol: Protocol;
  /** Address of the peer, without its port. */
  readonly peer: string;
  readonly route?: HttpRoute | undefined;
  /** Undefined for all calls but those of the dashboard's pages. */
  readonly browser?: Browser | undefined;
  /** That of the connection, verified; undefined where there is none. Read only where nothing else says who calls. */
  readonly certificate?: ClientCertificate | undefined;
  /** The value of a request header (gRPC metadata), by its lower-case name. Of several, the first. */
  header(name: string): string | undefined;
}

/** A call's part of a trace. */
export interface CallSpan {
  /** Both as in W3C Trace Context. */
  readonly traceId: string;
  readonly spanId: string;
  /** Runs work whose own parts are the call's. */
  run<T>(work: () => T): T;
  end(status: Status): void;
}

/** A call in the pipeline. */
export interface Call extends IncomingCall {
  /** The caller's own, or made here; goes out with the answer and into the log. */
  readonly requestId: string;
  readonly startedAtMs: number;
  /** Anonymous until the pipeline has authenticated the call. */
  caller: Caller;
  /** Whose conventions the call follows, where its transport found that out. */
  product: Profile | undefined;
  /** Undefined where the call isn't traced. */
  span: CallSpan | undefined;
  isFinished: boolean;
}

/** What the transport knows once the request is in. */
export interface CallControl {
  /** Aborts when the client has gone, or the server stops. */
  readonly signal: AbortSignal;
  /** Milliseconds that the client gives the call; undefined when it names no deadline. */
  readonly timeoutMs: number | undefined;
}
