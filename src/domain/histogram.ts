/** Counts measurements by size. Counting one costs a few nanoseconds, and no memory. */

/** Upper bounds, in seconds, for what takes from a tenth of a millisecond to half a minute. */
export const LATENCY_SECONDS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

export class Histogram {
  /** The highest value of each bucket, ascending. One more bucket takes all that is higher. */
  readonly bounds: readonly number[];
  /** Measurements in each bucket, those of lower ones not included. */
  readonly counts: Float64Array;
  /** Of all measurements. */
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const { bounds, counts } = this;
    let bucket = 0;
    // Most measurements are small, so this ends soon.
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++;
    counts[bucket] = (counts[bucket] as number) + 1;
    this.sum += value;
  }
}
