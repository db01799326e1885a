/** Makes an account for a stranger, and an organization for the account. */
import type { Clock, Entropy } from "../domain/clock.ts";
import type { Organization, User } from "../domain/entities.ts";
import { AppError } from "../domain/errors.ts";
import { SYSTEM_ORGANIZATION_ID, uuidV7 } from "../domain/ids.ts";
import type { PasswordHasher } from "../domain/passwords.ts";
import type { Profile } from "../domain/profile.ts";
import type { Storage } from "../domain/storage.ts";
import type { AttemptLimits } from "./attempt-limits.ts";
import { normalizeEmail } from "./check-password.ts";
import { knownAddressLetter, welcomeLetter } from "./letters.ts";
import { changeOf, type Origin, originOfPerson } from "./origin.ts";
import { requireGoodPassword } from "./password-rules.ts";
import type { Post } from "./restore-password.ts";

export interface RegisterDeps {
  readonly storage: Storage;
  readonly passwords: PasswordHasher;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly attemptLimits: AttemptLimits;
  readonly allowsRegistration: boolean;
  /** Undefined where the deployment sends no letters. */
  readonly post: Post | undefined;
}

export interface RegisterInput {
  readonly email: string;
  readonly password: string;
  readonly organizationName: string;
  /** That of the organization. */
  readonly profile: Profile;
  readonly clientIp: string;
}

/**
 * Makes a person and an organization that they own. Where somebody has the address already it makes nothing,
 * takes as long, and doesn't say so: what the stranger can find out by signing in afterwards costs one of
 * their few attempts, and the person's organizations see it in their audit logs.
 *
 * @throws AppError: `permission_denied` where it is switched off, `rate_limited`, `invalid_argument`,
 *   `failed_precondition` before the deployment is set up.
 */
export async function register(deps: RegisterDeps, call: Origin, input: RegisterInput): Promise<void> {
  const { passwords, attemptLimits, allowsRegistration, post } = deps;
  const origin = originOfPerson(call, input.clientIp);
  if (!allowsRegistration) {
    throw new AppError("permission_denied", "People can't register here: ask an admin of your organization.");
  }
  await attemptLimits.ofAddress("register", origin.peer);
  const email = normalizeEmail(input.email);
  requireGoodPassword("password", input.password, email);
  const passwordHash = await passwords.hash(input.password);
  const account = { ...input, email, passwordHash };
  const letter = (await openAccount(deps, origin, account)) ? welcomeLetter : knownAddressLetter;
  // Whoever has the mailbox hears of it in both cases, and only there the cases differ.
  post?.outbox.post(() => letter(email, post.publicUrl));
}

/**
 * Stores the account and its organization; false, and nothing changes, where somebody has the address.
 *
 * @throws AppError of kind `failed_precondition` before the deployment is set up
 */
export async function openAccount(
  { storage, clock, entropy }: Pick<RegisterDeps, "storage" | "clock" | "entropy">,
  origin: Origin,
  input: Pick<RegisterInput, "email" | "organizationName" | "profile"> & { readonly passwordHash: string },
): Promise<boolean> {
  // Else a stranger's organization would be there before the operator's, who couldn't set it up any more.
  if ((await storage.getOrganization(SYSTEM_ORGANIZATION_ID)) === undefined) {
    throw new AppError("failed_precondition", "This deployment hasn't been set up yet.");
  }
  const { email, passwordHash } = input;
  const now = clock();
  const createdAt = new Date(now);
  const organization: Organization = {
    id: uuidV7(now, entropy(10)),
    name: input.organizationName,
    profile: input.profile.id,
    plan: input.profile.plans[0]?.name ?? "",
    createdAt,
  };
  const nameless = { firstName: "", lastName: "", displayName: "", avatarUrl: "" };
  const user: User = { id: uuidV7(now, entropy(10)), email, passwordHash, ...nameless, createdAt };
  return storage.register(organization, user, changeOf(origin, now));
}
