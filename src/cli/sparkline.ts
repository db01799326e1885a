/** Counts as a row of bars, a character each. */

const BARS = "▁▂▃▄▅▆▇█";

/** The highest count has the highest bar. One that is zero has a dot, so that the least use is seen beside none. */
export function sparkline(counts: readonly number[]): string {
  const highest = Math.max(...counts);
  return counts
    .map((count) => (count === 0 ? "·" : BARS.charAt(Math.ceil((count / highest) * BARS.length) - 1)))
    .join("");
}
