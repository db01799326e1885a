/** Which tables a copy of a database holds, and in which order they are copied. */

export interface CopiedTable {
  readonly name: string;
  /** Tells its rows apart and orders them the same way in every engine: SQL expressions, none of them ever NULL. */
  readonly key: readonly string[];
}

/** A table comes after those that its rows refer to. Columns come from the databases' own catalogs. */
export const COPIED_TABLES: readonly CopiedTable[] = [
  { name: "organizations", key: ["id"] },
  { name: "users", key: ["id"] },
  { name: "memberships", key: ["organization_id", "user_id"] },
  { name: "identities", key: ["issuer", "subject"] },
  { name: "tokens", key: ["id"] },
  { name: "former_secrets", key: ["fingerprint"] },
  { name: "last_uses", key: ["token_id"] },
  { name: "token_uses", key: ["token_id", "day"] },
  { name: "rate_windows", key: ["token_id", "window_start"] },
  { name: "sessions", key: ["id"] },
  { name: "refresh_tokens", key: ["fingerprint"] },
  { name: "signing_keys", key: ["id"] },
  { name: "import_keys", key: ["id"] },
  { name: "digest_schemes", key: ["algorithm", "coalesce(key_id, '')"] },
  { name: "invitations", key: ["id"] },
  { name: "password_links", key: ["fingerprint"] },
  { name: "recorded_calls", key: ["key_hash"] },
  { name: "events", key: ["revision"] },
  // Last: until then the target's own row says 0.
  { name: "revision", key: ['"only"'] },
];

/**
 * Not copied: each engine has its own steps, and the target was made with this program's. Columns that a database
 * computes from others aren't copied either.
 */
export const OWN_TABLES: readonly string[] = ["schema_migrations"];

/** Stands in a target until its copy is verified; a database that has it is refused by everything but the copy. */
export const UNFINISHED_TABLE = "unfinished_copy";

/** What everybody else is told of a target that has one. @param source the name of what it is to be a copy of */
export function unfinishedCopy(name: string, source: string | undefined): string {
  return (
    `${name} is an unfinished copy of ${source ?? "another database"}: ` +
    "run the same `latchkey copy` again, which goes on with it"
  );
}
