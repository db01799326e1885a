/** Leases from one SQLite file by connections in several processes, which nothing but the file brings together. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { createDatabaseFile } from "../../src/storage/sqlite/files.ts";
import { migrate } from "../../src/storage/sqlite/migrations.ts";
import { temporaryDirectory } from "../helpers/sqlite.ts";
import { sum } from "./checks.ts";

const PROCESSES = 4;

describe("leases of one SQLite file", () => {
  it("never exceed the limit, whichever processes take them", async () => {
    await using directory = await temporaryDirectory();
    const path = createDatabaseFile(join(directory.path, "latchkey.db"));
    migrate({ path, busyTimeoutMs: 50 });
    const tokenId = randomUUID();
    const takers = await Promise.all(Array.from({ length: PROCESSES }, () => startTaker(path, tokenId, 400, 200)));
    const granted = await Promise.all(takers.map((take) => take()));
    expect(sum(granted)).toBe(400);
    expect(granted.filter((units) => units > 0).length).toBeGreaterThan(1);
  });
});

/** Resolves when the process is ready; the answer starts it, and resolves with what it was granted. */
async function startTaker(path: string, ...args: readonly (string | number)[]): Promise<() => Promise<number>> {
  const script = fileURLToPath(new URL("./sqlite-lease-child.ts", import.meta.url));
  const child = spawn(process.execPath, [script, path, ...args.map(String)], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  await once(lines, "line");
  return async () => {
    child.stdin.write("go\n");
    const [line] = (await once(lines, "line")) as [string];
    await once(child, "exit");
    return Number(line);
  };
}
