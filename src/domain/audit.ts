/**
 * The audit log: what an event holds, how events are hashed into chains, and how a chain is verified.
 * `docs/audit.md` specifies the encoding for others; what it says and what this does are one thing.
 */
import { hash } from "node:crypto";
import { type Id, toPublicId } from "./ids.ts";

export const ACTIONS = [
  "deployment.set_up",
  "deployment.restored",
  "organization.created",
  "organization.plan_set",
  "organization.profile_set",
  "member.added",
  "member.role_set",
  "member.removed",
  "member.invited",
  "member.invitation_revoked",
  "token.issued",
  "token.updated",
  "token.disabled",
  "token.enabled",
  "token.revoked",
  "token.rotated",
  "token.rotation_finished",
  "token.rotation_cancelled",
  "token.imported",
  "tokens.revoked_many",
  "token.purged",
  "user.signed_in",
  "user.sign_in_failed",
  "user.password_changed",
  "user.password_link_sent",
  "user.password_restored",
  "user.registration_refused",
  "user.identity_linked",
  "session.ended",
] as const;

export type Action = (typeof ACTIONS)[number];

/**
 * `anonymous` is somebody who didn't say, or couldn't prove, who they are; `external` a person whom another
 * issuer's access token speaks for.
 */
export type ActorKind = "user" | "external" | "token" | "service" | "system" | "anonymous";

export interface Actor {
  readonly kind: ActorKind;
  /** Public id, or `issuer:subject` of somebody external; the kind itself for those that have none. */
  readonly id: string;
}

export const SYSTEM_ACTOR: Actor = { kind: "system", id: "system" };

/** Who changes something, when and from where. What is changed is the engine's to find out. */
export interface Change {
  readonly at: Date;
  readonly actor: Actor;
  /** Address that the call came from; empty for a change that came by no call. */
  readonly address: string;
  /** Empty for a change that came by no call. */
  readonly requestId: string;
}

/** What the service, or its operator on its files, does without a call. */
export function systemChange(at: Date): Change {
  return { at, actor: SYSTEM_ACTOR, address: "", requestId: "" };
}

/** What a change did, in the terms of an event. Never holds a secret. */
export interface Occurrence {
  /** Whose chain it belongs to. */
  readonly organizationId: Id;
  readonly action: Action;
  /** Public id of what was changed; empty where nobody knows. */
  readonly target: string;
  readonly targetName: string;
  /** Those of a token. */
  readonly scopes: readonly string[];
  readonly details: Readonly<Record<string, string>>;
}

export interface AuditEvent extends Occurrence, Change {
  /** The store's change number: what a follower of the log goes by. */
  readonly revision: number;
  /** 1 for the organization's first event, and one more for each that follows. */
  readonly sequence: number;
  /** The `hash` of the organization's event before this one, or 32 zero bytes. */
  readonly previousHash: Uint8Array;
  /** SHA-256, 32 bytes. */
  readonly hash: Uint8Array;
}

/** What of an event tells a cache what isn't true any more. */
export type ChangeNotice = Pick<AuditEvent, "revision" | "organizationId" | "action" | "target">;

/** The last event of a chain, as far as the next one needs it. */
export type ChainHead = Pick<AuditEvent, "sequence" | "revision" | "hash">;

/** The head of a chain without events. */
export const EMPTY_CHAIN: ChainHead = { sequence: 0, revision: 0, hash: new Uint8Array(32) };

/** Makes the event that follows a chain's head. */
export function nextEvent(head: ChainHead, revision: number, change: Change, occurrence: Occurrence): AuditEvent {
  const { at, actor, address, requestId } = change;
  const { organizationId, action, target, targetName, scopes, details } = occurrence;
  const content = {
    revision,
    organizationId,
    sequence: head.sequence + 1,
    at,
    actor,
    address,
    action,
    target,
    targetName,
    scopes,
    details,
    requestId,
    previousHash: head.hash,
  };
  return { ...content, hash: hashEvent(content) };
}

export type ChainFault =
  /** Events are missing before this one, or were put in another order. */
  | "sequence"
  /** It doesn't follow the event that stands before it. */
  | "previous_hash"
  /** Its revision isn't higher than that of the event before it. */
  | "revision"
  /** Its content isn't what was hashed. */
  | "hash";

/** What is wrong with an event where it should follow `head`; undefined for one that does. */
export function findFault(head: ChainHead, event: AuditEvent): ChainFault | undefined {
  if (event.sequence !== head.sequence + 1) return "sequence";
  if (!isSame(event.previousHash, head.hash)) return "previous_hash";
  if (!(event.revision > head.revision)) return "revision";
  return isEncodable(event) && isSame(event.hash, hashEvent(event)) ? undefined : "hash";
}

/** Where a chain is broken first. */
export interface BrokenLink {
  readonly organizationId: Id;
  /** The sequence that should be there. */
  readonly sequence: number;
  /** The revision that is there. */
  readonly revision: number;
  readonly fault: ChainFault;
}

/** Verifies chains, as many as there are, from events in the order of their revisions. */
export class ChainVerifier {
  readonly #heads = new Map<Id, ChainHead>();
  #count = 0;
  #broken: BrokenLink | undefined;

  /** Takes the next event, and answers whether all is well so far. After a fault it takes no more. */
  add(event: AuditEvent): boolean {
    if (this.#broken !== undefined) return false;
    const { organizationId, revision } = event;
    const head = this.#heads.get(organizationId) ?? EMPTY_CHAIN;
    const fault = findFault(head, event);
    if (fault !== undefined) {
      this.#broken = { organizationId, sequence: head.sequence + 1, revision, fault };
      return false;
    }
    this.#heads.set(organizationId, event);
    this.#count++;
    return true;
  }

  /** Events that are good. */
  get count(): number {
    return this.#count;
  }

  /** The last good event of each chain. */
  get heads(): ReadonlyMap<Id, ChainHead> {
    return this.#heads;
  }

  get broken(): BrokenLink | undefined {
    return this.#broken;
  }
}

export function hashEvent(event: Omit<AuditEvent, "hash">): Uint8Array {
  return hash("sha256", encodeEvent(event), "buffer");
}

/** Says which encoding is hashed, and that it is nothing else that somebody may hash. */
const ENCODING_TAG = "latchkey.audit.event.v1";

/** The bytes that are hashed: the same for the same event, and for no other one. */
export function encodeEvent(event: Omit<AuditEvent, "hash">): Uint8Array {
  const details = Object.entries(event.details).toSorted(([one], [two]) => Buffer.compare(utf8(one), utf8(two)));
  return fields([
    ENCODING_TAG,
    event.previousHash,
    toPublicId("org", event.organizationId),
    int64(event.sequence),
    int64(event.revision),
    int64(event.at.getTime()),
    event.actor.kind,
    event.actor.id,
    event.address,
    event.action,
    event.target,
    event.targetName,
    fields(event.scopes),
    fields(details.flat()),
    event.requestId,
  ]);
}

/** Each field behind its length, so that no two lists of fields are the same bytes. Texts are in UTF-8. */
function fields(all: readonly (string | Uint8Array)[]): Uint8Array {
  const size = all.reduce((total, field) => total + 4 + Buffer.byteLength(field), 0);
  // From a pool, and once for all: the engine pays more for an allocation than for what is written there.
  const bytes = Buffer.allocUnsafe(size);
  let end = 0;
  for (const field of all) {
    const start = end + 4;
    if (typeof field === "string") end = start + bytes.write(field, start);
    else {
      bytes.set(field, start);
      end = start + field.length;
    }
    bytes.writeUInt32BE(end - start, start - 4);
  }
  return bytes;
}

function utf8(text: string): Uint8Array {
  return Buffer.from(text, "utf8");
}

function int64(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}

/** A store that somebody edited can hold numbers and ids that no event has. */
function isEncodable({ organizationId, sequence, revision, at }: AuditEvent): boolean {
  return [sequence, revision, at.getTime()].every(Number.isSafeInteger) && /^[0-9a-f-]+$/.test(organizationId);
}

function isSame(one: Uint8Array, two: Uint8Array): boolean {
  return Buffer.compare(one, two) === 0;
}
