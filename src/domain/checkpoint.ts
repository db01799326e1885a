/**
 * Checkpoints of the audit log (c2sp.org/tlog-checkpoint): signed notes that say how many events it has,
 * and the root of the Merkle tree over their hashes. `docs/audit.md` specifies them for others.
 */
import { MerkleTree } from "./merkle.ts";
import { type NoteFault, type NoteKey, type NoteSigner, openNote, signNote } from "./signed-note.ts";

/** What a checkpoint says of the log. */
export interface Checkpoint {
  /** Name of the log, which is also that of the key that signs. */
  readonly origin: string;
  /** Events of all organizations. */
  readonly size: number;
  /** Root of the Merkle tree whose leaves are their hashes by ascending revision, 32 bytes. */
  readonly root: Uint8Array;
  /** Revision of the last of them; 0 when there is none. */
  readonly revision: number;
  /** When it was signed. */
  readonly time: Date;
}

export interface SignedCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly note: string;
}

export type CheckpointFault =
  | NoteFault
  /** What is signed is something else. */
  | "no_checkpoint";

export type OpenedCheckpoint =
  | { readonly checkpoint: Checkpoint; readonly fault?: never }
  | { readonly fault: CheckpointFault; readonly checkpoint?: never };

export function signCheckpoint(content: Omit<Checkpoint, "origin">, signer: NoteSigner): SignedCheckpoint {
  const checkpoint = { ...content, origin: signer.key.name };
  return { checkpoint, note: signNote(formatCheckpoint(checkpoint), signer) };
}

/** What a note says that this log's key has signed. */
export function openCheckpoint(note: string, key: NoteKey): OpenedCheckpoint {
  const { text, fault } = openNote(note, key);
  if (fault !== undefined) return { fault };
  const checkpoint = parseCheckpoint(text);
  return checkpoint?.origin === key.name ? { checkpoint } : { fault: "no_checkpoint" };
}

/**
 * The notes of a text that holds one after the other, with empty lines between them or without; undefined
 * when it holds anything else, or nothing.
 */
export function splitNotes(text: string): readonly string[] | undefined {
  const notes: string[] = [];
  let end = 0;
  for (const [whole, note = ""] of text.matchAll(/\n*((?:[^\n]+\n)+\n(?:— [^\n]*\n)+)/gy)) {
    notes.push(note);
    end += whole.length;
  }
  return notes.length > 0 && text.slice(end).trim() === "" ? notes : undefined;
}

/** A name that sorts by size, and that two checkpoints of one size share only if they say the same. */
export function checkpointName({ size, root }: Checkpoint): string {
  return `${String(size).padStart(12, "0")}-${Buffer.from(root.subarray(0, 4)).toString("hex")}`;
}

/** The tree over a log's events, which is compared with checkpoints of the log while it grows. */
export class CheckedTree {
  readonly #tree = new MerkleTree();
  /** Those that are over more events than there are so far, the smallest last. */
  readonly #coming: Checkpoint[];
  #contradicted: Checkpoint | undefined;

  constructor(checkpoints: readonly Checkpoint[]) {
    this.#coming = checkpoints.toSorted((one, two) => two.size - one.size);
    this.#compare();
  }

  /** @param hash that of the log's next event */
  append(hash: Uint8Array): void {
    this.#tree.append(hash);
    this.#compare();
  }

  /** Events so far. */
  get size(): number {
    return this.#tree.size;
  }

  root(): Uint8Array {
    return this.#tree.root();
  }

  /** The first checkpoint that was signed over other events than these. */
  get contradicted(): Checkpoint | undefined {
    return this.#contradicted;
  }

  /** The next checkpoint that is over more events than there are so far. */
  get coming(): Checkpoint | undefined {
    return this.#coming.at(-1);
  }

  #compare(): void {
    for (let next = this.coming; next?.size === this.size; next = this.coming) {
      if (Buffer.compare(next.root, this.root()) !== 0) this.#contradicted ??= next;
      this.#coming.pop();
    }
  }
}

function formatCheckpoint({ origin, size, root, revision, time }: Checkpoint): string {
  const lines = [
    origin,
    String(size),
    Buffer.from(root).toString("base64"),
    `revision ${revision}`,
    `time ${time.toISOString()}`,
  ];
  return lines.map((line) => `${line}\n`).join("");
}

const CHECKPOINT = /^([^\n]+)\n(\d{1,15})\n([^\n]{44})\nrevision (\d{1,15})\ntime ([\dT:.-]+Z)\n((?:[^\n]+\n)*)$/;

/** Lines that are added to the format one day are passed over; they are signed all the same. */
function parseCheckpoint(text: string): Checkpoint | undefined {
  const [, origin = "", size, root = "", revision, time = "", others = ""] = CHECKPOINT.exec(text) ?? [];
  const checkpoint = {
    origin,
    size: Number(size),
    root: Buffer.from(root, "base64"),
    revision: Number(revision),
    time: new Date(time),
  };
  if (Number.isNaN(checkpoint.time.getTime())) return undefined;
  return formatCheckpoint(checkpoint) + others === text ? checkpoint : undefined;
}
