/** Reads what a page needs to know of the person who looks at it. */

import type { Caller } from "../domain/caller.ts";
import type { Membership, Organization, Session, User } from "../domain/entities.ts";
import { AppError, invalidCredential, missingCredential } from "../domain/errors.ts";
import type { Profile, Profiles } from "../domain/profile.ts";
import type { Role } from "../domain/roles.ts";
import type { Storage } from "../domain/storage.ts";
import { profileOf } from "./authorization.ts";

export interface GetContextDeps {
  readonly storage: Storage;
  readonly profiles: Profiles;
}

export interface Context {
  readonly user: User;
  readonly session: Session;
  readonly organization: Organization;
  readonly role: Role;
  /** What the organization's product offers. */
  readonly profile: Profile;
  /** All that the person belongs to, this one included, the one joined first first. */
  readonly places: readonly { readonly membership: Membership; readonly organization: Organization }[];
}

/** @throws AppError: `permission_denied` for anybody but a person; `failed_precondition` without its profile. */
export async function getContext({ storage, profiles }: GetContextDeps, caller: Caller): Promise<Context> {
  if (caller.kind === "anonymous") throw missingCredential();
  if (caller.kind !== "user") throw new AppError("permission_denied", "Only people have a dashboard: sign in.");
  const [user, session, memberships] = await Promise.all([
    storage.getUser(caller.userId),
    storage.getSession(caller.sessionId),
    storage.listMembershipsOfUser(caller.userId),
  ]);
  const found = await Promise.all(
    memberships.map(async (membership) => ({
      membership,
      organization: await storage.getOrganization(membership.organizationId),
    })),
  );
  const places = found.flatMap(({ membership, organization }) =>
    organization === undefined ? [] : [{ membership, organization }],
  );
  const here = places.find(({ organization }) => organization.id === caller.organizationId);
  // What ended a moment ago.
  if (user === undefined || session === undefined || here === undefined) throw invalidCredential();
  const { organization } = here;
  return {
    user,
    session,
    organization,
    role: here.membership.role,
    profile: profileOf(profiles, organization),
    places,
  };
}
