/** How the HMAC keys of imports are kept: sealed, under ids that say nothing of them. */
import { createHmac, randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSealer } from "../../src/security/sealer.ts";
import { openImportKey, sealImportKey } from "../../src/usecases/import-keys.ts";

const NOW = new Date("2026-03-04T05:06:07Z");
const sealer = createSealer(randomBytes(32), randomBytes);
const other = createSealer(randomBytes(32), randomBytes);
const someKey = fc.uint8Array({ minLength: 1, maxLength: 1024 });

describe("the HMAC key of an import", () => {
  it("opens to what it was, with the root key and the id that it was sealed under only", () => {
    fc.assert(
      fc.property(someKey, (key) => {
        const stored = sealImportKey(sealer, key, NOW);
        expect(stored).toMatchObject({ id: expect.stringMatching(/^[0-9a-f]{32}$/) as string, createdAt: NOW });
        expect(key.length > 3 && Buffer.from(stored.sealedKey).includes(Buffer.from(key))).toBe(false);
        expect(Buffer.from(openImportKey(sealer, stored))).toEqual(Buffer.from(key));
        expect(() => openImportKey(other, stored)).toThrow("put back the root key");
        expect(() => openImportKey(sealer, { ...stored, id: stored.id.replace(/./, "x") })).toThrow("doesn't open");
      }),
    );
  });

  it("has an id that is the same for what HMAC takes for the same key, and takes the root key to know", () => {
    const idOf = (key: Uint8Array, by = sealer) => sealImportKey(by, key, NOW).id;
    fc.assert(
      fc.property(someKey, someKey, (one, two) => {
        expect(idOf(one)).toBe(idOf(one));
        expect(idOf(one)).not.toBe(idOf(one, other));
        const digest = (key: Uint8Array) => createHmac("sha256", key).update("text").digest("hex");
        expect(idOf(one) === idOf(two)).toBe(digest(one) === digest(two));
      }),
    );
    // HMAC fills a short key up with zeros.
    expect(idOf(Buffer.from("key"))).toBe(idOf(Buffer.from("key\0")));
  });
});
