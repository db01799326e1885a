/**
 * What is done on a database where no service has to run, whatever its engine is. All throw a StartError. What
 * PostgreSQL needs is loaded where it is used.
 */

import type { AuditEvent, Change } from "../domain/audit.ts";
import type { PostgresSettings } from "../domain/postgres-settings.ts";
import type { SchemaState } from "./schema-state.ts";
import * as sqliteLog from "./sqlite/audit-log.ts";
import * as sqlitePurge from "./sqlite/token-purge.ts";
import * as sqliteUpgrade from "./sqlite/upgrade.ts";

export interface DatabasePlace {
  /** Of a SQLite database. */
  readonly databasePath: string;
  /** Undefined for a SQLite database. */
  readonly postgres: PostgresSettings | undefined;
}

/** The log as it was when it was opened. */
export interface AuditLog extends AsyncDisposable {
  /** The number of the store's last change. With events, it is that of the last one. */
  readonly revision: number;
  /** By ascending revision. Can be read once. */
  events(): Iterable<AuditEvent> | AsyncIterable<AuditEvent>;
}

/** Reads an audit log, beside services that may be running, and changes nothing. */
export async function openAuditLog({ databasePath, postgres }: DatabasePlace): Promise<AuditLog> {
  if (postgres !== undefined) return (await import("./postgres/audit-log.ts")).openAuditLog(postgres);
  const log = sqliteLog.openAuditLog(databasePath);
  return {
    revision: log.revision,
    events: () => log.events(),
    [Symbol.asyncDispose]: async () => log[Symbol.dispose](),
  };
}

export interface TokenPurge extends AsyncDisposable {
  /** How many tokens `purge` would delete. */
  count(endedBefore: Date, now: Date): Promise<number>;
  /** `Storage.purgeTokens`, as one transaction. */
  purge(endedBefore: Date, limit: number, change: Change): Promise<number>;
}

/** Purges tokens, beside services that may be running. */
export async function openTokenPurge({ databasePath, postgres }: DatabasePlace): Promise<TokenPurge> {
  if (postgres !== undefined) return (await import("./postgres/token-purge.ts")).openTokenPurge(postgres);
  const tokens = sqlitePurge.openTokenPurge(databasePath);
  return {
    count: async (endedBefore, now) => tokens.count(endedBefore, now),
    purge: async (endedBefore, limit, change) => tokens.purge(endedBefore, limit, change),
    [Symbol.asyncDispose]: async () => tokens[Symbol.dispose](),
  };
}

/** Reads where the schema stands, also beside a running service, and changes nothing. */
export async function planUpgrade({ databasePath, postgres }: DatabasePlace): Promise<SchemaState> {
  if (postgres !== undefined) return (await import("./postgres/upgrade.ts")).planUpgrade(postgres);
  return sqliteUpgrade.planUpgrade(databasePath);
}

/** Takes all steps that are missing, as one write, and answers where the schema stood before. */
export async function upgradeDatabase({ databasePath, postgres }: DatabasePlace): Promise<SchemaState> {
  if (postgres !== undefined) return (await import("./postgres/upgrade.ts")).upgradeDatabase(postgres);
  return sqliteUpgrade.upgradeDatabase(databasePath);
}
