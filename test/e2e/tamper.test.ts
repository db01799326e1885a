/** Checkpoints find what chains can't: many random attempts on a log, in seconds. */
import { describe, expect, it } from "vitest";
import { runTamperTrials, TAMPERINGS } from "../helpers/tamper-trials.ts";

describe("a log with checkpoints", () => {
  it("can't be cut, turned back or rewritten before the newest one without being found", async () => {
    const counts = await runTamperTrials(400, 20261121);
    expect(Object.keys(counts)).toEqual(Object.keys(TAMPERINGS));
    const { "nothing was done": nothing, "went on honestly": honest, ...attempts } = counts;
    expect([nothing, honest]).toEqual([
      { found: 0, passed: 50 },
      { found: 0, passed: 50 },
    ]);
    // Both happened of each kind: what has to be found, and what no checkpoint is over.
    for (const [name, { found, passed }] of Object.entries(attempts)) {
      expect([name, found > 0, passed > 0, found + passed]).toEqual([name, true, true, 50]);
    }
  });
});
