/** How long the store keeps what is over, and the sweepers that see to it. */
import type { AccessTokens } from "../domain/access-tokens.ts";
import { systemChange } from "../domain/audit.ts";
import type { Clock } from "../domain/clock.ts";
import { dayOf } from "../domain/daily-uses.ts";
import type { Logger } from "../domain/logger.ts";
import type { Storage } from "../domain/storage.ts";
import { Sweeper } from "./sweeper.ts";

export interface RetentionDeps {
  readonly storage: Storage;
  readonly accessTokens: Pick<AccessTokens, "renew">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Days that a token is kept after it ended; 0 keeps it forever. */
  readonly tokenRetentionDays: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Nothing of a session that was over so long ago can still be on its way. */
const SESSION_RETENTION_MS = DAY_MS;

/** A session has a refresh token for each hour that it was used. */
const SESSION_BATCH = 100;

/** Longer than a year, so that this month can be held against the same one a year ago. */
const USE_RETENTION_DAYS = 400;

const BATCH = 1_000;

/** Each token has an event to be written. */
const PURGE_BATCH = 250;

/** Starts to sweep recorded calls, sessions, counts of uses and tokens, at once and from time to time. */
export function startSweepers({
  storage,
  accessTokens,
  clock,
  logger,
  tokenRetentionDays,
}: RetentionDeps): readonly Sweeper[] {
  const shared = { clock, logger };
  const sweepers = [
    new Sweeper({
      ...shared,
      what: "answers that are kept for retries",
      intervalMs: MINUTE_MS,
      batch: BATCH,
      sweepBatch: (now, limit) => storage.sweepRecordedCalls(now, limit),
    }),
    new Sweeper({
      ...shared,
      what: "sessions that are over",
      intervalMs: HOUR_MS,
      batch: SESSION_BATCH,
      sweepBatch: (now, limit) => storage.sweepSessions(before(now, SESSION_RETENTION_MS), limit),
    }),
    new Sweeper({
      ...shared,
      what: "links to new passwords",
      intervalMs: HOUR_MS,
      batch: BATCH,
      sweepBatch: (now, limit) => storage.sweepPasswordLinks(now, limit),
    }),
    new Sweeper({
      ...shared,
      what: "keys that sign access tokens",
      // More often than a key is published before it signs.
      intervalMs: 5 * MINUTE_MS,
      batch: 1,
      sweepBatch: async () => {
        await accessTokens.renew();
        return 0;
      },
    }),
    new Sweeper({
      ...shared,
      what: "invitations",
      intervalMs: HOUR_MS,
      batch: BATCH,
      sweepBatch: (now, limit) => storage.sweepInvitations(now, limit),
    }),
    new Sweeper({
      ...shared,
      what: "counts of uses long ago",
      intervalMs: DAY_MS,
      batch: BATCH,
      sweepBatch: (now, limit) => storage.sweepUses(dayOf(now.getTime()) - USE_RETENTION_DAYS, limit),
    }),
  ];
  if (tokenRetentionDays > 0) {
    sweepers.push(
      new Sweeper({
        ...shared,
        what: "tokens that ended long ago",
        intervalMs: DAY_MS,
        batch: PURGE_BATCH,
        sweepBatch: (now, limit) =>
          storage.purgeTokens(before(now, tokenRetentionDays * DAY_MS), limit, systemChange(now)),
      }),
    );
  }
  for (const sweeper of sweepers) void sweeper.sweep();
  return sweepers;
}

function before(now: Date, ms: number): Date {
  return new Date(now.getTime() - ms);
}
