/** Following the log of a database that other processes write: notifications, what is lost of them, and a network that stalls. */
import { setTimeout } from "node:timers/promises";
import { describe, expect, inject, it } from "vitest";
import { AppError } from "../../src/domain/errors.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { WriteMeter } from "../../src/domain/write-meter.ts";
import { TIMEOUTS, type Timeouts } from "../../src/storage/postgres/connection.ts";
import {
  joinPostgresStorage,
  openPostgresStorage,
  type PostgresDatabase,
} from "../../src/storage/postgres/postgres-storage.ts";
import {
  connectTo,
  execute,
  postgresSettings,
  type TemporaryDatabase,
  temporaryDatabase,
} from "../helpers/postgres.ts";
import { silentLogger } from "../helpers/sqlite.ts";
import { stallingProxy } from "../helpers/stalling-proxy.ts";
import { everyEvent, someChange, someOrganization, someToken } from "./samples.ts";

const server = inject("postgresUrl");

/** What the network and a busy machine may add, in what is measured here. */
const SLACK_MS = 250;

const QUICK: Timeouts = { connectMs: 500, statementMs: 500, lockMs: 400 };

interface Rig extends AsyncDisposable {
  readonly database: TemporaryDatabase;
  /** Another process's, as far as the engine can tell. */
  open(
    url?: string,
    settings?: { stalenessMs?: number; failOpenMs?: number },
    timeouts?: Timeouts,
  ): Promise<PostgresDatabase>;
}

async function openRig(): Promise<Rig> {
  const resources = new AsyncDisposableStack();
  const database = resources.use(await temporaryDatabase(server));
  return {
    database,
    async open(url = database.url, { stalenessMs = 300, failOpenMs = 0 } = {}, timeouts = TIMEOUTS) {
      const settings = { ...postgresSettings(url), stalenessMs, failOpenMs };
      const storage = await openPostgresStorage({
        settings,
        logger: silentLogger,
        timeouts,
      });
      resources.defer(() => storage.close());
      return storage;
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Whether what is known was confirmed lately, and isn't what was known before. */
function hasHeard(storage: Storage, before: number | undefined): boolean {
  const count = storage.changeCount();
  return count !== undefined && count !== before;
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await setTimeout(2);
}

describe("a process that follows another one's changes", () => {
  it("hears of them by a notification, long before it would ask", async () => {
    await using rig = await openRig();
    const [writer, follower] = await Promise.all([rig.open(), rig.open(undefined, { stalenessMs: 60_000 })]);
    const before = follower.changeCount();
    await writer.createOrganization(someOrganization(), someChange());
    await until(() => hasHeard(follower, before));
  });

  it("hears of them without one, within the bound", async () => {
    await using rig = await openRig();
    const follower = await rig.open();
    const before = follower.changeCount();
    await execute(rig.database.url, "UPDATE revision SET value = value + 1");
    const changedAtMs = performance.now();
    await until(() => follower.changeCount() !== before);
    expect(performance.now() - changedAtMs).toBeLessThan(300 + SLACK_MS);
  });

  it("isn't sure of anything older than the bound while the backend that it listens on is killed again and again", async () => {
    await using rig = await openRig();
    const [writer, follower] = await Promise.all([rig.open(), rig.open()]);
    await using killer = await connectTo(rig.database.url);
    // Of this database only: other tests have theirs on the same server.
    const own = "FROM pg_stat_activity WHERE datname = current_database()";
    const kill = (query: string) =>
      killer.client.query(`SELECT pg_terminate_backend(pid) ${own} AND query LIKE $1`, [query]);
    for (let round = 0; round < 10; round++) {
      await until(() => follower.changeCount() !== undefined);
      const before = follower.changeCount();
      await Promise.all([
        kill("LISTEN%"),
        kill("SELECT value, pg_is_in_recovery%"),
        writer.createOrganization(someOrganization(), someChange()),
      ]);
      const writtenAtMs = performance.now();
      await until(() => {
        const count = follower.changeCount();
        if (count === before) expect(performance.now() - writtenAtMs).toBeLessThan(300 + SLACK_MS);
        return count !== before && count !== undefined;
      });
    }
  });

  it("misses no event of several writers, and sees them in the order of their revisions, without gaps", async () => {
    await using rig = await openRig();
    const writers = await Promise.all(Array.from({ length: 3 }, () => rig.open()));
    const follower = await rig.open();
    const seen: number[] = [];
    let isWriting = true;
    const following = (async () => {
      for (let last = 0; isWriting || last < (await follower.latestRevision()); ) {
        const events = await follower.listEvents(everyEvent({ after: last, limit: 7 }));
        seen.push(...events.map(({ revision }) => revision));
        last = seen.at(-1) ?? 0;
      }
    })();
    await Promise.all(
      writers.map(async (writer) => {
        const { id } = await writer.createOrganization(someOrganization(), someChange());
        const some = () => writer.createToken(someToken({ organizationId: id }), someChange());
        for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 5 }, some));
      }),
    );
    isWriting = false;
    await following;
    expect(seen).toEqual(Array.from({ length: 3 * 51 }, (_, index) => index + 1));
  });

  it("answers nothing once the database is older than it was, until it is opened again", async () => {
    await using rig = await openRig();
    const follower = await rig.open();
    const { id } = await follower.createOrganization(someOrganization(), someChange());
    await execute(rig.database.url, "UPDATE revision SET value = 0");
    await until(async () => (await follower.getOrganization(id).catch(() => "refused")) === "refused");
    await until(() => follower.changeCount() === undefined);
    await setTimeout(600);
    expect(follower.changeCount()).toBeUndefined();
    expect((await rig.open()).changeCount()).toBeDefined();
  });

  it("believes no notification, only what it reads", async () => {
    await using rig = await openRig();
    const [writer, follower] = await Promise.all([rig.open(), rig.open()]);
    await execute(rig.database.url, "NOTIFY latchkey_events, '9007199254740991'");
    const before = follower.changeCount();
    await writer.createOrganization(someOrganization(), someChange());
    await until(() => hasHeard(follower, before));
  });

  it("hears at once of what another thread of its own has written", async () => {
    await using rig = await openRig();
    const main = await rig.open(undefined, { stalenessMs: 60_000 });
    const thread = await joinPostgresStorage(main.share(), new WriteMeter());
    for (const [writer, other] of [
      [thread, main],
      [main, thread],
    ] as const) {
      const before = other.changeCount();
      await writer.createOrganization(someOrganization(), someChange());
      expect(hasHeard(other, before)).toBe(true);
    }
    await thread.close();
  });
});

describe("a process whose connections the server has ended", () => {
  it("reads and writes on others, and refuses nothing", async () => {
    await using rig = await openRig();
    const storage = await rig.open();
    const { id } = await storage.createOrganization(someOrganization(), someChange());
    await using killer = await connectTo(rig.database.url);
    const own = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'latchkey'";
    // Its question, and not one that a pool asks of each new connection.
    const follows = `SELECT 1 ${own} AND state = 'idle' AND query LIKE 'SELECT value, pg_is_in_recovery%'`;
    for (const plan of ["pro", "standard", "pro"]) {
      // Two attempts in a row that don't reach the server are an outage: one that is ended while it begins is none of it.
      await until(async () => ((await killer.client.query(follows)).rowCount ?? 0) > 0);
      const { rows } = await killer.client.query<{ pid: number }>(`SELECT pid, pg_terminate_backend(pid) ${own}`);
      const ended = rows.map(({ pid }) => pid).join();
      expect(ended).not.toBe("");
      // They say why before they go, so it is known here by then.
      await until(async () => (await killer.client.query(`SELECT 1 ${own} AND pid IN (${ended})`)).rowCount === 0);
      expect(await storage.setPlan(id, plan, someChange())).toMatchObject({ plan });
      expect(await storage.getOrganization(id)).toMatchObject({ plan });
    }
  });
});

describe("a process whose network stalls", () => {
  it("says within the bound that it isn't sure, is unavailable, and goes on when the network is back", async () => {
    await using rig = await openRig();
    await using proxy = await stallingProxy(rig.database.url);
    const cutOff = await rig.open(proxy.url, {}, QUICK);
    const { id } = await cutOff.createOrganization(someOrganization(), someChange());
    expect(cutOff.changeCount()).toBeDefined();

    proxy.stall();
    const stalledAtMs = performance.now();
    await until(() => cutOff.changeCount() === undefined);
    expect(performance.now() - stalledAtMs).toBeLessThan(300 + SLACK_MS);
    const calls = [
      cutOff.getOrganization(id),
      cutOff.setPlan(id, "pro", someChange()),
      cutOff.ping(),
      cutOff.pingWrites(),
    ];
    for (const outcome of await Promise.allSettled(calls)) {
      expect(outcome.status === "rejected" && (outcome.reason as AppError).kind).toBe("unavailable");
    }
    expect(cutOff.changeCount()).toBeUndefined();

    proxy.heal();
    await until(async () => (await cutOff.ping().catch(() => "down")) === undefined);
    await until(() => cutOff.changeCount() !== undefined);
    expect(await cutOff.setPlan(id, "pro", someChange())).toMatchObject({ plan: "pro" });
  });

  it("goes on by what it knows for as long as its operator chose, and no longer", async () => {
    await using rig = await openRig();
    await using proxy = await stallingProxy(rig.database.url);
    const cutOff = await rig.open(proxy.url, { failOpenMs: 1_500 }, QUICK);
    const before = cutOff.changeCount();
    proxy.stall();
    const stalledAtMs = performance.now();
    let lastSureAtMs = stalledAtMs;
    let firstUnsureAtMs = Number.POSITIVE_INFINITY;
    while (performance.now() - stalledAtMs < 3_000) {
      const count = cutOff.changeCount();
      if (count !== undefined) {
        expect(count).toBe(before);
        lastSureAtMs = performance.now();
      } else {
        firstUnsureAtMs = Math.min(firstUnsureAtMs, performance.now());
      }
      await setTimeout(10);
    }
    // Without a gap in between, in which whoever asks would wait.
    expect(firstUnsureAtMs - stalledAtMs).toBeGreaterThan(1_500);
    expect(lastSureAtMs - stalledAtMs).toBeLessThan(300 + 1_500 + SLACK_MS);
  });

  it("holds up other writers in mid-transaction no longer than the server lets it", async () => {
    await using rig = await openRig();
    await using proxy = await stallingProxy(rig.database.url);
    const [cutOff, other] = await Promise.all([
      rig.open(proxy.url, {}, { ...QUICK, lockMs: 5_000, statementMs: 6_000 }),
      rig.open(),
    ]);
    const writing = Array.from({ length: 50 }, () => cutOff.createOrganization(someOrganization(), someChange()));
    await other.createOrganization(someOrganization(), someChange());
    proxy.stall();
    await Promise.allSettled(writing);
    await until(async () => {
      const outcome = await other.createOrganization(someOrganization(), someChange()).catch((error: unknown) => error);
      return !(outcome instanceof AppError);
    });
    // Whether what was on its way is stored or not: the chains are whole, and nobody was told otherwise.
    const events = await other.listEvents(everyEvent());
    expect(events.map(({ revision }) => revision)).toEqual(events.map((_, index) => index + 1));
  });
});
