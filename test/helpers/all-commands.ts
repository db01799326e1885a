/** Every command of the program, those in groups included. */
import type { Command, CommandTable } from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/commands.ts";

interface NamedCommand {
  /** As it is typed: `["orgs", "create"]`. */
  readonly path: readonly string[];
  readonly summary: string;
  readonly command: Command;
}

export async function allCommands(
  table: CommandTable = COMMANDS,
  above: readonly string[] = [],
): Promise<readonly NamedCommand[]> {
  const found = Object.entries(table).map(async ([name, { summary, load }]): Promise<readonly NamedCommand[]> => {
    const path = [...above, name];
    const loaded = await load();
    return "members" in loaded ? allCommands(loaded.members, path) : [{ path, summary, command: loaded }];
  });
  return (await Promise.all(found)).flat();
}
