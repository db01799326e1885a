/** When checkpoints are made, what they are over, who gets them, and which database is refused. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { CheckedTree, openCheckpoint, type SignedCheckpoint, signCheckpoint } from "../../src/domain/checkpoint.ts";
import type { CheckpointOutlet } from "../../src/domain/checkpoint-outlets.ts";
import type { NoteSigner } from "../../src/domain/signed-note.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { createCheckpointFolder } from "../../src/security/checkpoint-folder.ts";
import { createCheckpointSigner } from "../../src/security/checkpoint-signer.ts";
import { createSealer } from "../../src/security/sealer.ts";
import { Checkpointer, type CheckpointerOptions } from "../../src/usecases/checkpointer.ts";
import { everyEvent, NOW, someChange, someOrganization } from "../contract/samples.ts";
import { openSqliteSubject, silentLogger, temporaryDirectory } from "../helpers/sqlite.ts";

const HOUR_MS = 3_600_000;
const signer = signerOf(1);

function signerOf(key: number): NoteSigner {
  const sealer = createSealer(new Uint8Array(32).fill(key), () => new Uint8Array());
  return createCheckpointSigner(sealer, "example.com/log");
}

function open(storage: Storage, options: Partial<CheckpointerOptions> = {}): Promise<Checkpointer> {
  return Checkpointer.open({
    storage,
    clock: () => NOW.getTime(),
    logger: silentLogger,
    signer,
    folders: [],
    receivers: [],
    intervalMs: HOUR_MS,
    acceptedRollback: undefined,
    ...options,
  });
}

async function write(storage: Storage, count: number): Promise<void> {
  const writes = Array.from({ length: count }, () => storage.createOrganization(someOrganization(), someChange()));
  await Promise.all(writes);
}

/** An outlet that remembers, and can be told to fail. */
function recorder(name: string) {
  const kept: number[] = [];
  const outlet = {
    name,
    kept,
    isFailing: false,
    keep({ checkpoint }: SignedCheckpoint): Promise<void> {
      if (outlet.isFailing) return Promise.reject(new Error("it fails"));
      kept.push(checkpoint.size);
      return Promise.resolve();
    },
  } satisfies CheckpointOutlet & Record<string, unknown>;
  return outlet;
}

function recordingLogger() {
  const lines: { level: string; fields: Record<string, unknown>; message: string }[] = [];
  const log = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, fields: { ...fields }, message });
  return { lines, debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
}

describe("signing", () => {
  it("is over every event that was stored before, all over one history", async () => {
    await using subject = await openSqliteSubject();
    const checkpointer = await open(subject.storage);
    const signed = [await checkpointer.sign()];
    for (const count of [1, 2, 199, 1, 200, 401]) {
      await write(subject.storage, count);
      signed.push(await checkpointer.sign());
    }
    expect(signed.map(({ checkpoint }) => checkpoint.size)).toEqual([0, 1, 3, 202, 203, 403, 804]);
    const events = await subject.storage.listEvents(everyEvent());
    const tree = new CheckedTree(signed.map(({ checkpoint }) => checkpoint));
    for (const { hash } of events) tree.append(hash);
    expect([tree.contradicted, tree.coming]).toEqual([undefined, undefined]);
    for (const { checkpoint, note } of signed) {
      expect(openCheckpoint(note, checkpointer.key).checkpoint?.size).toBe(checkpoint.size);
      expect(checkpoint.revision).toBe(events[checkpoint.size - 1]?.revision ?? 0);
      expect(checkpoint.time).toEqual(NOW);
    }
  });

  it("is the same for many at once, and whoever asks after a write is told of it", async () => {
    await using subject = await openSqliteSubject();
    const checkpointer = await open(subject.storage);
    await write(subject.storage, 450);
    const first = [checkpointer.sign(), checkpointer.sign()];
    const meanwhile = write(subject.storage, 5).then(() => checkpointer.sign());
    const signed = await Promise.all([...first, meanwhile]);
    expect(signed[2]?.checkpoint.size).toBe(455);
    const tree = new CheckedTree(signed.map(({ checkpoint }) => checkpoint));
    for (const { hash } of await subject.storage.listEvents(everyEvent())) tree.append(hash);
    expect([tree.contradicted, tree.coming]).toEqual([undefined, undefined]);
  });

  it("never shares a reading that began before the write, also where an engine is slow to answer", async () => {
    await using subject = await openSqliteSubject();
    const answered = Promise.withResolvers<void>();
    const slow: Storage = Object.assign(Object.create(subject.storage) as Storage, {
      async listEventHashes(after: number | undefined, limit: number) {
        const events = await subject.storage.listEventHashes(after, limit);
        await answered.promise;
        return events;
      },
    });
    const checkpointer = await open(slow);
    await write(subject.storage, 1);
    const before = checkpointer.sign();
    await write(subject.storage, 1);
    const afterwards = checkpointer.sign();
    answered.resolve();
    expect((await before).checkpoint.size).toBe(1);
    expect((await afterwards).checkpoint.size).toBe(2);
  });

  it("lets others run while it reads a long log", async () => {
    await using subject = await openSqliteSubject();
    await write(subject.storage, 1);
    const [event] = await subject.storage.listEvents(everyEvent());
    if (event === undefined) throw new Error("there is no event");
    const length = 20_000;
    const long: Storage = Object.assign(Object.create(subject.storage) as Storage, {
      listEventHashes: (after = 0, limit = 0) =>
        Promise.resolve(
          Array.from({ length: Math.min(limit, length - after) }, (_, index) => ({
            ...event,
            revision: after + index + 1,
          })),
        ),
    });
    const checkpointer = await open(long);
    let isDone = false;
    let turns = 0;
    const signing = checkpointer.sign().finally(() => {
      isDone = true;
    });
    for (; !isDone; turns++) await setImmediate();
    expect((await signing).checkpoint.size).toBe(length);
    expect(turns).toBeGreaterThanOrEqual(length / 1000);
  });

  it("fails while the log can't be read, and goes on where it was", async () => {
    await using subject = await openSqliteSubject();
    let isBroken = false;
    const moody: Storage = Object.assign(Object.create(subject.storage) as Storage, {
      listEventHashes: (after: number | undefined, limit: number) =>
        isBroken ? Promise.reject(new Error("unavailable")) : subject.storage.listEventHashes(after, limit),
    });
    const checkpointer = await open(moody);
    await write(subject.storage, 2);
    await checkpointer.sign();
    isBroken = true;
    await write(subject.storage, 1);
    await expect(checkpointer.sign()).rejects.toThrow("unavailable");
    isBroken = false;
    expect((await checkpointer.sign()).checkpoint.size).toBe(3);
  });
});

describe("publishing", () => {
  it("gives everybody the newest one, once, and again only when there is more", async () => {
    await using subject = await openSqliteSubject();
    await using directory = await temporaryDirectory();
    const folder = createCheckpointFolder(join(directory.path, "kept"));
    const receiver = recorder("receiver");
    const checkpointer = await open(subject.storage, { folders: [folder], receivers: [receiver] });
    await checkpointer.start();
    await checkpointer.publish();
    expect([await folder.list(), receiver.kept]).toEqual([[], []]);
    await write(subject.storage, 3);
    await checkpointer.publish();
    await checkpointer.publish();
    expect((await folder.list()).map((name) => name.slice(0, 12))).toEqual(["000000000003"]);
    expect(receiver.kept).toEqual([3]);
    // Asking for one publishes nothing new either.
    await checkpointer.sign();
    await checkpointer.publish();
    expect(receiver.kept).toEqual([3]);
    await write(subject.storage, 1);
    await checkpointer.sign();
    await checkpointer.publish();
    expect(receiver.kept).toEqual([3, 4]);
    await write(subject.storage, 1);
    await checkpointer.stop();
    // Nobody may be waited for at the stop, but what is kept here is kept.
    expect(receiver.kept).toEqual([3, 4]);
    expect((await folder.list()).map((name) => name.slice(0, 12))).toEqual([
      "000000000005",
      "000000000004",
      "000000000003",
    ]);

    const again = await open(subject.storage, { folders: [folder], receivers: [receiver] });
    await again.publish();
    expect(receiver.kept).toEqual([3, 4, 5]);
    expect(await folder.list()).toHaveLength(3);
  });

  it("tries again with the newest one where one failed, and says so each time", async () => {
    await using subject = await openSqliteSubject();
    const [good, bad] = [recorder("good"), recorder("bad")];
    const logger = recordingLogger();
    const checkpointer = await open(subject.storage, { receivers: [good, bad], logger });
    bad.isFailing = true;
    for (let round = 0; round < 3; round++) {
      await write(subject.storage, 1);
      await checkpointer.publish();
    }
    expect([good.kept, bad.kept]).toEqual([[1, 2, 3], []]);
    bad.isFailing = false;
    await checkpointer.publish();
    await checkpointer.publish();
    expect([good.kept, bad.kept]).toEqual([[1, 2, 3], [3]]);
    const warnings = logger.lines.filter(({ level }) => level === "warn");
    expect(warnings.map(({ fields }) => fields["outlet"])).toEqual(["bad", "bad", "bad"]);
  });

  it("waits so long for who doesn't answer, asks them nothing more meanwhile, and takes what comes late", async () => {
    await using subject = await openSqliteSubject();
    const good = recorder("good");
    const answers: (() => void)[] = [];
    const asked: number[] = [];
    const hanging: CheckpointOutlet = {
      name: "hanging",
      keep({ checkpoint }) {
        asked.push(checkpoint.size);
        return new Promise((resolve) => answers.push(resolve));
      },
    };
    const logger = recordingLogger();
    const checkpointer = await open(subject.storage, { receivers: [hanging, good], keepTimeoutMs: 20, logger });
    for (let round = 0; round < 3; round++) {
      await write(subject.storage, 1);
      await checkpointer.publish();
    }
    expect([good.kept, asked]).toEqual([[1, 2, 3], [1]]);
    expect(logger.lines.filter(({ level }) => level === "warn")).toMatchObject([
      { fields: { outlet: "hanging", err: { name: "TimeoutError" } } },
    ]);
    answers[0]?.();
    await setImmediate();
    await checkpointer.publish();
    expect([good.kept, asked]).toEqual([
      [1, 2, 3],
      [1, 3],
    ]);
    await checkpointer.stop();
  });

  it("is off with an interval of 0, but whoever asks gets one", async () => {
    await using subject = await openSqliteSubject();
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "kept");
    const receiver = recorder("receiver");
    const folders = [createCheckpointFolder(path)];
    const checkpointer = await open(subject.storage, { intervalMs: 0, folders, receivers: [receiver] });
    await write(subject.storage, 1);
    await checkpointer.start();
    expect((await checkpointer.sign()).checkpoint.size).toBe(1);
    await checkpointer.stop();
    expect(receiver.kept).toEqual([]);
    // The folder wasn't even made.
    await mkdir(path);
  });
});

describe("a database that isn't the one that was signed", () => {
  async function refusal(opening: Promise<unknown>): Promise<string> {
    return opening.then(
      () => "opened",
      (error: unknown) => (error as Error).message,
    );
  }

  it("is refused when it lacks the last event of a checkpoint, until that is accepted by name, once", async () => {
    await using newer = await openSqliteSubject();
    await using older = await openSqliteSubject();
    await using directory = await temporaryDirectory();
    const folders = ["one", "two"].map((name) => createCheckpointFolder(join(directory.path, name)));
    const [one, two] = folders as [(typeof folders)[0], (typeof folders)[0]];
    await Promise.all(folders.map((folder) => folder.prepare()));
    const checkpointer = await open(newer.storage);
    const { signal } = new AbortController();
    for (const [size, keepers] of [
      [2, [one, two]],
      [3, [one, two]],
      [5, [one]],
      [6, [two]],
    ] as const) {
      await write(newer.storage, size - (await checkpointer.sign()).checkpoint.size);
      const signed = await checkpointer.sign();
      for (const keeper of keepers) await keeper.keep(signed, signal);
    }
    const [newest = ""] = await two.list();
    expect(await refusal(open(newer.storage, { folders }))).toBe("opened");

    await write(older.storage, 4);
    const refused = await refusal(open(older.storage, { folders }));
    expect(refused).toContain(`${newest} in ${two.name}, which was signed on ${NOW.toISOString()} over 6 events`);
    expect(refused).toContain(`LATCHKEY_ACCEPT_ROLLBACK=${newest}`);
    const [lesser = ""] = await one.list();
    for (const acceptedRollback of [lesser, "yes", "000000000006-00000000"]) {
      expect(await refusal(open(older.storage, { folders, acceptedRollback }))).toBe(refused);
    }
    const logger = recordingLogger();
    await open(older.storage, { folders, acceptedRollback: newest, logger });
    expect(logger.lines.map(({ fields }) => String(fields["checkpoint"])).toSorted()).toEqual([lesser, newest]);
    for (const folder of folders)
      expect((await folder.list()).map((name) => Number(name.slice(0, 12)))).toEqual([3, 2]);
    expect(await refusal(open(older.storage, { folders }))).toBe("opened");
  });

  it("is refused as well when just that event was taken out, and others follow", async () => {
    await using subject = await openSqliteSubject();
    await using directory = await temporaryDirectory();
    const folder = createCheckpointFolder(directory.path);
    await write(subject.storage, 3);
    await folder.keep(await (await open(subject.storage)).sign(), new AbortController().signal);
    await write(subject.storage, 2);
    expect(await refusal(open(subject.storage, { folders: [folder] }))).toBe("opened");
    const database = new Database(subject.path);
    database.exec("DROP TRIGGER events_are_not_deleted; DELETE FROM events WHERE revision = 3");
    database.close();
    expect(await refusal(open(subject.storage, { folders: [folder] }))).toContain("over 3 events");
  });

  it("is found by reading it, when it was written on: then nothing is signed any more", async () => {
    await using right = await openSqliteSubject();
    await using wrong = await openSqliteSubject();
    await using directory = await temporaryDirectory();
    const folder = createCheckpointFolder(directory.path);
    const { signal } = new AbortController();
    await write(right.storage, 4);
    await folder.keep(await (await open(right.storage)).sign(), signal);
    await write(wrong.storage, 9);

    const logger = recordingLogger();
    const receiver = recorder("receiver");
    const checkpointer = await open(wrong.storage, { folders: [folder], receivers: [receiver], logger });
    await expect(checkpointer.sign()).rejects.toMatchObject({
      kind: "failed_precondition",
      message: expect.stringMatching(/the checkpoint 000000000004-\w+ was signed over.*audit verify/) as string,
    });
    await checkpointer.publish();
    await checkpointer.publish();
    expect(receiver.kept).toEqual([]);
    expect(await folder.list()).toHaveLength(1);
    expect(logger.lines.map(({ level, message }) => [level, message])).toEqual([
      ["error", "no checkpoint of the audit log can be signed"],
      ["error", "no checkpoint of the audit log can be signed"],
    ]);
  });

  it("isn't told by checkpoints of others, or by what isn't one: those are passed over, and said", async () => {
    await using subject = await openSqliteSubject();
    await using directory = await temporaryDirectory();
    const folder = createCheckpointFolder(directory.path);
    const { signal } = new AbortController();
    await write(subject.storage, 2);
    const own = await (await open(subject.storage)).sign();
    await folder.keep(own, signal);
    await folder.keep(signCheckpoint({ ...own.checkpoint, size: 90, revision: 90 }, signerOf(2)), signal);
    await writeFile(join(directory.path, "000000000091-00000000.checkpoint"), "not a note");
    const { note } = signCheckpoint({ ...own.checkpoint, size: 92, revision: 92 }, signer);
    await writeFile(join(directory.path, "000000000092-00000000.checkpoint"), note.replace("92", "93"));
    const logger = recordingLogger();
    const checkpointer = await open(subject.storage, { folders: [folder], logger });
    expect(logger.lines.map(({ fields }) => fields["fault"])).toEqual(["bad_signature", "malformed", "unknown_key"]);
    expect((await checkpointer.sign()).checkpoint.size).toBe(2);

    // The newest of one's own counts all the same.
    await folder.keep(signCheckpoint({ ...own.checkpoint, size: 3, revision: 3 }, signer), signal);
    expect(await refusal(open(subject.storage, { folders: [folder] }))).toContain("over 3 events");
  });
});
