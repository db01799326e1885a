/** Node's code for `process.nextTick` stays fast, whatever garbage V8 collects between its first calls. */
import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";

const TICK_SHAPE = new URL("../src/tick-shape.ts", import.meta.url).href;

/** What V8 has learnt of the objects that it makes: how many shapes, at each of their properties. */
function shapesSeen(first: string): readonly string[] {
  const script = `
    ${first}
    const turn = () => new Promise(setImmediate);
    for (let round = 0; round < 40; round++) {
      process.nextTick(() => {});
      await turn();
      // A shape outlives a few collections.
      if (round % 10 === 9) for (let collection = 0; collection < 5; collection++) gc();
    }
    const seen = %GetFeedback(process.nextTick).filter((one) => one?.[0] === "DefineKeyedOwnPropertyInLiteral");
    console.log(JSON.stringify(seen.map((one) => one[1].trim())));`;
  const flags = ["--allow-natives-syntax", "--expose-gc", "--input-type=module"];
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, "--eval", script], { encoding: "utf8" });
  expect(stderr).toBe("");
  return JSON.parse(stdout) as readonly string[];
}

it("sees one shape where one of the objects is kept", () => {
  const shapes = shapesSeen(`(await import(${JSON.stringify(TICK_SHAPE)})).keepTickShape();`);
  expect(shapes.length).toBeGreaterThan(0);
  expect(new Set(shapes)).toEqual(new Set(["MONOMORPHIC"]));
});

it("sees several where none is, which is why one is kept", () => {
  expect(shapesSeen("")).toContain("MEGAMORPHIC");
});
