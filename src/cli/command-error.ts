/** Why a command failed, for a person, and for a script by its exit code. */
import { EXIT } from "./exit-codes.ts";

/** A call that the service refused, one that didn't reach it, or a file that can't be used. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.failed) {
    super(message);
    this.exitCode = exitCode;
  }
}
