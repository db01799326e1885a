/** Which test shows which sentence of the source documents, as `docs/conformance.md` has it. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ADVICE, PAGES, SENTENCES, type Sentence } from "./sentences.ts";

/** A test whose title starts with a sentence's id. */
export interface Shown {
  readonly id: string;
  readonly file: string;
  /** Without the id. */
  readonly title: string;
}

const TITLE = /\bit\(\s*"\[([\w-]+)\] ((?:[^"\\]|\\.)*)"/g;

/** The tests in a file's text that name a sentence, in their order. */
export function testsIn(file: string, text: string): readonly Shown[] {
  return Array.from(text.matchAll(TITLE), ([, id = "", title = ""]) => ({
    id,
    file,
    title: JSON.parse(`"${title}"`) as string,
  }));
}

/** The tests of this folder that name a sentence. That of the scan itself has made-up ones. */
export function profileTests(): readonly Shown[] {
  return readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith(".test.ts") && name !== "conformance.test.ts")
    .toSorted()
    .flatMap((name) => testsIn(name, readFileSync(join(import.meta.dirname, name), "utf8")));
}

const INTRODUCTION = `# Conformance

Latchkey implements what five pages of four products promise to their users. This is every sentence of theirs that says
how the service behaves, in our own words, with the test in \`test/profiles\` that shows it on one running service that
hosts all four products. What a later part of Latchkey brings says so.

The tables are written by \`node scripts/conformance.ts\` from \`test/profiles/sentences.ts\` and the titles of the tests;
\`test/profiles/conformance.test.ts\` fails when they differ, or when a sentence has no test.
`;

/** The document: a table for each page, then what the page tells people and not the service. */
export function conformanceDocument(tests: readonly Shown[]): string {
  const later = SENTENCES.filter((sentence) => sentence.later !== undefined).length;
  const count = `${SENTENCES.length} sentences: ${SENTENCES.length - later} with tests, ${later} for later.\n`;
  const sections = PAGES.map(({ source, title }) => {
    const sentences = SENTENCES.filter((sentence) => sentence.source === source);
    const advice = ADVICE.filter((one) => one.source === source).map(({ says }) => `- ${says}\n`);
    const table = [
      "| | what the page says | source document | shown by |",
      "| --- | --- | --- | --- |",
      ...sentences.map((sentence) => row(sentence, tests)),
    ].join("\n");
    const outro =
      advice.length === 0 ? "" : `\nWhat it tells people, and asks nothing of the service:\n\n${advice.join("")}`;
    return `## ${title}\n\n${table}\n${outro}`;
  });
  return [INTRODUCTION, count, ...sections].join("\n");
}

function row({ id, source, says, later }: Sentence, tests: readonly Shown[]): string {
  const shown = tests
    .filter((test) => test.id === id)
    .map(({ file, title }) => `[${file}](../test/profiles/${file}): ${title}`);
  const by = later === undefined ? shown.join("<br>") : `later: ${later}`;
  return `| ${[id, says, `\`${source}\``, by].map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}
