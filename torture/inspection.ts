/** Looks into a database file, beside a service that may be running, for anything that isn't whole. */
import Database from "better-sqlite3";
import { verifyAuditLog } from "../src/cli/audit-verify.ts";
import { toPublicId } from "../src/domain/ids.ts";
import { Finding } from "../test/helpers/deployment.ts";
import { expectNone } from "./trial.ts";

export interface Inspection {
  readonly tokens: number;
  readonly events: number;
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

  // One transaction, so that rows and events are of one moment.
  connection.exec("BEGIN");
  const expected = connection
    .prepare<[], { id: string; revoked: number }>("SELECT id, revoked_at IS NOT NULL AS revoked FROM tokens")
    .all()
    .flatMap(({ id, revoked }) => {
      const target = toPublicId("tok", id);
      return [`token.issued ${target}`, ...(revoked === 1 ? [`token.revoked ${target}`] : [])];
    });
  const recorded = connection
    .prepare<[], string>("SELECT action || ' ' || target FROM events WHERE action IN ('token.issued', 'token.revoked')")
    .pluck()
    .all();
  const events = connection.prepare<[], number>("SELECT count(*) FROM events").pluck().get() ?? 0;
  const tokens = connection.prepare<[], number>("SELECT count(*) FROM tokens").pluck().get() ?? 0;
  connection.exec("COMMIT");
  expectNone("changes without their event", Array.from(new Set(expected).difference(new Set(recorded))));
  expectNone("events without their change", Array.from(new Set(recorded).difference(new Set(expected))));
  if (recorded.length !== expected.length) throw new Finding("a change has two events");

  const { fault } = await verifyAuditLog(path);
  if (fault !== undefined) throw new Finding(`the audit log is broken: ${fault}`);
  return { tokens, events };
}

/** The names that more than one token has. */
export function repeatedNames(path: string): readonly string[] {
  using database = open(path);
  return database.connection
    .prepare<[], string>("SELECT name FROM tokens GROUP BY name HAVING count(*) > 1")
    .pluck()
    .all();
}

function open(path: string) {
  const connection = new Database(path, { readonly: true, fileMustExist: true });
  return { connection, [Symbol.dispose]: () => void connection.close() };
}
