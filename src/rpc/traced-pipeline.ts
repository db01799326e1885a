/** The pipeline, with a trace of each call. A class of its own, so that calls that aren't traced pay nothing for it. */
import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { AppError } from "../domain/errors.ts";
import type { Call, CallControl, CallSpan, IncomingCall } from "./call.ts";
import type { ServiceEntry, UnaryHandler } from "./handlers.ts";
import { methodName, Pipeline, type PipelineDeps, statusOf } from "./pipeline.ts";
import type { Status } from "./status.ts";

/** Begins the span of a call; undefined for one that isn't to be traced. */
type StartCall = (method: string, call: IncomingCall) => CallSpan | undefined;

export class TracedPipeline extends Pipeline {
  readonly #startCall: StartCall;

  constructor(services: readonly ServiceEntry[], deps: PipelineDeps, startCall: StartCall) {
    super(services, deps);
    this.#startCall = startCall;
  }

  override open(incoming: IncomingCall): Call {
    const call = super.open(incoming);
    call.span = this.#startCall(methodName(incoming.method), incoming);
    return call;
  }

  override authenticate(call: Call): Promise<void> | undefined {
    return within(call, () => super.authenticate(call));
  }

  override answer(call: Call, request: Buffer, control: () => CallControl): Buffer | Promise<Buffer> {
    return within(call, () => super.answer(call, request, control));
  }

  override unary(
    call: Call,
    handler: UnaryHandler<DescMethod>,
    request: Message,
    control: CallControl,
  ): Promise<Message> {
    return within(call, () => super.unary(call, handler, request, control));
  }

  override finish(call: Call, outcome: AppError | Status): void {
    const isFirst = !call.isFinished;
    super.finish(call, outcome);
    if (isFirst) call.span?.end(statusOf(outcome));
  }
}

/** Does a part of the call's work. */
function within<T>({ span }: Call, work: () => T): T {
  return span === undefined ? work() : span.run(work);
}
