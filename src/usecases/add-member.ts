/** Makes a person a member of an organization. */
import { callerOrganization } from "../domain/caller.ts";
import type { Member, User } from "../domain/entities.ts";
import { type FieldViolation, invalidArgument } from "../domain/errors.ts";
import { uuidV7 } from "../domain/ids.ts";
import type { PasswordHasher } from "../domain/passwords.ts";
import type { Role } from "../domain/roles.ts";
import { normalizeEmail } from "./check-password.ts";
import { type Attempt, type IdempotencyDeps, once } from "./idempotency.ts";
import { explainRefusal, findOrganization, requireMemberManager } from "./organization-access.ts";
import { changeOf, type Origin } from "./origin.ts";

/** As base64url these are 24 characters. */
const INITIAL_PASSWORD_BYTES = 18;

export interface AddMemberDeps extends IdempotencyDeps {
  readonly passwords: PasswordHasher;
}

/** What is known of a person whose account is made; it changes nothing of an account that is there. */
type Particulars = Pick<User, "firstName" | "lastName" | "displayName" | "avatarUrl">;

export interface AddMemberInput extends Particulars {
  /** Public id or UUID, or empty for the caller's own. */
  readonly organizationId: string;
  readonly email: string;
  readonly role: Role;
  readonly attempt: Attempt | undefined;
}

export interface AddedMember {
  readonly member: Member;
  /** Password of the account that was made, which is kept nowhere, unless sealed for a retry; undefined for somebody who had one. */
  readonly initialPassword: string | undefined;
}

/**
 * Adds a member. An address that nobody has yet gets an account with a random password; somebody who has
 * an account keeps it as it is. Whoever made that account may know its password, be it a stranger who registered
 * or an admin of another organization, so an organization gets only people in of whom it is certain that they
 * have the mailbox; the deployment's own service keys answer for whom they add.
 *
 * @throws AppError: `failed_precondition` for an account that isn't confirmed, `permission_denied`, `not_found`, `invalid_argument`, `already_exists` for somebody who
 *   is a member, and for an idempotency key that served another request.
 */
export async function addMember(deps: AddMemberDeps, origin: Origin, input: AddMemberInput): Promise<AddedMember> {
  const { storage, clock } = deps;
  const { caller } = origin;
  const { id: organizationId } = await findOrganization(deps, caller, "organizations:write", input.organizationId);
  requireMemberManager(caller, [input.role]);
  const vouches = caller.kind === "service" && callerOrganization(caller) === undefined;
  const { result, confidential } = await once(deps, caller, input.attempt, async () => {
    const violations = findViolations(input);
    if (violations.length > 0) throw invalidArgument(...violations);
    const email = normalizeEmail(input.email);
    const known = await storage.findUserByEmail(email);
    const { user, password } =
      known === undefined ? await makeAccount(deps, email, input) : { user: known, password: undefined };
    const change = changeOf(origin, clock());
    const membership = { organizationId, role: input.role, createdAt: change.at };
    return {
      confidential: { userId: user.id, password },
      write: (record) =>
        explainRefusal(
          explainRefusal(
            storage.addMember(membership, user, change, record, !vouches),
            "already_exists",
            "This person is a member of the organization already.",
          ),
          "failed_precondition",
          "This person has an account whose address isn't confirmed: invite them instead.",
        ),
    };
  });
  // Somebody else may have made the account since it was looked up; then this password opens nothing.
  const isOurs = result.user.id === confidential.userId;
  return { member: result, initialPassword: isOurs ? confidential.password : undefined };
}

async function makeAccount(
  { passwords, clock, entropy }: AddMemberDeps,
  email: string,
  { firstName, lastName, displayName, avatarUrl }: Particulars,
): Promise<{ readonly user: User; readonly password: string }> {
  const password = Buffer.from(entropy(INITIAL_PASSWORD_BYTES)).toString("base64url");
  const passwordHash = await passwords.hash(password);
  const now = clock();
  const id = uuidV7(now, entropy(10));
  return {
    password,
    user: { id, email, passwordHash, firstName, lastName, displayName, avatarUrl, createdAt: new Date(now) },
  };
}

function findViolations({ firstName, lastName, displayName, avatarUrl }: Particulars): readonly FieldViolation[] {
  const found: FieldViolation[] = [];
  // Names end up on terminals and pages of others.
  for (const [field, text] of Object.entries({
    first_name: firstName,
    last_name: lastName,
    display_name: displayName,
  })) {
    if (/\p{Cc}/u.test(text)) found.push({ field, description: "must not hold control characters" });
  }
  // A page shows it as it is, and `javascript:` is a URL too.
  if (avatarUrl !== "" && !/^https?:\/\//i.test(avatarUrl)) {
    found.push({ field: "avatar_url", description: "must be an http or https URL" });
  }
  return found;
}
