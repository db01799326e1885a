/** Putting a backup in the place of a SQLite database. */
import { copyFile, readdir, readFile, rename, stat, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import type { Storage } from "../../src/domain/storage.ts";
import { copyDatabase } from "../../src/storage/sqlite/copy.ts";
import { createDatabaseFile } from "../../src/storage/sqlite/files.ts";
import { initialSchema } from "../../src/storage/sqlite/migrations/0001-initial-schema.ts";
import { migrate } from "../../src/storage/sqlite/migrations.ts";
import { findLoss, type RestoreOptions, restoreDatabase } from "../../src/storage/sqlite/restore.ts";
import { openSqliteStorage } from "../../src/storage/sqlite/sqlite-storage.ts";
import { openSqliteSubject, silentLogger, temporaryDirectory } from "../helpers/sqlite.ts";
import { everyEvent, NOW, someChange, someOrganization, someToken } from "./samples.ts";

const KEPT = "latchkey.db.before-restore-20261121T120000123Z";

/** A storage with one organization, and a backup from before the second one. */
async function openBackedUp() {
  const subject = await openSqliteSubject();
  const directory = dirname(subject.path);
  const backup = join(directory, "backup.db");
  const before = await subject.storage.createOrganization(someOrganization(), someChange());
  await copyDatabase({ from: subject.path, to: backup, prepare() {} });
  const since = await subject.storage.createOrganization(someOrganization(), someChange());
  return {
    path: subject.path,
    directory,
    backup,
    storage: subject.storage,
    before,
    since,
    restore: (options: Partial<RestoreOptions> = {}) =>
      restoreDatabase({ backup, database: subject.path, at: NOW, consent() {}, ...options }),
    async [Symbol.asyncDispose]() {
      await subject[Symbol.asyncDispose]();
    },
  };
}

async function withStorage<T>(path: string, use: (storage: Storage) => Promise<T>): Promise<T> {
  const storage = await openSqliteStorage({ path, logger: silentLogger });
  try {
    return await use(storage);
  } finally {
    await storage.close();
  }
}

const idsIn = (path: string) =>
  withStorage(path, async (storage) => {
    const all = await storage.listOrganizations(undefined, 100);
    return all.map(({ id }) => id).toSorted();
  });

describe("a restore", () => {
  it("puts the backup in place, keeps what was there, and goes on with revisions that nobody has seen", async () => {
    await using deployment = await openBackedUp();
    const { path, before, since, storage } = deployment;
    const seen = (await storage.listEvents(everyEvent())).at(-1)?.revision ?? 0;
    await storage.close();
    const kept = await deployment.restore();
    expect(kept).toBe(join(deployment.directory, KEPT));
    expect(await idsIn(path)).toEqual([before.id]);
    expect(await idsIn(kept ?? "")).toEqual([before.id, since.id].toSorted());
    expect((await stat(path)).mode & 0o777).toBe(0o600);

    await withStorage(path, async (restored) => {
      const events = await restored.listEvents(everyEvent());
      expect(events).toMatchObject([
        { revision: 1, action: "organization.created" },
        {
          revision: seen + 1_000_001,
          action: "deployment.restored",
          at: NOW,
          actor: { kind: "system" },
          details: { backup_revision: "1" },
        },
      ]);
      const { revision } = await restored.createToken(someToken({ organizationId: before.id }), someChange());
      expect(revision).toBe(seen + 1_000_002);
    });
  });

  it("of the same backup again keeps each of the databases", async () => {
    await using deployment = await openBackedUp();
    await deployment.storage.close();
    const first = await deployment.restore();
    const second = await deployment.restore();
    expect([first, second].map((kept) => basename(kept ?? ""))).toEqual([KEPT, `${KEPT}-again`]);
    expect(await idsIn(first ?? "")).toHaveLength(2);
    expect(await idsIn(second ?? "")).toHaveLength(1);
  });

  it("works where there is no database yet, and no directory", async () => {
    await using deployment = await openBackedUp();
    const database = join(deployment.directory, "new", "data", "latchkey.db");
    const presents: unknown[] = [];
    const kept = await deployment.restore({ database, consent: (_copy, present) => void presents.push(present) });
    expect([kept, presents]).toEqual([undefined, [undefined]]);
    expect(await idsIn(database)).toEqual([deployment.before.id]);
  });

  it("brings an older schema up to date, and leaves the backup as it is", async () => {
    await using directory = await temporaryDirectory();
    const backup = createDatabaseFile(join(directory.path, "old.db"));
    migrate({ path: backup, busyTimeoutMs: 50 }, [initialSchema]);
    const content = await readFile(backup);
    const database = join(directory.path, "latchkey.db");
    await restoreDatabase({ backup, database, at: NOW, consent() {} });
    await withStorage(database, async (storage) => {
      expect(await storage.listEvents(everyEvent())).toMatchObject([{ action: "deployment.restored" }]);
    });
    expect(await readFile(backup)).toEqual(content);
  });

  it("takes the file that the database's name points to for the database", async () => {
    await using deployment = await openBackedUp();
    await deployment.storage.close();
    const alias = join(deployment.directory, "alias.db");
    await symlink(deployment.path, alias);
    await expect(deployment.restore({ backup: alias })).rejects.toThrow(/alias\.db is the database itself/);
    await deployment.restore({ database: alias });
    expect(await idsIn(deployment.path)).toEqual([deployment.before.id]);
  });
});

describe("what a crash left beside the database", () => {
  /** The database as a crash leaves it: the last commits stand in the log only. */
  async function crash(deployment: Awaited<ReturnType<typeof openBackedUp>>): Promise<void> {
    const { path, directory } = deployment;
    for (const suffix of ["", "-wal"]) await copyFile(path + suffix, join(directory, `crashed${suffix}`));
    await deployment.storage.close();
    for (const suffix of ["", "-wal"]) await rename(join(directory, `crashed${suffix}`), path + suffix);
  }

  it("is kept with it, and is no part of the new one", async () => {
    await using deployment = await openBackedUp();
    await crash(deployment);
    const { path, before, since } = deployment;
    const kept = await deployment.restore();
    expect((await stat(`${kept}-wal`)).mode & 0o777).toBe(0o600);
    expect(await idsIn(path)).toEqual([before.id]);
    expect(await idsIn(kept ?? "")).toEqual([before.id, since.id].toSorted());
  });

  it("is no part of the new one either when a restore was cut short before it", async () => {
    await using deployment = await openBackedUp();
    await crash(deployment);
    const { path, directory, before } = deployment;
    await rename(path, join(directory, "moved.db"));
    await deployment.restore();
    expect(await idsIn(path)).toEqual([before.id]);
  });

  it("of a database that had another kind of journal isn't rolled back into the new one", async () => {
    await using deployment = await openBackedUp();
    const { path, directory, before } = deployment;
    await deployment.storage.close();
    // A transaction that was written to the file, and cut short before its journal was gone.
    const connection = new Database(path);
    connection.pragma("journal_mode = delete");
    // Without syncs the journal is complete at every moment.
    connection.pragma("synchronous = OFF");
    connection.exec("BEGIN; UPDATE organizations SET name = 'half done'");
    await copyFile(`${path}-journal`, join(directory, "crashed"));
    connection.exec("COMMIT");
    connection.close();
    await rename(join(directory, "crashed"), `${path}-journal`);

    const kept = (await deployment.restore()) ?? "";
    expect(await idsIn(path)).toEqual([before.id]);
    const organizations = await withStorage(kept, (storage) => storage.listOrganizations(undefined, 100));
    expect(organizations.map(({ name }) => name)).toEqual(["Acme", "Acme"]);
  });
});

describe("a restore changes nothing", () => {
  async function expectUntouched(
    deployment: Awaited<ReturnType<typeof openBackedUp>>,
    options: Partial<RestoreOptions>,
    failure: RegExp,
  ): Promise<void> {
    const before = await readFile(deployment.path);
    const files = await readdir(deployment.directory);
    await expect(deployment.restore(options)).rejects.toThrow(failure);
    expect(await readFile(deployment.path)).toEqual(before);
    expect((await readdir(deployment.directory)).filter((name) => !/-(wal|shm)$/.test(name))).toEqual(
      files.filter((name) => !/-(wal|shm)$/.test(name)),
    );
  }

  it("while a service has the database", async () => {
    await using deployment = await openBackedUp();
    await expectUntouched(deployment, {}, /latchkey\.db is in use: stop the service before you restore$/);
    await deployment.storage.pingWrites();
  });

  it("without consent, which is asked about what would be put in place", async () => {
    await using deployment = await openBackedUp();
    await deployment.storage.close();
    const asked: [readonly string[], string | undefined][] = [];
    const consent: RestoreOptions["consent"] = async (copy, present) => {
      const connection = new Database(copy, { readonly: true });
      const ids = connection.prepare<[], string>("SELECT id FROM organizations").pluck().all();
      connection.close();
      asked.push([ids, present]);
      throw new Error("rather not");
    };
    await expectUntouched(deployment, { consent }, /rather not/);
    expect(asked).toEqual([[[deployment.before.id], deployment.path]]);
  });

  it("when it is given up", async () => {
    await using deployment = await openBackedUp();
    await deployment.storage.close();
    const controller = new AbortController();
    const consent = () => controller.abort(new Error("enough"));
    await expectUntouched(deployment, { consent, signal: controller.signal }, /enough/);
  });

  it("for a backup that is missing, or is no database", async () => {
    await using deployment = await openBackedUp();
    await deployment.storage.close();
    const missing = join(deployment.directory, "missing.db");
    await expectUntouched(deployment, { backup: missing }, /missing\.db can't be read \(SQLITE_CANTOPEN\)/);
    await writeFile(deployment.backup, "These are notes, and quite a lot of them. ".repeat(100));
    await expectUntouched(deployment, {}, /backup\.db is not a SQLite database/);
  });

  it("in the database of another program", async () => {
    await using deployment = await openBackedUp();
    const other = join(deployment.directory, "other.db");
    new Database(other).exec("CREATE TABLE a (b)").close();
    const content = await readFile(other);
    await expect(deployment.restore({ database: other })).rejects.toThrow("is the database of another program");
    expect(await readFile(other)).toEqual(content);
  });
});

describe("a database that can't be read any more", () => {
  it("is kept as it is", async () => {
    await using deployment = await openBackedUp();
    const { path, before } = deployment;
    await deployment.storage.close();
    const damaged = "These are notes, and quite a lot of them. ".repeat(100);
    await writeFile(path, damaged);
    expect(() => findLoss(path, deployment.backup)).toThrow(/latchkey\.db is not a SQLite database/);
    const kept = await deployment.restore();
    expect(await readFile(kept ?? "", "utf8")).toBe(damaged);
    expect(await idsIn(path)).toEqual([before.id]);
  });
});

describe("the loss", () => {
  it("is what the backup doesn't hold, and the tokens whose revokes it doesn't know", async () => {
    await using deployment = await openBackedUp();
    const { path, directory, storage, before } = deployment;
    const organizationId = before.id;
    const issue = async () => (await storage.createToken(someToken({ organizationId }), someChange())).id;
    const [early, kept, late] = [await issue(), await issue(), await issue()];
    await storage.revokeToken(early, someChange());
    const backup = join(directory, "second.db");
    await copyDatabase({ from: path, to: backup, prepare() {} });
    expect(findLoss(path, backup)).toEqual({ events: 0, revivedTokens: [] });

    const never = await issue();
    for (const id of [late, never]) await storage.revokeToken(id, someChange());
    const { events, revivedTokens } = findLoss(path, backup);
    expect(events).toBe(3);
    expect(revivedTokens).toHaveLength(1);
    expect(revivedTokens[0]).toMatch(/^tok_/);
    expect(await storage.getToken(kept)).toMatchObject({ revokedAt: undefined });
    // The other way round nothing is lost.
    expect(findLoss(backup, path)).toEqual({ events: 0, revivedTokens: [] });
  });

  it("of a history that went another way is all of that way", async () => {
    await using deployment = await openBackedUp();
    const { directory, backup, storage, path } = deployment;
    const other = join(directory, "other.db");
    await copyDatabase({ from: backup, to: other, prepare() {} });
    await withStorage(other, async (elsewhere) => {
      for (let count = 0; count < 3; count++) await elsewhere.createOrganization(someOrganization(), someChange());
    });
    await storage.close();
    // Both have a revision 2, and they are two different events.
    expect(findLoss(path, other).events).toBe(1);
    expect(findLoss(other, path).events).toBe(3);
  });

  it("is counted in changes where there is no audit log yet", async () => {
    await using directory = await temporaryDirectory();
    const [old, older] = ["old.db", "older.db"].map((name) => createDatabaseFile(join(directory.path, name)));
    for (const [path = "", revision] of [
      [old, 7],
      [older, 5],
    ] as const) {
      migrate({ path, busyTimeoutMs: 50 }, [initialSchema]);
      new Database(path).exec(`UPDATE revision SET value = ${revision}`).close();
    }
    expect(findLoss(old ?? "", older ?? "")).toEqual({ events: 2, revivedTokens: [] });
    expect(findLoss(older ?? "", old ?? "")).toEqual({ events: 0, revivedTokens: [] });
  });
});
