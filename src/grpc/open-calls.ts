/** The calls of a server that aren't finished. */

/** A call that isn't finished. */
export interface OpenCall {
  /** Where it stands among the others, which only they use; negative while it isn't one of them. */
  place: number;
  /** Whether it has had its time; that of a stream ends only while its request is due. */
  isLate(nowMs: number): boolean;
  /** Ends a call that has had its time. */
  expire(): void;
  /** The stream is gone. */
  onCancel(): void;
}

/**
 * An array, because calls come and go all the time. A `Set` then makes itself a new table every few calls, and V8
 * lets each old table lead to the next: one that has grown old keeps all later ones, with their calls, from an early
 * collection.
 */
export class OpenCalls {
  readonly #calls: OpenCall[] = [];

  get size(): number {
    return this.#calls.length;
  }

  add(call: OpenCall): void {
    call.place = this.#calls.push(call) - 1;
  }

  /** Does nothing for a call that isn't there. */
  delete(call: OpenCall): void {
    const { place } = call;
    if (place < 0) return;
    call.place = -1;
    const last = this.#calls.pop();
    if (last === undefined || last === call) return;
    this.#calls[place] = last;
    last.place = place;
  }

  /** Ends those that have had their time. */
  expireLate(nowMs: number): void {
    for (const call of this.#all()) if (call.isLate(nowMs)) call.expire();
  }

  /** Their streams are gone. */
  cancelAll(): void {
    for (const call of this.#all()) call.onCancel();
  }

  /** A copy, for those that end leave. */
  #all(): readonly OpenCall[] {
    return [...this.#calls];
  }
}
