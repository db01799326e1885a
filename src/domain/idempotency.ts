/** What is kept of a call that may be repeated, so that the repeat gets the same answer. */
import { deserialize, serialize } from "node:v8";
import { AppError } from "./errors.ts";
import { open, seal } from "./sealing.ts";

/** Given along with a write, to be stored in the same transaction. */
export interface IdempotencyRecord {
  /** SHA-256 of who calls what with which idempotency key, 32 bytes. */
  readonly keyHash: Uint8Array;
  /** SHA-256 of what is asked for, 32 bytes. */
  readonly requestHash: Uint8Array;
  readonly createdAt: Date;
  /** From this moment on the record counts as gone. */
  readonly expiresAt: Date;
  /** Seals the answer; kept nowhere. Its nonce is used for this record only. */
  readonly sealing: { readonly key: Uint8Array; readonly nonce: Uint8Array };
  /**
   * What the caller is told besides what the write answers: plain data, such as a new secret. It is
   * stored inside the sealed answer only.
   */
  readonly confidential: unknown;
}

/** What a store has of an earlier call with the same key. */
export interface RecordedCall {
  readonly requestHash: Uint8Array;
  readonly sealedAnswer: Uint8Array;
}

/** What a call was answered. */
export interface RecordedAnswer<Result, Confidential> {
  /** What the write answered, at that time. */
  readonly result: Result;
  readonly confidential: Confidential;
}

/**
 * What an engine stores of the answer. It runs inside the write's transaction, for only there it is known
 * what the answer is: the revision, or whose account an address was.
 */
export function sealAnswer({ sealing, confidential }: IdempotencyRecord, result: unknown): Uint8Array {
  return seal(sealing.key, sealing.nonce, serialize({ result, confidential }));
}

/**
 * The answer behind `sealAnswer`. A field that entities got since then is missing in it.
 *
 * @throws Error when the key is another one.
 */
export function openAnswer<Result, Confidential>(
  key: Uint8Array,
  sealedAnswer: Uint8Array,
): RecordedAnswer<Result, Confidential> {
  // What opens was sealed by this service, for the same method.
  return deserialize(open(key, sealedAnswer)) as RecordedAnswer<Result, Confidential>;
}

/** The answer to a key that served another request, and of a store whose record is there already. */
export function idempotencyKeyReused(): AppError {
  return new AppError("already_exists", "The idempotency key was used for another request. Use a new key.", {
    reason: "idempotency_key_reused",
  });
}
