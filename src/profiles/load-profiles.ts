/** The profiles of a deployment: those that ship with Latchkey, in this folder, and a company's own. */
import { isUtf8 } from "node:buffer";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { LineCounter, parseDocument, visit } from "yaml";
import { Profiles } from "../domain/profile.ts";
import { StartError } from "../domain/start-error.ts";
import { type ProfileReading, readProfile } from "./profile-document.ts";

/** Far more than a profile needs, and little enough to read at every start. */
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

interface ProfileFile extends ProfileReading {
  readonly name: string;
  readonly isBuiltIn: boolean;
}

type Content = { readonly document: unknown } | { readonly faults: readonly string[] };

/**
 * Reads every built-in profile, and every `*.yaml`, `*.yml` and `*.json` of the directory, if there is one.
 * As in a shell, that leaves out names that start with a dot.
 *
 * @throws StartError with a line for each fault in any of the files: file, field and reason
 */
export function loadProfiles(directory: string | undefined): Profiles {
  const faults: string[] = [];
  const files = [
    ...readDirectory(import.meta.dirname, true, faults),
    ...(directory === undefined ? [] : readDirectory(directory, false, faults)),
  ];
  for (const [index, file] of files.entries()) faults.push(...clashes(file, files.slice(0, index)));
  if (faults.length > 0) throw new StartError([...new Set(faults)].join("\n"));
  return new Profiles(files.flatMap(({ profile }) => profile ?? []));
}

function readDirectory(directory: string, isBuiltIn: boolean, faults: string[]): readonly ProfileFile[] {
  let names: readonly string[];
  try {
    names = readdirSync(directory).filter((name) => /^[^.].*\.(?:yaml|yml|json)$/s.test(name));
  } catch (error) {
    faults.push(`${directory}: can't be read: ${oneLine(error)}`);
    return [];
  }
  return names.toSorted().flatMap((name) => {
    const content = readContent(directory, name);
    if ("faults" in content) {
      faults.push(...content.faults.map((reason) => `${name}: ${reason}`));
      return [];
    }
    const reading = readProfile(content.document);
    faults.push(...reading.faults.map(({ path, reason }) => [name, path, reason].filter(Boolean).join(": ")));
    return [{ ...reading, name, isBuiltIn }];
  });
}

function readContent(directory: string, name: string): Content {
  let bytes: Uint8Array;
  try {
    const file = join(directory, name);
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
    return parse(text, name.endsWith(".json"));
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

/** Ids and prefixes that a file shares with those before it. Built-in profiles come first, so they win. */
function clashes(file: ProfileFile, others: readonly ProfileFile[]): readonly string[] {
  return others.flatMap((other) => {
    const owner = other.isBuiltIn ? `the built-in profile ${other.id ?? other.name}` : other.name;
    const faults: string[] = [];
    if (file.id !== undefined && file.id === other.id) faults.push(`${file.name}: id: is that of ${owner}`);
    if (file.prefix !== undefined && other.prefix !== undefined && overlap(file.prefix, other.prefix)) {
      faults.push(`${file.name}: secret.prefix: ${file.prefix} collides with ${other.prefix} of ${owner}`);
    }
    const { program } = file.profile?.commandLine ?? {};
    if (program !== undefined && program === other.profile?.commandLine?.program) {
      faults.push(`${file.name}: cli.program: is that of ${owner}`);
    }
    return faults;
  });
}

function overlap(a: string, b: string): boolean {
  return a.startsWith(b) || b.startsWith(a);
}

function oneLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).replace(/\s+/g, " ");
}
