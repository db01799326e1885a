/** Verifies an audit log where no service runs: an export, or a database file. */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fromJsonString } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { EventSchema } from "../../gen/latchkey/v1/audit_pb.ts";
import { type DatabasePlace, openAuditLog } from "../app.ts";
import { type Action, type ActorKind, type AuditEvent, type ChainFault, ChainVerifier } from "../domain/audit.ts";
import { CheckedTree, type Checkpoint } from "../domain/checkpoint.ts";
import { fromPublicId, toPublicId } from "../domain/ids.ts";
import { StartError } from "../domain/start-error.ts";
import { contradictionOf, shortfallOf } from "./checkpoint-files.ts";

export interface Verification {
  /** Events that are good. */
  readonly count: number;
  /** Where each chain ends, as far as it is good. */
  readonly heads: readonly { readonly organizationId: string; readonly sequence: number; readonly hash: Uint8Array }[];
  /** The first fault, for a person; undefined when nothing is wrong. */
  readonly fault: string | undefined;
  /** How a log whose chains are good differs from its checkpoints, for a person; undefined when it doesn't. */
  readonly difference: string | undefined;
}

const SQLITE_MAGIC = "SQLite format 3\0";

const WHAT_IS_WRONG: Readonly<Record<ChainFault, string>> = {
  sequence: "another event should stand there; one was taken out, moved or added",
  previous_hash: "it doesn't hold the hash of the event before it",
  revision: "its revision isn't higher than that of the event before it",
  hash: "its content isn't what was hashed",
};

/** Verifies the chains, and makes the tree over them, which is compared with the checkpoints. */
class LogVerifier extends ChainVerifier {
  readonly tree: CheckedTree;

  constructor(checkpoints: readonly Checkpoint[]) {
    super();
    this.tree = new CheckedTree(checkpoints);
  }

  override add(event: AuditEvent): boolean {
    const isGood = super.add(event);
    if (isGood) this.tree.append(event.hash);
    return isGood;
  }
}

/**
 * @param from an export, a database file, or `-` for an export on the standard input; or a configured database
 * @param checkpoints of the log, which are over the events of all organizations
 * @throws StartError for a file that can't be read
 */
export async function verifyAuditLog(
  from: string | DatabasePlace,
  checkpoints: readonly Checkpoint[] = [],
): Promise<Verification> {
  const verifier = new LogVerifier(checkpoints);
  const isWhole = typeof from !== "string" || (await isDatabase(from));
  const place = typeof from === "string" ? { databasePath: from, postgres: undefined } : from;
  const fault = isWhole ? await verifyDatabase(place, verifier) : await verifyExport(place.databasePath, verifier);
  const heads = Array.from(verifier.heads, ([id, { sequence, hash }]) => ({
    organizationId: toPublicId("org", id),
    sequence,
    hash,
  }));
  const difference = fault === undefined ? differenceOf(verifier, isWhole) : undefined;
  return { count: verifier.count, heads, fault, difference };
}

async function verifyDatabase(place: DatabasePlace, verifier: ChainVerifier): Promise<string | undefined> {
  await using log = await openAuditLog(place);
  let last = 0;
  for await (const event of log.events()) {
    if (!verifier.add(event)) return faultOf(verifier);
    last = event.revision;
  }
  // A database from before the log has changes without events, and no event yet.
  if (verifier.count === 0 || last === log.revision) return undefined;
  return `the last event has revision ${last}, and the store has made change ${log.revision}: the log's end is missing`;
}

async function verifyExport(path: string, verifier: ChainVerifier): Promise<string | undefined> {
  const input = path === "-" ? process.stdin : createReadStream(path);
  let line = 0;
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    line++;
    const event = parseEvent(text);
    if (event === undefined) return `line ${line} holds no event`;
    if (!verifier.add(event)) return `line ${line}: ${faultOf(verifier)}`;
  }
  return undefined;
}

function faultOf({ broken }: ChainVerifier): string | undefined {
  if (broken === undefined) return undefined;
  const { organizationId, sequence, revision, fault } = broken;
  const whose = /^[0-9a-f-]{36}$/.test(organizationId) ? toPublicId("org", organizationId) : organizationId;
  return `event ${sequence} of ${whose} (revision ${revision}): ${WHAT_IS_WRONG[fault]}`;
}

function differenceOf({ tree, count, heads }: LogVerifier, isWhole: boolean): string | undefined {
  const { contradicted, coming } = tree;
  if (contradicted === undefined && coming === undefined) return undefined;
  if (!isWhole && heads.size === 1) {
    return "the export holds the events of one organization, and checkpoints are over those of all: export without ORG";
  }
  return contradicted === undefined ? coming && shortfallOf(coming, count) : contradictionOf(contradicted);
}

/** The event that a line holds, or undefined. */
function parseEvent(line: string): AuditEvent | undefined {
  try {
    const { $typeName: _, $unknown: __, time, actor, organizationId, ...event } = fromJsonString(EventSchema, line);
    const id = fromPublicId("org", organizationId);
    // Finer than a millisecond is no time of ours, and would be passed over by the hash.
    if (id === undefined || time === undefined || actor === undefined || time.nanos % 1_000_000 !== 0) return undefined;
    return {
      ...event,
      organizationId: id,
      revision: Number(event.revision),
      sequence: Number(event.sequence),
      at: timestampDate(time),
      actor: { kind: actor.kind as ActorKind, id: actor.id },
      action: event.action as Action,
    };
  } catch {
    return undefined;
  }
}

async function isDatabase(path: string): Promise<boolean> {
  if (path === "-") return false;
  try {
    await using file = await open(path);
    const { buffer } = await file.read(Buffer.alloc(SQLITE_MAGIC.length), 0, SQLITE_MAGIC.length, 0);
    return buffer.toString("latin1") === SQLITE_MAGIC;
  } catch (cause) {
    throw new StartError(`${path} can't be read: check the path and its permissions`, { cause });
  }
}
