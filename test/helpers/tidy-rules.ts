/** The project's own rules on source files, as a pure function over a tree of them. */
import { isBuiltin } from "node:module";
import { posix } from "node:path";
import { type Import, importsOf, lineAt, type Scan, scan, workersOf } from "./source-scan.ts";

/** Path relative to the project, with forward slashes → text. */
export type Tree = ReadonlyMap<string, string>;

interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly scan: Scan;
}

/** One line for each violation, `path:line: what is wrong`; none for tidy files, or for none. */
type Rule = (files: readonly SourceFile[]) => string[];

/**
 * What each layer of src/ may import, besides itself, `node:` and (all but domain) npm packages.
 * A new folder or top-level file gets its line here.
 */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  storage: ["domain", "storage/sqlite", "storage/postgres"],
  "storage/sqlite": ["domain", "storage"],
  "storage/postgres": ["domain", "storage"],
  documents: [],
  profiles: ["domain", "documents"],
  identity: ["domain", "documents"],
  mail: ["domain"],
  security: ["domain"],
  telemetry: ["domain"],
  tls: ["domain"],
  usecases: ["domain"],
  rpc: ["domain", "usecases", "gen"],
  grpc: ["domain", "rpc", "tls", "gen"],
  http: ["domain", "rpc", "tls", "gen"],
  serving: [
    "config",
    "logger",
    "domain",
    "storage",
    "mail",
    "identity",
    "security",
    "telemetry",
    "tls",
    "usecases",
    "rpc",
    "grpc",
    "tick-shape",
  ],
  "tick-shape": [],
  client: ["domain", "gen"],
  logger: ["domain", "config"],
  settings: [],
  config: ["settings", "domain", "telemetry", "identity", "tls", "package.json"],
  app: [
    "config",
    "logger",
    "domain",
    "storage",
    "storage/sqlite",
    "storage/postgres",
    "profiles",
    "security",
    "telemetry",
    "usecases",
    "rpc",
    "grpc",
    "http",
    "serving",
    "package.json",
  ],
  cli: ["app", "client", "config", "settings", "profiles", "domain", "gen"],
  main: ["cli", "tick-shape"],
};

const ENGINES = ["storage/sqlite", "storage/postgres"];

/** Where Node, or somebody who installs the package, starts. Workers are added as they are found. */
const ENTRY_POINTS = ["src/main.ts", "src/client/index.ts"];

/** The layer that a file is in; files outside src/ are named by their first folder. */
function layerOf(path: string): string {
  const [top = "", name = ""] = path.split("/");
  if (top !== "src") return top;
  const engine = ENGINES.find((layer) => path.startsWith(`src/${layer}/`));
  return engine ?? name.replace(/\.ts$/, "");
}

const isRelative = (specifier: string): boolean => /^\.{0,2}\//.test(specifier);
const resolveFrom = (path: string, specifier: string): string => posix.join(posix.dirname(path), specifier);
const under = (path: string, ...roots: string[]): boolean => roots.some((root) => path.startsWith(`${root}/`));

function importFault(layer: string, allowed: readonly string[], file: SourceFile, found: Import): string | undefined {
  const { specifier } = found;
  if (isRelative(specifier)) {
    const target = layerOf(resolveFrom(file.path, specifier));
    return target === layer || allowed.includes(target) ? undefined : `${layer} must not import ${target}`;
  }
  if (specifier.startsWith("node:")) return undefined;
  if (isBuiltin(specifier)) return `write node:${specifier}`;
  return layer === "domain" ? `domain must not import the package ${specifier}` : undefined;
}

const importDirections: Rule = (files) =>
  files
    .filter(({ path }) => under(path, "src"))
    .flatMap((file) => {
      const layer = layerOf(file.path);
      const allowed = LAYERS[layer];
      if (allowed === undefined) return [`${file.path}: ${layer} is in no layer; give it a line in LAYERS`];
      return [...importsOf(file.text, file.scan), ...workersOf(file.text, file.scan)].flatMap((found) => {
        const fault = importFault(layer, allowed, file, found);
        return fault === undefined ? [] : [`${file.path}:${found.line}: ${fault}`];
      });
    });

const deadFiles: Rule = (files) => {
  const source = new Map(
    files.filter(({ path }) => under(path, "src") && path.endsWith(".ts")).map((file) => [file.path, file]),
  );
  if (source.size === 0) return [];
  if (!source.has("src/main.ts")) return ["src/main.ts: missing, so nothing is reachable"];

  const alive = new Set<string>();
  const waiting = [...ENTRY_POINTS];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const file = source.get(path);
    if (file === undefined || alive.has(path)) continue;
    alive.add(path);
    for (const { specifier } of [...importsOf(file.text, file.scan), ...workersOf(file.text, file.scan)]) {
      if (isRelative(specifier)) waiting.push(resolveFrom(path, specifier));
    }
  }
  return Array.from(source.keys())
    .filter((path) => !alive.has(path))
    .map((path) => `${path}: dead, nothing that runs imports it`);
};

/** A rule that bans what `pattern` finds in the code, or in the comments, of the files it applies to. */
function ban(
  pattern: RegExp,
  because: string,
  appliesTo: (path: string) => boolean,
  where: readonly (keyof Scan)[] = ["code"],
): Rule {
  return (files) =>
    files
      .filter(({ path }) => appliesTo(path))
      .flatMap((file) =>
        where.flatMap((part) =>
          Array.from(
            file.scan[part].matchAll(pattern),
            (match) => `${file.path}:${lineAt(file.text, match.index)}: ${because}`,
          ),
        ),
      );
}

const everywhere = (): boolean => true;
const readsNoEnvironment = (path: string): boolean =>
  under(path, "src") && path !== "src/config.ts" && !under(path, "src/cli");

const processEnv: Rule = (files) => [
  ...ban(
    /\bprocess\s*(?:\?\.|\.)\s*env\b|\bprocess\s*(?:\?\.)?\[|=\s*process\s*[;,)]/g,
    "only src/config.ts and src/cli read process.env",
    readsNoEnvironment,
  )(files),
  ...files
    .filter(({ path }) => readsNoEnvironment(path))
    .flatMap((file) =>
      importsOf(file.text, file.scan)
        .filter(({ specifier }) => /^(?:node:)?process$/.test(specifier))
        .map(({ line }) => `${file.path}:${line}: only src/config.ts and src/cli import node:process`),
    ),
];

const fileNames: Rule = (files) =>
  files.flatMap(({ path }) => {
    const faults: string[] = [];
    const names = path.split("/");
    if (!names.every((name) => /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+)*$/.test(name))) {
      faults.push(`${path}: names are kebab-case`);
    }
    if (!under(path, "test") && names.some((name) => /^(?:.*-)?(?:utils?|helpers?)(?:\.|$)/.test(name))) {
      faults.push(`${path}: name it after what it does, not utils or helpers`);
    }
    return faults;
  });

/** Every rule by name, so that the test can show that each one catches something. */
export const rules = {
  importDirections,
  deadFiles,
  fileNames,
  processEnv,
  console: ban(
    /\bconsole\s*(?:\?\.|\.|\[)/g,
    "only src/cli prints; log through the port",
    (path) => under(path, "src") && !under(path, "src/cli"),
  ),
  any: ban(/(?::|<|=>|\bas)\s*any\b|,\s*any\s*[,>]/g, "any switches the types off", everywhere),
  unfinished: ban(/\b(?:FIXME|TODO)\b/g, "finish it, or write an issue", everywhere, ["code", "comments"]),
  uncountedTests: ban(
    /\.(?:only|skip|todo)\s*[.(`]|\b(?:only|skip|todo)\s*:\s*true\b/g,
    "every test runs, always",
    (path) => under(path, "test"),
  ),
} satisfies Record<string, Rule>;

/** What the rules look at. Taking a whole project apart takes a second: do it once for all of them. */
export function readTree(tree: Tree): readonly SourceFile[] {
  return Array.from(tree, ([path, text]) => ({ path, text, scan: scan(text) }));
}
