/** Says how times are distributed. */

/** The smallest that so large a part doesn't exceed. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
}

/** `median 1.2 ms, 90 % 2.0, 99 % 3.1, 99.9 % 7.0, longest 12.4`. */
export function percentiles(valuesMs: readonly number[]): string {
  const at = (part: number): string => quantile(valuesMs, part).toFixed(1);
  return `median ${at(0.5)} ms, 90 % ${at(0.9)}, 99 % ${at(0.99)}, 99.9 % ${at(0.999)}, longest ${at(1)}`;
}
