/** A process with a connection of its own that takes leases when it is told to, and says how many it was granted. */
import { once } from "node:events";
import type { Lease } from "../../src/domain/storage.ts";
import { openWriteConnection } from "../../src/storage/sqlite/connection.ts";
import { groupCommitter } from "../../src/storage/sqlite/group-commit.ts";
import { someLeaseRequest } from "./samples.ts";

const GROUP = 4;

const [path = "", tokenId = "", limit = "", attempts = ""] = process.argv.slice(2);
const commitGroup = groupCommitter(openWriteConnection({ path, busyTimeoutMs: 20_000 }));
const input = someLeaseRequest({ tokenId, limit: Number(limit) });
process.stdout.write("ready\n");
await once(process.stdin, "data");

let granted = 0;
for (let attempt = 0; attempt < Number(attempts); attempt += GROUP) {
  const requests = Array.from(
    { length: GROUP },
    (_, id) => ({ kind: "command", id, name: "takeLease", input }) as const,
  );
  for (const reply of commitGroup(requests)) {
    if (!reply.ok) throw new Error(reply.error.detail);
    granted += (reply.value as Lease).granted;
  }
}
process.stdout.write(`${granted}\n`);
process.exit();
