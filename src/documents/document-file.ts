/** A settings file that people write: YAML or JSON in, plain values or the faults that it has out. */
import { isUtf8 } from "node:buffer";
import { readFileSync, statSync } from "node:fs";
import { LineCounter, parseDocument, visit } from "yaml";

/** Far more than such a file needs, and little enough to read at every start. */
const MAX_BYTES = 256 * 1024;

/** What aliases expand to stays within about so many times the file's size. */
const MAX_ALIASES = 100;

/** One slip can make the parser complain about everything after it. */
const MAX_SYNTAX_FAULTS = 5;

/** What the parser says to programmers, in other words. */
const REASONS: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: "a second document starts",
  RESOURCE_EXHAUSTION: "is nested too deeply",
};

type Content = { readonly document: unknown } | { readonly faults: readonly string[] };

/** Reads a file whose name ends in `.json` as JSON and any other as YAML 1.2. Never throws. */
export function readDocument(file: string): Content {
  let bytes: Uint8Array;
  try {
    const status = statSync(file);
    // Reading a pipe would wait for whoever writes to it.
    if (!status.isFile()) return { faults: ["is not a file"] };
    if (status.size > MAX_BYTES) return { faults: [`is larger than ${MAX_BYTES / 1024} KiB`] };
    bytes = readFileSync(file);
  } catch (error) {
    return { faults: [`can't be read: ${oneLine(error)}`] };
  }
  if (!isUtf8(bytes)) return { faults: ["must be UTF-8"] };
  const text = new TextDecoder().decode(bytes);
  try {
    return parse(text, file.endsWith(".json"));
  } catch (error) {
    // Aliases that lead nowhere or multiply, and what is YAML but not JSON.
    return { faults: [oneLine(error)] };
  }
}

/** JSON goes through the YAML parser too, which knows lines and sees names that stand there twice. */
function parse(text: string, isJson: boolean): Content {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    version: "1.2",
    schema: "core",
    merge: true,
    // Without these, keys may be anything, and `!!binary` and `!!timestamp` make values that JSON doesn't have.
    stringKeys: true,
    resolveKnownTags: false,
    // Below this level, a second document in the file goes unnoticed.
    logLevel: "error",
    prettyErrors: false,
    lineCounter: lines,
  });
  const faults = new Map<number, string>();
  const addFault = (offset: number, reason: string): void => {
    const { line } = lines.linePos(offset);
    if (!faults.has(line) && faults.size < MAX_SYNTAX_FAULTS) faults.set(line, `line ${line}: ${reason}`);
  };
  for (const problem of [...document.errors, ...document.warnings])
    addFault(problem.pos[0], REASONS[problem.code] ?? oneLine(problem));
  if (faults.size === 0) {
    visit(document, {
      Scalar(place, { value, range }) {
        // zod leaves it out without a word.
        if (place === "key" && value === "__proto__") addFault(range?.[0] ?? 0, "__proto__ can't be a name");
      },
    });
  }
  if (faults.size > 0) return { faults: [...faults.values()] };
  if (isJson) requireJson(text);
  return { document: document.toJS({ maxAliasCount: MAX_ALIASES }) };
}

function requireJson(text: string): void {
  try {
    JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`must be JSON: ${oneLine(error)}`, { cause: error });
  }
}

export function oneLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).replace(/\s+/g, " ");
}
