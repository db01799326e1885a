/** Checks what a database file holds, beside a service that may be running, and changes nothing. */
import Database from "better-sqlite3";
import { toPublicId } from "../../domain/ids.ts";
import { StartError } from "../../domain/start-error.ts";
import { openFileToRead } from "./connection.ts";
import { toReadError } from "./errors.ts";
import { buildSchema, readSchemaState } from "./migrations.ts";

export interface Check {
  readonly name: string;
  /** What was looked at. */
  readonly found: string;
  /** What is wrong, a line each; none when all is well. */
  readonly faults: readonly string[];
}

export interface DatabaseReport {
  /** Of the last change; undefined when that can't be read. */
  readonly revision: number | undefined;
  /** Ends with the first check that could not be made. */
  readonly checks: readonly Check[];
  /** Whether there is an audit log that can be verified; older schemas have none. */
  readonly hasAuditLog: boolean;
}

/** So many say what is wrong, and more would hide it. */
const MAX_FAULTS = 20;

type Find = (connection: Database.Database, file: string) => Omit<Check, "name">;

/**
 * Checks one state of the database: the schema, every page and index, every reference, and that each token is
 * as its events left it. Reads the whole file; writes go on meanwhile.
 *
 * @param name what the file is called in faults, if not by its path
 * @throws StartError for a file that can't be opened
 */
export function checkDatabase(path: string, name = path): DatabaseReport {
  let connection: Database.Database;
  try {
    connection = openFileToRead(path);
  } catch (error) {
    throw toReadError(name, error);
  }
  const checks: Check[] = [];
  try {
    connection.exec("BEGIN");
    for (const [check, find] of Object.entries(CHECKS)) {
      const { found, faults } = find(connection, name);
      const more = faults.length > MAX_FAULTS ? ["and more"] : [];
      checks.push({ name: check, found, faults: [...faults.slice(0, MAX_FAULTS), ...more] });
    }
    const revision = connection.prepare<[], number>("SELECT value FROM revision").pluck().get();
    return { revision, checks, hasAuditLog: hasEvents(connection) };
  } catch (error) {
    const check = Object.keys(CHECKS)[checks.length] ?? "revision";
    const failed = { name: check, found: "", faults: [toReadError(name, error).message] };
    return { revision: undefined, checks: [...checks, failed], hasAuditLog: false };
  } finally {
    connection.close();
  }
}

const CHECKS: Readonly<Record<string, Find>> = {
  schema(connection, file) {
    const { version, missing } = readSchemaState(connection, file);
    if (version === 0) throw new StartError(`${file} is empty`);
    const newest = missing.length === 0 ? "" : `, ${version + missing.length} is the newest`;
    const { faults, additions } = compareSchema(connection, version);
    const besides = additions.length === 0 ? "" : `; not Latchkey's: ${additions.join(", ")}`;
    return { found: `version ${version}${newest}${besides}`, faults };
  },

  pages(connection) {
    const pages = connection.pragma("page_count", { simple: true }) as number;
    const messages = connection.pragma(`integrity_check(${MAX_FAULTS + 1})`) as { integrity_check: string }[];
    const faults = messages.map(({ integrity_check: message }) => message).filter((message) => message !== "ok");
    return { found: `${pages} pages with their indexes`, faults };
  },

  references(connection) {
    const rows = connection.pragma("foreign_key_check") as { table: string; rowid: number | null; parent: string }[];
    const faults = rows.map(
      ({ table, rowid, parent }) => `${table}${rowid === null ? "" : `, row ${rowid}`}: refers to no row of ${parent}`,
    );
    return { found: "between all tables", faults };
  },

  tokens(connection) {
    const count = connection.prepare<[], number>("SELECT count(*) FROM tokens").pluck().get();
    if (!hasEvents(connection)) return { found: `${count}, from before the audit log`, faults: [] };
    connection.function("public_token_id", { deterministic: true }, (id) => toPublicId("tok", String(id)));
    const faults = connection.prepare<[], { token: string; fault: string }>(TOKENS_UNLIKE_THEIR_EVENTS).all();
    return {
      found: `${count}, each as its events left it`,
      faults: faults.map(({ token, fault }) => `${token}: ${fault}`),
    };
  },
};

/** A token from before the audit log has no events, and a revision below that of the first event. */
const TOKENS_UNLIKE_THEIR_EVENTS = `
  WITH
    told AS MATERIALIZED (
      SELECT
        target AS token,
        max(revision) AS revision,
        max(action IN ('token.issued', 'token.imported')) AS is_made,
        max(action = 'token.purged') AS is_purged,
        max(CASE action WHEN 'token.revoked' THEN at END) AS revoked_at
      FROM events
      WHERE action GLOB 'token.*'
      GROUP BY target
    ),
    kept AS MATERIALIZED (SELECT public_token_id(id) AS token, revision, revoked_at FROM tokens)
  SELECT
    kept.token,
    'has revision ' || kept.revision || ', and its last event ' || coalesce(told.revision, 'none') AS fault
  FROM kept LEFT JOIN told USING (token)
  WHERE CASE
    WHEN told.token IS NULL THEN kept.revision >= (SELECT min(revision) FROM events)
    ELSE kept.revision <> told.revision
  END
  UNION ALL
  SELECT kept.token, iif(kept.revoked_at IS NULL, 'was revoked, and is not', 'is revoked, and its events say otherwise')
  FROM kept JOIN told USING (token)
  WHERE kept.revoked_at IS NOT told.revoked_at AND (told.is_made OR told.revoked_at IS NOT NULL)
  UNION ALL
  SELECT told.token, 'was issued, and is gone'
  FROM told
  WHERE told.is_made AND NOT told.is_purged AND told.token NOT IN (SELECT token FROM kept)
  LIMIT ${MAX_FAULTS + 1}
`;

/** Holds the schema against what its steps make. Whatever was added is no fault, unless it acts by itself. */
function compareSchema(connection: Database.Database, version: number) {
  const model = new Database(":memory:");
  try {
    buildSchema(model, version);
    const [expected, actual] = [schemaObjects(model), schemaObjects(connection)];
    const missing = expected.keys().filter((name) => !actual.has(name));
    const changed = expected.keys().filter((name) => actual.has(name) && actual.get(name) !== expected.get(name));
    const added = [...actual.keys()].filter((name) => !expected.has(name));
    const isTrigger = (name: string): boolean => name.startsWith("trigger ");
    return {
      faults: [
        ...missing.map((name) => `the ${name} is missing`),
        ...changed.map((name) => `the ${name} was changed`),
        ...added.filter(isTrigger).map((name) => `the ${name} isn't Latchkey's`),
      ],
      additions: added.filter((name) => !isTrigger(name)),
    };
  } finally {
    model.close();
  }
}

/** What each object was made with, by its kind and name. */
function schemaObjects(connection: Database.Database): ReadonlyMap<string, string> {
  const rows = connection
    .prepare<[], { type: string; name: string; sql: string }>(
      "SELECT type, name, sql FROM sqlite_schema WHERE name NOT GLOB 'sqlite_*'",
    )
    .all();
  return new Map(rows.map(({ type, name, sql }) => [`${type} ${name}`, sql.replaceAll(/\s+/g, " ")]));
}

function hasEvents(connection: Database.Database): boolean {
  const tables = connection.prepare<[], number>("SELECT count(*) FROM sqlite_schema WHERE name = 'events'").pluck();
  return tables.get() !== 0;
}
