/** The profiles of a deployment: those that ship with Latchkey, in this folder, and a company's own. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { oneLine, readDocument } from "../documents/document-file.ts";
import { Profiles } from "../domain/profile.ts";
import { StartError } from "../domain/start-error.ts";
import { type ProfileReading, readProfile } from "./profile-document.ts";

interface ProfileFile extends ProfileReading {
  readonly name: string;
  readonly isBuiltIn: boolean;
}

interface Reading {
  readonly files: readonly ProfileFile[];
  readonly faults: readonly string[];
}

const NOTHING: Reading = { files: [], faults: [] };

/** Read once: they are part of the program, which doesn't change while it runs. */
let builtIn: Reading | undefined;

/**
 * Reads every built-in profile, and every `*.yaml`, `*.yml` and `*.json` of the directory, if there is one.
 * As in a shell, that leaves out names that start with a dot.
 *
 * @throws StartError with a line for each fault in any of the files: file, field and reason
 */
export function loadProfiles(directory: string | undefined): Profiles {
  builtIn ??= readDirectory(import.meta.dirname, true);
  const own = directory === undefined ? NOTHING : readDirectory(directory, false);
  const files = [...builtIn.files, ...own.files];
  const faults = [...builtIn.faults, ...own.faults];
  for (const [index, file] of files.entries()) faults.push(...clashes(file, files.slice(0, index)));
  if (faults.length > 0) throw new StartError([...new Set(faults)].join("\n"));
  return new Profiles(files.flatMap(({ profile }) => profile ?? []));
}

function readDirectory(directory: string, isBuiltIn: boolean): Reading {
  const faults: string[] = [];
  let names: readonly string[];
  try {
    names = readdirSync(directory).filter((name) => /^[^.].*\.(?:yaml|yml|json)$/s.test(name));
  } catch (error) {
    return { files: [], faults: [`${directory}: can't be read: ${oneLine(error)}`] };
  }
  const files = names.toSorted().flatMap((name) => {
    const content = readDocument(join(directory, name));
    if ("faults" in content) {
      faults.push(...content.faults.map((reason) => `${name}: ${reason}`));
      return [];
    }
    const reading = readProfile(content.document);
    faults.push(...reading.faults.map(({ path, reason }) => [name, path, reason].filter(Boolean).join(": ")));
    return [{ ...reading, name, isBuiltIn }];
  });
  return { files, faults };
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
