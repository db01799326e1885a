/** Moves a whole database to another one, of any engine, and holds the two against each other row by row. */
import { createHash } from "node:crypto";
import { ChainVerifier } from "../domain/audit.ts";
import { toPublicId } from "../domain/ids.ts";
import { nameOfPostgres } from "../domain/postgres-settings.ts";
import { StartError } from "../domain/start-error.ts";
import { COPIED_TABLES, type CopiedTable, OWN_TABLES } from "./copied-tables.ts";
import type { Catalog, Column, CopyEnd, CopyTarget, Origin, Row, Value } from "./copy-end.ts";
import { type DatabasePlace, planUpgrade } from "./offline.ts";
import { openPostgresSource, openPostgresTarget } from "./postgres/copy-end.ts";
import { type EventRow, toEvent } from "./rows.ts";
import { openSqliteSource, openSqliteTarget } from "./sqlite/copy-end.ts";

/** Called with the rows that are done, and all there are. */
export type OnProgress = (done: number, all: number) => void;

export interface MoveOptions {
  readonly from: DatabasePlace;
  readonly to: DatabasePlace;
  readonly onCopied?: OnProgress;
  readonly onVerified?: OnProgress;
}

export interface MovedTable {
  readonly name: string;
  readonly rows: number;
  /** SHA-256 over its rows by ascending key, in hexadecimal: the same on both sides, whatever their engines. */
  readonly digest: string;
}

export interface Move {
  readonly from: string;
  readonly to: string;
  readonly revision: number;
  /** Rows that an earlier attempt had copied. */
  readonly resumed: number;
  readonly chains: number;
  readonly tables: readonly MovedTable[];
}

/** Two pages are in memory, of each side. */
const PAGE_ROWS = 2_000;

/**
 * Copies every table, then reads all of it back from both sides and compares it, and verifies each organization's chain.
 * What an earlier attempt stored is kept: each page is one transaction, and pages come by ascending key, so a table goes
 * on behind its last row.
 *
 * Until it is verified the target is marked, and nothing else opens it.
 *
 * @throws StartError for a database that can't be read or written, a source that others use, a target that isn't empty
 *   or its own unfinished copy, and any difference between the two, with the table and the key
 */
export async function moveDatabase({ from, to, onCopied, onVerified }: MoveOptions): Promise<Move> {
  if (nameOf(from) === nameOf(to)) throw new StartError(`${nameOf(from)} can't be copied to itself`);
  await requireNewestSchema(from);
  await using source = await openSource(from);
  await using target = await openTarget(to);
  requireSameColumns(source, target);

  const origin = await originOf(source);
  if (target.origin === undefined) await requireEmpty(target);
  else requireSameOrigin(target, target.origin, origin);
  if (target.origin === undefined) await target.begin(origin);

  const totals = new Map<string, number>();
  for (const { name } of COPIED_TABLES) totals.set(name, await source.count(name));
  const all = totals.values().reduce((sum, count) => sum + count, 0);
  let resumed = 0;
  for (const { name } of COPIED_TABLES) if (name !== "revision") resumed += await target.count(name);

  let copied = resumed;
  onCopied?.(copied, all);
  for (const table of COPIED_TABLES) {
    if (table.name === "revision") await target.setRevision(origin.revision);
    else await copyTable(source, target, table, (rows) => onCopied?.((copied += rows), all));
  }
  onCopied?.(all, all);

  let verified = 0;
  const chains = new ChainVerifier();
  const tables: MovedTable[] = [];
  for (const table of COPIED_TABLES) {
    const visit = table.name === "events" ? followChains(chains, columnsOf(source.catalog, table.name)) : undefined;
    tables.push(await compareTable(source, target, table, visit, (rows) => onVerified?.((verified += rows), all)));
  }
  onVerified?.(all, all);
  await target.finish();
  return { from: source.name, to: target.name, revision: origin.revision, resumed, chains: chains.heads.size, tables };
}

function nameOf({ databasePath, postgres }: DatabasePlace): string {
  return postgres === undefined ? databasePath : nameOfPostgres(postgres);
}

function openSource({ databasePath, postgres }: DatabasePlace): Promise<CopyEnd> | CopyEnd {
  return postgres === undefined ? openSqliteSource(databasePath) : openPostgresSource(postgres);
}

function openTarget({ databasePath, postgres }: DatabasePlace): Promise<CopyTarget> | CopyTarget {
  return postgres === undefined ? openSqliteTarget(databasePath) : openPostgresTarget(postgres);
}

async function requireNewestSchema(place: DatabasePlace): Promise<void> {
  const { version, missing } = await planUpgrade(place);
  if (version === 0) throw new StartError(`${nameOf(place)} is empty: there is nothing to copy`);
  if (missing.length === 0) return;
  throw new StartError(`${nameOf(place)} has an older schema: run \`latchkey migrate\` on it first`);
}

/** Throws for a table or a column that only one side has, or that this program's list lacks. */
function requireSameColumns(source: CopyEnd, target: CopyEnd): void {
  const known = new Set([...COPIED_TABLES.map(({ name }) => name), ...OWN_TABLES]);
  for (const end of [source, target]) {
    const unknown = [...end.catalog.keys()].find((name) => !known.has(name));
    if (unknown !== undefined) {
      throw new StartError(`${end.name} has a table ${unknown} that isn't Latchkey's: move it elsewhere, then copy`);
    }
  }
  for (const { name } of COPIED_TABLES) {
    const [ours, theirs] = [source, target].map((end) => JSON.stringify(columnsOf(end.catalog, name)));
    if (ours === theirs && ours !== "[]") continue;
    throw new StartError(`The table ${name} hasn't the same columns in ${source.name} and ${target.name}`);
  }
}

function columnsOf(catalog: Catalog, table: string): readonly Column[] {
  return catalog.get(table) ?? [];
}

async function originOf(source: CopyEnd): Promise<Origin> {
  const valueOf = async (
    table: string,
    name: string,
    key: string,
    after: Row | undefined,
  ): Promise<Value | undefined> => {
    const columns = columnsOf(source.catalog, table).filter((column) => column.name === name);
    return (await source.page({ table, columns, key: [key], after, limit: 1 }))[0]?.[0];
  };
  const [last] = (await source.last("events", ["revision"])) ?? [];
  const hash = typeof last === "number" ? await valueOf("events", "hash", "revision", [last - 1]) : undefined;
  return {
    source: source.name,
    revision: Number(await valueOf("revision", "value", '"only"', undefined)),
    lastHash: hash instanceof Uint8Array ? hexOf(hash) : "",
  };
}

async function requireEmpty(target: CopyTarget): Promise<void> {
  for (const { name, key } of COPIED_TABLES) {
    if (name === "revision" || (await target.last(name, key)) === undefined) continue;
    throw new StartError(`${target.name} isn't empty, it has rows in ${name}: name an empty database`);
  }
}

function requireSameOrigin(target: CopyTarget, begun: Origin, now: Origin): void {
  if (begun.source !== now.source) {
    throw new StartError(
      `${target.name} is an unfinished copy of ${begun.source}: go on with that, or name an empty one`,
    );
  }
  if (begun.revision === now.revision && begun.lastHash === now.lastHash) return;
  throw new StartError(
    `${now.source} was changed since its copy to ${target.name} was begun, from revision ${begun.revision} to ` +
      `${now.revision}: empty the target and copy again`,
  );
}

async function copyTable(
  source: CopyEnd,
  target: CopyTarget,
  { name: table, key }: CopiedTable,
  onRows: (count: number) => void,
): Promise<void> {
  const columns = columnsOf(source.catalog, table);
  const read = (after: Row | undefined): Promise<readonly Row[]> =>
    source.page({ table, columns, key, after, limit: PAGE_ROWS });
  let rows = await read(await target.last(table, key));
  while (rows.length > 0) {
    for (const row of rows) requireStorable(row, columns, table, target);
    const isLast = rows.length < PAGE_ROWS;
    const after = rows.at(-1)?.slice(columns.length);
    // The next page is read while this one is written.
    const [next] = await Promise.all([isLast ? [] : read(after), target.insert(table, columns, rows)]);
    onRows(rows.length);
    rows = next;
  }
}

function requireStorable(row: Row, columns: readonly Column[], table: string, { takesNul, name }: CopyTarget): void {
  for (const [index, column] of columns.entries()) {
    const value = row[index];
    const where = (): string => `${table}, row ${describeKey(row, columns)}, column ${column.name}`;
    if (!takesNul && typeof value === "string" && value.includes("\0")) {
      throw new StartError(`${where()}: the text holds U+0000, which ${name} can't hold: change it first`);
    }
    if (typeof value === "number" && !Number.isSafeInteger(value)) {
      throw new StartError(`${where()}: ${value} is no number that Latchkey writes`);
    }
  }
}

async function compareTable(
  source: CopyEnd,
  target: CopyEnd,
  { name: table, key }: CopiedTable,
  visit: ((row: Row) => void) | undefined,
  onRows: (count: number) => void,
): Promise<MovedTable> {
  const columns = columnsOf(source.catalog, table);
  const digest = createHash("sha256");
  let count = 0;
  for (let after: Row | undefined; ; ) {
    const query = { table, columns, key, after, limit: PAGE_ROWS };
    const [theirs, ours] = await Promise.all([target.page(query), source.page(query)]);
    for (let index = 0; index < Math.max(ours.length, theirs.length); index++) {
      const [one, two] = [ours[index], theirs[index]];
      const text = encode(one);
      if (text !== encode(two)) throw new StartError(differenceOf(table, columns, source, target, one, two));
      digest.update(text);
      if (one !== undefined) visit?.(one);
    }
    count += ours.length;
    onRows(ours.length);
    if (ours.length < PAGE_ROWS) return { name: table, rows: count, digest: digest.digest("hex") };
    after = ours.at(-1)?.slice(columns.length);
  }
}

/** Says what a row holds, in the same way for every engine, and otherwise for every other row. */
function encode(row: Row | undefined): string {
  if (row === undefined) return "";
  return `${JSON.stringify(row.map((value) => (value instanceof Uint8Array ? [hexOf(value)] : value)))}\n`;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

function differenceOf(
  table: string,
  columns: readonly Column[],
  source: CopyEnd,
  target: CopyEnd,
  one: Row | undefined,
  two: Row | undefined,
): string {
  const [key, otherKey] = [one, two].map((row) => row && describeKey(row, columns));
  if (key === otherKey) return `${table}, row ${key}: ${source.name} and ${target.name} differ`;
  const next = (where: string, found: string | undefined): string => `${where} goes on with ${found ?? "none"}`;
  return `${table}: the rows differ, ${next(source.name, key)}, ${next(target.name, otherKey)}`;
}

function describeKey(row: Row, columns: readonly Column[]): string {
  const key = row.slice(columns.length);
  return key.map((value) => (value instanceof Uint8Array ? hexOf(value) : JSON.stringify(value))).join(", ");
}

/** Throws at the first event that its chain doesn't go on with. */
function followChains(chains: ChainVerifier, columns: readonly Column[]): (row: Row) => void {
  return (row) => {
    const event = Object.fromEntries(columns.map(({ name }, index) => [name, row[index]]));
    if (chains.add(toEvent(event as unknown as EventRow)) || chains.broken === undefined) return;
    const { organizationId, sequence, revision, fault } = chains.broken;
    const whose = /^[0-9a-f-]{36}$/.test(organizationId) ? toPublicId("org", organizationId) : organizationId;
    throw new StartError(`events, row ${revision}: the chain of ${whose} is broken at ${sequence} (${fault})`);
  };
}
