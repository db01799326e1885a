/** A strict reader of Prometheus's text format 0.0.4: whatever a scraper might trip over is an error. */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly samples: readonly Sample[];
}

const HELP = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ((?:[^\\]|\\[\\n])+)$/;
const TYPE = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary)$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.+)\})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|[+-]Inf|NaN)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(?:,|$)/y;

const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  counter: [""],
  gauge: [""],
  summary: [""],
  histogram: ["_bucket", "_sum", "_count"],
};

/** @throws Error that shows the line at fault */
export function readExposition(page: string): readonly Family[] {
  if (!page.endsWith("\n")) throw new Error("the last line has no end");
  const families: (Family & { readonly samples: Sample[] })[] = [];
  const seen = new Set<string>();
  const lines = page.slice(0, -1).split("\n");
  for (let index = 0; index < lines.length; ) {
    const [, name = "", help = ""] = match(HELP, lines[index++]);
    const [, typed, type = ""] = match(TYPE, lines[index++]);
    if (typed !== name || seen.has(name)) throw new Error(`${name} is described twice, or as ${typed}`);
    if ((type === "counter") !== name.endsWith("_total")) throw new Error(`${name} isn't the name of a ${type}`);
    seen.add(name);
    const samples: Sample[] = [];
    for (; lines[index]?.startsWith("#") === false; index++) {
      const sample = readSample(lines[index]);
      if (!SUFFIXES[type]?.some((suffix) => sample.name === name + suffix))
        throw new Error(`${sample.name} in ${name}`);
      const key = sample.name + JSON.stringify(sample.labels, Object.keys(sample.labels).toSorted());
      if (seen.has(key)) throw new Error(`${key} is there twice`);
      seen.add(key);
      samples.push(sample);
    }
    families.push({ name, help: unescape(help), type, samples });
    if (type === "histogram") checkHistogram(name, samples);
  }
  return families;
}

function readSample(line: string | undefined): Sample {
  const [, name = "", text = "", number = ""] = match(SAMPLE, line);
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const [, label = "", value = ""] = LABEL.exec(text) ?? [];
    if (label === "" || label in labels) throw new Error(`the labels of ${line}`);
    labels[label] = unescape(value);
  }
  return { name, labels, value: numberOf(number) };
}

/** Buckets only grow, the last one has everything, and no series lacks a part. */
function checkHistogram(name: string, samples: readonly Sample[]): void {
  const series = Map.groupBy(samples, ({ labels }) => JSON.stringify({ ...labels, le: undefined }));
  for (const [labels, parts] of series) {
    const buckets = parts.filter((part) => part.name === `${name}_bucket`);
    const bounds = buckets.map((part) => numberOf(part.labels["le"] ?? ""));
    const counts = buckets.map(({ value }) => value);
    const [count, ...others] = parts.filter((part) => part.name === `${name}_count`);
    const isWhole = others.length === 0 && parts.length === buckets.length + 2;
    const isAscending = (numbers: readonly number[], step: number): boolean =>
      numbers.every((number, index) => index === 0 || number - (numbers[index - 1] ?? 0) >= step);
    if (!isWhole || !isAscending(bounds, Number.MIN_VALUE) || !isAscending(counts, 0)) {
      throw new Error(`${name}${labels} isn't a histogram`);
    }
    if (bounds.at(-1) !== Number.POSITIVE_INFINITY || counts.at(-1) !== count?.value) {
      throw new Error(`${name}${labels} has no bucket for everything`);
    }
  }
}

function match(pattern: RegExp, line: string | undefined): RegExpExecArray {
  const found = pattern.exec(line ?? "");
  if (found === null) throw new Error(`not as it should be: ${line}`);
  return found;
}

function numberOf(text: string): number {
  return Number(text.replace("Inf", "Infinity"));
}

function unescape(text: string): string {
  return text.replace(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));
}
