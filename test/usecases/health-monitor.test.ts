import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { HealthMonitor } from "../../src/usecases/health-monitor.ts";

const NOW = Date.parse("2026-11-21T12:00:00Z");
const INTERVAL_MS = 10_000;

const lines: { level: string; message: string; fields: object }[] = [];
const write = (level: string) => (fields: object, message: string) => void lines.push({ level, message, fields });
const logger = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
const probe = vi.fn<() => Promise<void>>();
/** What the monitor said at each change. */
const told: (Date | undefined)[] = [];
let monitor: HealthMonitor;

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const down = new Error("disk I/O error");

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  lines.length = 0;
  told.length = 0;
  probe.mockReset().mockResolvedValue(undefined);
  monitor = new HealthMonitor({
    subject: "writes",
    probe,
    intervalMs: INTERVAL_MS,
    onChange: () => told.push(monitor.failingSince),
    clock: Date.now,
    logger,
  });
});

afterEach(() => {
  monitor.stop();
  vi.useRealTimers();
});

describe("the monitor", () => {
  it("probes at once, and then after every interval", async () => {
    await monitor.start();
    expect(probe).toHaveBeenCalledTimes(1);
    expect(monitor.failingSince).toBeUndefined();
    await pass(INTERVAL_MS - 1);
    expect(probe).toHaveBeenCalledTimes(1);
    await pass(1);
    expect(probe).toHaveBeenCalledTimes(2);
  });

  it("knows how things are when it has started", async () => {
    probe.mockRejectedValue(down);
    await monitor.start();
    expect(monitor.failingSince).toEqual(new Date(NOW));
  });

  it("probes every second while it fails, so that a recovery is seen soon", async () => {
    await monitor.start();
    probe.mockRejectedValue(down);
    await pass(INTERVAL_MS);
    expect(probe).toHaveBeenCalledTimes(2);
    await pass(3_000);
    expect(probe).toHaveBeenCalledTimes(5);
    probe.mockResolvedValue(undefined);
    await pass(1_000);
    expect(monitor.failingSince).toBeUndefined();
    await pass(INTERVAL_MS);
    expect(probe).toHaveBeenCalledTimes(7);
  });

  it("tells and logs each change once", async () => {
    await monitor.start();
    await pass(INTERVAL_MS);
    probe.mockRejectedValue(down);
    await pass(INTERVAL_MS);
    const since = new Date(NOW + 2 * INTERVAL_MS);
    await pass(5_000);
    probe.mockResolvedValue(undefined);
    await pass(5_000);
    expect(told).toEqual([since, undefined]);
    expect(lines).toEqual([
      { level: "error", message: "writes fail", fields: { err: down } },
      { level: "info", message: "writes work again", fields: { failedSince: since } },
    ]);
  });

  it("probes at once when somebody doubts, but not for each of many, and the probe decides", async () => {
    await monitor.start();
    for (let doubts = 0; doubts < 99; doubts++) {
      monitor.doubt();
      await pass(1);
    }
    expect(probe).toHaveBeenCalledTimes(1);
    await pass(1);
    expect(probe).toHaveBeenCalledTimes(2);
    expect(told).toEqual([]);
    await pass(INTERVAL_MS - 1);
    expect(probe).toHaveBeenCalledTimes(2);

    monitor.doubt();
    probe.mockRejectedValue(down);
    await pass(100);
    expect(told).toHaveLength(1);
    // It fails already, and is probed every second anyway.
    monitor.doubt();
    await pass(999);
    expect(probe).toHaveBeenCalledTimes(3);
    await pass(1);
    expect(probe).toHaveBeenCalledTimes(4);
  });

  it("doesn't let a probe that began before a doubt clear it", async () => {
    const early = Promise.withResolvers<void>();
    await monitor.start();
    probe.mockReturnValueOnce(early.promise);
    await pass(INTERVAL_MS);
    monitor.doubt();
    early.resolve();
    await pass(100);
    expect(probe).toHaveBeenCalledTimes(3);
  });

  it("takes a throw for a failure too", async () => {
    probe.mockImplementation(() => {
      throw new Error("not open");
    });
    await monitor.start();
    expect(monitor.failingSince).toBeDefined();
    await pass(1_000);
    expect(probe).toHaveBeenCalledTimes(2);
  });

  it("takes a probe that hangs for a failure, and waits for it before the next", async () => {
    const hanging = Promise.withResolvers<void>();
    probe.mockReturnValueOnce(hanging.promise);
    const started = monitor.start();
    await pass(1_999);
    expect(told).toEqual([]);
    await pass(1);
    await started;
    expect(told).toHaveLength(1);
    await pass(60_000);
    expect(probe).toHaveBeenCalledTimes(1);
    hanging.resolve();
    await pass(0);
    // It came too late to count, so the next one decides.
    expect(told).toHaveLength(1);
    await pass(1_000);
    expect(told).toEqual([expect.any(Date), undefined]);
  });

  it("does nothing after stop, not even for a probe that is under way", async () => {
    const late = Promise.withResolvers<void>();
    probe.mockReturnValueOnce(late.promise);
    void monitor.start();
    monitor.stop();
    late.reject(down);
    await pass(60_000);
    monitor.doubt();
    await pass(60_000);
    expect(told).toEqual([]);
    expect(lines).toEqual([]);
    expect(probe).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});
