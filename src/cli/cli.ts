/** The `latchkey` program: finds the command, and turns every failure into a line and an exit code. */
import { StartError } from "../domain/start-error.ts";
import { bootstrap } from "./bootstrap.ts";
import { type Command, UsageError } from "./command.ts";
import { introspect } from "./introspect.ts";
import { issue } from "./issue.ts";
import { list } from "./list.ts";
import { revoke } from "./revoke.ts";
import { serve } from "./serve.ts";
import { CallError } from "./service-call.ts";

const COMMANDS: readonly Command[] = [serve, bootstrap, issue, list, revoke, introspect];

/** Exit codes: 0 done, 1 failed, 2 misused, 3 the token isn't good (`introspect`). */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command === undefined) {
    const asked = name === undefined || name === "help" || name === "--help" || name === "-h";
    (asked ? console.log : console.error)(asked ? overview() : `latchkey: no command ${name}; \`latchkey help\` lists them`);
    return asked ? 0 : 2;
  }
  try {
    if (rest.includes("--help") || rest.includes("-h")) {
      console.log(`usage: latchkey ${command.name} ${command.usage}\n\n${command.help()}`);
      return 0;
    }
    return await command.run(rest);
  } catch (error) {
    if (error instanceof StartError || error instanceof CallError) {
      for (const line of error.message.split("\n")) console.error(`latchkey: ${line}`);
      return 1;
    }
    if (error instanceof UsageError) {
      console.error(`latchkey ${command.name}: ${error.message}\nusage: latchkey ${command.name} ${command.usage}`);
      return 2;
    }
    throw error;
  }
}

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  const lines = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return ["usage: latchkey <command> [options]", "", ...lines, "", "`latchkey <command> --help` says more."].join("\n");
}
