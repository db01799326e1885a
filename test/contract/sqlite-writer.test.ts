/** The SQLite engine's writer: groups, failures inside and around them, and a thread that dies. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Worker } from "node:worker_threads";
import type Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import type { Organization } from "../../src/domain/entities.ts";
import type { Logger } from "../../src/domain/logger.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { openWriteConnection } from "../../src/storage/sqlite/connection.ts";
import { createDatabaseFile } from "../../src/storage/sqlite/files.ts";
import { groupCommitter } from "../../src/storage/sqlite/group-commit.ts";
import type { CommandReply, CommandRequest } from "../../src/storage/sqlite/messages.ts";
import { migrate } from "../../src/storage/sqlite/migrations.ts";
import { openSqliteStorage } from "../../src/storage/sqlite/sqlite-storage.ts";
import { openSqliteSubject, silentLogger, temporaryDirectory } from "../helpers/sqlite.ts";
import { countCommits } from "../helpers/sqlite-wal.ts";
import type { DiskFullReport } from "./disk-full-child.ts";
import { someChange, someOrganization } from "./samples.ts";

const run = promisify(execFile);

describe("writes that wait together", () => {
  it("share a commit", async () => {
    await using subject = await openSqliteSubject();
    const { storage, path } = subject;
    const commitsOf = async (write: () => Promise<unknown>): Promise<number> => {
      const before = countCommits(path);
      await write();
      return countCommits(path) - before;
    };

    const alone = await commitsOf(async () => {
      for (const organization of organizations(64)) await storage.createOrganization(organization, someChange());
    });
    expect(alone).toBe(64);
    const together = await commitsOf(() => createAll(storage, organizations(64)));
    expect(together).toBeGreaterThan(0);
    expect(together).toBeLessThan(16);
  });

  it("come in groups of limited size", async () => {
    await using subject = await openSqliteSubject();
    const before = countCommits(subject.path);
    await createAll(subject.storage, organizations(2_000));
    expect(countCommits(subject.path) - before).toBeGreaterThan(Math.floor(2_000 / 512));
  });

  it("don't disturb each other when some fail", async () => {
    await using subject = await openSqliteSubject();
    const { storage, path } = subject;
    const taken = someOrganization();
    await storage.createOrganization(taken, someChange());
    const good = organizations(64);
    const before = countCommits(path);
    const outcomes = await createAll(
      storage,
      good.flatMap((organization) => [organization, taken]),
    );
    expect(countCommits(path) - before).toBeLessThan(16);
    for (const [index, outcome] of outcomes.entries()) {
      expect(outcome).toMatchObject(
        index % 2 === 0 ? { status: "fulfilled" } : { status: "rejected", reason: { kind: "already_exists" } },
      );
    }
    for (const organization of good) {
      expect(await storage.getOrganization(organization.id)).toEqual(organization);
    }
  });

  it("are refused when too many wait, and those before are done", async () => {
    await using subject = await openSqliteSubject();
    const outcomes = await createAll(subject.storage, organizations(10_001));
    const last = outcomes.pop();
    expect(last).toMatchObject({
      status: "rejected",
      reason: { kind: "unavailable", message: "Too many writes are waiting." },
    });
    expect(outcomes.every(({ status }) => status === "fulfilled")).toBe(true);
    await subject.storage.createOrganization(someOrganization(), someChange());
  });

  it("all fail when the transaction can't begin, and later ones don't", async () => {
    await using subject = await openSqliteSubject();
    const { storage } = subject;
    const refused = organizations(10);
    {
      await using _blocked = await subject.blockWrites();
      for (const outcome of await createAll(storage, refused)) {
        expect(outcome).toMatchObject({ status: "rejected", reason: { kind: "unavailable" } });
      }
    }
    await createAll(storage, organizations(10));
    for (const { id } of refused) expect(await storage.getOrganization(id)).toBeUndefined();
  });
});

describe("a group", () => {
  it("keeps nothing of a command that fails half-way, and all of the others, once", async () => {
    await using group = await openGroup();
    group.connection.exec(`
      CREATE TRIGGER break_half_way BEFORE INSERT ON events WHEN new.target_name = 'break'
      BEGIN SELECT RAISE(ABORT, 'broken'); END;
    `);
    const names = ["one", "two", "break", "three", "break", "four"];
    const all = names.map((name) => someOrganization({ name }));
    const outcomes = ["ok", "ok", "unavailable", "ok", "unavailable", "ok"];
    expect(group.commit(all).map(kindOf)).toEqual(outcomes);
    const good = all.filter(({ name }) => name !== "break");
    expect(group.storedIds()).toEqual(new Set(good.map(({ id }) => id)));
    const events = group.connection.prepare("SELECT revision, target_name FROM events ORDER BY revision").raw().all();
    expect(events).toEqual(good.map(({ name }, index) => [index + 1, name]));
  });

  it("fails as a whole when its commit fails", async () => {
    await using group = await openGroup();
    // A constraint that is looked at when the transaction commits.
    group.connection.exec(`
      CREATE TABLE late (id TEXT REFERENCES organizations (id) DEFERRABLE INITIALLY DEFERRED);
      CREATE TRIGGER break_commit AFTER INSERT ON organizations WHEN new.name = 'break'
      BEGIN INSERT INTO late VALUES ('nobody'); END;
    `);
    const doomed = [someOrganization(), someOrganization({ name: "break" }), someOrganization()];
    expect(group.commit(doomed).map(kindOf)).toEqual(["unavailable", "unavailable", "unavailable"]);
    const next = [someOrganization(), someOrganization()];
    expect(group.commit(next).map(kindOf)).toEqual(["ok", "ok"]);
    expect(group.storedIds()).toEqual(new Set(next.map(({ id }) => id)));
  });

  it("fails as a whole when the database is full, and later ones don't when there is room", async () => {
    await using group = await openGroup();
    const pages = Number(group.connection.pragma("page_count", { simple: true }));
    group.connection.pragma(`max_page_count = ${pages + 4}`);
    const large = someOrganization({ name: "x".repeat(100_000) });
    const small = someOrganization();
    expect(group.commit([small, large]).map(kindOf)).toEqual(["unavailable", "unavailable"]);
    expect(group.storedIds()).toEqual(new Set());
    group.connection.pragma(`max_page_count = ${pages + 1_000}`);
    expect(group.commit([small, large]).map(kindOf)).toEqual(["ok", "ok"]);
    expect(group.storedIds()).toEqual(new Set([small.id, large.id]));
  });
});

describe("a full disk", () => {
  it("fails writes, loses none that was acknowledged, and heals by itself once the log can be moved", async () => {
    await using subject = await openSqliteSubject();
    await subject.storage.close();
    const child = fileURLToPath(new URL("./disk-full-child.ts", import.meta.url));
    // A limit on the size of files, which stops the log before it is long enough to be started over.
    const limited = 'trap "" XFSZ; ulimit -f 4000; exec "$0" "$@"';
    const limits = { timeout: 20_000, killSignal: "SIGKILL" } as const;
    const { stdout } = await run("sh", ["-c", limited, process.execPath, child, subject.location], limits);
    const { stored, refused, healed, pings } = JSON.parse(stdout) as DiskFullReport;
    expect(refused.length).toBeGreaterThan(3);
    expect(healed).toBe(3);
    expect(pings).toEqual([true, false, true]);
    const storage = await subject.reopen();
    for (const id of stored) expect(await storage.getOrganization(id)).toBeDefined();
    for (const id of refused) expect(await storage.getOrganization(id)).toBeUndefined();
  });
});

describe("a ping of the writes", () => {
  it("is a commit that reaches the log", async () => {
    await using subject = await openSqliteSubject();
    const before = countCommits(subject.path);
    for (let pings = 0; pings < 3; pings++) await subject.storage.pingWrites();
    expect(countCommits(subject.path) - before).toBe(3);
    await subject.storage.ping();
    expect(countCommits(subject.path) - before).toBe(3);
  });
});

describe("a writer thread that dies", () => {
  it("fails what waits, leaves reads alone, and is followed by another one", async () => {
    using threads = watchThreads();
    await using subject = await openSqliteSubject();
    const { storage } = subject;
    const before = someOrganization();
    await storage.createOrganization(before, someChange());

    const caught = organizations(500);
    const settling = createAll(storage, caught);
    const next = threads.next();
    await threads.latest().terminate();
    const outcomes = await settling;
    const failures = outcomes.filter(({ status }) => status === "rejected");
    expect(failures.length).toBeGreaterThan(0);
    for (const failure of failures) expect(failure).toMatchObject({ reason: { kind: "unavailable" } });
    await expect(storage.pingWrites()).rejects.toMatchObject({ kind: "unavailable" });
    await expect(storage.createOrganization(someOrganization(), someChange())).rejects.toMatchObject({
      kind: "unavailable",
    });
    expect(await storage.getOrganization(before.id)).toEqual(before);

    await once(await next, "message");
    await storage.pingWrites();
    await createAll(storage, organizations(3));
    for (const [index, { status }] of outcomes.entries()) {
      if (status === "fulfilled") expect(await storage.getOrganization(caught[index]?.id ?? "")).toEqual(caught[index]);
    }
  });

  it("is started again until it starts", async () => {
    using threads = watchThreads();
    const { logger, failures } = countingLogger();
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "data", "latchkey.db");
    const storage = await openSqliteStorage({ path, logger });

    await rename(dirname(path), join(directory.path, "gone"));
    await threads.latest().terminate();
    await failures(3);
    await expect(storage.pingWrites()).rejects.toMatchObject({ kind: "unavailable" });
    const next = threads.next();
    await rename(join(directory.path, "gone"), dirname(path));
    await once(await next, "message");
    await storage.pingWrites();
    await storage.close();
  });

  it("doesn't keep the storage from closing", async () => {
    using threads = watchThreads();
    await using subject = await openSqliteSubject();
    await threads.latest().terminate();
    await subject.storage.close();
    await (await subject.reopen()).pingWrites();
  });
});

function organizations(count: number): readonly Organization[] {
  return Array.from({ length: count }, () => someOrganization());
}

function createAll(storage: Storage, all: readonly Organization[]) {
  return Promise.allSettled(all.map((organization) => storage.createOrganization(organization, someChange())));
}

/** Commits groups of new organizations on a connection that the test can disturb. */
async function openGroup() {
  const directory = await temporaryDirectory();
  const options = { path: createDatabaseFile(join(directory.path, "latchkey.db")), busyTimeoutMs: 50 };
  migrate(options);
  const connection: Database.Database = openWriteConnection(options);
  const commitGroup = groupCommitter(connection);
  return {
    connection,
    commit(all: readonly Organization[]): readonly CommandReply[] {
      const requests = all.map(
        (organization, id): CommandRequest => ({
          id,
          name: "createOrganization",
          input: { organization, change: someChange() },
        }),
      );
      return commitGroup(requests);
    },
    storedIds: () => new Set(connection.prepare<[], string>("SELECT id FROM organizations").pluck().all()),
    async [Symbol.asyncDispose]() {
      connection.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

function kindOf(reply: CommandReply): string {
  return reply.ok ? "ok" : reply.error.kind;
}

/** Sees the threads that this process starts. */
function watchThreads() {
  const threads: Worker[] = [];
  const see = (thread: Worker) => void threads.push(thread);
  process.on("worker", see);
  return {
    latest(): Worker {
      const thread = threads.at(-1);
      if (thread === undefined) throw new Error("no thread was started");
      return thread;
    },
    async next(): Promise<Worker> {
      const [thread] = (await once(process, "worker")) as [Worker];
      return thread;
    },
    [Symbol.dispose]: () => void process.off("worker", see),
  };
}

/** A logger that tells when it was told of so many errors. */
function countingLogger(): { logger: Logger; failures(count: number): Promise<void> } {
  let count = 0;
  let wake = () => {};
  const logger: Logger = {
    ...silentLogger,
    error() {
      count++;
      wake();
    },
  };
  const failures = (target: number) =>
    new Promise<void>((resolve) => {
      wake = () => {
        if (count >= target) resolve();
      };
      wake();
    });
  return { logger, failures };
}
