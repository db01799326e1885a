/** What the program says about its commands. */
import { CLIENT_SETTINGS } from "../settings.ts";
import type { Command, CommandGroup, CommandTable, Option } from "./command.ts";
import type { Program } from "./program.ts";

/** The first line of the help, and what a misuse is answered with. */
export function usageOf(found: Command | CommandGroup, program: Program, path: readonly string[]): string {
  const name = [program.name, ...path].join(" ");
  if ("members" in found) return `usage: ${name} COMMAND`;
  const required = Object.entries(found.options).flatMap(([option, { required: isRequired, value = "VALUE" }]) =>
    isRequired ? [`--${option} ${value}`] : [],
  );
  const others = Object.keys(found.options).length > required.length ? ["[options]"] : [];
  return ["usage:", name, ...found.args, ...required, ...others].join(" ");
}

/** What `--help` prints. */
export function helpOf(
  found: Command | CommandGroup,
  summary: string,
  program: Program,
  path: readonly string[],
): string {
  const name = [program.name, ...path].join(" ");
  const isGroup = "members" in found;
  const lines = isGroup ? columns(summariesOf(found.members)) : columns(Object.entries(found.options).map(optionLine));
  const more = isGroup ? `\`${name} COMMAND --help\` says more.` : "";
  return [
    usageOf(found, program, path),
    `${summary.slice(0, 1).toUpperCase()}${summary.slice(1)}.`,
    lines,
    found.notes,
    more,
  ]
    .filter((part) => part !== "")
    .map((part) => inWordsOf(program, part))
    .join("\n\n");
}

/** What `latchkey help` prints. */
export function overview(commands: CommandTable, program: Program): string {
  return [
    `usage: ${program.name} COMMAND`,
    columns(summariesOf(commands)),
    inWordsOf(
      program,
      "`latchkey COMMAND --help` says more, and `latchkey help exit-codes` lists what scripts can go by.",
    ),
  ].join("\n\n");
}

function summariesOf(table: CommandTable): readonly (readonly [string, string])[] {
  return Object.entries(table).map(([name, { summary }]) => [name, summary]);
}

function optionLine([name, option]: [string, Option]): readonly [string, string] {
  const { type, value = "VALUE", valueIsOptional, multiple, help } = option;
  const shown = valueIsOptional ? `[${value}]` : value;
  return [`--${name}${type === "boolean" ? "" : ` ${shown}`}${multiple ? " …" : ""}`, help];
}

/** Wider first cells than this get a line of their own. */
const MAX_WIDTH = 28;

function columns(rows: readonly (readonly [string, string])[]): string {
  const widths = rows.map(([first]) => first.length).filter((width) => width <= MAX_WIDTH);
  const width = Math.max(...widths, 0);
  return rows
    .map(([first, second]) =>
      first.length > MAX_WIDTH
        ? `  ${first}\n  ${" ".repeat(width)}  ${second}`
        : `  ${first.padEnd(width)}  ${second}`,
    )
    .join("\n");
}

/** A product's own program, variable and file, in place of ours. */
function inWordsOf({ name, tokenVariable, configPath }: Program, text: string): string {
  return text
    .replaceAll(CLIENT_SETTINGS.token.env, tokenVariable)
    .replaceAll("~/.config/latchkey/config.json", `~/.config/${configPath}`)
    .replaceAll("`latchkey ", `\`${name} `);
}
