/** What a storage engine tells operators of its writes: plain numbers, and their traces where somebody follows. */
import { Histogram, LATENCY_SECONDS } from "./histogram.ts";

const GROUP_SIZES: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

export class WriteMeter {
  /** From when a write was asked for to its answer, in seconds. */
  readonly seconds = new Histogram(LATENCY_SECONDS);
  /** Writes in each group that was committed as one. */
  readonly groupSizes = new Histogram(GROUP_SIZES);
  /** Writes that aren't answered yet. */
  waiting = 0;
  /** Follows a write, by the name of its command: answers what is to be told of its end, if anything is. */
  follow: ((command: string) => ((failed: boolean) => void) | undefined) | undefined;
}
