/** What a command of the `latchkey` program is. */
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";

export interface Command {
  /** What follows the command's name. */
  readonly usage: string;
  /** What `--help` prints under the usage line. */
  help(): string;
  /** Resolves with the exit code. */
  run(args: readonly string[]): Promise<number>;
}

/** The command was called wrongly. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** @throws UsageError for an unknown or incomplete option, and for too many or too few positionals. */
export function parseOptions<T extends ParseArgsOptionsConfig>(args: readonly string[], options: T, positionals = 0) {
  let parsed: ReturnType<typeof parseArgs<{ options: T; allowPositionals: true; args: string[] }>>;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (parsed.positionals.length !== positionals) {
    throw new UsageError(
      `needs ${positionals} argument${positionals === 1 ? "" : "s"}, not ${parsed.positionals.length}`,
    );
  }
  return parsed;
}
