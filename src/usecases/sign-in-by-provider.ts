/** Starts a session of a browser for somebody whom another service vouches for. */
import type { User } from "../domain/entities.ts";
import { AppError } from "../domain/errors.ts";
import type { Profile } from "../domain/profile.ts";
import type { ProviderAnswer, SignInProviders, VouchedPerson } from "../domain/sign-in-providers.ts";
import { type BrowserSession, type BrowserSessionDeps, startBrowserSession } from "./browser-session.ts";
import { actorOf, findPlace, normalizeEmail } from "./check-password.ts";
import { explainRefusal } from "./organization-access.ts";
import { changeOf, type Origin, originOfPerson } from "./origin.ts";
import { openAccount, type RegisterDeps } from "./register.ts";

export interface SignInByProviderDeps extends RegisterDeps, BrowserSessionDeps {
  readonly signInProviders: SignInProviders;
}

export interface SignInByProviderInput extends ProviderAnswer {
  /** The provider's name. */
  readonly provider: string;
  /** What the browser kept since the sign-in began. */
  readonly kept: string | undefined;
  /** Secret of the session that the browser has so far, if it has one. */
  readonly before: string | undefined;
  /** That of the organization of somebody who registers so. */
  readonly profile: Profile;
}

/**
 * Signs in the person to whom the identity is linked, or links it to the one who has the address that the provider
 * vouches for. An account whose person never proved to have that mailbox is taken from whoever made it. Where nobody
 * has the address, and people can register by themselves, it makes an account and an organization.
 *
 * @throws AppError: those of `SignInProviders.finish`; `rate_limited`; `permission_denied` for a person without an
 *   account or an organization; `unauthenticated` for one without an address that the provider vouches for;
 *   `failed_precondition` for one whose account is linked to another identity of the provider.
 */
export async function signInByProvider(
  deps: SignInByProviderDeps,
  call: Origin,
  input: SignInByProviderInput,
): Promise<BrowserSession> {
  const origin = originOfPerson(call);
  // Before the provider is asked anything.
  await deps.attemptLimits.ofAddress("login", origin.peer);
  const person = await deps.signInProviders.finish(input.provider, input.kept, input);
  const user = (await deps.storage.findUserByIdentity(person.identity)) ?? (await link(deps, origin, input, person));
  const { organizationId } = await findPlace(deps, origin, user, "");
  const arrival = { user, organizationId, origin, actor: actorOf(origin, user) };
  return startBrowserSession(deps, arrival, { method: input.provider, before: input.before });
}

/** The account of somebody who comes this way for the first time. */
async function link(
  deps: SignInByProviderDeps,
  origin: Origin,
  { profile }: SignInByProviderInput,
  person: VouchedPerson,
): Promise<User> {
  const { storage, passwords, entropy, clock, attemptLimits, allowsRegistration } = deps;
  if (person.email === undefined) {
    await storage.recordSignInFailure(undefined, "unknown_address", changeOf(origin, clock()));
    throw new AppError("unauthenticated", "Your address isn't confirmed there: confirm it first.");
  }
  const email = normalizeEmail(person.email);
  // A password that nobody knows. Whoever wants one has it by a link.
  const passwordHash = await passwords.hash(Buffer.from(entropy(32)).toString("base64url"));
  const tryLink = (): Promise<User | undefined> =>
    explainRefusal(
      storage.linkIdentity(person.identity, email, passwordHash, changeOf(origin, clock())),
      "failed_precondition",
      "Your account is linked to another identity there: sign in with that one, or with your password.",
    );
  const known = await tryLink();
  if (known !== undefined) return known;
  if (!allowsRegistration) {
    await storage.recordSignInFailure(undefined, "unknown_address", changeOf(origin, clock()));
    throw new AppError("permission_denied", "You have no account here: ask an admin of your organization.");
  }
  await attemptLimits.ofAddress("register", origin.peer);
  const [organizationName = email] = email.split("@");
  await openAccount(deps, origin, { email, passwordHash, organizationName, profile });
  const made = await tryLink();
  if (made === undefined) throw new Error("a user who was just stored is missing");
  return made;
}
