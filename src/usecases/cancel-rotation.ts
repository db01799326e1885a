/** Takes a rotation back while its overlap is running: the new secret stops. */
import type { Token } from "../domain/entities.ts";
import { notFound } from "../domain/errors.ts";
import type { Profiles } from "../domain/profile.ts";
import { findTokenToChange } from "./authorization.ts";
import { type Attempt, type IdempotencyDeps, once } from "./idempotency.ts";
import { changeOf, type Origin } from "./origin.ts";

export interface CancelRotationDeps extends IdempotencyDeps {
  readonly profiles: Profiles;
}

export interface CancelRotationInput {
  /** Public id or UUID. */
  readonly id: string;
  /** Public id or UUID, or empty for any that the caller sees. */
  readonly organizationId: string;
  readonly attempt: Attempt | undefined;
}

/**
 * Takes a token's rotation back. When this resolves, no introspection that starts later finds the new secret
 * active, and the old one works on.
 *
 * @throws AppError: `not_found`, `permission_denied`, `failed_precondition` when no overlap is running,
 *   `already_exists` for an idempotency key that served another request.
 */
export async function cancelRotation(
  deps: CancelRotationDeps,
  origin: Origin,
  input: CancelRotationInput,
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
        const changed = await storage.cancelRotation(token.id, changeOf(origin, now), record);
        if (changed === undefined) throw notFound("token");
        return changed;
      },
    };
  });
  return { token: result, asOfMs: confidential };
}
