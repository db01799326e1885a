/**
 * A call in which each message is a question with one answer, in their order, on its HTTP/2 stream. The next question
 * is looked at when the last one is answered and the client keeps up with its answers.
 */
import { AppError } from "../domain/errors.ts";
import { DirectCall, messageLength, PREFIX_BYTES } from "./direct-call.ts";

export class DirectDialogue extends DirectCall {
  /** What came of questions that aren't answered. */
  #bytes: Buffer | undefined;
  /** An answer takes longer, or the client takes no more. */
  #isHeldUp = false;
  #hasEnded = false;

  /** It may go on for as long as its client gave it. */
  protected override get endsAtMs(): number {
    return this.deadlineMs;
  }

  protected override serve(): void {
    this.hasRequest = true;
    this.sendHeaders();
    this.watchTime();
  }

  override onData(chunk: Buffer): void {
    if (this.isFinished) return;
    this.#bytes = this.#bytes === undefined ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (!this.#isHeldUp) this.#answerAll();
  }

  override onEnd(): void {
    this.#hasEnded = true;
    if (!this.#isHeldUp) this.#answerAll();
  }

  override onDrain(): void {
    this.#goOn();
  }

  #goOn(): void {
    this.#isHeldUp = false;
    this.#answerAll();
    if (!this.#isHeldUp && !this.isFinished) this.stream.resume();
  }

  #holdUp(): void {
    this.#isHeldUp = true;
    this.stream.pause();
  }

  /** Answers the questions that are in, as far as that can be done at once. */
  #answerAll(): void {
    this.attempt(() => {
      while (!this.#isHeldUp && !this.isFinished && !this.isGone()) {
        const question = this.#next();
        if (question === undefined) return this.#hasEnded ? this.#end() : undefined;
        // A stream may live longer than its caller's credential.
        const pending = this.pipeline.authenticate(this.call);
        const answer = pending === undefined ? this.#ask(question) : pending.then(() => this.#ask(question));
        if (answer instanceof Promise) return this.#answerLater(answer);
        this.#send(answer);
      }
      return undefined;
    });
  }

  async #answerLater(answer: Promise<Buffer>): Promise<void> {
    this.#holdUp();
    const later = await answer;
    if (!this.isFinished && !this.isGone() && this.#send(later)) this.#goOn();
  }

  #ask(question: Buffer): Buffer | Promise<Buffer> {
    return this.pipeline.answer(this.call, question, this.control);
  }

  #send(answer: Buffer): boolean {
    const keepsUp = this.send(answer);
    if (!keepsUp) {
      this.#holdUp();
      this.awaitDrain();
    }
    return keepsUp;
  }

  #next(): Buffer | undefined {
    const bytes = this.#bytes;
    if (bytes === undefined || bytes.length < PREFIX_BYTES) return undefined;
    const end = PREFIX_BYTES + messageLength(bytes);
    if (bytes.length < end) return undefined;
    this.#bytes = bytes.length === end ? undefined : bytes.subarray(end);
    return bytes.subarray(PREFIX_BYTES, end);
  }

  #end(): void {
    if (this.#bytes === undefined) this.succeed();
    else this.fail(new AppError("invalid_argument", "The stream ended within a message."));
  }
}
