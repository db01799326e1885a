/**
 * Uses of tokens in the form that their statements take. It goes to the writer thread as a few texts: to hand over
 * thousands of objects takes several times as long, and no introspection is answered meanwhile.
 */
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

export function encodeUses(uses: readonly TokenUse[]): EncodedUses {
  const former = uses.filter(({ secret }) => secret === "former");
  const counts = uses.flatMap(({ tokenId: id, daily }) =>
    daily.map(({ day, uses: count }) => ({ id, day, uses: count })),
  );
  return {
    last: lastOf(uses),
    former: former.length === 0 ? undefined : lastOf(former),
    counts: counts.length === 0 ? undefined : JSON.stringify(counts),
  };
}

/** The last use of each token, for a statement that changes each row once. */
function lastOf(uses: readonly TokenUse[]): string {
  const last = new Map<Id, { readonly id: Id; readonly at: number; readonly address: string }>();
  for (const { tokenId: id, usedAt, address } of uses) {
    const at = toMillis(usedAt);
    if (at > (last.get(id)?.at ?? Number.NEGATIVE_INFINITY)) last.set(id, { id, at, address });
  }
  return JSON.stringify(Array.from(last.values()));
}
