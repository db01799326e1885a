/** Takes a lock, says so, and holds it until it is killed. */
import { withLock } from "../../src/cli/file-lock.ts";

await withLock(process.argv[2] ?? "", () => {
  process.send?.("held");
  return new Promise<never>(() => setInterval(() => {}, 60_000));
});
