/** A process that spends one token's limit in a window that doesn't end, and says each call that was admitted. */
import { setTimeout } from "node:timers/promises";
import { RateLimiter } from "../../src/usecases/rate-limiter.ts";
import { openStorage } from "../contract/engines.ts";
import { NOW } from "../contract/samples.ts";

const [location = "", tokenId = ""] = process.argv.slice(2);

// Ends with the process that started it, however that one ended.
process.stdin.resume().on("end", () => process.exit());

const logger = { debug() {}, info() {}, warn() {}, error() {} };
const limiter = new RateLimiter({ storage: await openStorage(location), clock: () => NOW.getTime(), logger });
for (;;) {
  const { admitted } = await limiter.admit(tokenId, { requests: 60, windowMs: 60_000 }, 1);
  if (admitted) process.stdout.write("1\n");
  // Slow enough to be killed while the window has units left.
  await setTimeout(5);
}
