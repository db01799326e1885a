/**
 * Uses of tokens in the form that their statements take. It goes to the writer thread as a few texts: to hand over
 * thousands of objects takes several times as long, and no introspection is answered meanwhile.
 */
import { setImmediate } from "node:timers/promises";
import type { Id } from "../domain/ids.ts";
import type { TokenUse } from "../domain/storage.ts";
import { toMillis } from "./rows.ts";

/** Each text is a JSON array of objects. */
export interface EncodedUses {
  /** The last use of each token, by whichever secret. */
  readonly last: string;
  /** The same of those by a former secret; undefined where there are none. */
  readonly former: string | undefined;
  /** How often each token was used on which day; undefined where no use was counted. */
  readonly counts: string | undefined;
}

/** Encoding so many takes less than half a millisecond, in which nothing else is answered. */
const IN_ONE_GO = 100;

/** Takes some at a time; calls are answered in between. */
export async function encodeUses(uses: readonly TokenUse[]): Promise<EncodedUses> {
  const former = uses.filter(({ secret }) => secret === "former");
  const counts: object[] = [];
  await inTurns(uses, ({ tokenId: id, daily }) => {
    for (const { day, uses: count } of daily) counts.push({ id, day, uses: count });
  });
  return {
    last: await toJson(await lastOf(uses)),
    former: former.length === 0 ? undefined : await toJson(await lastOf(former)),
    counts: counts.length === 0 ? undefined : await toJson(counts),
  };
}

/** The last use of each token, for a statement that changes each row once. */
async function lastOf(uses: readonly TokenUse[]): Promise<readonly object[]> {
  const last = new Map<Id, { readonly id: Id; readonly at: number; readonly address: string }>();
  await inTurns(uses, ({ tokenId: id, usedAt, address }) => {
    const at = toMillis(usedAt);
    if (at > (last.get(id)?.at ?? Number.NEGATIVE_INFINITY)) last.set(id, { id, at, address });
  });
  return Array.from(last.values());
}

async function toJson(rows: readonly object[]): Promise<string> {
  const texts: string[] = [];
  await inTurns(rows, (row) => texts.push(JSON.stringify(row)));
  return `[${texts.join()}]`;
}

async function inTurns<Item>(items: readonly Item[], visit: (item: Item) => void): Promise<void> {
  for (const [index, item] of items.entries()) {
    if (index > 0 && index % IN_ONE_GO === 0) await setImmediate();
    visit(item);
  }
}
