/**
 * Random attempts on a log that checkpoints were made of: its end cut off, an old database put back, written
 * on or not, its history rewritten. `latchkey audit verify` has to find each that goes back before a
 * checkpoint, and nothing where nobody touched what a checkpoint is over.
 */
import { copyFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create, toJson } from "@bufbuild/protobuf";
import Database from "better-sqlite3";
import { EventSchema } from "../../gen/latchkey/v1/audit_pb.ts";
import { verifyAuditLog } from "../../src/cli/audit-verify.ts";
import { type AuditEvent, type ChainHead, EMPTY_CHAIN, nextEvent } from "../../src/domain/audit.ts";
import { type Checkpoint, openCheckpoint } from "../../src/domain/checkpoint.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { eventMessage } from "../../src/rpc/messages.ts";
import { createCheckpointSigner } from "../../src/security/checkpoint-signer.ts";
import { createSealer } from "../../src/security/sealer.ts";
import { eventRow } from "../../src/storage/rows.ts";
import { openSqliteStorage } from "../../src/storage/sqlite/sqlite-storage.ts";
import { Checkpointer } from "../../src/usecases/checkpointer.ts";
import { everyEvent, someChange, someOrganization, someToken } from "../contract/samples.ts";
import { silentLogger, temporaryDirectory } from "./sqlite.ts";

/** Numbers from 0 to below 1, the same ones for the same seed (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A log after somebody was at it. */
interface Tampered {
  readonly events: readonly AuditEvent[];
  /** So many events at its beginning are as they were. */
  readonly untouched: number;
}

type Random = (below: number) => number;
type Tampering = (events: readonly AuditEvent[], random: Random) => Tampered;

/** Each leaves whole chains behind, so only a checkpoint can tell. */
export const TAMPERINGS: Readonly<Record<string, Tampering>> = {
  "nothing was done": (events) => ({ events, untouched: events.length }),
  "went on honestly": (events, random) => ({ events: writeOn(events, random), untouched: events.length }),
  "its end was cut off": (events, random) => {
    const untouched = random(events.length);
    return { events: events.slice(0, untouched), untouched };
  },
  "an old copy was put back and written on": (events, random) => {
    const untouched = random(events.length);
    return { events: writeOn(events.slice(0, untouched), random), untouched };
  },
  "an event was edited, and all after it hashed anew": (events, random) => {
    const untouched = random(events.length);
    const edited = { ...at(events, untouched), address: "203.0.113.9" };
    return { events: rechain(events.with(untouched, edited)), untouched };
  },
  "an event was taken out, and all after it hashed anew": (events, random) => {
    const untouched = random(events.length);
    return { events: rechain(events.toSpliced(untouched, 1)), untouched };
  },
  "an event was given to another organization": (events, random) => {
    const untouched = random(events.length);
    const { organizationId } = at(events, untouched);
    const others = events.filter((event) => event.organizationId !== organizationId);
    const given = { ...at(events, untouched), organizationId: at(others, random(others.length)).organizationId };
    return { events: rechain(events.with(untouched, given)), untouched };
  },
  "two events changed places": (events, random) => {
    const untouched = random(events.length - 1);
    const [one, two] = [at(events, untouched), at(events, untouched + 1)];
    const swapped = [
      { ...two, revision: one.revision },
      { ...one, revision: two.revision },
    ];
    return { events: rechain(events.toSpliced(untouched, 2, ...swapped)), untouched };
  },
};

export interface TrialCounts {
  /** Trials in which a checkpoint had to be contradicted. */
  found: number;
  /** Trials in which nothing may be found. */
  passed: number;
}

/**
 * Runs so many trials on copies of one log, each on a database file or an export.
 *
 * @throws Error that names the seed and the trial, at the first attempt that isn't found, and the first false alarm
 */
export async function runTamperTrials(count: number, seed: number): Promise<Readonly<Record<string, TrialCounts>>> {
  const next = createRandom(seed);
  const random: Random = (below) => Math.floor(next() * below);
  await using folder = await temporaryDirectory();
  const original = join(folder.path, "original.db");
  const { events, checkpoints } = await makeLog(original, 60, random);
  const names = Object.keys(TAMPERINGS);
  const counts = Object.fromEntries(names.map((name) => [name, { found: 0, passed: 0 }]));
  for (let trial = 0; trial < count; trial++) {
    const name = at(names, trial % names.length);
    const newest = at(checkpoints, random(checkpoints.length));
    const given = checkpoints.filter((each) => each === newest || (each.size < newest.size && random(2) === 0));
    const tampered = TAMPERINGS[name]?.(events, random) ?? { events, untouched: 0 };
    const file = join(folder.path, "tampered");
    await (random(2) === 0 ? writeExport(file, tampered.events) : writeDatabase(original, file, tampered.events));

    const { fault, difference } = await verifyAuditLog(file, given);
    const where = `seed ${seed}, trial ${trial}: ${name}; ${tampered.untouched} of ${events.length} events as they were, newest checkpoint at ${newest.size}`;
    if (fault !== undefined) throw new Error(`${where}: the chains should be whole, but ${fault}`);
    const isFound = difference !== undefined;
    if (isFound !== tampered.untouched < newest.size) throw new Error(`${where}: ${difference ?? "nothing was found"}`);
    const counted = counts[name];
    if (counted !== undefined) counted[isFound ? "found" : "passed"]++;
  }
  return counts;
}

/** A log that was written and signed by the parts of the service, with checkpoints at random moments. */
async function makeLog(path: string, length: number, random: Random) {
  const storage = await openSqliteStorage({ path, logger: silentLogger });
  const signer = createCheckpointSigner(
    createSealer(new Uint8Array(32), () => new Uint8Array()),
    undefined,
  );
  const checkpointer = await Checkpointer.open({
    storage,
    clock: Date.now,
    logger: silentLogger,
    signer,
    folders: [],
    receivers: [],
    intervalMs: 0,
    acceptedRollback: undefined,
  });
  const checkpoints: Checkpoint[] = [];
  const organizations = Array.from({ length: 4 }, () => someOrganization());
  for (const organization of organizations) await storage.createOrganization(organization, someChange());
  for (let index = organizations.length; index < length; index++) {
    await writeOne(storage, at(organizations, random(organizations.length)).id, random);
    if (random(4) > 0 && index < length - 1) continue;
    const opened = openCheckpoint((await checkpointer.sign()).note, signer.key).checkpoint;
    if (opened === undefined) throw new Error("what was signed doesn't open");
    checkpoints.push(opened);
  }
  const events = await storage.listEvents(everyEvent());
  await storage.close();
  return { events, checkpoints };
}

async function writeOne(storage: Storage, organizationId: string, random: Random): Promise<void> {
  const token = await storage.createToken(someToken({ organizationId }), someChange());
  if (random(2) === 0) await storage.revokeToken(token.id, someChange());
}

/** Adds events to whole chains, as a service would. */
function writeOn(events: readonly AuditEvent[], random: Random): readonly AuditEvent[] {
  const model = at(events, 0, someModel());
  const change = someChange({ requestId: `another request, ${random(2 ** 30)}` });
  const first = (events.at(-1)?.revision ?? 0) + 1;
  const added = Array.from({ length: 1 + random(30) }, (_, index) => ({
    ...at(events, random(events.length), model),
    ...change,
    revision: first + index,
  }));
  return rechain([...events, ...added]);
}

/** The same events with sequences and hashes that fit. */
function rechain(events: readonly AuditEvent[]): readonly AuditEvent[] {
  const heads = new Map<string, ChainHead>();
  return events.map((event) => {
    const chained = nextEvent(heads.get(event.organizationId) ?? EMPTY_CHAIN, event.revision, event, event);
    heads.set(event.organizationId, chained);
    return chained;
  });
}

async function writeDatabase(original: string, file: string, events: readonly AuditEvent[]): Promise<void> {
  await copyFile(original, file);
  const database = new Database(file);
  database.exec("DROP TRIGGER events_are_not_changed; DROP TRIGGER events_are_not_deleted; DELETE FROM events");
  const insert = database.prepare(`
    INSERT INTO events VALUES (
      @revision, @organization_id, @sequence, @at, @actor_kind, @actor_id, @address, @action, @target, @target_name,
      @scopes, @details, @request_id, @previous_hash, @hash
    )
  `);
  database.transaction(() => {
    for (const event of events) insert.run(eventRow(event));
    database.prepare("UPDATE revision SET value = ?").run(events.at(-1)?.revision ?? 0);
  })();
  database.close();
}

async function writeExport(file: string, events: readonly AuditEvent[]): Promise<void> {
  const lines = events.map((event) =>
    JSON.stringify(toJson(EventSchema, create(EventSchema, eventMessage(event)), { alwaysEmitImplicit: true })),
  );
  await writeFile(file, lines.map((line) => `${line}\n`).join(""));
}

/** For a log of which nothing is left. */
function someModel(): AuditEvent {
  const { id: organizationId } = someOrganization();
  const occurrence = {
    organizationId,
    action: "token.issued",
    target: "",
    targetName: "",
    scopes: [],
    details: {},
  } as const;
  return nextEvent(EMPTY_CHAIN, 1, someChange(), occurrence);
}

function at<T>(list: readonly T[], index: number, otherwise?: T): T {
  const found = list[index] ?? otherwise;
  if (found === undefined) throw new Error(`nothing stands at ${index}`);
  return found;
}
