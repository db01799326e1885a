/** A process that may not write large files: it writes until that fails, and goes on when it works again. */
import Database from "better-sqlite3";
import { openStorage } from "./engines.ts";
import { someChange, someOrganization } from "./samples.ts";

export interface DiskFullReport {
  readonly stored: readonly string[];
  readonly refused: readonly string[];
  /** How many of three were stored in the end. */
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
// As long as somebody reads what is in the log, it can't be started over.
const reader = new Database(location.replace(/^sqlite:/, ""));
reader.exec("BEGIN; SELECT count(*) FROM organizations");
while (refused.length === 0) await round();
await round();
// What is left of the room is too little for an organization, and soon too little for anything.
while (await ping());
pings.push(await ping());
reader.close();
let healed = 0;
while (healed < 3) {
  const storedBefore = stored.length;
  await round();
  healed = stored.length - storedBefore;
}
pings.push(await ping());
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
