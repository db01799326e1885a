/** Makes a call that its caller sends again change nothing, and gives it the first one's answer. */
import { hash } from "node:crypto";
import { type Caller, callerId, callerOrganization } from "../domain/caller.ts";
import type { Clock, Entropy } from "../domain/clock.ts";
import { AppError } from "../domain/errors.ts";
import {
  type IdempotencyRecord,
  idempotencyKeyReused,
  openAnswer,
  type RecordedAnswer,
  type RecordedCall,
} from "../domain/idempotency.ts";
import { SYSTEM_ORGANIZATION_ID } from "../domain/ids.ts";
import { NONCE_BYTES } from "../domain/sealing.ts";
import type { Storage } from "../domain/storage.ts";

/** So long a repeat gets the same answer. */
const RETENTION_MS = 24 * 3_600_000;

export interface IdempotencyDeps {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Derives keys of which the database knows nothing; see `security/sealer.ts`. */
  readonly sealer: { deriveKey(purpose: string, context: Uint8Array): Uint8Array };
}

/** A call that brought an idempotency key. */
export interface Attempt {
  /** Name of the RPC: one key can serve a call of each. */
  readonly method: string;
  readonly key: string;
  /** SHA-256 of all that is asked for, without the key. */
  readonly requestHash: Uint8Array;
}

/** A change that is ready to be made. */
export interface PreparedChange<Result, Confidential> {
  /** What the caller is to be told besides what the write answers. Plain data. */
  readonly confidential: Confidential;
  /** Must hand the record to the one write that makes the change. */
  readonly write: (record?: IdempotencyRecord) => Promise<Result>;
}

/**
 * Makes a change, once for each caller, method and key, however often and however many at once call it,
 * and answers all of them the same for 24 h. A call that fails leaves no trace, so its retry may succeed.
 *
 * It answers from the record before `prepare` looks at anything that the change itself may have changed,
 * so whether the caller may do this must have been found out before.
 *
 * @param attempt undefined for a call without a key, which is simply made
 * @throws AppError: `already_exists` for a key that served another request, and what `prepare` and the
 *   write throw.
 */
export async function once<Result, Confidential>(
  deps: IdempotencyDeps,
  caller: Caller,
  attempt: Attempt | undefined,
  prepare: () => Promise<PreparedChange<Result, Confidential>>,
): Promise<RecordedAnswer<Result, Confidential>> {
  if (attempt === undefined) {
    const { confidential, write } = await prepare();
    return { result: await write(), confidential };
  }
  const { storage, clock, entropy, sealer } = deps;
  const identity = identityOf(caller, attempt);
  const keyHash = hash("sha256", identity, "buffer");
  // The key itself is in the identity: without it, root key and database together open nothing.
  const sealingKey = sealer.deriveKey("recorded answer", identity);
  const recall = (recorded: RecordedCall): RecordedAnswer<Result, Confidential> => {
    if (!Buffer.from(recorded.requestHash).equals(attempt.requestHash)) throw idempotencyKeyReused();
    return openAnswer(sealingKey, recorded.sealedAnswer);
  };

  const earlier = await storage.findRecordedCall(keyHash, new Date(clock()));
  if (earlier !== undefined) return recall(earlier);
  const { confidential, write } = await prepare();
  const now = clock();
  try {
    const result = await write({
      keyHash,
      requestHash: attempt.requestHash,
      createdAt: new Date(now),
      expiresAt: new Date(now + RETENTION_MS),
      sealing: { key: sealingKey, nonce: entropy(NONCE_BYTES) },
      confidential,
    });
    return { result, confidential };
  } catch (error) {
    if (!(error instanceof AppError) || error.reason !== "idempotency_key_reused") throw error;
    // Another call with the key came first, while this one was prepared.
    const first = await storage.findRecordedCall(keyHash, new Date(now));
    if (first === undefined) throw error;
    return recall(first);
  }
}

/**
 * The bytes that stand for this caller, method and key, and for no others: each part comes after its
 * length, so no two different triples run into the same bytes.
 */
export function identityOf(caller: Caller, { method, key }: Pick<Attempt, "method" | "key">): Uint8Array {
  // A person has one id in every organization.
  const organization = caller.kind === "anonymous" ? "" : (callerOrganization(caller) ?? SYSTEM_ORGANIZATION_ID);
  const parts = [organization, callerId(caller), method, key].map((part) => Buffer.from(part));
  return Buffer.concat(parts.flatMap((part) => [lengthOf(part), part]));
}

function lengthOf(bytes: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return length;
}
