/** Moments in the past, as somebody types them. */
import { UsageError } from "./command.ts";

const UNIT_MS = { d: 86_400_000, h: 3_600_000 } as const;

/**
 * The moment that an option names: so long ago (`90d`, `12h`), a day (`2026-01-31`, from its start in UTC) or a
 * time (`2026-01-31T12:00:00Z`).
 *
 * @throws UsageError
 */
export function parseMoment(option: string, text: string, nowMs: number): Date {
  const [, count, unit] = /^(\d{1,6})([dh])$/.exec(text) ?? [];
  if (count !== undefined) return new Date(nowMs - Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS]);
  // Date reads much else, and 31 February as 3 March.
  const [day] = /^\d{4}-\d\d-\d\d(?=$|T\d\d:\d\d)/.exec(text) ?? [];
  const time = new Date(text);
  if (day === undefined || Number.isNaN(time.getTime()) || !new Date(day).toISOString().startsWith(day)) {
    throw new UsageError(`${option} must be an age such as 90d, or a time such as 2026-01-31T00:00:00Z`);
  }
  return time;
}
