/**
 * The one way that a call goes, whatever protocol it came by: authenticate → validate → handle → map
 * the error → log. Transports translate and decide nothing.
 */
import { randomUUID } from "node:crypto";
import { create, type DescMethod, type Message } from "@bufbuild/protobuf";
import { type Caller, callerId } from "../domain/caller.ts";
import { AppError, missingCredential } from "../domain/errors.ts";
import type { Logger } from "../domain/logger.ts";
import type { Credential } from "../usecases/authenticate.ts";
import type { Call, CallControl, IncomingCall } from "./call.ts";
import { readCredential } from "./credentials.ts";
import type { OpenTo, ServiceEntry, StreamHandler, UnaryHandler } from "./handlers.ts";
import { MAX_TIMEOUT_MS } from "./limits.ts";
import { STATUS, type Status } from "./status.ts";
import { validate } from "./validation.ts";

const REQUEST_ID = /^[\w.:-]{1,128}$/;

export interface PipelineDeps {
  /** Says who sent a credential; rejects with `unauthenticated` when it doesn't work. */
  readonly authenticate: (credential: Credential, call: Call) => Promise<Caller>;
  readonly logger: Logger;
}

export class Pipeline {
  readonly services: readonly ServiceEntry[];
  readonly #deps: PipelineDeps;
  readonly #openTo: ReadonlyMap<DescMethod, OpenTo>;
  readonly #finished = new WeakSet<Call>();

  constructor(services: readonly ServiceEntry[], deps: PipelineDeps) {
    this.services = services;
    this.#deps = deps;
    this.#openTo = new Map(
      services.flatMap(({ service, openTo }) => service.methods.map((method) => [method, openTo] as const)),
    );
  }

  /** First step: takes a call in. Every call that is opened is finished once. */
  open(incoming: IncomingCall): Call {
    return {
      ...incoming,
      header: (name) => incoming.header(name),
      requestId: requestIdOf(incoming.header("x-request-id")),
      startedAtMs: performance.now(),
      caller: { kind: "anonymous" },
    };
  }

  /**
   * Second step: says who calls, before a byte of the request is looked at.
   *
   * @throws AppError of kind `unauthenticated`, or `unavailable` when that can't be found out.
   */
  async authenticate(call: Call): Promise<void> {
    const openTo = this.#openTo.get(call.method) ?? "nobody";
    if (openTo === "anybody" || (openTo === "public" && call.surface === "public")) return;
    const credential = readCredential(call);
    if (credential === undefined) throw missingCredential();
    call.caller = await this.#deps.authenticate(credential, call);
  }

  /**
   * Third step: validates the request and runs the handler, within the deadline.
   *
   * @throws anything; `toError` says what of it may leave.
   */
  async unary(call: Call, handler: UnaryHandler<DescMethod>, request: Message, control: CallControl): Promise<Message> {
    validate(call.method.input, request);
    const response = await withinDeadline(handler(request as never, call), control, (late) => {
      // Nobody waits for it any more, but somebody should know.
      this.toError(call, late);
    });
    return create(call.method.output, response);
  }

  /** Third step of a streaming call. Each request is validated as it comes. */
  async *stream(
    call: Call,
    handler: StreamHandler<DescMethod>,
    requests: AsyncIterable<Message>,
    control: CallControl,
  ): AsyncGenerator<Message> {
    const validated = async function* (): AsyncGenerator<Message> {
      for await (const request of requests) {
        validate(call.method.input, request);
        yield request;
      }
    };
    for await (const response of handler(validated() as never, call, control.signal)) {
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
        { err: error.cause, method: methodName(call.method), requestId: call.requestId },
        "call failed",
      );
    }
    return error;
  }

  /** Last step: one line in the log. Finishing twice is finishing once. */
  finish(call: Call, outcome: AppError | Status): void {
    if (this.#finished.has(call)) return;
    this.#finished.add(call);
    const status = outcome instanceof AppError ? STATUS[outcome.kind] : outcome;
    this.#deps.logger.info(
      {
        method: methodName(call.method),
        code: status.name,
        durationMs: Math.round((performance.now() - call.startedAtMs) * 1000) / 1000,
        caller: callerId(call.caller),
        requestId: call.requestId,
        protocol: call.protocol,
        peer: call.peer,
      },
      "call",
    );
  }
}

/** The id that the caller gave its request, where it is one that a log can take, or a new one. */
export function requestIdOf(sent: string | undefined): string {
  return sent !== undefined && REQUEST_ID.test(sent) ? sent : randomUUID();
}

const methodName = (method: DescMethod): string => `${method.parent.typeName}/${method.name}`;

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
