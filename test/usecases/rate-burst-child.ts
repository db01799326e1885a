/** A process that waits for a word, then makes many attempts under one limit at once, and says how many were admitted. */
import { once } from "node:events";
import { RateLimiter } from "../../src/usecases/rate-limiter.ts";
import { openStorage } from "../contract/engines.ts";
import { NOW } from "../contract/samples.ts";

const [location = "", tokenId = "", attempts = ""] = process.argv.slice(2);

const logger = { debug() {}, info() {}, warn() {}, error() {} };
const storage = await openStorage(location);
const limiter = new RateLimiter({ storage, clock: () => NOW.getTime(), logger });
process.stdout.write('"ready"\n');
await once(process.stdin, "data");
let left = Number(attempts);
let admitted = 0;
await Promise.all(
  Array.from({ length: 50 }, async () => {
    while (left-- > 0) {
      const verdict = await limiter.admit(tokenId, { requests: 60, windowMs: 60_000 }, 1);
      if (verdict.admitted) admitted++;
    }
  }),
);
process.stdout.write(`${admitted}\n`);
await limiter.stop();
await storage.close();
process.stdin.destroy();
