/** What a folder of checkpoints keeps, and what it does where it can't. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { SignedCheckpoint } from "../../src/domain/checkpoint.ts";
import { StartError } from "../../src/domain/start-error.ts";
import { createCheckpointFolder } from "../../src/security/checkpoint-folder.ts";
import { temporaryDirectory } from "../helpers/sqlite.ts";

const { signal } = new AbortController();

function checkpoint(size: number, root = 0): SignedCheckpoint {
  const content = { origin: "log", size, root: new Uint8Array(32).fill(root), revision: size, time: new Date() };
  return { checkpoint: content, note: `the note of ${size} with ${root}\n` };
}

describe("a folder of checkpoints", () => {
  it("keeps each under its size and root, for its owner to write and for others to read", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "some", "where");
    const folder = createCheckpointFolder(path);
    expect(await folder.list()).toEqual([]);
    await folder.prepare();
    for (const each of [checkpoint(9), checkpoint(10), checkpoint(10, 255), checkpoint(2)]) {
      await folder.keep(each, signal);
    }
    const names = ["000000000010-ffffffff", "000000000010-00000000", "000000000009-00000000", "000000000002-00000000"];
    expect(await folder.list()).toEqual(names);
    expect((await readdir(path)).toSorted()).toEqual(names.map((name) => `${name}.checkpoint`).toSorted());
    expect(await folder.read("000000000009-00000000")).toBe("the note of 9 with 0\n");
  });

  it("leaves one as it is that it has already, and writes over what a crash has left", async () => {
    await using directory = await temporaryDirectory();
    const folder = createCheckpointFolder(directory.path);
    await writeFile(join(directory.path, ".unfinished"), "a long text that was never finished".repeat(9));
    await folder.keep(checkpoint(1), signal);
    expect(await folder.read("000000000001-00000000")).toBe("the note of 1 with 0\n");
    await folder.keep({ ...checkpoint(1), note: "signed later\n" }, signal);
    expect(await folder.read("000000000001-00000000")).toBe("the note of 1 with 0\n");
    expect(await readdir(directory.path)).toEqual(["000000000001-00000000.checkpoint"]);
  });

  it("keeps so many of the newest, and touches nothing else", async () => {
    await using directory = await temporaryDirectory();
    const folder = createCheckpointFolder(directory.path, 3);
    await writeFile(join(directory.path, "notes.txt"), "mine");
    for (let size = 1; size <= 7; size++) await folder.keep(checkpoint(size), signal);
    const kept = ["000000000007-00000000", "000000000006-00000000", "000000000005-00000000"];
    expect(await folder.list()).toEqual(kept);
    await folder.keep(checkpoint(7), signal);
    expect(await folder.list()).toEqual(kept);
    expect(await readFile(join(directory.path, "notes.txt"), "utf8")).toBe("mine");
    await folder.keep(checkpoint(1), signal);
    expect(await folder.list()).toContain("000000000001-00000000");
  });

  it("lists one no more that was put aside", async () => {
    await using directory = await temporaryDirectory();
    const folder = createCheckpointFolder(directory.path);
    for (const size of [1, 2]) await folder.keep(checkpoint(size), signal);
    await folder.putAside("000000000002-00000000");
    expect(await folder.list()).toEqual(["000000000001-00000000"]);
    expect(await readdir(directory.path)).toContain("000000000002-00000000.checkpoint.abandoned");
  });

  it("says what to do where it can't be read or written", async () => {
    await using directory = await temporaryDirectory();
    const file = join(directory.path, "file");
    await writeFile(file, "");
    const folder = createCheckpointFolder(join(file, "checkpoints"));
    for (const attempt of [folder.prepare(), folder.list(), folder.read("x"), folder.putAside("x")]) {
      await expect(attempt).rejects.toThrow(StartError);
      await expect(attempt).rejects.toThrow(/file\/checkpoints .*ENOTDIR.*LATCHKEY_CHECKPOINT_DIR/);
    }
    await expect(folder.keep(checkpoint(1), signal)).rejects.toThrow(/ENOTDIR/);
  });
});
