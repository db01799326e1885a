/** What the service takes out of the store by itself, when, and what it leaves. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { dayOf } from "../../src/domain/daily-uses.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { startSweepers } from "../../src/usecases/retention.ts";
import { Sweeper } from "../../src/usecases/sweeper.ts";
import {
  after,
  everyEvent,
  NOW,
  someChange,
  someFingerprint,
  someMembership,
  someOrganization,
  someRecord,
  someSession,
  someToken,
  someUse,
  someUser,
} from "../contract/samples.ts";
import { openSqliteSubject, silentLogger } from "../helpers/sqlite.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

afterEach(() => void vi.useRealTimers());

describe("a sweeper", () => {
  const clock = () => NOW.getTime();
  const options = { what: "crumbs", intervalMs: 1_000, batch: 3, clock, logger: silentLogger };

  it("goes on until a batch isn't full, once however often it is asked", async () => {
    let left = 8;
    const batches: number[] = [];
    const sweepBatch = async (now: Date, limit: number): Promise<number> => {
      expect([now, limit]).toEqual([NOW, 3]);
      const swept = Math.min(limit, left);
      left -= swept;
      batches.push(swept);
      return swept;
    };
    const sweeper = new Sweeper({ ...options, sweepBatch });
    await Promise.all([sweeper.sweep(), sweeper.sweep()]);
    expect(batches).toEqual([3, 3, 2]);
    await sweeper.sweep();
    expect(batches).toEqual([3, 3, 2, 0]);
    await sweeper.stop();
  });

  it("sweeps from time to time, until it is stopped", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    let sweeps = 0;
    const sweeper = new Sweeper({ ...options, sweepBatch: async () => (sweeps++, 0) });
    for (const expected of [0, 1, 2, 3]) {
      expect(sweeps).toBe(expected);
      await vi.advanceTimersByTimeAsync(1_000);
    }
    await sweeper.stop();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(sweeps).toBe(4);
  });

  it("ends with the batch that is under way when it is stopped", async () => {
    const { promise, resolve } = Promise.withResolvers<number>();
    let batches = 0;
    const sweeper = new Sweeper({ ...options, sweepBatch: () => (batches++, promise) });
    void sweeper.sweep();
    let isStopped = false;
    const stopped = sweeper.stop().then(() => (isStopped = true));
    await Promise.resolve();
    expect(isStopped).toBe(false);
    resolve(3);
    await stopped;
    expect(batches).toBe(1);
  });

  it("survives a store that fails, says so, and tries again", async () => {
    await using subject = await openSqliteSubject();
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (_: object, message: string) => void warnings.push(message) };
    const sweepBatch = (now: Date, limit: number) => subject.storage.sweepRecordedCalls(now, limit);
    const sweeper = new Sweeper({ ...options, logger, sweepBatch });
    const record = someRecord({ expiresAt: NOW, createdAt: after(-1) });
    await subject.storage.createOrganization(someOrganization(), someChange(), record);
    {
      await using _blocked = await subject.blockWrites();
      await sweeper.sweep();
    }
    expect(warnings).toEqual(["crumbs could not be swept; trying again"]);
    await sweeper.sweep();
    expect(await subject.storage.sweepRecordedCalls(NOW, 10)).toBe(0);
    await sweeper.stop();
  });
});

describe("the service", () => {
  it("forgets at the start what is past its time, in batches, and no more", async () => {
    await using subject = await openSqliteSubject();
    const { storage } = subject;
    const { id: organizationId } = await storage.createOrganization(someOrganization(), someChange());
    const user = someUser();
    await storage.createUser(user);
    const ids = { organizationId, userId: user.id };
    await storage.putMembership(someMembership(ids), someChange());
    const records = [0, 1].map((ms) => someRecord({ createdAt: after(-5), expiresAt: after(ms) }));
    for (const record of records) await storage.createOrganization(someOrganization(), someChange(), record);
    const sessions = Array.from({ length: 251 }, (_, index) =>
      someSession({ ...ids, expiresAt: after(index === 0 ? -DAY_MS : -DAY_MS - 1) }),
    );
    const tokens = Array.from({ length: 601 }, (_, index) =>
      someToken({ organizationId, expiresAt: after(index === 0 ? -400 * DAY_MS : -400 * DAY_MS - 1) }),
    );
    await Promise.all([
      ...sessions.map((session) => storage.createSession(session, someFingerprint(), someChange())),
      ...tokens.map((token) => storage.createToken(token, someChange())),
    ]);

    const used = await storage.createToken(someToken({ organizationId }), someChange());
    const oldDays = Array.from({ length: 1_400 }, (_, index) => 401 + index);
    const daily = [0, 400, ...oldDays].map((age) => ({ day: dayOf(NOW.getTime()) - age, uses: 1 }));
    await storage.recordUses([someUse(used.id, NOW, { daily })]);

    const batches: Record<string, number[]> = {};
    const sweepers = start(countBatches(storage, batches), 400);
    await Promise.all(sweepers.map((sweeper) => sweeper.sweep()));
    for (const sweeper of sweepers) await sweeper.stop();
    expect(batches).toEqual({
      sweepRecordedCalls: [1],
      sweepSessions: [100, 100, 50],
      sweepUses: [1_000, 400],
      purgeTokens: [250, 250, 100],
    });
    expect(await storage.readUses(used.id, 0, dayOf(NOW.getTime()))).toEqual([
      { day: dayOf(NOW.getTime()) - 400, uses: 1 },
      { day: dayOf(NOW.getTime()), uses: 1 },
    ]);
    expect(await storage.findRecordedCall(records[1]?.keyHash ?? new Uint8Array(), NOW)).toBeDefined();
    expect(await storage.getSession(sessions[0]?.id ?? "")).toBeDefined();
    expect(await storage.getToken(tokens[0]?.token.id ?? "")).toBeDefined();
    const purged = await storage.listEvents(everyEvent({ actions: ["token.purged"] }));
    expect(purged).toHaveLength(600);
    const system = { at: NOW, actor: { kind: "system", id: "system" }, address: "", requestId: "" };
    expect(purged[0]).toMatchObject(system);
  });

  it("looks again every minute, hour and day", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    await using subject = await openSqliteSubject();
    const empty = new Proxy(subject.storage, { get: () => () => Promise.resolve(0) });
    const batches: Record<string, number[]> = {};
    const sweepers = start(countBatches(empty, batches), 400);
    const sweeps = () => Object.values(batches).map(({ length }) => length);
    for (const [pauseMs, expected] of [
      [0, [1, 1, 1, 1]],
      [60_000, [2, 1, 1, 1]],
      [59 * 60_000, [61, 2, 1, 1]],
      [23 * HOUR_MS, [24 * 60 + 1, 25, 2, 2]],
    ] as const) {
      await vi.advanceTimersByTimeAsync(pauseMs);
      expect(sweeps()).toEqual(expected);
    }
    for (const sweeper of sweepers) await sweeper.stop();
  });

  it("keeps tokens forever where it is told to", async () => {
    await using subject = await openSqliteSubject();
    const { storage } = subject;
    const { id: organizationId } = await storage.createOrganization(someOrganization(), someChange());
    const token = await storage.createToken(someToken({ organizationId, expiresAt: new Date(0) }), someChange());
    const sweepers = start(storage, 0);
    await Promise.all(sweepers.map((sweeper) => sweeper.sweep()));
    for (const sweeper of sweepers) await sweeper.stop();
    expect(await storage.getToken(token.id)).toEqual(token);
  });
});

function start(storage: Storage, tokenRetentionDays: number): readonly Sweeper[] {
  return startSweepers({
    storage,
    accessTokens: { renew: async () => {} },
    clock: () => NOW.getTime(),
    logger: silentLogger,
    tokenRetentionDays,
  });
}

/** Writes down what each sweep answered, by method. */
function countBatches(storage: Storage, batches: Record<string, number[]>): Storage {
  return new Proxy(storage, {
    get(target, name: keyof Storage) {
      const method = target[name].bind(target) as (...args: unknown[]) => Promise<unknown>;
      if (!["sweepRecordedCalls", "sweepSessions", "sweepUses", "purgeTokens"].includes(name)) return method;
      return async (...args: unknown[]) => {
        const swept = (await method(...args)) as number;
        (batches[name] ??= []).push(swept);
        return swept;
      };
    },
  });
}
