/** Keeps what a full run found: as JSON, as a picture, and as the generated part of docs/benchmarks.md. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { dirname, join } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import type { Figures } from "./bounds.ts";
import type { Ratios } from "./introspect.ts";
import type { Table } from "./measurement.ts";
import { draw, type Panel } from "./picture.ts";

export interface Result {
  /** Of the run, in UTC. */
  readonly date: string;
  readonly machine: Readonly<Record<string, string>>;
  /** By the names in bench/bounds.ts. */
  readonly figures: Figures;
  /** What `npm run bench -- quick` compares with. */
  readonly quick: Ratios;
  /** The bounds come first. */
  readonly tables: readonly Table[];
}

const DOCS = join(import.meta.dirname, "../docs");
const PAGE = join(DOCS, "benchmarks.md");
export const RESULT_FILE = join(DOCS, "benchmarks/latest.json");
const PICTURE = join(DOCS, "benchmarks/latest.svg");

const BEGIN = "<!-- What stands from here to the end marker is written by `npm run bench`. -->";
const END = "<!-- end -->";

export function describeMachine(): Readonly<Record<string, string>> {
  const [first] = cpus();
  const { devDependencies: versions } = packageJson;
  return {
    CPU: first?.model.trim() ?? "unknown",
    cores: String(cpus().length),
    memory: `${Math.round(totalmem() / 1024 ** 3)} GB`,
    kernel: `Linux ${release()}`,
    Node: process.versions.node,
    "better-auth": `${versions["better-auth"]} with its API-key plugin ${versions["@better-auth/api-key"]}`,
    "oidc-provider": versions["oidc-provider"],
  };
}

export function writeReport(result: Result, panels: readonly Panel[]): void {
  mkdirSync(dirname(RESULT_FILE), { recursive: true });
  writeFileSync(RESULT_FILE, `${JSON.stringify(result, undefined, 2)}\n`);
  writeFileSync(PICTURE, draw(panels));
  const page = readFileSync(PAGE, "utf8");
  const [before, rest] = page.split(`${BEGIN}\n`);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined)
    throw new Error(`${PAGE} has lost the markers of its generated part`);
  writeFileSync(PAGE, `${before}${BEGIN}\n\n${asMarkdown(result)}\n${END}${after}`);
}

function asMarkdown({ date, machine, tables }: Result): string {
  const where = Object.entries(machine).map(([name, value]) => `${name} ${value}`);
  return [`Measured on ${date.slice(0, 10)}: ${where.join(", ")}.`, ...tables.map(tableAsMarkdown)].join("\n\n");
}

function tableAsMarkdown({ title, headings, rows }: Table): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  const rule = headings.map((_, column) => (column === 0 ? "---" : "--:"));
  return [`### ${title}`, "", line(headings), line(rule), ...rows.map(line)].join("\n");
}
