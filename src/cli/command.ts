/** What a command of the program is: data that parsing, help and completion are made of, and what it does. */
import { type ParseArgsOptionDescriptor, parseArgs } from "node:util";
import type { DescService } from "@bufbuild/protobuf";
import type { ServiceClient } from "../client/index.ts";
import type { Program } from "./program.ts";

/** One option of a command. */
export interface Option extends ParseArgsOptionDescriptor {
  /** Its line in the help. */
  readonly help: string;
  /** What its value is called in the help. */
  readonly value?: string;
  /** All values that there are. */
  readonly choices?: readonly string[];
  readonly required?: true;
  /** It can stand without its value, which is then empty. */
  readonly valueIsOptional?: true;
}

export type Options = Readonly<Record<string, Option>>;

/** What the surroundings give a command. */
export interface Context {
  readonly program: Program;
  /**
   * Runs a call, or several, against the service that the settings name.
   *
   * @throws CommandError that a person can read
   */
  readonly call: <S extends DescService, T>(service: S, use: (client: ServiceClient<S>) => Promise<T>) => Promise<T>;
}

type Parsed<T extends Options> = ReturnType<
  typeof parseArgs<{ options: T; allowPositionals: true; args: string[] }>
>["values"];

type Values<T extends Options> = Parsed<T> & {
  readonly [Name in keyof T as T[Name] extends { readonly required: true } ? Name : never]: string;
};

interface Definition<T extends Options> {
  /** Its arguments: `TOKEN_ID`, `[FILE]` for one that can be left out, `[NAME …]` for any number. */
  readonly args?: readonly string[];
  readonly options: T;
  /** What the help says besides the options. */
  readonly notes?: string;
  /** Resolves with the exit code. */
  run(values: Values<T>, positionals: readonly string[], context: Context): Promise<number>;
}

/** A command, with the types of its options forgotten. */
export interface Command extends Required<Definition<Options>> {}

/** A family of commands, as in `latchkey orgs create`. */
export interface CommandGroup {
  readonly members: CommandTable;
  readonly notes: string;
}

export interface CommandEntry {
  /** One line for the overview. */
  readonly summary: string;
  /** A command's parts are loaded when it runs: a client command needs nothing of the service. */
  readonly load: () => Promise<Command | CommandGroup>;
}

export type CommandTable = Readonly<Record<string, CommandEntry>>;

export function command<T extends Options>(definition: Definition<T>): Command {
  // Only `parse` makes the values that it runs with, from these very options.
  return { args: [], notes: "", ...definition };
}

/** The entry of a command that needs no loading, in a group. */
export function subcommand<T extends Options>(summary: string, definition: Definition<T>): CommandEntry {
  return { summary, load: () => Promise.resolve(command(definition)) };
}

/** The command was called wrongly. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/**
 * @throws UsageError for an unknown, incomplete or missing option, for one with a value that it doesn't have, and for
 *   too many or too few arguments
 */
export function parse(
  { args, options }: Command,
  given: readonly string[],
): { readonly values: Values<Options>; readonly positionals: readonly string[] } {
  let parsed: ReturnType<typeof parseArgs<{ options: Options; allowPositionals: true; args: string[] }>>;
  try {
    parsed = parseArgs({ args: withEmptyValues(options, given), options, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  const least = args.filter((name) => !name.startsWith("[")).length;
  const most = args.some((name) => name.endsWith(" …]")) ? Number.POSITIVE_INFINITY : args.length;
  const { length } = positionals;
  if (length < least || length > most) {
    const needed =
      least === most ? `${least}` : most === Number.POSITIVE_INFINITY ? `${least} or more` : `${least} to ${most}`;
    throw new UsageError(`needs ${needed} argument${needed === "1" ? "" : "s"}, not ${length}`);
  }
  for (const [name, { required, choices }] of Object.entries(options)) {
    const value = values[name];
    if (required && value === undefined) throw new UsageError(`--${name} is required`);
    if (choices !== undefined && typeof value === "string" && !choices.includes(value)) {
      throw new UsageError(`--${name} must be one of ${choices.join(", ")}, not ${value}`);
    }
  }
  return { values, positionals };
}

/** `--token` that stands alone becomes `--token=`, where that is allowed. */
function withEmptyValues(options: Options, given: readonly string[]): string[] {
  return given.map((text, index) => {
    const next = given[index + 1];
    const isAlone = next === undefined || (next.startsWith("-") && next !== "-");
    return isAlone && text.startsWith("--") && options[text.slice(2)]?.valueIsOptional ? `${text}=` : text;
  });
}
