/** Keeps checkpoints in a folder, one file each, and the newest of them only. */
import { constants } from "node:fs";
import { access, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { checkpointName, type SignedCheckpoint } from "../domain/checkpoint.ts";
import type { CheckpointFolder } from "../domain/checkpoint-outlets.ts";
import { StartError } from "../domain/start-error.ts";

/** At one every five minutes those of three days, in some 4 MB. Each is over all events before it. */
const MAX_KEPT = 1000;

const FILE = /^(\d{12}-[0-9a-f]{8})\.checkpoint$/;
const PUT_ASIDE = ".abandoned";
/** Only one checkpoint is written at a time; what a crash leaves of it is written over. */
const UNFINISHED = ".unfinished";

/** @param path a folder of this log alone; it is made when it is missing */
export function createCheckpointFolder(path: string, maxKept = MAX_KEPT): CheckpointFolder {
  const fileOf = (name: string): string => join(path, `${name}.checkpoint`);
  const list = async (): Promise<readonly string[]> => {
    const names = (await readdir(path)).map((file) => FILE.exec(file)?.[1]);
    return names
      .filter((name) => name !== undefined)
      .toSorted()
      .toReversed();
  };
  return {
    name: path,
    prepare: () =>
      orStartError(path, async () => {
        await mkdir(path, { recursive: true, mode: 0o700 });
        await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
      }),
    list: () =>
      orStartError(path, () =>
        list().catch((error: unknown) => {
          if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
          throw error;
        }),
      ),
    read: (name) => orStartError(path, () => readFile(fileOf(name), "utf8")),
    putAside: (name) => orStartError(path, () => rename(fileOf(name), `${fileOf(name)}${PUT_ASIDE}`)),
    async keep({ checkpoint, note }: SignedCheckpoint) {
      const name = checkpointName(checkpoint);
      if (!(await list()).includes(name)) await writeDurably(path, fileOf(name), note);
      const surplus = (await list()).slice(maxKept).filter((old) => old !== name);
      for (const old of surplus) await rm(fileOf(old), { force: true });
    },
  };
}

/** Whatever happens meanwhile, there is the whole file under its name or none. */
async function writeDurably(folder: string, file: string, text: string): Promise<void> {
  const unfinished = join(folder, UNFINISHED);
  {
    // It holds no secret, and is there to be read by others.
    await using written = await open(unfinished, "w", 0o644);
    await written.writeFile(text);
    await written.sync();
  }
  await rename(unfinished, file);
  await using directory = await open(folder);
  await directory.sync();
}

async function orStartError<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new StartError(
      `The checkpoints in ${path} can't be read and written (${(cause as Error).message}): ` +
        "put the folder right; another one is set by LATCHKEY_DATA_DIR or LATCHKEY_CHECKPOINT_DIR",
      { cause },
    );
  }
}
