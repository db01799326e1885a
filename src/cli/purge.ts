/** `latchkey purge`: deletes tokens that ended long ago from the database, also of a running service. */
import { setTimeout } from "node:timers/promises";
import { openTokenPurge, type TokenPurge } from "../app.ts";
import { systemChange } from "../domain/audit.ts";
import { command, UsageError } from "./command.ts";
import { parseMoment } from "./moment.ts";
import { configFrom, SETTING_OPTIONS } from "./settings.ts";
import { tokenCount } from "./table.ts";

/** As many go in one write, which a running service waits for. */
const BATCH = 250;

export const purge = command({
  options: {
    ...SETTING_OPTIONS,
    "older-than": {
      type: "string",
      value: "400d|DATE",
      help: "how long ago they ended (LATCHKEY_TOKEN_RETENTION_DAYS)",
    },
    "dry-run": { type: "boolean", help: "only count them" },
    json: { type: "boolean", help: "print one JSON object" },
  },
  notes:
    "Deletes the tokens that were revoked or expired so long ago; those that still work never go. Their events stay.\n" +
    "Without --older-than it goes by the retention of the settings, as the service itself does once a day. It works\n" +
    "on the configured database, beside a running service.",
  async run(values) {
    const { "older-than": olderThan, "dry-run": dryRun = false, json, ...flags } = values;
    const config = configFrom(flags);
    const { tokenRetentionDays } = config;
    if (olderThan === undefined && tokenRetentionDays === 0) {
      throw new UsageError("LATCHKEY_TOKEN_RETENTION_DAYS=0 keeps tokens forever; --older-than says which go anyway");
    }
    const age = typeof olderThan === "string" ? olderThan : `${tokenRetentionDays}d`;
    const endedBefore = parseMoment("--older-than", age, Date.now());
    await using tokens = await openTokenPurge(config);
    const count = dryRun ? await tokens.count(endedBefore, new Date()) : await purgeAll(tokens, endedBefore);
    if (json) {
      console.log(JSON.stringify({ count, endedBefore: endedBefore.toISOString(), dryRun }));
    } else {
      const done = dryRun ? "would purge" : "purged";
      console.error(`${done} ${tokenCount(count)} that ended before ${endedBefore.toISOString()}`);
    }
    return 0;
  },
});

async function purgeAll(tokens: TokenPurge, endedBefore: Date): Promise<number> {
  for (let total = 0; ; ) {
    const startedAtMs = performance.now();
    const purged = await tokens.purge(endedBefore, BATCH, systemChange(new Date()));
    total += purged;
    if (purged < BATCH) return total;
    // Half of the time is the service's.
    await setTimeout(performance.now() - startedAtMs);
  }
}
