/** Reads the API token that makes the call. */
import type { Caller } from "../domain/caller.ts";
import type { Token } from "../domain/entities.ts";
import { AppError, missingCredential, notFound } from "../domain/errors.ts";
import type { Storage } from "../domain/storage.ts";

export interface GetSelfDeps {
  readonly storage: Storage;
}

/** @throws AppError: `permission_denied` for a person, and for a service without a key. */
export async function getSelf({ storage }: GetSelfDeps, caller: Caller): Promise<Token> {
  if (caller.kind === "anonymous") throw missingCredential();
  if (caller.kind === "user" || caller.kind === "external") {
    throw new AppError("permission_denied", "This call needs an API token or a service key.");
  }
  const own = caller.kind === "service" ? caller.service : caller.token;
  if (!("id" in own)) {
    throw new AppError(
      "permission_denied",
      `This call needs a token; the service ${own.name} has a client certificate.`,
    );
  }
  const token = await storage.getToken(own.id);
  if (token === undefined) throw notFound("token");
  return token;
}
