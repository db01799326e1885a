/** Starts the writing process, kills it, and looks for what it was told is stored. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Storage } from "../../src/domain/storage.ts";
import type { StorageFault } from "./broken-storages.ts";
import type { Acknowledged } from "./durability-child.ts";

/** A process that writes until it is killed. */
export interface WritingProcess extends AsyncDisposable {
  /** Resolves when so many writes were acknowledged; rejects with what the process said if it ended before. */
  acknowledged(count: number): Promise<void>;
  /** Kills it on the spot, and answers all that was acknowledged. */
  kill(): Promise<readonly Acknowledged[]>;
}

export function startWritingProcess(location: string, fault?: StorageFault): WritingProcess {
  const path = fileURLToPath(new URL("./durability-child.ts", import.meta.url));
  const child = spawn(process.execPath, [path, location, ...(fault === undefined ? [] : [fault])]);
  const exited = once(child, "exit");
  const said = collect(child);
  const lines: Acknowledged[] = [];
  const reader = createInterface({ input: child.stdout });
  const drained = once(reader, "close");
  reader.on("line", (line) => lines.push(JSON.parse(line) as Acknowledged));

  return {
    async acknowledged(count) {
      while (lines.length < count) {
        const next = await Promise.race([once(reader, "line"), drained]);
        if (next.length === 0) throw new Error(await said);
      }
    },
    async kill() {
      child.kill("SIGKILL");
      await Promise.all([exited, drained]);
      return lines;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** Throws when one of the writes is not there. */
export async function expectStored(storage: Storage, writes: readonly Acknowledged[]): Promise<void> {
  for (const write of writes) {
    if (!(await isStored(storage, write))) throw new Error(`lost after it was acknowledged: ${JSON.stringify(write)}`);
  }
}

async function isStored(storage: Storage, write: Acknowledged): Promise<boolean> {
  if (write.kind === "organization") return (await storage.getOrganization(write.id)) !== undefined;
  const token = await storage.getToken(write.id);
  switch (write.kind) {
    case "token":
      return token !== undefined;
    case "used":
      return token?.lastUsedAt?.getTime() === write.usedAt;
    case "revoked":
      return token?.revokedAt !== undefined;
  }
}

async function collect(child: ChildProcessWithoutNullStreams): Promise<string> {
  let text = "";
  for await (const chunk of child.stderr) text += String(chunk);
  return text;
}
