/** Bars for counts: what matters is that some use is never shown as none, nor the other way round. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sparkline } from "../../src/cli/sparkline.ts";

describe("a sparkline", () => {
  it.each([
    [[], ""],
    [[0, 0], "··"],
    [[1], "█"],
    [[0, 1, 1_000_000], "·▁█"],
    [[1, 2, 3, 4, 5, 6, 7, 8], "▁▂▃▄▅▆▇█"],
    [[5, 10, 0, 10], "▄█·█"],
  ])("of %j is %s", (counts, expected) => {
    expect(sparkline(counts)).toBe(expected);
  });

  it("has a character for each count, which rises with it, and a dot for none only", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 2, maxLength: 90 }), (counts) => {
        const bars = [...sparkline(counts)];
        expect(bars).toHaveLength(counts.length);
        for (const [index, count] of counts.entries()) {
          expect(bars[index] === "·").toBe(count === 0);
          const next = counts[index + 1] ?? count;
          if (count > 0 && next >= count) expect((bars[index + 1] ?? "█") >= (bars[index] ?? "")).toBe(true);
        }
      }),
    );
  });
});
