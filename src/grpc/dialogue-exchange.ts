/**
 * A call in which each message is a question with one answer, in their order. The next question is read when
 * the answer to the last one is on its way and the client keeps up.
 */
import type { Call } from "../rpc/call.ts";
import { Exchange, OK_STATUS } from "./exchange.ts";

/** Answers that may wait for a slow client before questions do. */
const MAX_UNSENT = 16;

export class DialogueExchange extends Exchange {
  #call: Call | undefined;
  #unsent = 0;
  /** The next question waits for an answer to leave. */
  #isHeldUp = false;

  protected override serve(call: Call): void {
    this.#call = call;
    this.hasRequest = true;
    this.sendHeaders(call);
    this.transport.startRead();
  }

  override onReceiveMessage(bytes: Buffer): void {
    const call = this.#call;
    if (call === undefined || this.isFinished) return;
    this.attempt(() => {
      // A stream may live longer than its caller's credential.
      const pending = this.pipeline.authenticate(call);
      return pending === undefined ? this.#answer(call, bytes) : pending.then(() => this.#answer(call, bytes));
    });
  }

  override onReceiveHalfClose(): void {
    if (!this.isFinished) this.transport.sendStatus(OK_STATUS);
  }

  #answer(call: Call, bytes: Buffer): void | Promise<void> {
    const answer = this.pipeline.answer(call, bytes, this.control);
    return answer instanceof Promise ? answer.then((later) => this.#send(later)) : this.#send(answer);
  }

  #send(answer: Buffer): void {
    if (this.isFinished) return;
    this.#unsent += 1;
    this.transport.sendMessage(answer, () => {
      this.#unsent -= 1;
      if (!this.#isHeldUp) return;
      this.#isHeldUp = false;
      this.#readNext();
    });
    this.#isHeldUp = this.#unsent >= MAX_UNSENT;
    if (!this.#isHeldUp) this.#readNext();
  }

  #readNext(): void {
    if (!this.isFinished) this.transport.startRead();
  }
}
