/** Metrics as data, which threads can send each other and pages are made of. */
import type { Histogram } from "../domain/histogram.ts";

export type Labels = Readonly<Record<string, string>>;

/** What is left of a histogram when it is sent to another thread. */
export type CountedValues = Pick<Histogram, "bounds" | "counts" | "sum">;

interface Described {
  readonly name: string;
  /** One sentence, unit included. */
  readonly help: string;
  /** Of which thread's number a process shows; the sum of them, where nothing is said. */
  readonly ofThreads?: "max";
}

/** What is said by single numbers. */
export interface NumberMetric extends Described {
  readonly type: "counter" | "gauge" | "summary";
  readonly samples: readonly (readonly [Labels, number])[];
}

export interface HistogramMetric extends Described {
  readonly type: "histogram";
  readonly samples: readonly (readonly [Labels, CountedValues])[];
}

export type Metric = NumberMetric | HistogramMetric;

/** Makes one page of metrics of those of several threads. Each metric comes once, with each set of labels once. */
export function combine(pages: readonly (readonly Metric[])[]): readonly Metric[] {
  const combined = new Map<string, Metric>();
  for (const metric of pages.flat()) {
    const known = combined.get(metric.name);
    combined.set(metric.name, known === undefined ? metric : combineTwo(known, metric));
  }
  return [...combined.values()];
}

function combineTwo(one: Metric, other: Metric): Metric {
  if (one.type === "histogram" && other.type === "histogram") {
    return { ...one, samples: combineSamples(one.samples, other.samples, addCounts) };
  }
  if (one.type === "histogram" || other.type === "histogram") throw new Error(`${one.name} is two kinds of metric`);
  const numbers = one.ofThreads === "max" ? Math.max : (a: number, b: number): number => a + b;
  return { ...one, samples: combineSamples(one.samples, other.samples, numbers) };
}

type Samples<T> = readonly (readonly [Labels, T])[];

function combineSamples<T>(one: Samples<T>, other: Samples<T>, add: (a: T, b: T) => T): Samples<T> {
  const samples = new Map<string, readonly [Labels, T]>();
  for (const [labels, value] of [...one, ...other]) {
    // A metric's labels are always given in one order.
    const key = JSON.stringify(labels);
    const known = samples.get(key);
    samples.set(key, [labels, known === undefined ? value : add(known[1], value)]);
  }
  return [...samples.values()];
}

function addCounts(one: CountedValues, other: CountedValues): CountedValues {
  const counts = one.counts.map((count, bucket) => count + (other.counts[bucket] ?? 0));
  return { bounds: one.bounds, counts, sum: one.sum + other.sum };
}
