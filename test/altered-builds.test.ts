/** The builds that trials and benchmarks alter can still be made of the source as it is. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ALTERED_BUILDS, alter, type BuildName } from "./helpers/altered-builds.ts";

const names = Object.keys(ALTERED_BUILDS) as BuildName[];

describe("an altered build", () => {
  it.each(names)("%s alters what is there", (name) => {
    for (const file of new Set(ALTERED_BUILDS[name].map((edit) => edit.file))) {
      const text = readFileSync(join(import.meta.dirname, "..", file), "utf8");
      expect(alter(name, file, text)).not.toBe(text);
    }
  });

  it("is refused where the source has moved on", () => {
    const [edit] = ALTERED_BUILDS["forks-chains"];
    expect(() => alter("forks-chains", edit.file, "previousHash: head,")).toThrow("holds 0 times");
    expect(() => alter("forks-chains", edit.file, edit.from + edit.from)).toThrow("holds 2 times");
  });
});
