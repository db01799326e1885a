/** The program: finds the command, and turns every failure into a line and an exit code. */
import { StartError } from "../domain/start-error.ts";
import { type CommandEntry, type Context, parse, UsageError } from "./command.ts";
import { CommandError } from "./command-error.ts";
import { COMMANDS } from "./commands.ts";
import { EXIT, exitCodesHelp } from "./exit-codes.ts";
import { helpOf, overview, usageOf } from "./help.ts";
import { type Program, programNamed } from "./program.ts";

const HELP = ["--help", "-h"];

/**
 * Runs a command and resolves with its exit code, as `exit-codes.ts` lists them.
 *
 * @param args after the program; `--program NAME` before the command says under which name it was started
 */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  let name = "latchkey";
  try {
    const [flag, given = ""] = args;
    const program = await programNamed(flag === "--program" ? given : name);
    ({ name } = program);
    return await runCommand(program, flag === "--program" ? args.slice(2) : args);
  } catch (error) {
    if (!(error instanceof StartError || error instanceof CommandError)) throw error;
    for (const line of error.message.split("\n")) console.error(`${name}: ${line}`);
    return error instanceof CommandError ? error.exitCode : EXIT.failed;
  }
}

async function runCommand(program: Program, [first = "help", ...rest]: readonly string[]): Promise<number> {
  if (first === "help" || HELP.includes(first)) return help(program, rest);
  const entry = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  if (entry === undefined) return unknownCommand(program, first);
  return runEntry(program, entry, [first], rest);
}

/** `latchkey help`, and `latchkey help COMMAND …`, which is `latchkey COMMAND … --help`. */
async function help(program: Program, [first, ...rest]: readonly string[]): Promise<number> {
  if (first === undefined || first.startsWith("-")) console.log(overview(COMMANDS, program));
  else if (first === "exit-codes") console.log(exitCodesHelp());
  else return runCommand(program, [first, ...rest, "--help"]);
  return EXIT.done;
}

function unknownCommand({ name }: Program, given: string): number {
  console.error(`${name}: no command ${given}; \`${name} help\` lists them`);
  return EXIT.misused;
}

async function runEntry(
  program: Program,
  { load, summary }: CommandEntry,
  path: readonly string[],
  args: readonly string[],
): Promise<number> {
  const found = await load();
  try {
    if ("members" in found) {
      const [name = "", ...rest] = args;
      const member = Object.hasOwn(found.members, name) ? found.members[name] : undefined;
      if (member !== undefined) return await runEntry(program, member, [...path, name], rest);
    }
    if (args.some((arg) => HELP.includes(arg))) {
      console.log(helpOf(found, summary, program, path));
      return EXIT.done;
    }
    if ("members" in found) {
      const names = Object.keys(found.members).join(", ");
      throw new UsageError(`needs one of ${names}${args[0] === undefined ? "" : `, not ${args[0]}`}`);
    }
    const { values, positionals } = parse(found, args);
    const context: Context = {
      program,
      async call(service, use) {
        const { callService } = await import("./service-call.ts");
        return callService(service, values, program, use);
      },
    };
    return await found.run(values, positionals, context);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${[program.name, ...path].join(" ")}: ${error.message}\n${usageOf(found, program, path)}`);
    return EXIT.misused;
  }
}
