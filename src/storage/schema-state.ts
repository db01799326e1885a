/** Where a database's schema stands, told from the steps that it records. */
import { hash } from "node:crypto";
import { StartError } from "../domain/start-error.ts";

/** One step of the schema. */
export interface Migration {
  readonly name: string;
  readonly sql: string;
}

export interface SchemaState {
  /** How many steps it has had. */
  readonly version: number;
  /** Those that it lacks, in their order. */
  readonly missing: readonly Migration[];
}

export interface AppliedMigration {
  readonly version: number;
  readonly name: string;
  readonly checksum: string;
}

export function checksumOf({ sql }: Migration): string {
  return hash("sha256", sql);
}

/**
 * @param name of the database, for people
 * @throws StartError for steps that this program doesn't know, or knows otherwise
 */
export function stateOf(
  applied: readonly AppliedMigration[],
  name: string,
  migrations: readonly Migration[],
): SchemaState {
  const version = applied.at(-1)?.version ?? 0;
  if (version > migrations.length) {
    throw new StartError(
      `${name} was written by a newer Latchkey (schema ${version}, this one knows ${migrations.length}): ` +
        "install that version or newer",
    );
  }
  for (const [index, before] of applied.entries()) {
    const migration = migrations[index];
    if (before.version !== index + 1 || migration === undefined || before.checksum !== checksumOf(migration)) {
      throw new StartError(
        `${name} has a schema that this Latchkey didn't write (step ${before.version}, ${before.name}, differs): ` +
          "restore a backup, or install the version that wrote it",
      );
    }
  }
  return { version, missing: migrations.slice(version) };
}
