/** A process that takes one unit after the other of one window, and says each one that was granted. */
import { setTimeout } from "node:timers/promises";
import { faults, type StorageFault } from "./broken-storages.ts";
import { openStorage } from "./engines.ts";
import { someLeaseRequest } from "./samples.ts";

const [location = "", tokenId = "", fault] = process.argv.slice(2);

// Ends with the process that started it, however that one ended.
process.stdin.resume().on("end", () => process.exit());

const opened = await openStorage(location);
const storage = fault === undefined ? opened : faults[fault as StorageFault](opened);
for (;;) {
  const { granted } = await storage.takeLease(someLeaseRequest({ tokenId }));
  if (granted > 0) process.stdout.write(`${JSON.stringify(granted)}\n`);
  // Slow enough to be killed while the window has units left.
  await setTimeout(5);
}
