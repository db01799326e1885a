/** Rate limits over several processes, which nothing but PostgreSQL brings together. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, inject, it } from "vitest";
import { openPostgresSubject } from "../helpers/postgres.ts";
import { sum } from "./checks.ts";
import { startProcess } from "./durability.ts";
import { someLeaseRequest } from "./samples.ts";

const PROCESSES = 4;
const ATTEMPTS = 10_000;

describe("a limit of 60 a minute over four processes", () => {
  it("admits exactly 60 of 10,000 attempts", async () => {
    await using subject = await openPostgresSubject(inject("postgresUrl"));
    const tokenId = randomUUID();
    const bursts = await Promise.all(
      Array.from({ length: PROCESSES }, () => startBurst(subject.location, tokenId, ATTEMPTS / PROCESSES)),
    );
    const admitted = await Promise.all(bursts.map((burst) => burst()));
    expect(sum(admitted)).toBe(60);
  });

  it("never admits more when one of them is killed in mid-window", async () => {
    await using subject = await openPostgresSubject(inject("postgresUrl"));
    const { tokenId, windowStart } = someLeaseRequest();
    const script = new URL("../usecases/rate-limiter-child.ts", import.meta.url);
    const start = () => startProcess<number>(script, [subject.location, tokenId]);
    await using processes = new AsyncDisposableStack();
    const all = Array.from({ length: PROCESSES }, () => processes.use(start()));
    // Whoever starts late may find nothing left: the one that is killed is the first that is in the middle of it.
    const doomed = await Promise.any(
      all.map(async (each) => {
        await each.acknowledged(3);
        return each;
      }),
    );
    const before = sum(await doomed.kill());
    await waitUntil(async () => (await subject.storage.readWindow(tokenId, windowStart)) === 60);
    const bursts = await startBurst(subject.location, tokenId, 100);
    const late = await bursts();
    const spending = all.filter((each) => each !== doomed);
    const after = await Promise.all(spending.map(async (each) => sum(await each.kill())));
    const admitted = before + late + sum(after);
    expect(admitted).toBeLessThanOrEqual(60);
    // A twentieth of the window is lost with each process that is killed.
    expect(admitted).toBeGreaterThanOrEqual(60 - 3 * PROCESSES);
  });
});

/** Resolves when the process is ready; the answer starts it, and resolves with how many it was admitted. */
async function startBurst(location: string, tokenId: string, attempts: number): Promise<() => Promise<number>> {
  const script = fileURLToPath(new URL("../usecases/rate-burst-child.ts", import.meta.url));
  const args = [script, location, tokenId, String(attempts)];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  await once(lines, "line");
  return async () => {
    child.stdin.write("go\n");
    const [line] = (await once(lines, "line")) as [string];
    await once(child, "exit");
    return Number(line);
  };
}

async function waitUntil(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => void setImmediate(resolve));
}
