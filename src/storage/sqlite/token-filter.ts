/** A `TokenFilter` in SQL, for reads and writes alike. */
import type { TokenFilter } from "../../domain/storage.ts";
import { toMillis } from "./rows.ts";

export interface TokenFilterParameters {
  readonly type: string | null;
  /** UTF-8. */
  readonly namePrefix: Uint8Array | null;
  readonly createdBy: string | null;
  readonly userId: string | null;
  readonly unusedSince: number | null;
}

/** Holds for a row of `tokens` that matches. Bytes are compared, for SQLite's length of a text ends at U+0000. */
export const MATCHES_FILTER = `
  (@type IS NULL OR type = @type)
  AND (@namePrefix IS NULL OR substr(CAST(name AS BLOB), 1, length(@namePrefix)) = @namePrefix)
  AND (@createdBy IS NULL OR created_by = @createdBy)
  AND (@userId IS NULL OR user_id = @userId)
  AND (@unusedSince IS NULL OR coalesce(last_used_at, created_at) < @unusedSince)
`;

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
