import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { HealthStatus } from "../../src/grpc/health.ts";
import { type HealthMonitor, monitorHealth } from "../../src/grpc/health-monitor.ts";
import { TestLog } from "./test-server.ts";

const log = new TestLog();
const set = vi.fn<(status: HealthStatus) => void>();
const ping = vi.fn<() => Promise<void>>();
let monitor: HealthMonitor | undefined;

const start = (): void => {
  monitor = monitorHealth({ ping, set, logger: log });
};
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const statuses = (): HealthStatus[] => set.mock.calls.map(([status]) => status);

beforeEach(() => {
  vi.useFakeTimers();
  log.lines.length = 0;
  set.mockReset();
  ping.mockReset().mockResolvedValue(undefined);
});

afterEach(() => {
  monitor?.stop();
  vi.useRealTimers();
});

describe("the monitor", () => {
  it("pings at once, and then every second", async () => {
    start();
    await pass(0);
    expect(ping).toHaveBeenCalledTimes(1);
    expect(statuses()).toEqual(["SERVING"]);
    await pass(3_000);
    expect(ping).toHaveBeenCalledTimes(4);
  });

  it("sets and logs changes only", async () => {
    const down = new Error("disk I/O error");
    start();
    await pass(2_000);
    ping.mockRejectedValue(down);
    await pass(3_000);
    ping.mockResolvedValue(undefined);
    await pass(3_000);
    expect(statuses()).toEqual(["SERVING", "NOT_SERVING", "SERVING"]);
    expect(log.lines.map(({ level }) => level)).toEqual(["info", "error", "info"]);
    expect(log.lines[1]?.fields["err"]).toBe(down);
  });

  it("takes a throw for a failure too", async () => {
    ping.mockImplementation(() => {
      throw new Error("not open");
    });
    start();
    await pass(1_000);
    expect(statuses()).toEqual(["NOT_SERVING"]);
    expect(ping).toHaveBeenCalledTimes(2);
  });

  it("takes a ping that hangs for a failure, and waits for it before the next", async () => {
    const hanging = Promise.withResolvers<void>();
    start();
    await pass(0);
    ping.mockReturnValueOnce(hanging.promise);
    await pass(1_000);
    expect(statuses()).toEqual(["SERVING"]);
    await pass(60_000);
    expect(statuses()).toEqual(["SERVING", "NOT_SERVING"]);
    expect(ping).toHaveBeenCalledTimes(2);
    hanging.resolve();
    await pass(0);
    // It came too late to count, so the next one decides.
    expect(statuses()).toEqual(["SERVING", "NOT_SERVING"]);
    await pass(1_000);
    expect(statuses()).toEqual(["SERVING", "NOT_SERVING", "SERVING"]);
  });

  it("does nothing after stop, not even for a ping that is under way", async () => {
    const late = Promise.withResolvers<void>();
    ping.mockReturnValueOnce(late.promise);
    start();
    monitor?.stop();
    late.resolve();
    await pass(10_000);
    expect(set).not.toHaveBeenCalled();
    expect(ping).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});
