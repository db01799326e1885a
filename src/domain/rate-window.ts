/** Rate limits count in fixed windows that start at multiples of their length, in UTC. */
import type { RateLimit } from "./profile.ts";

/** Where a token stands in the current window. */
export interface RateStatus {
  /** Units in a window. */
  readonly limit: number;
  /** Units left in this window. */
  readonly remaining: number;
  /** When the next window starts, in milliseconds since the epoch. */
  readonly resetMs: number;
}

/** When the window that holds this moment started, in milliseconds since the epoch. */
export function windowStartMs({ windowMs }: RateLimit, nowMs: number): number {
  return nowMs - (nowMs % windowMs);
}

/** Whole seconds until the next window, at least 1: what `Retry-After` says. */
export function retryAfterSeconds({ resetMs }: RateStatus, nowMs: number): number {
  return Math.max(1, Math.ceil((resetMs - nowMs) / 1000));
}
