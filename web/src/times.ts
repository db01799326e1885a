/** Moments and numbers as people read them, in the browser's language. */
export const DAY_MS = 86_400_000;

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "long" });
const short = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const count = new Intl.NumberFormat();

const UNITS: readonly (readonly [unit: Intl.RelativeTimeFormatUnit, ms: number])[] = [
  ["year", 365 * DAY_MS],
  ["month", 30 * DAY_MS],
  ["week", 7 * DAY_MS],
  ["day", DAY_MS],
  ["hour", 3_600_000],
  ["minute", 60_000],
];

export const exactTime = (iso: string): string => exact.format(new Date(iso));
export const shortDate = (iso: string): string => short.format(new Date(iso));
export const number = (value: number): string => count.format(value);

/** `3 hours ago`, `in 2 days`; `just now` within a minute. */
export function relativeTime(iso: string, nowMs = Date.now()): string {
  const ms = Date.parse(iso) - nowMs;
  const [unit, size] = UNITS.find(([, unitMs]) => Math.abs(ms) >= unitMs) ?? [];
  return unit === undefined || size === undefined ? "just now" : relative.format(Math.trunc(ms / size), unit);
}

/** Milliseconds of `3600s`, as protobuf writes a duration in JSON. */
const durationMs = (text: string | undefined): number => Number.parseFloat(text ?? "0") * 1000;

/** `100 requests an hour` */
export function limitInWords(limit: { requests?: string | number; window?: string } | undefined): string {
  if (limit === undefined) return "No limit";
  const ms = durationMs(limit.window);
  const unit = { 1000: "second", 60_000: "minute", 3_600_000: "hour", 86_400_000: "day" }[ms] ?? `${ms / 1000} seconds`;
  return `${number(Number(limit.requests ?? 0))} requests per ${unit}`;
}
