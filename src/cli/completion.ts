/** `latchkey completion`: scripts for shells, made of the table of commands, so that they know all of them. */
import { type Command, type CommandTable, command, UsageError } from "./command.ts";
import { EXIT } from "./exit-codes.ts";
import type { Program } from "./program.ts";

/** A place on the command line: after some commands, what can come next. */
interface Place {
  /** The commands before it, each after a space: empty at the start, ` tokens list`. */
  readonly at: string;
  /** Names of commands with their summaries. */
  readonly commands: readonly (readonly [string, string])[];
  readonly options: Command["options"];
}

type Shell = "bash" | "zsh" | "fish";

const SCRIPTS: Readonly<Record<Shell, (name: string, places: readonly Place[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

export const completion = command({
  args: [Object.keys(SCRIPTS).join("|")],
  options: {},
  notes: [
    "  bash  source <(latchkey completion bash)                    in ~/.bashrc",
    "  zsh   source <(latchkey completion zsh)                     in ~/.zshrc, after compinit",
    "  fish  latchkey completion fish > ~/.config/fish/completions/latchkey.fish",
  ].join("\n"),
  async run(_, [shell = ""], { program }) {
    if (!Object.hasOwn(SCRIPTS, shell))
      throw new UsageError(`there are ${Object.keys(SCRIPTS).join(", ")}, not ${shell}`);
    console.log(await completionScript(shell as Shell, program));
    return EXIT.done;
  },
});

async function completionScript(shell: Shell, { name }: Program): Promise<string> {
  // The table knows this command too.
  const { COMMANDS } = await import("./commands.ts");
  const places = await placesIn(COMMANDS, "");
  return SCRIPTS[shell](name, places);
}

async function placesIn(table: CommandTable, at: string): Promise<readonly Place[]> {
  const commands = Object.entries(table).map(([name, { summary }]) => [name, summary] as const);
  const inner = await Promise.all(
    Object.entries(table).map(async ([name, { load }]): Promise<readonly Place[]> => {
      const found = await load();
      const here = `${at} ${name}`;
      return "members" in found ? placesIn(found.members, here) : [{ at: here, commands: [], options: found.options }];
    }),
  );
  return [{ at, commands, options: {} }, ...inner.flat()];
}

const functionOf = (name: string): string => `_${name.replaceAll("-", "_")}`;

/** For all three shells: single quotes, in which nothing means anything. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

function optionsOf({ options }: Place): readonly string[] {
  return [...Object.keys(options).map((name) => `--${name}`), "--help"];
}

/** Patterns of all places, for a shell's `case`. */
function placePatterns(places: readonly Place[]): string {
  return places
    .filter(({ at }) => at !== "")
    .map(({ at }) => quoted(at))
    .join("|");
}

/** Each option that takes a value, at its place, with the values that there are. */
function valued(places: readonly Place[]): readonly (readonly [string, readonly string[]])[] {
  return places.flatMap(({ at, options }) =>
    Object.entries(options)
      .filter(([, { type }]) => type === "string")
      .map(([name, { choices = [] }]) => [`${at} --${name}`, choices] as const),
  );
}

function bashScript(name: string, places: readonly Place[]): string {
  const own = functionOf(name);
  return [
    `${own}() {`,
    `  local current=\${COMP_WORDS[COMP_CWORD]} at= words= i`,
    "  for ((i = 1; i < COMP_CWORD; i++)); do",
    `    case "$at \${COMP_WORDS[i]}" in`,
    `      ${placePatterns(places)}) at="$at \${COMP_WORDS[i]}" ;;`,
    "    esac",
    "  done",
    "  COMPREPLY=()",
    `  case "$at \${COMP_WORDS[COMP_CWORD-1]}" in`,
    ...valued(places).map(([at, choices]) =>
      choices.length === 0
        ? `    ${quoted(at)}) return ;;`
        : `    ${quoted(at)}) COMPREPLY=($(compgen -W ${quoted(choices.join(" "))} -- "$current")); return ;;`,
    ),
    "  esac",
    '  case "$at" in',
    ...places.map((place) => {
      const names = place.commands.map(([word]) => word);
      return `    ${quoted(place.at)}) words=${quoted([...names, ...optionsOf(place)].join(" "))} ;;`;
    }),
    "  esac",
    // Where no option is begun, there may be a file.
    '  [[ $current == -* || $words != --* ]] && COMPREPLY=($(compgen -W "$words" -- "$current"))',
    "  return 0",
    "}",
    `complete -o default -F ${own} ${name}`,
  ].join("\n");
}

function zshScript(name: string, places: readonly Place[]): string {
  const own = functionOf(name);
  const described = (rows: readonly (readonly [string, string])[]): string =>
    rows.map(([word, text]) => quoted(`${word}:${text}`)).join(" ");
  return [
    `#compdef ${name}`,
    `${own}() {`,
    '  local at="" word',
    "  local -a found",
    `  for word in "\${(@)words[2,CURRENT-1]}"; do`,
    '    case "$at $word" in',
    `      (${placePatterns(places)}) at="$at $word" ;;`,
    "    esac",
    "  done",
    '  case "$at $words[CURRENT-1]" in',
    ...valued(places).map(
      ([at, choices]) =>
        `    (${quoted(at)}) ${choices.length === 0 ? "_files" : `compadd -- ${choices.map(quoted).join(" ")}`}; return ;;`,
    ),
    "  esac",
    '  case "$at" in',
    ...places.map(({ at, commands, options }) => {
      const rows =
        commands.length > 0
          ? commands
          : Object.entries(options).map(([option, { help }]) => [`--${option}`, help] as const);
      return `    (${quoted(at)}) found=(${described([...rows, ["--help", "explain it"]])}) ;;`;
    }),
    "  esac",
    `  _describe ${quoted(name)} found || _files`,
    "}",
    `(( $+functions[compdef] )) && compdef ${own} ${name}`,
  ].join("\n");
}

function fishScript(name: string, places: readonly Place[]): string {
  const own = `_${functionOf(name)}_at`;
  const patterns = places.filter(({ at }) => at !== "").map(({ at }) => quoted(at));
  return [
    `function ${own}`,
    "  set -l at ''",
    "  for word in (commandline -opc)[2..-1]",
    '    switch "$at $word"',
    `      case ${patterns.join(" ")}`,
    '        set at "$at $word"',
    "    end",
    "  end",
    '  test "$at" = "$argv[1]"',
    "end",
    ...places.flatMap(({ at, commands, options }) => {
      const here = `complete -c ${name} -n ${quoted(`${own} "${at}"`)}`;
      return [
        `${here} -l help -d 'explain it'`,
        ...commands.map(([word, text]) => `${here} -f -a ${word} -d ${quoted(text)}`),
        ...Object.entries(options).map(([option, { type, help, choices = [] }]) => {
          const value = type !== "string" ? "" : choices.length === 0 ? " -r" : ` -x -a ${quoted(choices.join(" "))}`;
          return `${here} -l ${option}${value} -d ${quoted(help)}`;
        }),
      ];
    }),
  ].join("\n");
}
