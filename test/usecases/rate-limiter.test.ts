/** The rate limiter on a real store: what it admits, what it asks the store for, and what a crash or a stop leaves. */
import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Logger } from "../../src/domain/logger.ts";
import type { RateLimit } from "../../src/domain/profile.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { RateLimiter, type RateVerdict } from "../../src/usecases/rate-limiter.ts";
import { faults } from "../contract/broken-storages.ts";
import { sum } from "../contract/checks.ts";
import { startProcess } from "../contract/durability.ts";
import { NOW } from "../contract/samples.ts";
import { openSqliteSubject, silentLogger } from "../helpers/sqlite.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2026, 10, 21, 12, 0, 0);

const perMinute = (requests: number): RateLimit => ({ requests, windowMs: MINUTE_MS });
const LIMIT = perMinute(60);

afterEach(() => void vi.useRealTimers());

describe("a rate limit", () => {
  it("of 60 admits 60 of 10,000 calls at once", async () => {
    await using rig = await openRig();
    const verdicts = await rig.many(10_000);
    expect(admittedIn(verdicts)).toBe(60);
    expect(verdicts.slice(0, 60).every(({ admitted }) => admitted)).toBe(true);
    expect(verdicts.at(-1)?.status).toEqual({ limit: 60, remaining: 0, resetMs: START_MS + MINUTE_MS });
    expect(await rig.storage.readWindow(rig.tokenId, new Date(START_MS))).toBe(60);
  });

  it("counts in windows that start at multiples of their length", async () => {
    await using rig = await openRig();
    rig.clock.nowMs = START_MS + MINUTE_MS - 1;
    expect(admittedIn(await rig.many(100))).toBe(60);
    expect((await rig.admit()).admitted).toBe(false);
    rig.clock.nowMs = START_MS + MINUTE_MS;
    const first = await rig.admit();
    expect(first).toEqual({ admitted: true, status: { limit: 60, remaining: 59, resetMs: START_MS + 2 * MINUTE_MS } });
    expect(admittedIn(await rig.many(100))).toBe(59);

    const hourly = { requests: 7, windowMs: HOUR_MS };
    const other = randomUUID();
    const { status } = await rig.limiter.admit(other, hourly, 1);
    expect(status).toEqual({ limit: 7, remaining: 6, resetMs: START_MS + HOUR_MS });
  });

  it("is counted for each token by itself", async () => {
    await using rig = await openRig();
    await rig.many(60);
    const other = await rig.limiter.admit(randomUUID(), LIMIT, 1);
    expect(other).toMatchObject({ admitted: true, status: { remaining: 59 } });
  });

  it("of no call at all admits none", async () => {
    await using rig = await openRig();
    expect(await rig.admit(1, perMinute(0))).toMatchObject({ admitted: false, status: { limit: 0, remaining: 0 } });
  });

  it("counts what a call costs, and a refusal spends nothing", async () => {
    await using rig = await openRig();
    expect(await rig.admit(50)).toMatchObject({ admitted: true, status: { remaining: 10 } });
    expect(await rig.admit(11)).toMatchObject({ admitted: false, status: { remaining: 10 } });
    expect(await rig.admit(7)).toMatchObject({ admitted: true, status: { remaining: 3 } });
    expect(await rig.admit(4)).toMatchObject({ admitted: false, status: { remaining: 3 } });
    expect(await rig.admit(0)).toMatchObject({ admitted: true, status: { remaining: 3 } });
    expect(await rig.admit(3)).toMatchObject({ admitted: true, status: { remaining: 0 } });
    expect(await rig.admit(1)).toMatchObject({ admitted: false, status: { remaining: 0 } });
  });

  it("admits no call that costs more than it, and says what is left", async () => {
    await using rig = await openRig();
    await using other = rig.another();
    await other.admit(20);
    expect(await rig.admit(61)).toMatchObject({ admitted: false, status: { remaining: 40 } });
    expect(rig.calls).toEqual({ takeLease: 1, readWindow: 1 });
    expect(await rig.admit(40)).toMatchObject({ admitted: true, status: { remaining: 0 } });
  });

  it("refuses a cost that is no number of units", async () => {
    await using rig = await openRig();
    for (const cost of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => rig.limiter.admit(rig.tokenId, LIMIT, cost)).toThrow(RangeError);
      await expect(rig.limiter.peek(rig.tokenId, LIMIT, cost)).rejects.toThrow(RangeError);
    }
    expect(rig.calls).toEqual({});
  });

  it("is never exceeded for a window that the clock comes back to", async () => {
    await using rig = await openRig();
    expect(admittedIn(await rig.many(50))).toBe(50);
    rig.clock.nowMs += MINUTE_MS;
    expect(admittedIn(await rig.many(50))).toBe(50);
    rig.clock.nowMs -= MINUTE_MS;
    const again = admittedIn(await rig.many(50));
    expect(again).toBeLessThanOrEqual(10);
    // Units that were here when the clock moved are lost with their window.
    expect(again).toBeGreaterThanOrEqual(8);
    rig.clock.nowMs += MINUTE_MS;
    expect(admittedIn(await rig.many(50))).toBeLessThanOrEqual(10);
  });
});

describe("a peek", () => {
  it("says where the token stands, and spends nothing", async () => {
    await using rig = await openRig();
    expect(await rig.peek(60)).toMatchObject({ admitted: true, status: { remaining: 60 } });
    await rig.many(58);
    for (let time = 0; time < 5; time++) {
      expect(await rig.peek(2)).toMatchObject({ admitted: true, status: { remaining: 2 } });
      expect(await rig.peek(3)).toMatchObject({ admitted: false, status: { remaining: 2 } });
    }
    expect(admittedIn(await rig.many(5))).toBe(2);
    expect(await rig.peek(0)).toMatchObject({ admitted: true, status: { remaining: 0 } });
  });

  it("takes no lease, and sees what other processes took", async () => {
    await using rig = await openRig();
    await using other = rig.another();
    await other.admit(30);
    expect(await rig.peek(1)).toEqual({
      admitted: true,
      status: { limit: 60, remaining: 30, resetMs: START_MS + MINUTE_MS },
    });
    expect(await rig.storage.readWindow(rig.tokenId, new Date(START_MS))).toBe(30);
    await other.admit(30);
    expect(await rig.peek(1)).toMatchObject({ admitted: false, status: { remaining: 0 } });
  });

  it("among calls that wait has its place", async () => {
    await using rig = await openRig();
    const [first, peek, second] = await Promise.all([rig.admit(10), rig.peek(50), rig.admit(50)]);
    expect(first).toMatchObject({ admitted: true });
    expect(peek).toMatchObject({ admitted: true, status: { remaining: 50 } });
    expect(second).toMatchObject({ admitted: true, status: { remaining: 0 } });
  });
});

describe("a lease", () => {
  it("decides calls without a promise and without the store", async () => {
    await using rig = await openRig();
    await rig.limiter.admit(rig.tokenId, LIMIT, 1);
    expect(rig.calls).toEqual({ takeLease: 1 });
    for (const remaining of [58, 57]) {
      const verdict = rig.limiter.admit(rig.tokenId, LIMIT, 1);
      expect(verdict).not.toBeInstanceOf(Promise);
      expect(verdict).toMatchObject({ admitted: true, status: { remaining } });
    }
    const next = rig.limiter.admit(rig.tokenId, LIMIT, 1);
    expect(next).toBeInstanceOf(Promise);
    await next;
    expect(rig.calls).toEqual({ takeLease: 2 });
  });

  it("is a twentieth of the window", async () => {
    await using rig = await openRig();
    for (let call = 0; call < 60; call++) await rig.admit();
    expect(rig.calls).toEqual({ takeLease: 20 });
    const [large, small] = [randomUUID(), randomUUID()];
    await rig.limiter.admit(large, { requests: 10_000, windowMs: HOUR_MS }, 1);
    expect(await rig.storage.readWindow(large, new Date(START_MS))).toBe(500);
    await rig.limiter.admit(small, perMinute(7), 1);
    expect(await rig.storage.readWindow(small, new Date(START_MS))).toBe(1);
  });

  it("is shared by those who wait for it, in their order", async () => {
    await using rig = await openRig();
    const order: number[] = [];
    const verdicts = await Promise.all(
      [1, 20, 50, 30, 9, 1].map(async (cost, index) => {
        const { admitted } = await rig.admit(cost);
        order.push(index);
        return admitted;
      }),
    );
    expect(verdicts).toEqual([true, true, false, true, true, false]);
    expect(order).toEqual([0, 1, 2, 3, 4, 5]);
    // One for the first of them, and one for all who came while it was taken.
    expect(rig.calls).toEqual({ takeLease: 2 });
  });

  it("is no larger than what those who wait can spend, or a twentieth", async () => {
    await using rig = await openRig();
    const verdicts = await Promise.all([1, 40, 40, 2].map((cost) => rig.admit(cost)));
    expect(verdicts.map(({ admitted }) => admitted)).toEqual([true, true, false, true]);
    expect(await rig.storage.readWindow(rig.tokenId, new Date(START_MS))).toBe(43);
  });

  it("that falls short of a call's cost goes back to the store", async () => {
    await using rig = await openRig();
    await using other = rig.another();
    await other.admit(50);
    expect(await rig.admit(20)).toMatchObject({ admitted: false, status: { remaining: 10 } });
    expect(await other.admit(10)).toMatchObject({ admitted: true, status: { remaining: 0 } });
  });

  it("that comes when its window is over serves nobody", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    await using rig = await openRig();
    const waiting = [rig.admit()];
    rig.clock.nowMs += MINUTE_MS;
    vi.advanceTimersByTime(MINUTE_MS);
    waiting.push(rig.admit());
    const resetMs = START_MS + 2 * MINUTE_MS;
    expect(await Promise.all(waiting)).toEqual([
      { admitted: true, status: { limit: 60, remaining: 59, resetMs } },
      { admitted: true, status: { limit: 60, remaining: 58, resetMs } },
    ]);
    expect(rig.calls["takeLease"]).toBe(2);
  });

  it("is asked for no more when the window is used up, until the next one", async () => {
    await using rig = await openRig();
    await rig.many(61);
    const { calls } = rig;
    const before = { ...calls };
    for (let call = 0; call < 1_000; call++) {
      expect(rig.limiter.admit(rig.tokenId, LIMIT, 1)).toMatchObject({ admitted: false });
    }
    expect(rig.calls).toEqual(before);
    rig.clock.nowMs += MINUTE_MS;
    expect((await rig.admit()).admitted).toBe(true);
  });
});

describe("a limit that changes in mid-window", () => {
  it("to a higher one counts at once", async () => {
    await using rig = await openRig();
    await rig.many(100);
    expect(await rig.admit(1, perMinute(100))).toMatchObject({ admitted: true, status: { limit: 100, remaining: 39 } });
    expect(admittedIn(await rig.many(100, perMinute(100)))).toBe(39);
  });

  it("to a lower one counts at once, also against units that are here already", async () => {
    await using rig = await openRig();
    await rig.many(31, perMinute(100));
    expect(await rig.peek(1, perMinute(100))).toMatchObject({ status: { remaining: 69 } });
    expect(await rig.admit(1, perMinute(31))).toMatchObject({ admitted: false, status: { limit: 31, remaining: 0 } });
    expect(await rig.admit(1, perMinute(20))).toMatchObject({ admitted: false, status: { limit: 20, remaining: 0 } });
    expect(admittedIn(await rig.many(10, perMinute(33)))).toBe(2);
    expect(admittedIn(await rig.many(100, perMinute(100)))).toBe(67);
  });

  it("to a lower one counts what others spent under the higher one", async () => {
    await using rig = await openRig();
    await using other = rig.another();
    await rig.admit(1, perMinute(100));
    await other.many(40, perMinute(100));
    // Four units of the first lease are here, but 45 are taken.
    expect(await rig.admit(1, perMinute(40))).toMatchObject({ admitted: false });
    expect(await rig.admit(1, perMinute(100))).toMatchObject({ admitted: true });
  });

  it("up and down again counts what others spent meanwhile", async () => {
    await using rig = await openRig();
    await using other = rig.another();
    await rig.admit(1, perMinute(40));
    expect(rig.limiter.admit(rig.tokenId, perMinute(100), 0)).toMatchObject({ status: { remaining: 99 } });
    await other.many(60, perMinute(100));
    expect(await rig.admit(1, perMinute(40))).toMatchObject({ admitted: false, status: { remaining: 0 } });
  });

  it("to windows of another length starts over in those", async () => {
    await using rig = await openRig();
    rig.clock.nowMs += 5 * MINUTE_MS;
    await rig.many(60);
    expect(await rig.admit(1, { requests: 10, windowMs: HOUR_MS })).toMatchObject({
      admitted: true,
      status: { remaining: 9, resetMs: START_MS + HOUR_MS },
    });
    expect((await rig.admit()).admitted).toBe(false);
  });

  it("to longer windows that start at the same time says when those end", async () => {
    await using rig = await openRig();
    await rig.admit();
    const { status } = await rig.admit(1, { requests: 10, windowMs: HOUR_MS });
    expect(status.resetMs).toBe(START_MS + HOUR_MS);
  });
});

describe("several limiters on one store", () => {
  const spendTogether = async (storage: Storage): Promise<number[]> => {
    const tokenId = randomUUID();
    const limiters = Array.from(
      { length: 16 },
      () => new RateLimiter({ storage, clock: () => START_MS, logger: silentLogger }),
    );
    const admitted = await Promise.all(
      limiters.map(async (limiter) => {
        let count = 0;
        for (let call = 0; call < 625; call++) {
          if ((await limiter.admit(tokenId, LIMIT, 1)).admitted) count++;
          if (call % 10 === 0) await setImmediate();
        }
        return count;
      }),
    );
    for (const limiter of limiters) await limiter.stop();
    return admitted;
  };

  it("admit 60 of 10,000 calls together, and each gets some through", async () => {
    await using rig = await openRig();
    const admitted = await spendTogether(rig.storage);
    expect(sum(admitted)).toBe(60);
    expect(Math.min(...admitted)).toBeGreaterThan(0);
  });

  it("would exceed the limit on a store that looks first and takes later", async () => {
    await using rig = await openRig();
    expect(sum(await spendTogether(faults.leasesWithoutLock(rig.storage)))).toBeGreaterThan(60);
  });

  it("both get through, and stop together at the limit", async () => {
    await using rig = await openRig();
    await using other = rig.another();
    const verdicts = [];
    for (let call = 0; call < 50; call++) verdicts.push(await rig.admit(), await other.admit());
    expect(admittedIn(verdicts)).toBe(60);
    expect(admittedIn(verdicts.filter((_, index) => index % 2 === 0))).toBe(30);
  });
});

describe("a store that fails", () => {
  it("fails the calls that need it, not those that a lease decides, and is asked again by the next", async () => {
    await using rig = await openRig();
    await rig.admit();
    {
      await using _blocked = await rig.subject.blockWrites();
      expect(rig.limiter.admit(rig.tokenId, LIMIT, 1)).toMatchObject({ admitted: true });
      await expect(rig.limiter.admit(rig.tokenId, LIMIT, 5)).rejects.toMatchObject({ kind: "unavailable" });
      expect(rig.limiter.admit(rig.tokenId, LIMIT, 1)).toMatchObject({ admitted: true });
      await expect(rig.limiter.admit(rig.tokenId, LIMIT, 1)).rejects.toMatchObject({ kind: "unavailable" });
      expect(rig.limiter.admit(rig.tokenId, LIMIT, 58)).toMatchObject({ admitted: false });
    }
    expect(await rig.admit()).toMatchObject({ admitted: true, status: { remaining: 56 } });
    expect(admittedIn(await rig.many(100))).toBe(56);
  });

  it("fails all who wait with one call, and answers those whom the rest of a lease serves", async () => {
    await using rig = await openRig();
    await rig.admit();
    const before = rig.calls["takeLease"] ?? 0;
    await using _blocked = await rig.subject.blockWrites();
    const outcomes = await Promise.allSettled([50, 1, 1, 1, 60].map(async (cost) => rig.admit(cost)));
    const unavailable = { status: "rejected", reason: { kind: "unavailable" } };
    expect(outcomes).toMatchObject([
      unavailable,
      { status: "fulfilled", value: { admitted: true } },
      { status: "fulfilled", value: { admitted: true } },
      unavailable,
      { status: "fulfilled", value: { admitted: false } },
    ]);
    expect(rig.calls["takeLease"]).toBe(before + 2);
  });

  it("fails a peek", async () => {
    await using rig = await openRig();
    await rig.subject.breakReads();
    await expect(rig.peek()).rejects.toMatchObject({ kind: "unavailable" });
  });
});

describe("a stop", () => {
  it("gives back what is not spent, so that another process spends exactly the rest", async () => {
    await using rig = await openRig();
    expect(admittedIn(await rig.many(31))).toBe(31);
    await rig.limiter.stop();
    expect(await rig.storage.readWindow(rig.tokenId, new Date(START_MS))).toBe(31);
    await using other = rig.another();
    expect(admittedIn(await other.many(100))).toBe(29);
  });

  it("waits for those who wait, and refuses all who come later", async () => {
    await using rig = await openRig();
    const waiting = rig.many(4);
    const stopped = rig.limiter.stop();
    const late = [rig.admit(), rig.peek()];
    for (const call of late) await expect(call).rejects.toMatchObject({ kind: "unavailable" });
    await stopped;
    expect(admittedIn(await waiting)).toBe(4);
    expect(await rig.storage.readWindow(rig.tokenId, new Date(START_MS))).toBe(4);
    await rig.limiter.stop();
    await expect(rig.admit()).rejects.toMatchObject({ kind: "unavailable" });
  });

  it("drops units of a window that is over", async () => {
    await using rig = await openRig();
    await rig.admit();
    rig.clock.nowMs += MINUTE_MS;
    await rig.limiter.stop();
    expect(rig.calls).toEqual({ takeLease: 1 });
  });

  it("doesn't fail when the store does", async () => {
    const { logger, warnings } = countingLogger();
    await using rig = await openRig(logger);
    await rig.admit();
    await using _blocked = await rig.subject.blockWrites();
    await rig.limiter.stop();
    expect(warnings()).toBe(1);
  });
});

describe("a process that is killed in mid-window", () => {
  it("leaves the next one no more than the rest of the limit", async () => {
    await using subject = await openSqliteSubject();
    const tokenId = randomUUID();
    await subject.storage.close();
    const script = new URL("./rate-limiter-child.ts", import.meta.url);
    await using spending = startProcess<number>(script, [subject.location, tokenId]);
    await spending.acknowledged(20);
    const before = sum(await spending.kill());
    expect(before).toBeLessThan(60);

    const storage = await subject.reopen();
    const limiter = new RateLimiter({ storage, clock: () => NOW.getTime(), logger: silentLogger });
    const verdicts = await Promise.all(Array.from({ length: 100 }, async () => limiter.admit(tokenId, LIMIT, 1)));
    await limiter.stop();
    const all = before + admittedIn(verdicts);
    expect(all).toBeLessThanOrEqual(60);
    // A twentieth of the window at most was in the memory that is gone.
    expect(all).toBeGreaterThanOrEqual(57);
  });
});

describe("memory", () => {
  it("holds so many tokens, and gives back the units of those that it puts out, in batches", async () => {
    await using rig = await openRig();
    await using small = rig.another(32);
    const tokenIds = Array.from({ length: 100 }, () => randomUUID());
    for (const tokenId of tokenIds) {
      expect(await small.limiter.admit(tokenId, perMinute(100), 1)).toMatchObject({ admitted: true });
    }
    const taken = () => Promise.all(tokenIds.map((tokenId) => rig.storage.readWindow(tokenId, new Date(START_MS))));
    await vi.waitFor(async () => expect((await taken()).filter((units) => units > 1).length).toBeLessThanOrEqual(32));
    expect((await taken()).filter((units) => units > 1).length).toBeGreaterThanOrEqual(30);
    const { returnLeases = 0 } = rig.calls;
    expect(returnLeases).toBeGreaterThan(0);
    expect(returnLeases).toBeLessThanOrEqual(100 / 2);

    // One that was put out goes on where it was.
    expect(await small.limiter.admit(tokenIds[0] ?? "", perMinute(100), 1)).toMatchObject({
      status: { remaining: 98 },
    });
    await small.limiter.stop();
    expect(sum(await taken())).toBe(101);
  });

  it("puts out tokens of past windows first, whose units are worth nothing", async () => {
    await using rig = await openRig();
    await using small = rig.another(4);
    for (let token = 0; token < 4; token++) await small.limiter.admit(randomUUID(), LIMIT, 1);
    rig.clock.nowMs += MINUTE_MS;
    await small.limiter.admit(randomUUID(), LIMIT, 1);
    await small.limiter.stop();
    // The stop's own, of the one token whose window goes on.
    expect(rig.calls["returnLeases"]).toBe(1);
  });

  it("never puts out a token that somebody waits for", async () => {
    await using rig = await openRig();
    await using small = rig.another(2);
    const tokenIds = Array.from({ length: 20 }, () => randomUUID());
    const rounds = Array.from({ length: 5 }, () => tokenIds);
    const verdicts = await Promise.all(rounds.flat().map(async (tokenId) => small.limiter.admit(tokenId, LIMIT, 1)));
    expect(admittedIn(verdicts)).toBe(100);
    // For each token one for the first call, and one for the others.
    expect(rig.calls["takeLease"]).toBe(40);
  });
});

describe("the sweep", () => {
  it("forgets what ended more than an hour ago, in batches", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    await using rig = await openRig();
    const old = Array.from({ length: 1_500 }, () => randomUUID());
    const request = { windowStart: new Date(START_MS), windowEnd: new Date(START_MS + MINUTE_MS), limit: 60, units: 1 };
    await Promise.all(old.map((tokenId) => rig.storage.takeLease({ tokenId, ...request })));
    const kept = async () =>
      sum(await Promise.all(old.map((tokenId) => rig.storage.readWindow(tokenId, request.windowStart))));

    rig.clock.nowMs = START_MS + MINUTE_MS + HOUR_MS;
    vi.advanceTimersByTime(MINUTE_MS);
    expect(rig.calls["sweepWindows"]).toBe(1);
    // The store writes in order: once this is done, so is what came before.
    await rig.storage.pingWrites();
    expect(await kept()).toBe(1_500);
    rig.clock.nowMs += 1;
    await vi.waitFor(async () => {
      vi.advanceTimersByTime(MINUTE_MS);
      expect(await kept()).toBe(0);
    });
  });

  it("goes on after the store failed", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const { logger, warnings } = countingLogger();
    await using rig = await openRig(logger);
    {
      await using _blocked = await rig.subject.blockWrites();
      vi.advanceTimersByTime(MINUTE_MS);
      await vi.waitFor(() => expect(warnings()).toBe(1));
    }
    vi.advanceTimersByTime(MINUTE_MS);
    await vi.waitFor(() => expect(rig.calls["sweepWindows"]).toBe(2));
    await rig.limiter.stop();
    vi.advanceTimersByTime(10 * MINUTE_MS);
    expect(rig.calls["sweepWindows"]).toBe(2);
    expect(warnings()).toBe(1);
  });
});

describe("over many histories", () => {
  const requests = fc.constantFrom(1, 7, 20, 45);
  const cost = fc.oneof({ weight: 4, arbitrary: fc.constant(1) }, fc.integer({ min: 0, max: 25 }));
  const pause = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 2 * MINUTE_MS }));

  it("one limiter decides as if it counted each call, whatever its limit is at the moment", async () => {
    const call = fc.record({ cost, requests, spends: fc.boolean() });
    const steps = fc.array(fc.record({ pause, calls: fc.array(call, { maxLength: 12 }) }), { maxLength: 12 });
    await using subject = await openSqliteSubject();
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        await using rig = rigOn(subject);
        let [windowStart, spent] = [0, 0];
        for (const { pause: pauseMs, calls } of all) {
          rig.clock.nowMs += pauseMs;
          const start = rig.clock.nowMs - (rig.clock.nowMs % MINUTE_MS);
          if (start !== windowStart) [windowStart, spent] = [start, 0];
          const verdicts = await Promise.all(
            calls.map((one) => rig[one.spends ? "admit" : "peek"](one.cost, perMinute(one.requests))),
          );
          for (const [index, one] of calls.entries()) {
            const admitted = spent + one.cost <= one.requests;
            if (admitted && one.spends) spent += one.cost;
            const remaining = Math.max(0, one.requests - spent);
            const status = { limit: one.requests, remaining, resetMs: start + MINUTE_MS };
            expect(verdicts[index]).toEqual({ admitted, status });
          }
        }
        await rig.limiter.stop();
        expect(await subject.storage.readWindow(rig.tokenId, new Date(windowStart))).toBe(spent);
      }),
      { numRuns: 150 },
    );
  });

  it("one limiter with one limit admits as many calls as the limit, or all", async () => {
    const bursts = fc.array(fc.record({ pause, count: fc.nat(40) }), { maxLength: 10 });
    await using subject = await openSqliteSubject();
    await fc.assert(
      fc.asyncProperty(bursts, requests, async (all, limit) => {
        await using rig = rigOn(subject);
        const windows = new Map<number, { attempts: number; admitted: number }>();
        for (const { pause: pauseMs, count } of all) {
          rig.clock.nowMs += pauseMs;
          const start = rig.clock.nowMs - (rig.clock.nowMs % MINUTE_MS);
          const { attempts, admitted } = windows.get(start) ?? { attempts: 0, admitted: 0 };
          const verdicts = await rig.many(count, perMinute(limit));
          windows.set(start, { attempts: attempts + count, admitted: admitted + admittedIn(verdicts) });
        }
        for (const { attempts, admitted } of windows.values()) expect(admitted).toBe(Math.min(limit, attempts));
      }),
      { numRuns: 100 },
    );
  });

  it("several limiters never exceed a limit, with clocks that step back and limits that change", async () => {
    const call = fc.record({ limiter: fc.nat(2), cost });
    const back = fc.integer({ min: -MINUTE_MS, max: 0 });
    const step = fc.record({
      pause: fc.oneof({ weight: 5, arbitrary: pause }, back),
      requests,
      calls: fc.array(call, { maxLength: 15 }),
      stops: fc.option(fc.nat(2), { freq: 6 }),
    });
    await using subject = await openSqliteSubject();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
        await using rig = rigOn(subject);
        const limiters = [rig.another(), rig.another(), rig.another()];
        const windows = new Map<number, { spent: number; highest: number; lowest: number }>();
        for (const { pause: pauseMs, requests: limit, calls, stops } of steps) {
          rig.clock.nowMs += pauseMs;
          const start = rig.clock.nowMs - (rig.clock.nowMs % MINUTE_MS);
          const window = windows.get(start) ?? { spent: 0, highest: 0, lowest: Number.POSITIVE_INFINITY };
          windows.set(start, window);
          const hadNoRise = limit <= window.lowest;
          window.highest = Math.max(window.highest, limit);
          window.lowest = hadNoRise ? limit : 0;
          const verdicts = await Promise.all(
            calls.map(async (one) => limiters[one.limiter]?.admit(one.cost, perMinute(limit))),
          );
          for (const [index, verdict] of verdicts.entries()) {
            if (verdict?.admitted) window.spent += calls[index]?.cost ?? 0;
          }
          expect(window.spent).toBeLessThanOrEqual(window.highest);
          // A limit that was only lowered holds strictly, whatever others have spent before it was.
          const admittedSome = verdicts.some((verdict, index) => verdict?.admitted && calls[index]?.cost !== 0);
          if (hadNoRise && admittedSome) expect(window.spent).toBeLessThanOrEqual(limit);
          if (stops !== null) {
            await limiters[stops]?.limiter.stop();
            limiters[stops] = rig.another();
          }
        }
        for (const { limiter } of limiters) await limiter.stop();
        for (const [start, { spent }] of windows) {
          expect(await subject.storage.readWindow(rig.tokenId, new Date(start))).toBeGreaterThanOrEqual(spent);
        }
      }),
      { numRuns: 200 },
    );
  });
});

type Subject = Awaited<ReturnType<typeof openSqliteSubject>>;

/** A limiter on a store of its own, with a clock that stands still, for one token. */
async function openRig(logger?: Logger) {
  const subject = await openSqliteSubject();
  const rig = rigOn(subject, logger);
  return {
    ...rig,
    async [Symbol.asyncDispose]() {
      await rig[Symbol.asyncDispose]();
      await subject[Symbol.asyncDispose]();
    },
  };
}

function rigOn(subject: Subject, logger: Logger = silentLogger) {
  const clock = { nowMs: START_MS };
  const tokenId = randomUUID();
  const calls: Record<string, number> = {};
  const storage = counting(subject.storage, calls);
  const another = (maxTokens?: number) => {
    const limiter = new RateLimiter({
      storage,
      clock: () => clock.nowMs,
      logger,
      ...(maxTokens === undefined ? {} : { maxTokens }),
    });
    return {
      limiter,
      admit: async (cost = 1, limit = LIMIT): Promise<RateVerdict> => limiter.admit(tokenId, limit, cost),
      peek: (cost = 1, limit = LIMIT): Promise<RateVerdict> => limiter.peek(tokenId, limit, cost),
      many: (count: number, limit = LIMIT): Promise<RateVerdict[]> =>
        Promise.all(Array.from({ length: count }, async () => limiter.admit(tokenId, limit, 1))),
      [Symbol.asyncDispose]: () => limiter.stop(),
    };
  };
  // The calls of tests that look into the store don't count.
  return { ...another(), subject, storage: subject.storage, clock, tokenId, calls, another };
}

/** Counts the calls by method. */
function counting(storage: Storage, calls: Record<string, number>): Storage {
  return new Proxy(storage, {
    get(target, name: keyof Storage) {
      calls[name] = (calls[name] ?? 0) + 1;
      return target[name].bind(target);
    },
  });
}

function admittedIn(verdicts: readonly RateVerdict[]): number {
  return verdicts.filter(({ admitted }) => admitted).length;
}

function countingLogger(): { logger: Logger; warnings(): number } {
  let count = 0;
  const logger: Logger = { ...silentLogger, warn: () => void count++ };
  return { logger, warnings: () => count };
}
