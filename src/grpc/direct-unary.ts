/** A call with one message in and one message out, answered on its HTTP/2 stream. */
import { AppError } from "../domain/errors.ts";
import { MAX_REQUEST_BYTES, MAX_TIMEOUT_MS } from "../rpc/limits.ts";
import { DirectCall, messageLength, PREFIX_BYTES } from "./direct-call.ts";
import { oneMessageOnly } from "./exchange.ts";

export class DirectUnary extends DirectCall {
  #bytes: Buffer | undefined;
  #more: Buffer[] | undefined;
  #size = 0;

  protected override get endsAtMs(): number {
    return Math.min(this.deadlineMs, this.call.startedAtMs + MAX_TIMEOUT_MS);
  }

  protected override serve(): void {}

  override onData(chunk: Buffer): void {
    if (this.isFinished) return;
    this.#size += chunk.length;
    if (this.#bytes === undefined) this.#bytes = chunk;
    else (this.#more ??= []).push(chunk);
    if (this.#size > PREFIX_BYTES + MAX_REQUEST_BYTES) {
      this.fail(new AppError("too_large", `The request is larger than ${MAX_REQUEST_BYTES} bytes.`));
    }
  }

  override onEnd(): void {
    if (this.isFinished || this.isGone()) return;
    this.attempt(() => {
      const request = this.#message();
      this.hasRequest = true;
      const answer = this.pipeline.answer(this.call, request, this.control);
      if (!(answer instanceof Promise)) return this.#reply(answer);
      this.watchTime();
      return answer.then((bytes) => this.#reply(bytes));
    });
  }

  #message(): Buffer {
    const bytes =
      this.#more === undefined || this.#bytes === undefined ? this.#bytes : Buffer.concat([this.#bytes, ...this.#more]);
    this.#bytes = undefined;
    this.#more = undefined;
    if (bytes === undefined || bytes.length < PREFIX_BYTES || messageLength(bytes) !== bytes.length - PREFIX_BYTES) {
      throw oneMessageOnly();
    }
    return bytes.subarray(PREFIX_BYTES);
  }

  #reply(answer: Buffer): void {
    if (this.isFinished || this.isGone()) return;
    this.sendHeaders();
    this.succeed(answer);
  }
}
