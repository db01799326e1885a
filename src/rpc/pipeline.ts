/**
 * The one way that a call goes, whatever protocol it came by: authenticate → validate → handle → map
 * the error → log. Transports translate and decide nothing.
 */
import { randomUUID } from "node:crypto";
import { create, type DescMethod, type Message, toBinary } from "@bufbuild/protobuf";
import { type Caller, callerId } from "../domain/caller.ts";
import { AppError, missingCredential } from "../domain/errors.ts";
import type { Logger } from "../domain/logger.ts";
import type { Profile } from "../domain/profile.ts";
import type { ClientCertificate } from "../domain/service-identity.ts";
import type { Credential } from "../usecases/authenticate.ts";
import type { Browser, Call, CallControl, CallSpan, IncomingCall, Protocol, Surface } from "./call.ts";
import { CallCounts } from "./call-counts.ts";
import { readCredential } from "./credentials.ts";
import type { EncodedHandler, OpenTo, ServiceEntry, StreamHandler, UnaryHandler } from "./handlers.ts";
import { MAX_TIMEOUT_MS } from "./limits.ts";
import { decodeRequest } from "./messages-in.ts";
import { OK, STATUS, type Status } from "./status.ts";
import { validate } from "./validation.ts";

const REQUEST_ID = /^[\w.:-]{1,128}$/;

export interface PipelineDeps {
  /** Says who sent a credential; rejects with `unauthenticated` when it doesn't work. */
  readonly authenticate: (credential: Credential, call: Call) => Caller | Promise<Caller>;
  /** Says whose client certificate it is; throws `unauthenticated` for nobody's. Without it none counts. */
  readonly identify?: (certificate: ClientCertificate) => Caller;
  /** Hears of every call that failed because something was unavailable. */
  readonly onUnavailable?: () => void;
  readonly logger: Logger;
  /** A unary call that takes at least so long is logged as slow; undefined logs none as that. */
  readonly slowCallMs?: number | undefined;
  /** Whether calls that are too many for the log, if nothing is wrong with them, get a line for debugging. */
  readonly logsQuietCalls?: boolean;
}

interface Implementation {
  readonly counts: CallCounts;
  readonly openTo: OpenTo;
  readonly handler: ServiceEntry["handlers"][string] | undefined;
  readonly encoded: EncodedHandler | undefined;
}

export class Pipeline {
  readonly services: readonly ServiceEntry[];
  readonly #deps: PipelineDeps;
  readonly #implementations: ReadonlyMap<DescMethod, Implementation>;

  constructor(services: readonly ServiceEntry[], deps: PipelineDeps) {
    this.services = services;
    this.#deps = deps;
    this.#implementations = new Map(
      services.flatMap(({ service, openTo, handlers, encoded = {} }) =>
        service.methods.map((method) => {
          const { localName } = method;
          const counts = new CallCounts(methodName(method), method.methodKind === "unary");
          const open = typeof openTo === "function" ? openTo(method) : openTo;
          return [method, { counts, openTo: open, handler: handlers[localName], encoded: encoded[localName] }] as const;
        }),
      ),
    );
  }

  /** What was called so far, by method. */
  get calls(): readonly CallCounts[] {
    return Array.from(this.#implementations.values(), ({ counts }) => counts);
  }

  /** First step: takes a call in. Every call that is opened is finished once. */
  open(incoming: IncomingCall): Call {
    return new OpenCall(incoming);
  }

  /**
   * Second step: says who calls, before a byte of the request is looked at. A credential that a call brings is what
   * it is judged by, also when it doesn't work; the certificate of the connection counts for calls that bring none.
   *
   * @throws AppError of kind `unauthenticated`, or `unavailable` when that can't be found out.
   */
  authenticate(call: Call): Promise<void> | undefined {
    const { openTo } = this.#implementation(call.method);
    if (openTo === "anybody" || (openTo === "public" && call.surface === "public")) return undefined;
    const credential = readCredential(call);
    if (credential === undefined) {
      call.caller = this.#identify(call);
      return undefined;
    }
    const caller = this.#deps.authenticate(credential, call);
    if (caller instanceof Promise) {
      return caller.then((known) => {
        call.caller = known;
      });
    }
    call.caller = caller;
    return undefined;
  }

  #identify({ certificate }: Call): Caller {
    const { identify } = this.#deps;
    if (certificate === undefined || identify === undefined) throw missingCredential();
    return identify(certificate);
  }

  /**
   * Third step on encoded messages, for a method whose answers are single messages. At once, without a
   * promise, where the method has a way to do that.
   *
   * The deadline of an encoded handler is the transport's to watch.
   *
   * @throws anything, or rejects with it; `toError` says what of it may leave.
   */
  answer(call: Call, request: Buffer, control: () => CallControl): Buffer | Promise<Buffer> {
    const { method } = call;
    const { encoded, handler } = this.#implementation(method);
    if (encoded === undefined) {
      return this.unary(call, handler as UnaryHandler<DescMethod>, decodeRequest(method, request), control()).then(
        (response) => toBuffer(toBinary(method.output, response)),
      );
    }
    return encoded(request, call);
  }

  /**
   * Third step: validates the request and runs the handler, within the deadline.
   *
   * @throws anything; `toError` says what of it may leave.
   */
  async unary(call: Call, handler: UnaryHandler<DescMethod>, request: Message, control: CallControl): Promise<Message> {
    validate(call.method.input, request);
    return create(call.method.output, await this.#inTime(call, handler(request as never, call), control));
  }

  #inTime<T>(call: Call, work: Promise<T>, control: CallControl): Promise<T> {
    return withinDeadline(work, control, (late) => {
      // Nobody waits for it any more, but somebody should know.
      this.toError(call, late);
    });
  }

  #implementation(method: DescMethod): Implementation {
    const known = this.#implementations.get(method);
    if (known === undefined) throw new Error(`${methodName(method)} is not one of this pipeline's`);
    return known;
  }

  /** Third step of a streaming call. Each request is checked as it comes, the caller included. */
  async *stream(
    call: Call,
    handler: StreamHandler<DescMethod>,
    requests: AsyncIterable<Message>,
    control: CallControl,
  ): AsyncGenerator<Message> {
    // A stream may live longer than its caller's credential.
    const checked = async function* (this: Pipeline): AsyncGenerator<Message> {
      let isFirst = true;
      for await (const request of requests) {
        if (!isFirst) await this.authenticate(call);
        isFirst = false;
        validate(call.method.input, request);
        yield request;
      }
    };
    for await (const response of handler(checked.call(this) as never, call, control.signal)) {
      yield create(call.method.output, response);
    }
  }

  /** What may leave of a failure: an AppError as it is, anything else as a generic one. Logs the rest. */
  toError(call: Call, thrown: unknown): AppError {
    const error =
      thrown instanceof AppError
        ? thrown
        : new AppError("internal", `Something went wrong here. The request id is ${call.requestId}.`, {
            cause: thrown,
          });
    if (error.cause !== undefined) {
      this.#deps.logger.error(
        { err: error.cause, method: methodName(call.method), requestId: call.requestId, ...traceOf(call) },
        "call failed",
      );
    }
    if (error.kind === "unavailable") this.#deps.onUnavailable?.();
    return error;
  }

  /** Whether the call, if it succeeds, is one that the log doesn't hold and whose id nobody has given. */
  isQuiet(call: Call): boolean {
    return this.#implementation(call.method).encoded !== undefined && call.header("x-request-id") === undefined;
  }

  /** Last step: counts the call, and writes one line into the log. Finishing twice is finishing once. */
  finish(call: Call, outcome: AppError | Status): void {
    if (call.isFinished) return;
    call.isFinished = true;
    const status = statusOf(outcome);
    const { counts } = this.#implementation(call.method);
    const { logger, slowCallMs = Number.POSITIVE_INFINITY, logsQuietCalls = false } = this.#deps;
    const durationMs = performance.now() - call.startedAtMs;
    counts.count(call.protocol, status, durationMs);
    // A stream isn't slow because its client keeps it.
    const isSlow = durationMs >= slowCallMs && call.method.methodKind === "unary";
    const isQuiet = status === OK && !isSlow && this.isQuiet(call);
    if (isQuiet && !logsQuietCalls) return;
    const fields = {
      method: counts.method,
      code: status.name,
      durationMs: Math.round(durationMs * 1000) / 1000,
      caller: callerId(call.caller),
      requestId: call.requestId,
      protocol: call.protocol,
      peer: call.peer,
      ...traceOf(call),
    };
    if (isSlow) logger.warn(fields, "slow call");
    else if (isQuiet) logger.debug(fields, "call");
    else logger.info(fields, "call");
  }
}

class OpenCall implements Call {
  readonly method: DescMethod;
  readonly surface: Surface;
  readonly protocol: Protocol;
  readonly peer: string;
  readonly browser: Browser | undefined;
  readonly startedAtMs = performance.now();
  caller: Caller = ANONYMOUS;
  product: Profile | undefined = undefined;
  span: CallSpan | undefined = undefined;
  isFinished = false;
  readonly #incoming: IncomingCall;
  #requestId: string | undefined;

  constructor(incoming: IncomingCall) {
    this.method = incoming.method;
    this.surface = incoming.surface;
    this.protocol = incoming.protocol;
    this.peer = incoming.peer;
    this.browser = incoming.browser;
    this.#incoming = incoming;
  }

  header(name: string): string | undefined {
    return this.#incoming.header(name);
  }

  get certificate(): ClientCertificate | undefined {
    return this.#incoming.certificate;
  }

  get requestId(): string {
    return (this.#requestId ??= requestIdOf(this.header("x-request-id")));
  }
}

const ANONYMOUS: Caller = { kind: "anonymous" };

/** The id that the caller gave its request, where it is one that a log can take, or a new one. */
export function requestIdOf(sent: string | undefined): string {
  return sent !== undefined && REQUEST_ID.test(sent) ? sent : randomUUID();
}

const toBuffer = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

export const methodName = (method: DescMethod): string => `${method.parent.typeName}/${method.name}`;

export const statusOf = (outcome: AppError | Status): Status =>
  outcome instanceof AppError ? STATUS[outcome.kind] : outcome;

/** Under the names that OpenTelemetry gives them in logs. */
const traceOf = ({ span }: Call): object =>
  span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId };

/** @param onLateFailure takes the failure of work that was given up before */
function withinDeadline<T>(
  work: Promise<T>,
  { signal, timeoutMs }: CallControl,
  onLateFailure: (failure: unknown) => void,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    let isGivenUp = false;
    const giveUp = (reason: AppError): void => {
      isGivenUp = true;
      reject(reason);
    };
    const timer = setTimeout(
      () => giveUp(new AppError("deadline_exceeded", "The call took longer than its deadline.")),
      Math.min(timeoutMs ?? MAX_TIMEOUT_MS, MAX_TIMEOUT_MS),
    );
    // A transport that ends a call itself says why, for example because it stops.
    const abandon = (): void =>
      giveUp(
        signal.reason instanceof AppError ? signal.reason : new AppError("cancelled", "The caller gave the call up."),
      );
    if (signal.aborted) abandon();
    signal.addEventListener("abort", abandon, { once: true });
    work.then(resolve, reject);
    work
      .catch((failure: unknown) => {
        if (isGivenUp) onLateFailure(failure);
      })
      .finally(() => {
        clearTimeout(timer);
        signal.removeEventListener("abort", abandon);
      });
  });
}
