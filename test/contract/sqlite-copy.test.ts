/** Copying a SQLite database that is in service. */
import { readdir, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { backUpDatabase } from "../../src/storage/sqlite/backup.ts";
import { type CopyOptions, copyDatabase } from "../../src/storage/sqlite/copy.ts";
import { openSqliteSubject, temporaryDirectory } from "../helpers/sqlite.ts";
import { someChange, someOrganization } from "./samples.ts";

const accept = () => {};

function copy(from: string, to: string, options: Partial<CopyOptions> = {}): Promise<void> {
  return copyDatabase({ from, to, prepare: accept, ...options });
}

describe("a copy", () => {
  it("holds one state, that of the moment when it began, whatever is written meanwhile", async () => {
    await using subject = await openSqliteSubject();
    const { storage, path } = subject;
    // Larger than what is copied in one step.
    const large = Array.from({ length: 60 }, () => someOrganization({ name: "x".repeat(100_000) }));
    await Promise.all(large.map((organization) => storage.createOrganization(organization, someChange())));
    const target = join(dirname(path), "copy.db");
    const progress: (readonly [number, number])[] = [];
    const other = new Database(path);
    await copy(path, target, {
      onProgress(done, all) {
        progress.push([done, all]);
        // Between any two steps somebody else commits.
        other.exec(`INSERT INTO organizations VALUES ('late-${progress.length}', '', '', '', 0)`);
      },
    });
    other.close();
    expect(progress.length).toBeGreaterThan(2);
    expect(progress.map(([done]) => done)).toEqual(progress.map(([done]) => done).toSorted((one, two) => one - two));
    expect(progress.at(-1)).toEqual([progress[0]?.[1], progress[0]?.[1]]);
    expect(ids(target)).toEqual(large.map(({ id }) => id).toSorted());
    expect(ids(path)).toHaveLength(large.length + progress.length);
  });

  it("is one file for its owner only, which needs no other beside it", async () => {
    await using subject = await openSqliteSubject();
    await subject.storage.createOrganization(someOrganization(), someChange());
    const directory = dirname(subject.path);
    const before = await readdir(directory);
    const target = join(directory, "copy.db");
    await copy(subject.path, target);
    expect((await stat(target)).mode & 0o777).toBe(0o600);
    const connection = new Database(target, { readonly: true });
    expect(connection.pragma("journal_mode", { simple: true })).toBe("delete");
    expect(connection.pragma("integrity_check", { simple: true })).toBe("ok");
    expect((await readdir(directory)).toSorted()).toEqual([...before, "copy.db"].toSorted());
    connection.close();
  });

  it("of a database that was not closed holds what is in the log only", async () => {
    await using subject = await openSqliteSubject();
    const organization = someOrganization();
    await subject.storage.createOrganization(organization, someChange());
    await using directory = await temporaryDirectory();
    const crashed = join(directory.path, "latchkey.db");
    for (const suffix of ["", "-wal"]) await writeFile(crashed + suffix, await readFile(subject.path + suffix));
    await copy(crashed, join(directory.path, "copy.db"));
    expect(ids(join(directory.path, "copy.db"))).toEqual([organization.id]);
  });

  it("takes the place of an older one in one step, and leaves it alone until then", async () => {
    await using subject = await openSqliteSubject();
    const target = join(dirname(subject.path), "copy.db");
    await writeFile(target, "older");
    await copy(subject.path, target, {
      prepare: async () => expect(await readFile(target, "utf8")).toBe("older"),
    });
    expect(ids(target)).toEqual([]);
  });

  for (const [how, options, failure] of [
    ["is refused", { prepare: () => Promise.reject(new Error("not good")) }, "not good"],
    ["is given up", { signal: AbortSignal.abort(new Error("enough")) }, "enough"],
  ] as const) {
    it(`leaves nothing when it ${how}`, async () => {
      await using subject = await openSqliteSubject();
      await using directory = await temporaryDirectory();
      await expect(copy(subject.path, join(directory.path, "copy.db"), options)).rejects.toThrow(failure);
      expect(await readdir(directory.path)).toEqual([]);
    });
  }

  it("is given up between two steps", async () => {
    await using subject = await openSqliteSubject();
    const { storage, path } = subject;
    for (let count = 0; count < 60; count++) {
      await storage.createOrganization(someOrganization({ name: "x".repeat(100_000) }), someChange());
    }
    await using directory = await temporaryDirectory();
    const controller = new AbortController();
    const steps: number[] = [];
    const copying = copy(path, join(directory.path, "copy.db"), {
      signal: controller.signal,
      onProgress(done) {
        steps.push(done);
        controller.abort();
      },
    });
    await expect(copying).rejects.toThrow("aborted");
    expect(steps).toHaveLength(1);
    expect(await readdir(directory.path)).toEqual([]);
  });

  it("says which file is at fault", async () => {
    await using subject = await openSqliteSubject();
    await using directory = await temporaryDirectory();
    const target = join(directory.path, "copy.db");
    const text = join(directory.path, "notes.txt");
    await writeFile(text, "These are notes, and quite a lot of them. ".repeat(100));
    await expect(copy(text, target)).rejects.toThrow(`${text} is not a SQLite database`);
    const missing = join(directory.path, "missing.db");
    await expect(copy(missing, target)).rejects.toThrow(`${missing} can't be read (SQLITE_CANTOPEN): check the path`);
    const nowhere = join(directory.path, "nowhere", "copy.db");
    await expect(copy(subject.path, nowhere)).rejects.toThrow(`${nowhere} can't be opened for writing (ENOENT)`);
    await subject.storage.close();
    const { size } = await stat(subject.path);
    await truncate(subject.path, size / 2);
    await expect(copy(subject.path, target)).rejects.toThrow(`${subject.path} is damaged`);
    expect(await readdir(directory.path)).toEqual(["notes.txt"]);
  });
});

describe("a backup replaces", () => {
  const backUp = (database: string, file: string, overwrite: boolean) =>
    backUpDatabase({ database, file, overwrite, approve: accept });

  it("nothing without being told, and then another backup only", async () => {
    await using subject = await openSqliteSubject();
    const directory = dirname(subject.path);
    const file = join(directory, "backup.db");
    await backUp(subject.path, file, false);
    await expect(backUp(subject.path, file, false)).rejects.toThrow(`${file} is there already: `);
    await subject.storage.createOrganization(someOrganization(), someChange());
    await backUp(subject.path, file, true);
    expect(ids(file)).toHaveLength(1);

    const precious = join(directory, "root.key");
    await writeFile(precious, "the root key");
    const foreign = join(directory, "other.db");
    new Database(foreign).exec("CREATE TABLE a (b)").close();
    const empty = join(directory, "empty");
    await writeFile(empty, "");
    for (const name of [precious, foreign, empty, directory, `${subject.path}-wal`, `${subject.path}.lock`]) {
      await expect(backUp(subject.path, name, true), name).rejects.toThrow(`${name} is no backup, and is not replaced`);
    }
    expect(await readFile(precious, "utf8")).toBe("the root key");
    await expect(backUp(subject.path, subject.path, true)).rejects.toThrow(/is the database itself: choose another/);
    // Somebody else's live database.
    await writeFile(`${file}.lock`, "");
    await expect(backUp(subject.path, file, true)).rejects.toThrow("is no backup");
    await subject.storage.pingWrites();
  });

  it("nothing that came to be while it was made", async () => {
    await using subject = await openSqliteSubject();
    const file = join(dirname(subject.path), "backup.db");
    const approve = () => writeFile(file, "somebody else's");
    const backingUp = backUpDatabase({ database: subject.path, file, overwrite: false, approve });
    await expect(backingUp).rejects.toThrow("is there already");
    expect(await readFile(file, "utf8")).toBe("somebody else's");
  });
});

function ids(path: string): readonly string[] {
  const connection = new Database(path, { readonly: true });
  const found = connection.prepare<[], string>("SELECT id FROM organizations ORDER BY id").pluck().all();
  connection.close();
  return found;
}
