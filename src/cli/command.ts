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

/**
 * @param optional how many positionals there may be besides those that there must be
 * @throws UsageError for an unknown or incomplete option, and for too many or too few positionals.
 */
export function parseOptions<T extends ParseArgsOptionsConfig>(
  args: readonly string[],
  options: T,
  positionals = 0,
  optional = 0,
) {
  let parsed: ReturnType<typeof parseArgs<{ options: T; allowPositionals: true; args: string[] }>>;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { length } = parsed.positionals;
  if (length < positionals || length > positionals + optional) {
    const needed = optional === 0 ? `${positionals}` : `${positionals} to ${positionals + optional}`;
    throw new UsageError(`needs ${needed} argument${needed === "1" ? "" : "s"}, not ${length}`);
  }
  return parsed;
}
