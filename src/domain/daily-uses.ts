/** How often a token was used, by day in UTC. */

/** The uses of one day on which there were any. */
export interface DailyUse {
  /** Days since 1970-01-01. */
  readonly day: number;
  readonly uses: number;
}

/** So many days of a token's use are shown, today the last of them. */
export const SHOWN_DAYS = 90;

const DAY_MS = 86_400_000;

/** The day that a moment is in. */
export function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS);
}

/** The day's date: `2026-11-21`. */
export function dateOf(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10);
}
