/** Sends letters in the background, so that nobody's answer waits for a mail server or tells whether there was a letter. */
import { setTimeout as wait } from "node:timers/promises";
import type { Logger } from "../domain/logger.ts";
import type { Letter, Mailer } from "../domain/mail.ts";

export interface OutboxDeps {
  readonly mailer: Mailer;
  readonly logger: Logger;
  /** Waits between the attempts for a letter, in milliseconds. */
  readonly retryDelaysMs?: readonly number[];
}

/** Finds out what to send; undefined is nothing. */
export type Draft = () => Letter | undefined | Promise<Letter | undefined>;

const DEFAULT_RETRY_DELAYS_MS = [2_000, 30_000];

/** Letters that wait; further ones are let go. Each is one that a limited attempt asked for. */
const MAX_WAITING = 1_000;

/** Letters on their way at a time. */
const MAX_RUNNING = 4;

/** A stop waits so long for letters on their way. */
const STOP_GRACE_MS = 5_000;

/** A letter lost is one that the person asks for again, so nothing of it is stored. */
export class Outbox {
  readonly #deps: OutboxDeps;
  readonly #retryDelaysMs: readonly number[];
  readonly #waiting: Draft[] = [];
  readonly #running = new Set<Promise<void>>();
  readonly #stop = new AbortController();

  constructor(deps: OutboxDeps) {
    this.#deps = deps;
    this.#retryDelaysMs = deps.retryDelaysMs ?? DEFAULT_RETRY_DELAYS_MS;
  }

  /** Takes a letter that is still to be written. Never fails and waits for nothing. */
  post(draft: Draft): void {
    if (this.#stop.signal.aborted || this.#waiting.length >= MAX_WAITING) {
      this.#deps.logger.error({}, "a letter was let go: too many are waiting, or the service stops");
      return;
    }
    this.#waiting.push(draft);
    // Later, so that the answer goes first.
    setImmediate(() => this.#runNext());
  }

  /** Resolves when nothing is waiting or on its way. */
  async settled(): Promise<void> {
    while (this.#waiting.length > 0 || this.#running.size > 0) await wait(10);
  }

  /** Tries what is there once more at most, within a grace. Never rejects. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.race([this.settled(), wait(STOP_GRACE_MS, undefined, { ref: false })]);
    this.#deps.mailer.close();
  }

  #runNext(): void {
    if (this.#running.size >= MAX_RUNNING) return;
    const draft = this.#waiting.shift();
    if (draft === undefined) return;
    const running = this.#deliver(draft).finally(() => {
      this.#running.delete(running);
      this.#runNext();
    });
    this.#running.add(running);
  }

  async #deliver(draft: Draft): Promise<void> {
    const { mailer, logger } = this.#deps;
    try {
      const letter = await draft();
      if (letter === undefined) return;
      for (const delayMs of [...this.#retryDelaysMs, undefined]) {
        try {
          return await mailer.send(letter);
        } catch (error) {
          if (delayMs === undefined || this.#stop.signal.aborted) throw error;
          await wait(delayMs, undefined, { signal: this.#stop.signal }).catch(() => {});
        }
      }
    } catch (error) {
      // A server's answer may quote the address, so only its code is told.
      const { code, responseCode, name } = error as { code?: unknown; responseCode?: unknown; name?: unknown };
      logger.error({ code, responseCode, name }, "a letter could not be sent");
    }
  }
}
