/** Who may read the audit log. */
import { type Caller, callerOrganization } from "../domain/caller.ts";
import { AppError, missingCredential } from "../domain/errors.ts";
import { requireServiceScope } from "./authorization.ts";

/**
 * Lets through whoever may read an audit log; whose it is, is left to the organization that is asked for.
 *
 * @throws AppError of kind `permission_denied` that says what is needed
 */
export function requireAuditReader(caller: Caller): void {
  switch (caller.kind) {
    case "anonymous":
      throw missingCredential();
    case "service":
      return requireServiceScope(caller, "audit:read");
    case "token":
      throw new AppError("permission_denied", "An API token can't read the audit log: sign in instead.");
    case "user":
    case "external":
      if (caller.role !== "member") return;
      throw new AppError("permission_denied", "Only an owner or an admin of the organization can read its audit log.");
  }
}

/** Whether a call that names no organization is about all of them. */
export function isAboutAll(caller: Caller, requested: string): boolean {
  return requested === "" && caller.kind === "service" && callerOrganization(caller) === undefined;
}
