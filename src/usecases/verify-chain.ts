/** Recomputes an organization's chain of events. */
import { setImmediate } from "node:timers/promises";
import { type BrokenLink, type ChainHead, ChainVerifier, EMPTY_CHAIN } from "../domain/audit.ts";
import type { Caller } from "../domain/caller.ts";
import type { Storage } from "../domain/storage.ts";
import { requireAuditReader } from "./audit-access.ts";
import { resolveOrganization } from "./authorization.ts";

/** Reading and hashing so many takes a few milliseconds, in which nothing else is answered. */
const BATCH_SIZE = 200;

export interface VerifyChainDeps {
  readonly storage: Storage;
}

export interface VerifiedChain {
  /** Events that are good, from the first on. */
  readonly count: number;
  /** The last good one. */
  readonly head: ChainHead;
  readonly broken: BrokenLink | undefined;
}

/** @throws AppError: `permission_denied`, `not_found`. */
export async function verifyChain(
  { storage }: VerifyChainDeps,
  caller: Caller,
  request: { readonly organizationId: string },
): Promise<VerifiedChain> {
  requireAuditReader(caller);
  const { id: organizationId } = await resolveOrganization({ storage }, caller, request.organizationId);
  const everything = { actions: undefined, actor: undefined, target: undefined, from: undefined, until: undefined };
  const verifier = new ChainVerifier();
  const head = (): ChainHead => verifier.heads.get(organizationId) ?? EMPTY_CHAIN;
  for (;;) {
    const after = verifier.count === 0 ? undefined : head().revision;
    const query = { organizationId, ...everything, after, limit: BATCH_SIZE };
    const events = await storage.listEvents(query);
    const isGood = events.every((event) => verifier.add(event));
    if (!isGood || events.length < BATCH_SIZE) break;
    await setImmediate();
  }
  return { count: verifier.count, head: head(), broken: verifier.broken };
}
