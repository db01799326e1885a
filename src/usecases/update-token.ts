/** Changes a token's settings. */
import type { Caller } from "../domain/caller.ts";
import { settingsOf, type Token, type TokenSettings, tokenState } from "../domain/entities.ts";
import { AppError, invalidArgument, notFound } from "../domain/errors.ts";
import { type Profile, type Profiles, SERVICE_PROFILE_ID, scopesOf } from "../domain/profile.ts";
import { findTokenToChange, requireGrantor } from "./authorization.ts";
import { type Attempt, type IdempotencyDeps, once } from "./idempotency.ts";
import { findViolations, normalizeScopes } from "./issue-token.ts";
import { changeOf, type Origin } from "./origin.ts";

/** So often a decision is made anew because somebody else changed the token first. */
const MAX_TRIES = 20;

export interface UpdateTokenDeps extends IdempotencyDeps {
  readonly profiles: Profiles;
}

export interface UpdateTokenInput {
  /** Public id or UUID. */
  readonly id: string;
  /** Public id or UUID, or empty for any that the caller sees. */
  readonly organizationId: string;
  /** What is to change. A setting that isn't there stays as it is. */
  readonly changes: Partial<TokenSettings>;
  readonly attempt: Attempt | undefined;
}

export interface UpdatedToken {
  readonly token: Token;
  /** When it was changed. */
  readonly atMs: number;
}

/**
 * Changes a token, from the next introspection on. What changes nothing leaves its revision as it is.
 *
 * Each decision holds for the token that it was made on: if that has changed meanwhile, it is made anew. So
 * a change that narrows what a token may do can't be undone by one that was made without knowing of it.
 *
 * @throws AppError: `not_found`, `permission_denied` for the caller or the plan, `failed_precondition` for a
 *   token that is revoked or expired, `invalid_argument` that names each field that the profile doesn't
 *   offer or that is out of its range, `already_exists` for an idempotency key that served another request,
 *   `unavailable` when others change the token all the time.
 */
export async function updateToken(
  deps: UpdateTokenDeps,
  origin: Origin,
  input: UpdateTokenInput,
): Promise<UpdatedToken> {
  const { storage, clock } = deps;
  const { caller } = origin;
  const { token: found, profile } = await findTokenToChange(deps, caller, input);
  const { result, confidential } = await once(deps, caller, input.attempt, async () => {
    const organization = await storage.getOrganization(found.organizationId);
    if (organization === undefined) throw notFound("token");
    const nowMs = clock();
    const violations = findViolations(profile, organization, input.changes, nowMs);
    if (violations.length > 0) throw invalidArgument(...violations);
    const decide = (token: Token): TokenSettings => {
      requireChangeable(token, nowMs);
      const settings = { ...settingsOf(token), ...input.changes };
      const after = { ...settings, scopes: normalizeScopes(settings.scopes) };
      requireRightToGrant(caller, profile, token, after);
      return after;
    };
    return {
      // Part of the answer, for a token's state depends on the time.
      confidential: nowMs,
      async write(record) {
        let token: Token | undefined = found;
        for (let tries = 0; tries < MAX_TRIES && token !== undefined; tries++) {
          const change = changeOf(origin, nowMs);
          const updated = await storage.updateToken(token.id, decide(token), token.revision, change, record);
          if (updated !== undefined) return updated;
          token = await storage.getToken(token.id);
        }
        throw new AppError("unavailable", "Others are changing the token at the moment. Try again.");
      },
    };
  });
  return { token: result, atMs: confidential };
}

function requireChangeable(token: Token, nowMs: number): void {
  const state = tokenState(token, nowMs);
  if (state === "revoked") throw new AppError("failed_precondition", "A revoked token can't be changed.");
  if (state === "expired") throw new AppError("failed_precondition", "An expired token can't be changed.");
}

/** Whoever may manage a token may take from it what it can do. Giving it more is for those who answer for all. */
function requireRightToGrant(caller: Caller, profile: Profile, before: Token, after: TokenSettings): void {
  const has = scopesOf(profile.access, before);
  const added = scopesOf(profile.access, after).filter((scope) => !has.includes(scope));
  if (added.length === 0) return;
  if (profile.id === SERVICE_PROFILE_ID) return requireGrantor(caller, added);
  const isPerson = caller.kind === "user" || caller.kind === "external";
  const isAdmin = isPerson && (caller.role === "owner" || caller.role === "admin");
  if (isAdmin || caller.kind === "service") return;
  throw new AppError(
    "permission_denied",
    `Only an owner or an admin of the organization can let an API token do more: ${added.join(", ")}.`,
  );
}
