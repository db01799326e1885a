/** A command that is a family of commands: `latchkey orgs create`. */
import { type Command, UsageError } from "./command.ts";
import { clientHelp } from "./service-call.ts";

interface SubCommand {
  /** What follows the sub-command's name. */
  readonly usage: string;
  /** One line for the help. */
  readonly summary: string;
  /** Resolves with the exit code. */
  run(args: readonly string[]): Promise<number>;
}

/**
 * @param name the command's name, under which `cli.ts` lists it
 * @param notes what the help says besides the summaries
 */
export function commandGroup(name: string, members: Readonly<Record<string, SubCommand>>, notes: string): Command {
  const names = Object.keys(members);
  const width = Math.max(...names.map((member) => member.length));
  return {
    usage: names
      .map((member) => `${member} ${members[member]?.usage}`.trimEnd())
      .join(`\n${" ".repeat("usage: ".length)}latchkey ${name} `),
    help: () =>
      [...names.map((member) => `  ${member.padEnd(width)}  ${members[member]?.summary}`), "", notes, clientHelp].join(
        "\n",
      ),
    async run([member = "", ...args]) {
      const found = Object.hasOwn(members, member) ? members[member] : undefined;
      if (found === undefined) throw new UsageError(`needs one of ${names.join(", ")}${member && `, not ${member}`}`);
      return found.run(args);
    },
  };
}
