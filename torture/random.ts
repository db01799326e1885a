/** Numbers that look random and come again with the same seed. */
import { hash } from "node:crypto";

export class Random {
  readonly #seed: string;
  #state: number;

  constructor(seed: string) {
    this.#seed = seed;
    this.#state = hash("sha256", seed, "buffer").readUInt32LE();
  }

  /** Numbers of its own, which don't depend on how many were drawn here. */
  fork(name: string | number): Random {
    return new Random(`${this.#seed}/${name}`);
  }

  /** At least 0, below 1. */
  unit(): number {
    // mulberry32: small, and good enough to choose instants and places.
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer, at least 0, below `limit`. */
  below(limit: number): number {
    return Math.floor(this.unit() * limit);
  }

  /** One of them, or undefined where there are none. */
  pick<T>(all: readonly T[]): T | undefined {
    return all[this.below(all.length)];
  }
}
