/** Hands out a signed checkpoint of the audit log. */
import { type Caller, callerOrganization } from "../domain/caller.ts";
import { AppError, missingCredential } from "../domain/errors.ts";
import { formatVerifierKey } from "../domain/signed-note.ts";
import { requireServiceScope } from "./authorization.ts";
import type { Checkpointer } from "./checkpointer.ts";

export interface GetCheckpointDeps {
  readonly checkpointer: Pick<Checkpointer, "key" | "sign">;
}

export interface HandedOutCheckpoint {
  /** The signed note. */
  readonly note: string;
  /** What verifies it, as text. */
  readonly verifierKey: string;
}

/**
 * Signs the log as it is now. Only service keys of all organizations may ask: it says how much all of them do.
 *
 * @throws AppError: `permission_denied`; and as `Checkpointer.sign`.
 */
export async function getCheckpoint({ checkpointer }: GetCheckpointDeps, caller: Caller): Promise<HandedOutCheckpoint> {
  if (caller.kind === "anonymous") throw missingCredential();
  requireServiceScope(caller, "audit:read");
  if (callerOrganization(caller) !== undefined) {
    throw new AppError(
      "permission_denied",
      "A checkpoint is over the events of all organizations: this call needs a service key of all organizations.",
    );
  }
  const { note } = await checkpointer.sign();
  return { note, verifierKey: formatVerifierKey(checkpointer.key) };
}
