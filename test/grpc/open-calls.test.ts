/** Which calls a server still has to end, whatever order they came and went in. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type OpenCall, OpenCalls } from "../../src/grpc/open-calls.ts";

class TestCall implements OpenCall {
  place = -1;
  ended = 0;
  readonly #open: OpenCalls;
  readonly #lateFromMs: number;

  constructor(open: OpenCalls, lateFromMs: number) {
    this.#open = open;
    this.#lateFromMs = lateFromMs;
  }

  isLate(nowMs: number): boolean {
    return nowMs >= this.#lateFromMs;
  }

  expire(): void {
    this.onCancel();
  }

  /** As calls do, it leaves in the middle of the round. */
  onCancel(): void {
    this.ended++;
    this.#open.delete(this);
  }
}

/** True: a call comes. A number: the one at that place of all so far goes, perhaps for the second time. */
const steps = fc.array(fc.oneof(fc.constant(true as const), fc.nat({ max: 30 })), { maxLength: 100 });

function follow(open: OpenCalls, all: readonly (true | number)[]): { calls: TestCall[]; left: Set<TestCall> } {
  const calls: TestCall[] = [];
  const left = new Set<TestCall>();
  for (const step of all) {
    if (step === true) {
      const call = new TestCall(open, calls.length);
      calls.push(call);
      left.add(call);
      open.add(call);
    } else {
      const call = calls[step];
      if (call === undefined) continue;
      left.delete(call);
      open.delete(call);
    }
    expect(open.size).toBe(left.size);
  }
  return { calls, left };
}

describe("open calls", () => {
  it("are those that came and didn't go, each cancelled once", () => {
    fc.assert(
      fc.property(steps, (all) => {
        const open = new OpenCalls();
        const { calls, left } = follow(open, all);
        open.cancelAll();
        for (const call of calls) expect(call.ended).toBe(left.has(call) ? 1 : 0);
        expect(open.size).toBe(0);
      }),
    );
  });

  it("are ended when they have had their time, and no others", () => {
    fc.assert(
      fc.property(steps, fc.nat({ max: 30 }), (all, nowMs) => {
        const open = new OpenCalls();
        const { calls, left } = follow(open, all);
        open.expireLate(nowMs);
        for (const [index, call] of calls.entries()) expect(call.ended).toBe(left.has(call) && index <= nowMs ? 1 : 0);
      }),
    );
  });
});
