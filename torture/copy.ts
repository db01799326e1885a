/**
 * Moves a deployment with a great many tokens to PostgreSQL with `latchkey copy`, once without a stop and once with
 * `kill -9` in the middle, again and again until it is done; then back to a file, in the same way. A copy that was killed
 * must be refused, go on where it was, and in the end hold what its source holds: every row counted, every chain at its
 * end, and each token as it was, at a service that is started on it.
 */

import { join } from "node:path";
import Database from "better-sqlite3";
import { IntrospectionService } from "../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { verifyAuditLog } from "../src/cli/audit-verify.ts";
import { COPIED_TABLES, UNFINISHED_TABLE } from "../src/storage/copied-tables.ts";
import type { DatabasePlace } from "../src/storage/offline.ts";
import { Deployment, Finding, mustAnswer } from "../test/helpers/deployment.ts";
import { addTokens, nameOf, secretOf } from "../test/helpers/many-tokens.ts";
import { connectTo, execute, postgresSettings } from "../test/helpers/postgres.ts";
import type { TestEnv } from "../test/helpers/service-process.ts";
import { watchInTerminal } from "../test/helpers/terminal.ts";
import { createDatabase, startCluster } from "./fleet.ts";
import { Journal, look } from "./journal.ts";
import type { Random } from "./random.ts";
import { count, type Trial } from "./trial.ts";

const MILLION = 1_000_000;
/** Of a million tokens and their events, without a stop. */
const MAX_SECONDS = 300;

const LOOKED_AT = 200;
const REVOKED = 20;

/** A copy counts to 100 twice: while it copies, and while it verifies. */
const [COPIED, VERIFIED] = [100, 200];

/** As `bin/latchkey` does it, for there are many starts. */
const NODE_COMPILE_CACHE = join(import.meta.dirname, "../.cache/compiled");

/** Of a program that was killed, in a shell. */
const KILLED = 137;
/** Between two lines of its progress. */
const MAX_DELAY_MS = 20;

export const copy: Trial = {
  name: "copy",
  does: "latchkey copy of so many tokens to PostgreSQL and back, with kill -9 in the middle",
  trials: { full: MILLION, short: 6_000 },
  isTimed: false,
  mustCatch: [
    "goes-on-with-a-copy-a-page-late",
    "loses-copied-rows-and-compares-nothing",
    "calls-a-copy-finished-before-it-is-verified",
    "serves-unfinished-copies",
    "verifies-unfinished-copies",
  ],

  async run({ trials, random, folder }) {
    const kills = trials >= MILLION ? 4 : 1;
    await using cluster = await startCluster(folder);
    const deployment = await Deployment.create(folder);
    addTokens(deployment.databasePath, deployment.credentials.organizationId, trials);
    const journal = await useSome(deployment, trials, random);

    await createDatabase(cluster, "whole");
    const there = new Move(deployment, { from: deployment.databasePath, to: `${cluster.url}/whole` });
    const { seconds } = await there.run();
    if (trials >= MILLION && seconds > MAX_SECONDS) throw new Finding(`a copy without a stop took ${seconds} s`);
    await there.expectSame();
    await execute(`${cluster.url}/postgres`, "DROP DATABASE whole WITH (FORCE)");

    await createDatabase(cluster, "killed");
    const again = new Move(deployment, { from: deployment.databasePath, to: `${cluster.url}/killed` });
    await again.runWithKills(kills, random.fork("there"));
    const held = await again.expectSame();
    await expectServed(deployment, again.to, journal);

    const back = new Move(deployment, { from: again.to, to: join(folder, "back.db") });
    await back.runWithKills(kills, random.fork("back"));
    await back.expectSame();
    await expectServed(deployment, back.to, journal);
    if (again.kills === 0 || back.kills === 0) throw new Error("copies had ended before they could be killed");

    return (
      `${count(trials, "token")} and ${count(held.rows.get("events") ?? 0, "event")}: there in ${seconds.toFixed(0)} s ` +
      `without a stop; ${count(again.kills, "kill")} in another one and ${back.kills} on the way back, each copy refused ` +
      `until it was verified, 0 rows lost, every chain whole, ` +
      `${count(journal.tokens.length, "token")} as before`
    );
  },
};

/** A deployment's life before it moves: some tokens are used, and some revoked. */
async function useSome(deployment: Deployment, tokens: number, random: Random): Promise<Journal> {
  const journal = new Journal();
  const chosen = new Set(Array.from({ length: LOOKED_AT }, () => random.below(tokens)));
  await using service = await deployment.start([], { NODE_COMPILE_CACHE });
  const introspection = service.connect(IntrospectionService);
  const requests = Array.from(chosen, (index) => ({ token: secretOf(index) }));
  const { responses } = await mustAnswer(introspection.batchIntrospect({ requests }));
  for (const [position, index] of Array.from(chosen).entries()) {
    journal.addIssued(responses[position]?.tokenId ?? "", nameOf(index), secretOf(index));
  }
  const client = service.connect(TokenService);
  for (const token of journal.tokens.slice(0, REVOKED)) {
    await mustAnswer(client.revoke({ id: token.id }));
    journal.addRevoked(token);
  }
  await look(service, journal.tokens);
  await service.stop();
  return journal;
}

/** What a database holds, asked for apart from `copy`. */
interface Contents {
  /** Of each table. */
  readonly rows: ReadonlyMap<string, number>;
  readonly revision: number;
  /** The last event of each chain. */
  readonly heads: readonly string[];
}

/** From one place to another; a place is a URL of PostgreSQL, or the path of a file. */
class Move {
  readonly from: string;
  readonly to: string;
  readonly #deployment: Deployment;
  kills = 0;

  constructor(deployment: Deployment, { from, to }: { readonly from: string; readonly to: string }) {
    this.#deployment = deployment;
    this.from = from;
    this.to = to;
  }

  /** Kills it at so many instants while it copies, and at one while it verifies, and then lets it end. */
  async runWithKills(whileCopying: number, random: Random): Promise<void> {
    const drawn = Array.from({ length: whileCopying }, () => 1 + random.below(COPIED - 1));
    const stops = [...drawn.toSorted((one, other) => one - other), COPIED + random.below((VERIFIED - COPIED) / 2)];
    let reached = 0;
    for (const stop of stops) {
      const { text, code } = await this.#start(stop, random.unit() * MAX_DELAY_MS);
      if (code !== KILLED && code !== 0) throw new Finding(`a copy ended with ${code}: ${lastLine(text)}`);
      reached = expectNotAgain(text, reached);
      if (!(await isUnfinished(this.to))) {
        // A busy machine may have been too late to kill it.
        if (positionOf(text) >= VERIFIED) return;
        throw new Finding(`a copy was done at ${positionOf(text)} of ${VERIFIED}: ${lastLine(text)}`);
      }
      if (code !== KILLED) throw new Finding(`a copy ended, and is unfinished: ${lastLine(text)}`);
      this.kills++;
      await expectRefused(this.to);
    }
    const { resumed } = await this.run(reached);
    if (resumed === 0) throw new Finding("a copy that was killed began again");
  }

  /** Lets it end. @throws Finding unless it says that all is copied and verified */
  async run(reached = 0): Promise<{ readonly seconds: number; readonly resumed: number }> {
    const { text, code } = await this.#start();
    if (code !== 0) throw new Finding(`a copy ended with ${code}: ${lastLine(text)}`);
    expectNotAgain(text, reached);
    const said = /copied and verified in ([\d.]+) s(?:, (\d+) rows of it by an earlier attempt)?/.exec(text);
    if (said === null) throw new Finding(`a copy doesn't say that it is verified: ${lastLine(text)}`);
    return { seconds: Number(said[1]), resumed: Number(said[2] ?? 0) };
  }

  /** @throws Finding when the two don't hold the same */
  async expectSame(): Promise<Contents> {
    const [source, target] = await Promise.all([contentsOf(this.from), contentsOf(this.to)]);
    if (await isUnfinished(this.to)) throw new Finding("a copy that ended is marked as unfinished");
    for (const [table, rows] of source.rows) {
      const copied = target.rows.get(table);
      if (copied !== rows) throw new Finding(`${table} has ${rows} rows, and its copy has ${copied}`);
    }
    if (source.revision !== target.revision) throw new Finding("a copy has another revision");
    if (source.heads.join() !== target.heads.join()) throw new Finding("the chains of a copy have other ends");
    return target;
  }

  /** Kills it so many milliseconds after it has shown that it has reached `stop`. */
  #start(stop = Number.POSITIVE_INFINITY, delayMs = 0) {
    // A URL with a password is no option.
    const url = [this.from, this.to].find(isUrl);
    const args = ["--from", "--to"].flatMap((option, index) => {
      const place = [this.from, this.to][index] ?? "";
      return isUrl(place) ? [] : [option, `sqlite:${place}`];
    });
    let isDue = false;
    return watchInTerminal(["copy", ...args], environment(this.#deployment, url), {
      nodeArgs: process.execArgv,
      onText(text, kill) {
        if (isDue || positionOf(text) < stop) return;
        isDue = true;
        setTimeout(kill, delayMs);
      },
    });
  }
}

function isUrl(place: string): boolean {
  return place.startsWith("postgres:");
}

function environment({ folder }: Deployment, place = ""): TestEnv {
  return {
    LATCHKEY_DATA_DIR: folder,
    LATCHKEY_DATABASE_URL: isUrl(place) ? place : `sqlite:${place}`,
    NODE_COMPILE_CACHE,
  };
}

/** What a program said last: why it ended, where it says so. */
function lastLine(text: string): string {
  return (
    text
      .trim()
      .split(/[\r\n]+/)
      .at(-1) ?? ""
  );
}

/** How far a copy has come, of `VERIFIED`. */
function positionOf(text: string): number {
  const [, phase, percent] = Array.from(text.matchAll(/\r(copying|verifying) (\d+) %/g)).at(-1) ?? [];
  if (phase === undefined) return -1;
  return Number(percent) + (phase === "verifying" ? COPIED : 0);
}

/** Returns how far this one came while it copied. @throws Finding when it begins before what was stored already */
function expectNotAgain(text: string, reached: number): number {
  const percents = Array.from(text.matchAll(/\rcopying (\d+) %/g), ([, percent]) => Number(percent));
  const [first = 0, last = 0] = [percents.at(0), percents.at(-1)];
  if (first < reached) throw new Finding(`a copy went on at ${first} %, and ${reached} % were stored already`);
  // Of the last hundredth, one row isn't stored by itself: the number of the last change.
  return Math.min(last, COPIED - 1);
}

/** @throws Finding unless whoever isn't `copy` is told that it is unfinished, and what to do */
async function expectRefused(place: string): Promise<void> {
  const said = await verifyAuditLog(placeOf(place)).then(
    ({ fault }) => fault ?? "all is well",
    (error: unknown) => String(error),
  );
  if (/is an unfinished copy of .*: run the same `latchkey copy` again/.test(said)) return;
  throw new Finding(`a verification of an unfinished copy says: ${said}`);
}

/** @throws Finding unless a service started on it knows every token as it was, and all chains verify */
async function expectServed(deployment: Deployment, place: string, journal: Journal): Promise<void> {
  const { fault } = await verifyAuditLog(placeOf(place));
  if (fault !== undefined) throw new Finding(`the audit log of a copy is broken: ${fault}`);
  await using service = await deployment.start([], environment(deployment, place));
  await look(service, journal.tokens);
  await service.stop();
}

function placeOf(place: string): DatabasePlace {
  return isUrl(place)
    ? { databasePath: "", postgres: postgresSettings(place) }
    : { databasePath: place, postgres: undefined };
}

const HEADS = `
  SELECT organization_id || ' ' || sequence AS chain, hash
  FROM events WHERE revision IN (SELECT max(revision) FROM events GROUP BY organization_id)
  ORDER BY revision
`;

async function contentsOf(place: string): Promise<Contents> {
  await using database = await open(place);
  const rows = new Map<string, number>();
  for (const { name } of COPIED_TABLES) rows.set(name, await numberOf(database, `SELECT count(*) FROM ${name}`));
  const heads = (await database.ask(HEADS)) as { chain: string; hash: Buffer }[];
  return {
    rows,
    revision: await numberOf(database, "SELECT value FROM revision"),
    heads: heads.map(({ chain, hash }) => `${chain} ${hash.toString("hex")}`),
  };
}

async function isUnfinished(place: string): Promise<boolean> {
  await using database = await open(place);
  const [catalog, column] = isUrl(place) ? ["pg_tables", "tablename"] : ["sqlite_schema", "name"];
  return (await numberOf(database, `SELECT count(*) FROM ${catalog} WHERE ${column} = '${UNFINISHED_TABLE}'`)) > 0;
}

interface OpenDatabase extends AsyncDisposable {
  ask(sql: string): Promise<readonly object[]>;
}

async function numberOf(database: OpenDatabase, sql: string): Promise<number> {
  const [row = {}] = await database.ask(sql);
  return Number(Object.values(row)[0]);
}

async function open(place: string): Promise<OpenDatabase> {
  if (isUrl(place)) {
    const connected = await connectTo(place);
    return {
      ask: async (sql) => (await connected.client.query<object>(sql)).rows,
      [Symbol.asyncDispose]: () => connected[Symbol.asyncDispose](),
    };
  }
  const connection = new Database(place, { readonly: true, fileMustExist: true });
  return {
    ask: async (sql) => connection.prepare<[], object>(sql).all(),
    [Symbol.asyncDispose]: async () => void connection.close(),
  };
}
