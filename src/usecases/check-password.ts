/** Finds out whether somebody is who they say they are, by their password. */
import type { Actor } from "../domain/audit.ts";
import type { Clock } from "../domain/clock.ts";
import type { Membership, User } from "../domain/entities.ts";
import { AppError, notFound } from "../domain/errors.ts";
import { fromPublicId, type Id, toPublicId } from "../domain/ids.ts";
import type { PasswordHasher } from "../domain/passwords.ts";
import type { Storage } from "../domain/storage.ts";
import type { AttemptLimits } from "./attempt-limits.ts";
import { changeOf, type Origin, originOfPerson } from "./origin.ts";

export interface CheckPasswordDeps {
  readonly storage: Storage;
  readonly passwords: PasswordHasher;
  readonly clock: Clock;
  readonly attemptLimits: AttemptLimits;
}

export interface SignInInput {
  readonly email: string;
  readonly password: string;
  /** Public id, or empty for the organization joined first. */
  readonly organizationId: string;
  /** Address of the person's client, where a backend states it; else empty. */
  readonly clientIp: string;
}

/** Somebody who proved who they are, and where they want to act. */
export interface Arrival {
  readonly user: User;
  readonly organizationId: Id;
  /** Where the sign-in comes from. */
  readonly origin: Origin;
  /** Undefined for the caller. A stranger's call became that person's with the proof. */
  readonly actor: Actor | undefined;
}

/**
 * Counts the attempt, checks the password, and finds the organization.
 *
 * @throws AppError: `unauthenticated`, the same after the same work, for an unknown address and a wrong
 *   password; `rate_limited` for a client that tried too often; `not_found` for an organization that isn't the
 *   person's; `permission_denied` for a person without any.
 */
export async function checkPassword(deps: CheckPasswordDeps, call: Origin, input: SignInInput): Promise<Arrival> {
  const { storage, passwords, clock, attemptLimits } = deps;
  const origin = originOfPerson(call, input.clientIp);
  await attemptLimits.ofAddress("login", origin.peer);
  const user = await storage.findUserByEmail(normalizeEmail(input.email));
  const matches = await passwords.verify(user?.passwordHash, input.password);
  if (user === undefined || !matches) {
    const reason = user === undefined ? "unknown_address" : "wrong_password";
    // Written for an unknown address too, else the time that it takes would tell one from the other.
    await storage.recordSignInFailure(user?.id, reason, changeOf(origin, clock()));
    throw new AppError("unauthenticated", "The email or the password is wrong.");
  }
  const { organizationId } = await findPlace(deps, origin, user, input.organizationId);
  return { user, organizationId, origin, actor: actorOf(origin, user) };
}

/**
 * The membership that a person who proved who they are acts by: of the organization that is named, or the first.
 *
 * @throws AppError: `not_found` and `permission_denied` as above; the audit log has it then.
 */
export async function findPlace(
  { storage, clock }: Pick<CheckPasswordDeps, "storage" | "clock">,
  origin: Origin,
  user: User,
  requested: string,
): Promise<Membership> {
  const memberships = await storage.listMembershipsOfUser(user.id);
  const id = fromPublicId("org", requested);
  const membership =
    requested === "" ? memberships[0] : memberships.find(({ organizationId }) => organizationId === id);
  if (membership !== undefined) return membership;
  await storage.recordSignInFailure(user.id, "not_a_member", changeOf(origin, clock()));
  throw memberships.length === 0
    ? new AppError("permission_denied", "You are not a member of any organization.")
    : notFound("organization");
}

/** The one way that an address is written in the store. */
export function normalizeEmail(email: string): string {
  return email.trim().toLowerCase().normalize("NFC");
}

export function actorOf({ caller }: Origin, user: User): Actor | undefined {
  return caller.kind === "anonymous" ? { kind: "user", id: toPublicId("usr", user.id) } : undefined;
}
