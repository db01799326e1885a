/** What a benchmark found, and how it is shown. */
import type { Figures } from "./bounds.ts";

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

export interface Table {
  readonly title: string;
  /** The first column is text, the others hold numbers. */
  readonly headings: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A bar of the picture. */
export interface Bar {
  readonly name: string;
  /** Server CPU of a check, as a multiple of the empty grpc-js call's. */
  readonly ratio: number;
}

export interface Outcome {
  readonly tables: readonly Table[];
  readonly figures: Figures;
  readonly bars?: readonly Bar[];
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The median of the ratios of rounds that followed each other: what the machine did besides is in both. */
export function medianRatio(ones: readonly number[], others: readonly number[]): number {
  return median(ones.map((one, round) => one / (others[round] ?? Number.NaN)));
}

/** How many times the CPU of another's check one's check takes. */
export function ratio(one: Measurement, other: Measurement): number {
  return medianRatio(one.cpuMicrosByRound, other.cpuMicrosByRound);
}

/** Finds a measurement by its subject's name, which must be there. */
export function named(measurements: readonly Measurement[], name: string): Measurement {
  const found = measurements.find((one) => one.name === name);
  if (found === undefined) throw new Error(`${name} was not measured`);
  return found;
}

/** Measurements next to each other, with their ratios to the floors among them. */
export function tableOf(
  title: string,
  measurements: readonly Measurement[],
  floors: Readonly<Record<string, Measurement>>,
): Table {
  return {
    title,
    headings: ["", "checks/s", "p50 ms", "p99 ms", "CPU µs", ...Object.keys(floors), "peak MB"],
    rows: measurements.map((one) => [
      one.name,
      one.perSecond.toFixed(0),
      one.p50Ms.toFixed(2),
      one.p99Ms.toFixed(2),
      one.cpuMicros.toFixed(1),
      ...Object.values(floors).map((floor) => ratio(one, floor).toFixed(2)),
      megabytes(one.peakMemory),
    ]),
  };
}

export function megabytes(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(0);
}

/** A table in columns, numbers to the right. */
export function asText({ title, headings, rows }: Table): string {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const lines = [headings, ...rows].map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  "),
  );
  return ["", title, ...lines].join("\n");
}
