/** Looks into a database, beside services that may be running, for anything that isn't whole. */
import Database from "better-sqlite3";
import { verifyAuditLog } from "../src/cli/audit-verify.ts";
import { toPublicId } from "../src/domain/ids.ts";
import { Finding } from "../test/helpers/deployment.ts";
import { connectTo, postgresSettings } from "../test/helpers/postgres.ts";
import { expectNone } from "./trial.ts";

export interface Inspection {
  readonly tokens: number;
  readonly events: number;
}

const TOKENS = "SELECT id, CASE WHEN revoked_at IS NULL THEN 0 ELSE 1 END AS revoked FROM tokens";
const HISTORIES =
  "SELECT action || ' ' || target AS what FROM events WHERE action IN ('token.issued', 'token.revoked')";
const EVENTS = "SELECT count(*) AS count FROM events";
const REPEATED_NAMES = "SELECT name FROM tokens GROUP BY name HAVING count(*) > 1";

/** What the database holds at one moment. */
interface Contents {
  readonly tokens: readonly { readonly id: string; readonly revoked: number }[];
  readonly histories: readonly { readonly what: string }[];
  readonly events: readonly { readonly count: number | string }[];
}

/**
 * @throws Finding when the file is damaged, a chain is broken, or a token has another history in the log than in
 *   its row: one event of its issue, and one of its revoke if it is revoked
 */
export async function inspect(path: string): Promise<Inspection> {
  using database = open(path);
  const { connection } = database;
  const problems = connection.prepare<[], string>("PRAGMA integrity_check").pluck().all();
  expectNone(
    "faults of the file",
    problems.filter((line) => line !== "ok"),
  );
  expectNone(
    "dangling references",
    connection
      .prepare("PRAGMA foreign_key_check")
      .all()
      .map((row) => JSON.stringify(row)),
  );
  connection.exec("BEGIN");
  const all = (sql: string): unknown[] => connection.prepare(sql).all();
  const contents = { tokens: all(TOKENS), histories: all(HISTORIES), events: all(EVENTS) } as unknown as Contents;
  connection.exec("COMMIT");
  const inspection = judge(contents);
  expectWhole(await verifyAuditLog(path));
  return inspection;
}

/**
 * The same of a PostgreSQL database, but for the files, which are the server's.
 *
 * @throws Finding as `inspect` does, and when two tokens have one name
 */
export async function inspectPostgres(url: string): Promise<Inspection> {
  await using database = await connectTo(url);
  const all = async (sql: string): Promise<unknown[]> => (await database.client.query<object>(sql)).rows;
  await database.client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  const contents = {
    tokens: await all(TOKENS),
    histories: await all(HISTORIES),
    events: await all(EVENTS),
  } as unknown as Contents;
  const repeated = (await all(REPEATED_NAMES)) as { name: string }[];
  await database.client.query("COMMIT");
  const inspection = judge(contents);
  expectNone(
    "names that two tokens have",
    repeated.map(({ name }) => name),
  );
  expectWhole(await verifyAuditLog({ databasePath: "", postgres: postgresSettings(url) }));
  return inspection;
}

function judge({ tokens, histories, events }: Contents): Inspection {
  const expected = tokens.flatMap(({ id, revoked }) => {
    const target = toPublicId("tok", id);
    return [`token.issued ${target}`, ...(revoked === 1 ? [`token.revoked ${target}`] : [])];
  });
  const recorded = histories.map(({ what }) => what);
  expectNone("changes without their event", Array.from(new Set(expected).difference(new Set(recorded))));
  expectNone("events without their change", Array.from(new Set(recorded).difference(new Set(expected))));
  if (recorded.length !== expected.length) throw new Finding("a change has two events");
  return { tokens: tokens.length, events: Number(events[0]?.count) };
}

function expectWhole({ fault }: { readonly fault: string | undefined }): void {
  if (fault !== undefined) throw new Finding(`the audit log is broken: ${fault}`);
}

/** The names that more than one token has. */
export function repeatedNames(path: string): readonly string[] {
  using database = open(path);
  return database.connection.prepare<[], string>(REPEATED_NAMES).pluck().all();
}

function open(path: string) {
  const connection = new Database(path, { readonly: true, fileMustExist: true });
  return { connection, [Symbol.dispose]: () => void connection.close() };
}
