/**
 * Caps `grpc-timeout` before grpc-js reads it. It parses the header with `| 0` and hands the result to
 * a timer, so that a client which asks for a very long time gets a random or negative one, and its call
 * fails at once. There is no public hook before that, so a method of its call class is wrapped.
 */
import { BaseServerInterceptingCall } from "@grpc/grpc-js/build/src/server-interceptors.js";

/** Far longer than a connection lives, and far below the 2³¹ ms where the wrapping starts. */
const LONGEST = { text: "24H", ms: 86_400_000 };

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 };

/** Milliseconds that `grpc-timeout` gives a call; undefined when it isn't one. */
export function readTimeout(header: string): number | undefined {
  const [, count, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(header) ?? [];
  return count === undefined ? undefined : Number(count) * (UNIT_MS[unit] ?? 0);
}

interface TimeoutReader {
  handleTimeoutHeader?: (this: unknown, header: string) => void;
}

let isCapped = false;

/** Takes effect in the whole process, once. How long a unary call may really take is the pipeline's to say. */
export function capTimeoutHeaders(): void {
  if (isCapped) return;
  const reader = BaseServerInterceptingCall.prototype as unknown as TimeoutReader;
  const original = reader.handleTimeoutHeader;
  if (original === undefined) throw new Error("grpc-js no longer reads grpc-timeout where it is capped");
  reader.handleTimeoutHeader = function (header) {
    original.call(this, capped(header));
  };
  isCapped = true;
}

function capped(header: string): string {
  const [, count, unit = ""] = /(\d{1,8})\s*([HMS])/.exec(header) ?? [];
  return Number(count) * (UNIT_MS[unit] ?? 0) > LONGEST.ms ? LONGEST.text : header;
}
