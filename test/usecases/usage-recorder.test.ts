/** What gathers of tokens' use is written once, whatever fails in between. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dayOf } from "../../src/domain/daily-uses.ts";
import type { SecretKind } from "../../src/domain/rotation.ts";
import type { Storage, TokenUse } from "../../src/domain/storage.ts";
import { ByteShelf } from "../../src/usecases/byte-shelf.ts";
import { KeptRecord } from "../../src/usecases/token-cache.ts";
import { UsageRecorder } from "../../src/usecases/usage-recorder.ts";
import { NOW, someChange, someOrganization, someToken } from "../contract/samples.ts";
import { openSqliteSubject, silentLogger } from "../helpers/sqlite.ts";

const DAY_MS = 86_400_000;

/** What a store would have: counts by token and day, last uses by token and secret. */
interface Books {
  readonly counts: Map<string, number>;
  readonly lastUses: Map<string, { readonly ms: number; readonly addresses: Set<string> }>;
}

const newBooks = (): Books => ({ counts: new Map(), lastUses: new Map() });

function enter({ counts, lastUses }: Books, { tokenId, secret, usedAt, address, daily }: TokenUse): void {
  for (const { day, uses } of daily) {
    const key = `${tokenId} ${day}`;
    counts.set(key, (counts.get(key) ?? 0) + uses);
  }
  const key = `${tokenId} ${secret}`;
  const before = lastUses.get(key);
  const ms = usedAt.getTime();
  // Of two uses in one millisecond either is the last.
  if (before?.ms === ms) before.addresses.add(address);
  else if (before === undefined || before.ms < ms) lastUses.set(key, { ms, addresses: new Set([address]) });
}

type Step =
  | {
      readonly kind: "record";
      readonly token: string;
      readonly secret: SecretKind;
      readonly address: string;
      readonly isKept: boolean;
    }
  | { readonly kind: "wait"; readonly ms: number }
  | { readonly kind: "flush"; readonly fails: boolean }
  | { readonly kind: "write ends" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("record"),
      token: fc.constantFrom("a", "b", "c"),
      secret: fc.constantFrom("current", "former"),
      address: fc.constantFrom("192.0.2.1", "2001:db8::1", ""),
      isKept: fc.boolean(),
    }),
  },
  // Clocks are set back too, also over midnight.
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("wait"), ms: fc.constantFrom(1, 1_000, DAY_MS, -1, -DAY_MS) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("flush"), fails: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("write ends") }) },
);

const used = (id: string, kind: SecretKind) => ({ token: { id }, secret: { kind } });

/** Records that stay in memory, the same for the same secret. */
function keeper(): (id: string, kind: SecretKind) => KeptRecord {
  const records = new Map<string, KeptRecord>();
  return (id, kind) => {
    const earlier = records.get(`${kind} ${id}`);
    if (earlier !== undefined) return earlier;
    const organization = someOrganization();
    const { token } = someToken({ id, organizationId: organization.id });
    const secret = kind === "current" ? { kind } : { kind, endsAt: undefined };
    const slot = { organization, answers: new ByteShelf(), isStale: false, entries: 1 };
    const known = { token: { ...token, revision: 1 }, organization, secret };
    const record = new KeptRecord({ a: 0, b: 0, c: 0, d: 0 }, known, slot, undefined);
    records.set(`${kind} ${id}`, record);
    return record;
  };
}

describe("a usage recorder", () => {
  it("brings each use into the store exactly once, whatever is recorded, flushed and fails in whatever order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const [expected, stored] = [newBooks(), newBooks()];
        const kept = keeper();
        let nowMs = NOW.getTime();
        let fails = false;
        let isStopping = false;
        let endWrite: (() => void) | undefined;
        const storage = {
          recordUses: async (uses: readonly TokenUse[]) => {
            const isLost = fails;
            if (!isStopping) await new Promise<void>((resolve) => void (endWrite = resolve));
            if (isLost) throw new Error("injected");
            for (const use of uses) enter(stored, use);
          },
        };
        const recorder = new UsageRecorder(storage, silentLogger);
        for (const one of steps) {
          if (one.kind === "wait") {
            nowMs += one.ms;
          } else if (one.kind === "flush") {
            fails = one.fails;
            void recorder.flush();
            await settle();
          } else if (one.kind === "write ends") {
            endWrite?.();
            await settle();
          } else {
            const { token: tokenId, secret, address, isKept } = one;
            recorder.record(isKept ? kept(tokenId, secret) : used(tokenId, secret), address, nowMs);
            const daily = [{ day: dayOf(nowMs), uses: 1 }];
            enter(expected, { tokenId, secret, usedAt: new Date(nowMs), address, daily });
          }
        }
        fails = false;
        isStopping = true;
        endWrite?.();
        await recorder.stop();
        expect(stored.counts).toEqual(expected.counts);
        expect([...stored.lastUses.keys()].toSorted()).toEqual([...expected.lastUses.keys()].toSorted());
        for (const [key, { ms, addresses }] of stored.lastUses) {
          const truth = expected.lastUses.get(key);
          expect(ms).toBe(truth?.ms);
          expect([...addresses].filter((address) => !truth?.addresses.has(address))).toEqual([]);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("counts in the real store what was counted while it couldn't be written", async () => {
    await using subject = await openSqliteSubject();
    const { storage } = subject;
    const { id: organizationId } = await storage.createOrganization(someOrganization(), someChange());
    const { id } = await storage.createToken(someToken({ organizationId }), someChange());
    let nowMs = NOW.getTime();
    const warnings: unknown[] = [];
    const logger = {
      ...silentLogger,
      warn: (fields: object, message: string) => void warnings.push([fields, message]),
    };
    const recorder = new UsageRecorder(storage, logger);
    recorder.record(used(id, "current"), "192.0.2.1", nowMs);
    {
      await using _blocked = await subject.blockWrites();
      await recorder.flush();
      nowMs += DAY_MS;
      recorder.record(used(id, "current"), "::ffff:192.0.2.2", nowMs);
      recorder.record(used(id, "former"), "fe80::1%eth0", nowMs);
      await recorder.flush();
    }
    expect(warnings).toMatchObject([
      [{ tokens: 1 }, "uses of tokens could not be written; trying again"],
      [{ tokens: 2 }, "uses of tokens could not be written; trying again"],
    ]);
    await recorder.stop();
    await recorder.flush();
    const today = dayOf(NOW.getTime());
    expect(await storage.readUses(id, 0, today + 9)).toEqual([
      { day: today, uses: 1 },
      { day: today + 1, uses: 2 },
    ]);
    expect(await storage.getToken(id)).toMatchObject({ lastUsedAt: new Date(nowMs), lastUsedAddress: "192.0.2.2" });
  });

  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:DB8:0::1", "2001:db8::1"],
    [`fe80::1%${"x".repeat(1_000)}`, "fe80::1"],
    ["unix", ""],
    ["", ""],
  ])("writes the address %s as %s", async (address, written) => {
    const batches: (readonly TokenUse[])[] = [];
    const recorder = recorderInto(batches);
    recorder.record(used("a", "current"), address, NOW.getTime());
    await recorder.stop();
    expect(batches).toMatchObject([[{ tokenId: "a", address: written }]]);
  });

  it("writes all tokens at once, and nothing when nothing was used", async () => {
    const batches: (readonly TokenUse[])[] = [];
    const recorder = recorderInto(batches);
    await recorder.flush();
    for (const token of ["a", "b", "a", "c"]) recorder.record(used(token, "current"), "", NOW.getTime());
    await recorder.flush();
    await recorder.stop();
    expect(batches.map((batch) => batch.map(({ tokenId, daily }) => [tokenId, daily[0]?.uses]))).toEqual([
      [
        ["a", 2],
        ["b", 1],
        ["c", 1],
      ],
    ]);
  });

  it("keeps 50,000 secrets at most between two writes, and counts on for those", async () => {
    const batches: (readonly TokenUse[])[] = [];
    const recorder = recorderInto(batches);
    for (let token = 0; token < 50_001; token++) recorder.record(used(String(token), "current"), "", NOW.getTime());
    recorder.record(used("0", "former"), "", NOW.getTime());
    recorder.record(used("0", "current"), "", NOW.getTime());
    await recorder.flush();
    expect(batches.flat()).toHaveLength(50_000);
    // Not all in one write: others wait for it.
    expect(batches.filter(({ length }) => length > 2_000)).toEqual([]);
    expect(batches[0]?.[0]?.daily[0]?.uses).toBe(2);
    recorder.record(used("50000", "current"), "", NOW.getTime());
    await recorder.stop();
    expect(batches.at(-1)).toMatchObject([{ tokenId: "50000" }]);
  });

  it("gathers many for a write in several turns of the event loop, and counts what comes in between", async () => {
    const batches: (readonly TokenUse[])[] = [];
    const recorder = recorderInto(batches);
    const kept = keeper();
    const record = (token: string) => recorder.record(kept(token, "current"), "", NOW.getTime());
    const tokens = Array.from({ length: 2_000 }, (_, index) => String(index));
    tokens.forEach(record);
    tokens.forEach(record);
    let turns = 0;
    const flushed = recorder.flush();
    for (await settle(); batches.length === 0; await settle()) {
      record(String(turns));
      record(String(1_999 - turns));
      turns++;
    }
    await flushed;
    await recorder.stop();
    expect(turns).toBeGreaterThan(10);
    expect(batches[0]?.every(({ daily }) => daily[0]?.uses === 2)).toBe(true);
    const counted = batches.flat().reduce((sum, { daily: [day] }) => sum + (day?.uses ?? 0), 0);
    expect(counted).toBe(2 * 2_000 + 2 * turns);
  });
});

function recorderInto(batches: (readonly TokenUse[])[]): UsageRecorder {
  const storage: Pick<Storage, "recordUses"> = { recordUses: async (uses) => void batches.push(uses) };
  return new UsageRecorder(storage, silentLogger);
}

/** Lets every promise go on that can. */
function settle(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
