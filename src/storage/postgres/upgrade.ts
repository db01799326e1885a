/** Brings a database to the newest schema, or says what that would do. */
import type { PostgresSettings } from "../../domain/postgres-settings.ts";
import type { SchemaState } from "../schema-state.ts";
import { toStartError } from "./connection.ts";
import { migrate, readSchemaState } from "./migrations.ts";

/** Reads where the schema stands, and changes nothing. Throws a StartError as `migrate` does. */
export async function planUpgrade(settings: PostgresSettings): Promise<SchemaState> {
  return readSchemaState(settings).catch((error: unknown) => Promise.reject(toStartError(settings, error)));
}

/** Takes all steps that are missing, as one write, and answers where the schema stood before. */
export async function upgradeDatabase(settings: PostgresSettings): Promise<SchemaState> {
  return migrate(settings).catch((error: unknown) => Promise.reject(toStartError(settings, error)));
}
