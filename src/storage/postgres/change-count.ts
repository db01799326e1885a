/** What all threads of a process know of the log: its revision, and how long ago it was confirmed that there is no other. */

/** Shared between threads. */
export type ChangeMemory = SharedArrayBuffer;

const REVISION = 0;
const CONFIRMED_AT = 1;
const WORDS = 2;

/**
 * Behind the words: how often something changed, for how many attempts in a row the server wasn't reached, and whether
 * it owes an answer.
 */
const COUNT = 0;
const FAILURES = 1;
const IS_LATE = 2;
const NUMBERS = 3;

/** One connection that breaks is no outage; that there is no other one is. */
const OUTAGE = 2;

export function createChangeMemory(): ChangeMemory {
  return new SharedArrayBuffer(WORDS * 8 + NUMBERS * 4);
}

/** The clock of all threads: it never goes back, and has one beginning for the machine. */
const SINCE_START_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

export function monotonicMs(): number {
  return SINCE_START_MS + performance.now();
}

export interface TrustedFor {
  readonly stalenessMs: number;
  /** More, while the server can't be reached. */
  readonly failOpenMs: number;
}

export class ChangeCount {
  readonly #words: BigInt64Array<SharedArrayBuffer>;
  readonly #numbers: Int32Array<SharedArrayBuffer>;
  readonly #trusted: TrustedFor;
  /** The newest confirmation that this thread has read; it may be older than the newest one there is. */
  #confirmedAtMs = Number.NEGATIVE_INFINITY;

  constructor(memory: ChangeMemory, trusted: TrustedFor) {
    this.#words = new BigInt64Array(memory, 0, WORDS);
    this.#numbers = new Int32Array(memory, WORDS * 8);
    this.#trusted = trusted;
  }

  /** Undefined when it is too long ago that it was confirmed. */
  get current(): number | undefined {
    const { stalenessMs, failOpenMs } = this.#trusted;
    const nowMs = monotonicMs();
    // Each check asks, and to read 64 bits makes an object. What was true of an older confirmation is true of a newer.
    if (nowMs - this.#confirmedAtMs > stalenessMs)
      this.#confirmedAtMs = Number(Atomics.load(this.#words, CONFIRMED_AT));
    const ageMs = nowMs - this.#confirmedAtMs;
    if (ageMs > stalenessMs) {
      // A process that was stopped for so long has asked nobody, and finds that it must.
      const isCutOff = Atomics.load(this.#numbers, FAILURES) > 0 || Atomics.load(this.#numbers, IS_LATE) > 0;
      if (!isCutOff || ageMs > stalenessMs + failOpenMs) return undefined;
    }
    return Atomics.load(this.#numbers, COUNT);
  }

  /** The newest one that is known. */
  get revision(): number {
    return Number(Atomics.load(this.#words, REVISION));
  }

  /** There are events up to this revision. */
  reach(revision: number): void {
    const next = BigInt(revision);
    for (let known = Atomics.load(this.#words, REVISION); known < next; ) {
      const found = Atomics.compareExchange(this.#words, REVISION, known, next);
      if (found === known) {
        this.doubt();
        return;
      }
      known = found;
    }
  }

  /** There may be other events. */
  doubt(): void {
    Atomics.add(this.#numbers, COUNT, 1);
  }

  /** What `reach` was told was the newest revision at this moment, or later. */
  confirm(atMs: number): void {
    Atomics.store(this.#words, CONFIRMED_AT, BigInt(Math.floor(atMs)));
    Atomics.store(this.#numbers, FAILURES, 0);
    Atomics.store(this.#numbers, IS_LATE, 0);
  }

  /** The server was asked, and should have answered by now. */
  miss(): void {
    Atomics.store(this.#numbers, IS_LATE, 1);
  }

  /** An attempt to reach the server failed. */
  cutOff(): void {
    if (!this.isOutage) Atomics.add(this.#numbers, FAILURES, 1);
  }

  /** Whether it would be a waste of time to ask the server. */
  get isOutage(): boolean {
    return Atomics.load(this.#numbers, FAILURES) >= OUTAGE;
  }
}
