/** Columns, times, states and counts for people. */
import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { TokenState } from "../../gen/latchkey/v1/token_pb.ts";

/** Prints rows under a header, each column as wide as its widest cell. */
export function printTable(header: readonly string[], rows: readonly (readonly string[])[]): void {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  for (const row of all) {
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    );
  }
}

export type Fact = readonly [name: string, fact: string];

/** Prints one thing, a line for each of its facts but the empty ones. */
export function printFacts(facts: readonly Fact[]): void {
  const width = Math.max(...facts.map(([name]) => name.length));
  for (const [name, fact] of facts) if (fact !== "") console.log(`${name.padEnd(width)}  ${fact}`);
}

/** A time to the second, in UTC; empty for none. */
export function formatTime(timestamp: Timestamp | undefined): string {
  return timestamp === undefined ? "" : `${timestampDate(timestamp).toISOString().slice(0, 19)}Z`;
}

const STATE_NAMES = new Map<TokenState, string>(
  Object.entries(TokenState).map(([name, state]) => [state, name.toLowerCase()]),
);

/** The name of a token's state; empty for one that isn't known here. */
export function formatState(state: TokenState): string {
  return STATE_NAMES.get(state) ?? "";
}

/** `1 token`, `2 tokens`. */
export function tokenCount(count: number): string {
  return count === 1 ? "1 token" : `${count} tokens`;
}
