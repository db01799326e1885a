/** Reads checkpoints that were kept in files, and says in words what a log lacks against them. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Checkpoint, type CheckpointFault, openCheckpoint, splitNotes } from "../domain/checkpoint.ts";
import { formatVerifierKey, type NoteKey } from "../domain/signed-note.ts";
import { StartError } from "../domain/start-error.ts";

const WHAT_IS_WRONG: Readonly<Record<CheckpointFault, string>> = {
  malformed: "isn't a signed note",
  unknown_key: "isn't signed by that key: it is of another log, or the key is another one",
  bad_signature: "has a signature that isn't good: somebody changed it",
  no_checkpoint: "is signed, but it isn't a checkpoint of that log",
};

/**
 * Every checkpoint of these files and folders. A file holds one or several, one after the other; of a folder
 * each file counts but hidden ones.
 *
 * @throws StartError for whatever isn't a checkpoint that the key has signed, and where there is none
 */
export async function readCheckpoints(paths: readonly string[], key: NoteKey): Promise<readonly Checkpoint[]> {
  const checkpoints: Checkpoint[] = [];
  for (const file of (await Promise.all(paths.map(filesOf))).flat()) {
    const notes = splitNotes(await orStartError(file, readFile(file, "utf8")));
    for (const [index, note] of (notes ?? [""]).entries()) {
      const { checkpoint, fault } = openCheckpoint(note, key);
      const which = (notes?.length ?? 0) > 1 ? `checkpoint ${index + 1} of ${file}` : file;
      if (fault !== undefined) {
        throw new StartError(`${which} ${WHAT_IS_WRONG[fault]} (the key is ${formatVerifierKey(key)})`);
      }
      checkpoints.push(checkpoint);
    }
  }
  if (checkpoints.length === 0) throw new StartError(`${paths.join(", ")}: there is no checkpoint`);
  return checkpoints;
}

/** For a log whose first events aren't those of the checkpoint. */
export function contradictionOf({ size, revision, time }: Checkpoint): string {
  return (
    `the log's first ${size} events (up to revision ${revision}) aren't those that the checkpoint of ${time.toISOString()} ` +
    "was signed over: history was rewritten, or an old copy was put back and written on"
  );
}

/** For a log that has fewer events than the checkpoint. */
export function shortfallOf({ size, revision, time }: Checkpoint, count: number): string {
  return (
    `the log has ${count} events, and the checkpoint of ${time.toISOString()} was signed over ${size} (up to revision ` +
    `${revision}): the end was cut off, or an old copy was put back`
  );
}

async function filesOf(path: string): Promise<readonly string[]> {
  if (!(await orStartError(path, stat(path))).isDirectory()) return [path];
  const names = (await orStartError(path, readdir(path))).filter((name) => !name.startsWith("."));
  return names.toSorted().map((name) => join(path, name));
}

async function orStartError<T>(path: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (cause) {
    throw new StartError(`${path} can't be read: check the path and its permissions`, { cause });
  }
}
