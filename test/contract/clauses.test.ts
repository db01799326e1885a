/** Holds the storage port's clauses and the titles of the contract's tests together. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const CLAUSE = /^[ /]*\*+ +- ([A-Z]+\d+)\. /gm;
const TITLE = /\bit\(\s*"([A-Z]+\d+): /g;

const clauses = new Set(matches("../../src/domain/storage.ts", CLAUSE));
const tested = new Set(matches("./storage-contract.ts", TITLE));

describe("the clauses of the storage port", () => {
  it("are numbered, and each number is used once", () => {
    expect(clauses.size).toBeGreaterThan(30);
    expect(matches("../../src/domain/storage.ts", CLAUSE)).toEqual([...clauses]);
  });

  it("all have a test", () => {
    expect([...clauses.difference(tested)]).toEqual([]);
  });

  it("are the only ones that a test names", () => {
    expect([...tested.difference(clauses)]).toEqual([]);
  });
});

function matches(file: string, pattern: RegExp): readonly string[] {
  const source = readFileSync(new URL(file, import.meta.url), "utf8");
  return Array.from(source.matchAll(pattern), ([, found = ""]) => found);
}
