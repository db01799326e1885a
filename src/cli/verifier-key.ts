/** Whose signatures checkpoints are verified by: a key that is given, or the deployment's own. */
import { readCheckpointKey } from "../app.ts";
import { formatVerifierKey, type NoteKey, parseVerifierKey } from "../domain/signed-note.ts";
import { StartError } from "../domain/start-error.ts";
import { UsageError } from "./command.ts";
import { configFrom } from "./settings.ts";

/** Says on the standard error which one it is. */
export async function verifierKey(
  given: string | undefined,
  flags: Readonly<Record<string, unknown>>,
): Promise<NoteKey> {
  if (given === undefined) {
    const key = await readCheckpointKey(configFrom(flags)).catch((error: unknown) => {
      throw new StartError(`Without --key it takes the root key. ${(error as Error).message}`);
    });
    console.error(`checkpoints are verified with the key of this root key, ${formatVerifierKey(key)}`);
    return key;
  }
  const key = parseVerifierKey(given);
  if (key === undefined) throw new UsageError("--key must be a key as `latchkey audit key` prints it");
  console.error(`checkpoints are verified with the key that was given, ${given}`);
  return key;
}
