/** Starts processes that write, kills them, and looks for what they were told is stored. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import type { Storage } from "../../src/domain/storage.ts";
import type { StorageFault } from "./broken-storages.ts";
import { sum } from "./checks.ts";
import type { Acknowledged } from "./durability-child.ts";
import { someLeaseRequest } from "./samples.ts";
import type { StorageSubject } from "./storage-contract.ts";

/** A process that writes until it is killed, and says what was acknowledged, a line of JSON each. */
export interface WritingProcess<Line = Acknowledged> extends AsyncDisposable {
  /** Resolves when so many writes were acknowledged; rejects with what the process said if it ended before. */
  acknowledged(count: number): Promise<void>;
  /** Kills it on the spot, and answers all that was acknowledged. */
  kill(): Promise<readonly Line[]>;
}

export function startWritingProcess(location: string, fault?: StorageFault): WritingProcess {
  return startProcess(new URL("./durability-child.ts", import.meta.url), [location, fault]);
}

/** Issues tokens in an organization, each with a record, and says which. */
export function startRecordingProcess(location: string, organizationId: string): WritingProcess<string> {
  return startProcess(new URL("./recording-child.ts", import.meta.url), [location, organizationId]);
}

export function startProcess<Line>(script: URL, args: readonly (string | undefined)[]): WritingProcess<Line> {
  const child = spawn(process.execPath, [fileURLToPath(script), ...args.filter((arg) => arg !== undefined)]);
  const exited = once(child, "exit");
  const said = collect(child);
  const lines: Line[] = [];
  const news = new EventEmitter<{ line: [] }>();
  const drained = once(child.stdout, "close");
  // A line that the kill cut short was not said; readline would hand it on as if it were.
  let unfinished = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    const finished = (unfinished + chunk).split("\n");
    unfinished = finished.pop() ?? "";
    lines.push(...finished.map((line) => JSON.parse(line) as Line));
    news.emit("line");
  });

  return {
    async acknowledged(count) {
      while (lines.length < count) {
        const isOver = await Promise.race([once(news, "line").then(() => false), drained.then(() => true)]);
        if (isOver && lines.length < count) throw new Error(await said);
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

/** L1, with the taker killed in mid-window. */
export async function checkLeasesSurvive(subject: StorageSubject, fault?: StorageFault): Promise<void> {
  const request = someLeaseRequest({ limit: 60, units: 1 });
  await subject.storage.close();
  const script = new URL("./lease-child.ts", import.meta.url);
  await using taking = startProcess<number>(script, [subject.location, request.tokenId, fault]);
  await taking.acknowledged(20);
  const before = sum(await taking.kill());

  const storage = await subject.reopen();
  expect(before).toBeLessThan(60);
  expect(await storage.readWindow(request.tokenId, request.windowStart)).toBeGreaterThanOrEqual(before);
  const { granted } = await storage.takeLease({ ...request, units: 1_000 });
  expect(before + granted).toBeLessThanOrEqual(60);
  // One unit at most was granted and not told of.
  expect(before + granted).toBeGreaterThanOrEqual(59);
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
