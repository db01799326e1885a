/** What is put on a shelf is there until it is removed, and the shelf's memory goes by what is on it. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ByteShelf } from "../../src/usecases/byte-shelf.ts";

const SLAB_BYTES = 256 * 1024;

type Step =
  | { readonly kind: "put"; readonly length: number; readonly fill: number }
  | { readonly kind: "remove"; readonly which: number }
  | { readonly kind: "clear" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("put" as const),
      // From nothing to more than a slab, with many that fill one soon.
      length: fc.oneof(fc.nat(300), fc.constantFrom(0, 255, 256, 65_535, 65_536, 100_000, SLAB_BYTES, SLAB_BYTES + 1)),
      fill: fc.nat(255),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("remove" as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("clear" as const) }) },
);

describe("a shelf of bytes", () => {
  it("gives back what was put there, whatever is put, removed and cleared in whatever order", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const shelf = new ByteShelf();
        let kept: { readonly place: number; readonly bytes: Buffer }[] = [];
        // Views that a call may still hold.
        const views: { readonly view: Buffer; readonly bytes: Buffer }[] = [];
        for (const one of steps) {
          if (one.kind === "put") {
            const bytes = Buffer.alloc(one.length, one.fill);
            const place = shelf.put(bytes) ?? expect.fail("it wasn't taken");
            kept.push({ place, bytes });
            views.push({ view: shelf.get(place), bytes });
          } else if (one.kind === "clear") {
            shelf.clear();
            kept = [];
            expect(shelf.bytes).toBe(0);
          } else if (kept.length > 0) {
            const [gone] = kept.splice(one.which % kept.length, 1);
            if (gone !== undefined) shelf.remove(gone.place);
          }
          const wanted = kept.reduce((sum, { bytes }) => sum + bytes.length, 0);
          expect(shelf.bytes).toBeGreaterThanOrEqual(wanted);
        }
        expect(kept.every(({ place, bytes }) => shelf.get(place).equals(bytes))).toBe(true);
        const copied = kept.map(({ place }) => {
          const copy = Buffer.alloc(1 + shelf.lengthOf(place));
          shelf.copyTo(copy, 1, place);
          return copy.subarray(1);
        });
        expect(copied.every((copy, index) => copy.equals(kept[index]?.bytes ?? expect.fail()))).toBe(true);
        expect(views.every(({ view, bytes }) => view.equals(bytes))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it("has no memory of what is gone, but for the slab that is being written", () => {
    const shelf = new ByteShelf();
    const bytes = Buffer.alloc(1_000);
    for (let round = 0; round < 5; round++) {
      const places = Array.from({ length: 2_000 }, () => shelf.put(bytes) ?? expect.fail("it wasn't taken"));
      expect(shelf.bytes).toBeGreaterThan(2_000_000);
      for (const place of places) shelf.remove(place);
      expect(shelf.bytes).toBeLessThanOrEqual(SLAB_BYTES);
    }
  });

  it("says so when a little that stays holds much in memory", () => {
    const shelf = new ByteShelf();
    const bytes = Buffer.alloc(1_000);
    const places = Array.from({ length: 10_000 }, () => shelf.put(bytes) ?? expect.fail("it wasn't taken"));
    expect(shelf.isWasteful).toBe(false);
    for (const [index, place] of places.entries()) if (index % 100 > 0) shelf.remove(place);
    expect(shelf.isWasteful).toBe(true);
    shelf.clear();
    expect(shelf.isWasteful).toBe(false);
  });

  it("takes nothing whose length it couldn't write down", () => {
    expect(new ByteShelf().put(Buffer.alloc(2 ** 24))).toBeUndefined();
  });
});
