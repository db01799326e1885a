/** A `TokenFilter` in SQL, for reads and writes alike. */
import type { TokenFilter } from "../domain/storage.ts";
import { LAST_USED_AT, toMillis } from "./rows.ts";
import type { Dialect } from "./statement.ts";

export interface TokenFilterParameters {
  readonly type: string | null;
  /** UTF-8. */
  readonly namePrefix: Uint8Array | null;
  readonly createdBy: string | null;
  readonly userId: string | null;
  readonly unusedSince: number | null;
}

/** Holds for a row of `tokens` that matches. */
export function matchesFilter({ startsWith }: Dialect): string {
  return `
    (CAST(@type AS TEXT) IS NULL OR type = @type)
    AND ${startsWith("name", "@namePrefix")}
    AND (CAST(@createdBy AS TEXT) IS NULL OR created_by = @createdBy)
    AND (CAST(@userId AS TEXT) IS NULL OR user_id = @userId)
    AND (CAST(@unusedSince AS BIGINT) IS NULL OR coalesce(${LAST_USED_AT}, created_at) < @unusedSince)
  `;
}

export function filterParameters(filter: TokenFilter): TokenFilterParameters {
  const { type, namePrefix, createdBy, userId, unusedSince } = filter;
  return {
    type: type ?? null,
    // Every name starts with nothing, but for SQLite the start of an empty one is NULL.
    namePrefix: namePrefix ? Buffer.from(namePrefix) : null,
    createdBy: createdBy ?? null,
    userId: userId ?? null,
    unusedSince: unusedSince === undefined ? null : toMillis(unusedSince),
  };
}
