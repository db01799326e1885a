/** Holds the sentences of the source documents, the tests that show them, and docs/conformance.md together. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { conformanceDocument, profileTests, testsIn } from "./conformance.ts";
import { ADVICE, PAGES, SENTENCES } from "./sentences.ts";

const tests = profileTests();
const tested = new Set(tests.map(({ id }) => id));
const due = new Set(SENTENCES.filter(({ later }) => later === undefined).map(({ id }) => id));

describe("the sentences of the source documents", () => {
  it("have ids of their own, numbered through on each page", () => {
    for (const { source, prefix } of PAGES) {
      const ids = SENTENCES.filter((sentence) => sentence.source === source).map(({ id }) => id);
      expect(ids.length).toBeGreaterThan(20);
      expect(ids).toEqual(ids.map((_, index) => `${prefix}-${String(index + 1).padStart(2, "0")}`));
    }
    expect(new Set(SENTENCES.map(({ id }) => id)).size).toBe(SENTENCES.length);
    const sources = new Set(PAGES.map(({ source }) => source));
    for (const { source, says } of [...SENTENCES, ...ADVICE]) {
      expect(sources).toContain(source);
      expect(says).not.toBe("");
    }
  });

  it("all have a test, but for those that are for later", () => {
    expect([...due.difference(tested)]).toEqual([]);
  });

  it("are the only ones that a test names, and none of those for later is", () => {
    expect([...tested.difference(due)]).toEqual([]);
  });

  it("are found in the titles of tests, wherever one is named", () => {
    const named = readdirSync(import.meta.dirname)
      .filter((name) => name.endsWith(".test.ts") && name !== "conformance.test.ts")
      .toSorted()
      .flatMap((name) => {
        const text = readFileSync(join(import.meta.dirname, name), "utf8");
        return Array.from(
          text.matchAll(/\[((?:watchplane|watchmantower|walwarden|plane)-[a-z-]*\d+)\]/g),
          ([, id]) => id,
        );
      });
    expect(named).toEqual(tests.map(({ id }) => id));
  });

  it("are in docs/conformance.md as scripts/conformance.ts writes it", () => {
    const document = readFileSync(join(import.meta.dirname, "../../docs/conformance.md"), "utf8");
    expect(document).toBe(conformanceDocument(tests));
  });
});

describe("the scan for titles", () => {
  it("takes the id and the rest of each title that starts with one", () => {
    const text = [
      'it("[a-01] one", () => {});',
      'it(\n  "[b-c-2] with \\"quotes\\" and [x]",\n  f);',
      'it("no id", f); it("late [a-02]", f); describe("[a-03] x", f); const x = "[a-04] y";',
    ].join("\n");
    expect(testsIn("f.test.ts", text)).toEqual([
      { id: "a-01", file: "f.test.ts", title: "one" },
      { id: "b-c-2", file: "f.test.ts", title: 'with "quotes" and [x]' },
    ]);
  });

  it("makes a row without a test visible", () => {
    const without = conformanceDocument([]);
    expect(without).not.toBe(conformanceDocument(tests));
    expect(without).toContain("| plane-01 | Every request needs a valid API key. | `004_b248e2898bc0875c.txt` |  |");
  });
});
