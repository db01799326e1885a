/** Chance, from the operating system. */
import { randomBytes, randomFillSync } from "node:crypto";
import type { Entropy } from "../domain/clock.ts";

const POOL_BYTES = 4_096;

/**
 * Makes a source that fetches small portions many at a time: one by itself costs as much as hundreds of bytes.
 * A portion is handed out once, as a copy, and forgotten.
 */
export function pooledEntropy(): Entropy {
  const pool = new Uint8Array(POOL_BYTES);
  let used = POOL_BYTES;
  return (size) => {
    if (size > POOL_BYTES) return randomBytes(size);
    if (used + size > POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    const portion = pool.slice(used, used + size);
    pool.fill(0, used, used + size);
    used += size;
    return portion;
  };
}
