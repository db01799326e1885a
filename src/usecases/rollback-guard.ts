/** Refuses to serve a database that lacks what a checkpoint was signed over. */
import { type Checkpoint, checkpointName, openCheckpoint, type SignedCheckpoint } from "../domain/checkpoint.ts";
import type { CheckpointFolder } from "../domain/checkpoint-outlets.ts";
import type { Logger } from "../domain/logger.ts";
import type { NoteKey } from "../domain/signed-note.ts";
import { StartError } from "../domain/start-error.ts";
import type { Storage } from "../domain/storage.ts";

export interface RollbackGuardDeps {
  readonly storage: Storage;
  readonly logger: Logger;
  /** This log's own key; what another one signed is passed over. */
  readonly key: NoteKey;
  readonly folders: readonly CheckpointFolder[];
  /** Name of the newest checkpoint whose events may be missing, as the operator has decided. */
  readonly acceptedRollback: string | undefined;
}

interface Found {
  readonly folder: CheckpointFolder;
  readonly signed: SignedCheckpoint;
}

/**
 * Answers the newest checkpoint of each folder. That the database has its last event takes one look-up,
 * however long the log is; that all others are the same is found out by reading them.
 *
 * Checkpoints of a rollback that is accepted are put aside, so it is accepted once.
 *
 * @throws StartError when the database lacks the last event of one
 */
export async function refuseRollback(deps: RollbackGuardDeps): Promise<readonly SignedCheckpoint[]> {
  const newest = await Promise.all(deps.folders.map((folder) => findNewest(deps, folder)));
  const found = newest.filter((each) => each !== undefined).toSorted(bySize);
  const [ahead] = await filterAhead(deps, found);
  if (ahead === undefined) return found.map(({ signed }) => signed);

  const { checkpoint } = ahead.signed;
  const name = checkpointName(checkpoint);
  if (deps.acceptedRollback !== name) {
    throw new StartError(
      `The database is older than its checkpoint ${name} in ${ahead.folder.name}, which was signed on ` +
        `${checkpoint.time.toISOString()} over ${checkpoint.size} events: an old database was put back, or its end was ` +
        "cut off. Put the newest one back. To go on without what is missing, which brings revoked tokens back to " +
        `life, start with LATCHKEY_ACCEPT_ROLLBACK=${name}`,
    );
  }
  await Promise.all(deps.folders.map((folder) => putAside(deps, folder)));
  return refuseRollback(deps);
}

/** Puts aside every checkpoint over events after this revision, and answers how many. */
export async function putAsideAfter(
  { folders, key }: Pick<RollbackGuardDeps, "folders" | "key">,
  revision: number,
): Promise<number> {
  let count = 0;
  for (const folder of folders) {
    for (const name of await folder.list()) {
      const { checkpoint } = openCheckpoint(await folder.read(name), key);
      if (checkpoint === undefined || checkpoint.revision <= revision) continue;
      await folder.putAside(name);
      count++;
    }
  }
  return count;
}

/** The newest checkpoint in a folder that this log's key has signed. */
async function findNewest({ logger, key }: RollbackGuardDeps, folder: CheckpointFolder): Promise<Found | undefined> {
  for (const name of await folder.list()) {
    const note = await folder.read(name);
    const { checkpoint, fault } = openCheckpoint(note, key);
    if (checkpoint !== undefined) return { folder, signed: { checkpoint, note } };
    logger.warn({ folder: folder.name, checkpoint: name, fault }, "a checkpoint isn't this log's; passing over it");
  }
  return undefined;
}

/** Puts those aside that the database can't follow, the newest first. */
async function putAside(deps: RollbackGuardDeps, folder: CheckpointFolder): Promise<void> {
  for (;;) {
    const found = await findNewest(deps, folder);
    if (found === undefined || !(await isAhead(deps, found.signed.checkpoint))) return;
    const name = checkpointName(found.signed.checkpoint);
    await folder.putAside(name);
    deps.logger.warn({ folder: folder.name, checkpoint: name }, "a rollback was accepted; put its checkpoint aside");
  }
}

async function filterAhead(deps: RollbackGuardDeps, found: readonly Found[]): Promise<readonly Found[]> {
  const ahead = await Promise.all(found.map(({ signed }) => isAhead(deps, signed.checkpoint)));
  return found.filter((_, index) => ahead[index]);
}

/** Whether the database lacks the last event that a checkpoint is over. */
async function isAhead({ storage }: RollbackGuardDeps, { size, revision }: Checkpoint): Promise<boolean> {
  if (size === 0) return false;
  const [event] = await storage.listEventHashes(revision - 1, 1);
  return event?.revision !== revision;
}

function bySize(one: Found, two: Found): number {
  return two.signed.checkpoint.size - one.signed.checkpoint.size;
}
