/** Moments as somebody types them: what is no moment is refused, for what they choose can't be undone. */
import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/cli/command.ts";
import { parseMoment } from "../../src/cli/moment.ts";

const NOW = Date.parse("2026-03-04T05:06:07.890Z");

describe("a moment", () => {
  it.each([
    ["0d", "2026-03-04T05:06:07.890Z"],
    ["1d", "2026-03-03T05:06:07.890Z"],
    ["400d", "2025-01-28T05:06:07.890Z"],
    ["36h", "2026-03-02T17:06:07.890Z"],
    ["2026-02-28", "2026-02-28T00:00:00.000Z"],
    ["2026-02-28T12:30:00Z", "2026-02-28T12:30:00.000Z"],
    ["2026-02-28T12:30:00+02:00", "2026-02-28T10:30:00.000Z"],
    ["2024-02-29T00:30:00.5+01:00", "2024-02-28T23:30:00.500Z"],
  ])("is %s", (text, expected) => {
    expect(parseMoment("--since", text, NOW).toISOString()).toBe(expected);
  });

  it.each([
    "",
    "soon",
    "90",
    "2026",
    "-1d",
    "1.5d",
    "1w",
    "9999999d",
    "d",
    "1d ",
    "2026-02",
    "2026-02-31",
    "2026-02-29T12:00:00Z",
    "2026-13-01",
    "2026-02-28T25:00:00Z",
    "2026-02-28x",
    "28.02.2026",
    "Feb 28, 2026",
  ])("is not %j", (text) => {
    expect(() => parseMoment("--since", text, NOW)).toThrow(
      new UsageError("--since must be an age such as 90d, or a time such as 2026-01-31T00:00:00Z"),
    );
  });
});
