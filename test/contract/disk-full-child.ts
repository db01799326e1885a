/** A process that may not write large files: it writes until that fails, makes room, and goes on. */
import Database from "better-sqlite3";
import { openStorage } from "./engines.ts";
import { someChange, someOrganization } from "./samples.ts";

export interface DiskFullReport {
  readonly stored: readonly string[];
  readonly refused: readonly string[];
  /** How many of three were stored after there was room again. */
  readonly healed: number;
  /** Whether writes counted as working: before, when not even a small one found room, and after. */
  readonly pings: readonly boolean[];
}

const [location = ""] = process.argv.slice(2);
const storage = await openStorage(location);
const stored: string[] = [];
const refused: string[] = [];
// Three at a time, so that whole groups fail.
const round = () => Promise.allSettled(Array.from({ length: 3 }, write));

const pings = [await ping()];
while (refused.length === 0) await round();
await round();
// What is left of the room is too little for an organization, and soon too little for anything.
while (await ping());
pings.push(await ping());
const storedBefore = stored.length;
// The log can be started over from here.
new Database(location.replace(/^sqlite:/, "")).pragma("wal_checkpoint(PASSIVE)");
pings.push(await ping());
await round();
const healed = stored.length - storedBefore;
await storage.close();
process.stdout.write(JSON.stringify({ stored, refused, healed, pings } satisfies DiskFullReport));

function ping(): Promise<boolean> {
  return storage.pingWrites().then(
    () => true,
    () => false,
  );
}

async function write(): Promise<void> {
  const organization = someOrganization({ name: "x".repeat(4_000) });
  await storage.createOrganization(organization, someChange()).then(
    () => stored.push(organization.id),
    () => refused.push(organization.id),
  );
}
