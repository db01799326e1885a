/** Where tests keep databases: in memory where there is room, for what they wait for most is the disk's syncs. */
import { accessSync, constants, statfsSync } from "node:fs";
import { tmpdir } from "node:os";

const MEMORY = "/dev/shm";

/** Far more than all tests together fill. A container has 64 MiB of it unless it is told otherwise. */
const ROOM_BYTES = 2 * 1024 ** 3;

/** What survives a power cut is for the trials to find out, and they run on a disk. */
export const SCRATCH = hasRoom(MEMORY) ? MEMORY : tmpdir();

function hasRoom(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize >= ROOM_BYTES;
  } catch {
    return false;
  }
}
