/** A process that may not write large files: it writes until that fails, and goes on until it works again. */
import { openSqliteStorage } from "../../src/storage/sqlite/sqlite-storage.ts";
import { someOrganization } from "./samples.ts";

const [location = ""] = process.argv.slice(2);
const storage = await openSqliteStorage({
  path: location.replace(/^sqlite:/, ""),
  logger: { debug() {}, info() {}, warn() {}, error() {} },
  checkpointIntervalMs: 200,
});
const stored: string[] = [];
const refused: string[] = [];
// Three at a time, so that whole groups fail.
const round = () => Promise.allSettled(Array.from({ length: 3 }, write));

while (refused.length === 0) await round();
const before = stored.length;
while (stored.length === before) await round();
await storage.close();
process.stdout.write(JSON.stringify({ stored, refused }));

async function write(): Promise<void> {
  const organization = someOrganization({ name: "x".repeat(4_000) });
  await storage.createOrganization(organization).then(
    () => stored.push(organization.id),
    () => refused.push(organization.id),
  );
}
