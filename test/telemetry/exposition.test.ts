/** The page that Prometheus reads, against a strict reader. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { Histogram } from "../../src/domain/histogram.ts";
import { expose } from "../../src/telemetry/exposition.ts";
import type { Metric } from "../../src/telemetry/metric.ts";
import { readExposition } from "../helpers/exposition.ts";

const gauge = (help: string, samples: (readonly [Record<string, string>, number])[]): Metric => ({
  name: "thing",
  help,
  type: "gauge",
  samples,
});

it("writes what the format's specification shows", () => {
  const histogram = new Histogram([0.5, 1]);
  for (const value of [0.1, 0.5, 0.75, 7]) histogram.observe(value);
  const page = expose([
    gauge('A "thing" \\ with\ntwo lines.', [[{ path: 'C:\\DIR\n"x"', le: "" }, -1.5e-9]]),
    { name: "took", help: "Time.", type: "histogram", samples: [[{ method: "a" }, histogram]] },
  ]);
  expect(page).toBe(String.raw`# HELP thing A "thing" \\ with\ntwo lines.
# TYPE thing gauge
thing{path="C:\\DIR\n\"x\"",le=""} -1.5e-9
# HELP took Time.
# TYPE took histogram
took_bucket{method="a",le="0.5"} 2
took_bucket{method="a",le="1"} 3
took_bucket{method="a",le="+Inf"} 4
took_sum{method="a"} 8.35
took_count{method="a"} 4
`);
});

it("writes every text and number so that it is read as it was", () => {
  const text = fc.string({ unit: fc.constantFrom('"', "\\", "\n", "n", "{", "}", ",", "=", " ", "é", "🔑") });
  fc.assert(
    fc.property(text, text, fc.double(), (help, label, value) => {
      const described = `h${help}`;
      expect(readExposition(expose([gauge(described, [[{ label }, value]])]))).toEqual([
        {
          name: "thing",
          help: described,
          type: "gauge",
          samples: [{ name: "thing", labels: { label }, value: value + 0 }],
        },
      ]);
    }),
  );
});

it("counts each measurement in the first bucket that it fits into", () => {
  const value = fc.double({ min: 0, max: 20, noNaN: true });
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 15 })), fc.array(value), (some, values) => {
      const bounds = some.toSorted((one, other) => one - other);
      const histogram = new Histogram(bounds);
      for (const one of values) histogram.observe(one);
      const [family] = readExposition(
        expose([{ name: "took", help: "x", type: "histogram", samples: [[{}, histogram]] }]),
      );
      const buckets = family?.samples.filter(({ name }) => name === "took_bucket").map((sample) => sample.value);
      expect(buckets).toEqual([...bounds, Infinity].map((bound) => values.filter((one) => one <= bound).length));
    }),
  );
});

it.each([
  ["no end", "has no end", "# HELP a x\n# TYPE a gauge\na 1"],
  ["no type", "not as it should be: a 1", "# HELP a x\na 1\n"],
  ["an open label", "the labels of", '# HELP a x\n# TYPE a gauge\na{b="c} 1\n'],
  ["a bare quote", "the labels of", '# HELP a x\n# TYPE a gauge\na{b="c"d"} 1\n'],
  ["a series twice", "is there twice", '# HELP a x\n# TYPE a gauge\na{b="c"} 1\na{b="c"} 2\n'],
  ["a counter without its ending", "isn't the name of a counter", "# HELP a x\n# TYPE a counter\na 1\n"],
  [
    "shrinking buckets",
    "isn't a histogram",
    '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
  ],
  [
    "no last bucket",
    "has no bucket for everything",
    '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 2\na_sum 1\na_count 2\n',
  ],
])("is read by a reader that refuses %s", (_, complaint, page) => {
  expect(() => readExposition(page)).toThrow(complaint);
});
