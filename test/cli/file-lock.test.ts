/** The lock of the configuration file. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, it } from "vitest";
import { withLock } from "../../src/cli/file-lock.ts";
import { temporaryFolder } from "../helpers/service-process.ts";

it("is free again when the process that held it was killed", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "config.json");
  const child = fork(new URL("./lock-child.ts", import.meta.url), [path]);
  await once(child, "message");
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(await withLock(path, () => Promise.resolve("mine"))).toBe("mine");
});

it("is free again after work that failed", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "config.json");
  await expect(withLock(path, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await withLock(path, () => Promise.resolve("mine"))).toBe("mine");
});
