/** What a benchmark found, and how it is shown. */

export interface Measurement {
  readonly name: string;
  /** Checks a second. */
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Server CPU of a check, in microseconds. */
  readonly cpuMicros: number;
  readonly cpuMicrosByRound: readonly number[];
  /** Resident memory at its highest, in bytes. */
  readonly peakMemory: number;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The median of the ratios of rounds that followed each other: what the machine did besides is in both. */
export function ratio(one: Measurement, floor: Measurement): number {
  return median(one.cpuMicrosByRound.map((cpu, round) => cpu / (floor.cpuMicrosByRound[round] ?? Number.NaN)));
}

/** Columns of text, numbers to the right. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  return [headings, ...rows]
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  "),
    )
    .join("\n");
}
