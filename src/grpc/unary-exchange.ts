/** A call with one message in and one message out. */
import type { Call } from "../rpc/call.ts";
import { Exchange, OK_STATUS, oneMessageOnly } from "./exchange.ts";

export class UnaryExchange extends Exchange {
  #call: Call | undefined;
  #request: Buffer | undefined;

  protected override serve(call: Call): void {
    this.#call = call;
    this.transport.startRead();
  }

  override onReceiveMessage(bytes: Buffer): void {
    if (this.#request !== undefined) return this.fail(oneMessageOnly());
    this.#request = bytes;
    // What follows is the end of the request, or one message too many.
    this.transport.startRead();
  }

  override onReceiveHalfClose(): void {
    const call = this.#call;
    const request = this.#request;
    if (call === undefined || this.isFinished) return;
    if (request === undefined) return this.fail(oneMessageOnly());
    this.hasRequest = true;
    this.attempt(() => {
      const answer = this.pipeline.answer(call, request, this.control);
      return answer instanceof Promise ? answer.then((bytes) => this.#reply(call, bytes)) : this.#reply(call, answer);
    });
  }

  #reply(call: Call, bytes: Buffer): void {
    if (this.isFinished) return;
    this.sendHeaders(call);
    // The status needn't wait until the message is out: they leave in this order, in one write.
    this.transport.sendMessage(bytes, () => {});
    this.transport.sendStatus(OK_STATUS);
  }
}
