/** Ends the overlap of a rotation: the old secret stops. */
import type { Token } from "../domain/entities.ts";
import { notFound } from "../domain/errors.ts";
import type { Profiles } from "../domain/profile.ts";
import { findTokenToChange } from "./authorization.ts";
import { type Attempt, type IdempotencyDeps, once } from "./idempotency.ts";
import { changeOf, type Origin } from "./origin.ts";

export interface FinishRotationDeps extends IdempotencyDeps {
  readonly profiles: Profiles;
}

export interface FinishRotationInput {
  /** Public id or UUID. */
  readonly id: string;
  /** Public id or UUID, or empty for any that the caller sees. */
  readonly organizationId: string;
  readonly attempt: Attempt | undefined;
}

/**
 * Ends the overlap of a token's rotation now. When this resolves, no introspection that starts later finds
 * the old secret active. Where no overlap is running it changes nothing.
 *
 * @throws AppError: `not_found`, `permission_denied`, `already_exists` for an idempotency key that served
 *   another request.
 */
export async function finishRotation(
  deps: FinishRotationDeps,
  origin: Origin,
  input: FinishRotationInput,
): Promise<{ readonly token: Token; readonly asOfMs: number }> {
  const { storage, clock } = deps;
  const { caller } = origin;
  const { token } = await findTokenToChange(deps, caller, input);
  const { result, confidential } = await once(deps, caller, input.attempt, async () => {
    const now = clock();
    return {
      // A retry is told the token's state of now, too.
      confidential: now,
      async write(record) {
        const changed = await storage.finishRotation(token.id, changeOf(origin, now), record);
        if (changed === undefined) throw notFound("token");
        return changed;
      },
    };
  });
  return { token: result, asOfMs: confidential };
}
