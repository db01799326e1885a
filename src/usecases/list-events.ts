/** Reads the audit log, a page at a time. */
import { ACTIONS, type AuditEvent } from "../domain/audit.ts";
import type { Caller } from "../domain/caller.ts";
import { invalidArgument } from "../domain/errors.ts";
import type { Storage } from "../domain/storage.ts";
import { isAboutAll, requireAuditReader } from "./audit-access.ts";
import { resolveOrganization } from "./authorization.ts";
import { type Page, type PageRequest, readPageByRevision } from "./page-token.ts";

export interface ListEventsDeps {
  readonly storage: Storage;
}

export interface ListEventsInput extends PageRequest {
  /** Public id or UUID, or empty for the caller's own, or for all. */
  readonly organizationId: string;
  /** Empty for all; so are the texts that follow. */
  readonly actions: readonly string[];
  readonly actor: string;
  readonly target: string;
  readonly from: Date | undefined;
  readonly until: Date | undefined;
  readonly newestFirst: boolean;
}

/**
 * Lists events by ascending revision, or by descending one.
 *
 * @throws AppError: `permission_denied`, `not_found`, `invalid_argument` for an action that there isn't, or a
 *   page token that isn't one of this list.
 */
export async function listEvents(
  { storage }: ListEventsDeps,
  caller: Caller,
  input: ListEventsInput,
): Promise<Page<AuditEvent>> {
  requireAuditReader(caller);
  const { actor, target, from, until, newestFirst } = input;
  const organizationId = isAboutAll(caller, input.organizationId)
    ? undefined
    : (await resolveOrganization({ storage }, caller, input.organizationId)).id;
  const actions = ACTIONS.filter((action) => input.actions.includes(action));
  if (actions.length < new Set(input.actions).size) {
    throw invalidArgument({ field: "actions", description: `must be among ${ACTIONS.join(", ")}` });
  }
  const query = {
    organizationId,
    actions: actions.length === 0 ? undefined : actions,
    actor: actor === "" ? undefined : actor,
    target: target === "" ? undefined : target,
    from,
    until,
    newestFirst,
  };
  return readPageByRevision(
    {
      identity: ["events", JSON.stringify(query)],
      read: (after, limit) => storage.listEvents({ ...query, after, limit }),
      positionOf: ({ revision }) => revision,
    },
    input,
  );
}
