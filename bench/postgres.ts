/**
 * `npm run bench -- postgres`: what a check of a token in memory costs on PostgreSQL, next to one on SQLite in the same
 * run, and how little the database sees of it: the server logs every statement, and they are counted there.
 */
import { setTimeout } from "node:timers/promises";
import { execute } from "../test/helpers/postgres.ts";
import { PostgresCluster } from "../test/helpers/postgres-cluster.ts";
import { startLoad } from "./load.ts";
import { type Outcome, ratio, tableOf } from "./measurement.ts";
import { callsOf, introspects, issueTokens } from "./questions.ts";
import { type ServiceUnderTest, startService } from "./server-process.ts";
import { measureInTurns } from "./subjects.ts";

const UNARY = "IntrospectionService/Introspect";
const PER = 100_000;

/** The last uses are written no later than this after they were made. */
const USES_WRITTEN_MS = 5_000;

export async function benchPostgres(isShort: boolean): Promise<Outcome> {
  // A turn is longer than uses wait to be written, so that what that costs is in it.
  const size = isShort ? { rounds: 3, calls: 20_000, tokens: 2_000 } : { rounds: 9, calls: 160_000, tokens: 10_000 };
  await using resources = new AsyncDisposableStack();
  const statements = new StatementCount();
  const cluster = resources.use(await PostgresCluster.start(["log_statement=all"], (text) => statements.read(text)));
  await execute(`${cluster.url}/postgres`, "CREATE DATABASE latchkey");
  const onSqlite = resources.use(await startService());
  const onPostgres = resources.use(await startService({ LATCHKEY_DATABASE_URL: `${cluster.url}/latchkey` }));
  const load = resources.use(await startLoad());
  const jobAt = async (server: ServiceUnderTest) => {
    const secrets = (await issueTokens(server, size.tokens)).map(({ secret }) => secret);
    return callsOf(server, UNARY, introspects(secrets), size.calls);
  };
  const job = await jobAt(onPostgres);
  const [sqlite, postgres] = await measureInTurns(
    load,
    [
      { name: "on SQLite", server: onSqlite, checks: 1, job: await jobAt(onSqlite) },
      { name: "on PostgreSQL", server: onPostgres, checks: 1, job },
    ],
    size.rounds,
  );
  if (sqlite === undefined || postgres === undefined) throw new Error("nothing was measured");

  // What earlier turns have left to write isn't of this one.
  await setTimeout(USES_WRITTEN_MS);
  const before = statements.count;
  const { requests, seconds } = await load.run({ ...job, requests: PER });
  await setTimeout(USES_WRITTEN_MS);
  const seen = statements.count - before;
  return {
    tables: [
      tableOf(`A check of one of ${size.tokens.toLocaleString("en")} tokens in memory`, [sqlite, postgres], {
        "× SQLite": sqlite,
      }),
      {
        title: `What PostgreSQL sees of ${PER.toLocaleString("en")} checks of tokens in memory`,
        headings: ["checks/s", "statements"],
        rows: [[(requests / seconds).toFixed(0), seen.toFixed(0)]],
      },
    ],
    figures: { postgres: ratio(postgres, sqlite), postgresStatements: seen },
  };
}

/** Counts statements in a server's log. */
class StatementCount {
  count = 0;
  #rest = "";

  read(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    // Further lines of a statement begin with a tab.
    for (const line of lines) if (/^\d.*LOG: {2}(?:statement|execute [^:]*):/.test(line)) this.count++;
  }
}
