/** Reads the user who makes the call. */
import type { Caller } from "../domain/caller.ts";
import type { User } from "../domain/entities.ts";
import { AppError, missingCredential, notFound } from "../domain/errors.ts";
import type { Id } from "../domain/ids.ts";
import type { Storage } from "../domain/storage.ts";

export interface GetMeDeps {
  readonly storage: Storage;
}

/**
 * The person who is signed in, or whom the API token is for.
 *
 * @throws AppError: `permission_denied` for a service key, which is nobody's, and for a person elsewhere; `not_found` for an API token
 *   without a person.
 */
export async function getMe({ storage }: GetMeDeps, caller: Caller): Promise<User> {
  const id = userIdOf(caller);
  const user = id === undefined ? undefined : await storage.getUser(id);
  if (user === undefined) throw notFound("user");
  return user;
}

function userIdOf(caller: Caller): Id | undefined {
  switch (caller.kind) {
    case "user":
      return caller.userId;
    case "token":
      return caller.token.userId;
    case "service":
      throw new AppError("permission_denied", "This call needs a person or an API token.");
    case "external":
      throw new AppError("permission_denied", "Your account is with another issuer; nothing of it is kept here.");
    case "anonymous":
      throw missingCredential();
  }
}
