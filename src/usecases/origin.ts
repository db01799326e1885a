/** Where a change comes from: who makes the call, and what the audit log says of the call itself. */
import { plainAddress } from "../domain/address.ts";
import type { Actor, Change } from "../domain/audit.ts";
import { type Caller, callerId } from "../domain/caller.ts";
import { invalidArgument } from "../domain/errors.ts";
import { requireServiceScope } from "./authorization.ts";

/** A transport's call is one. */
export interface Origin {
  readonly caller: Caller;
  /** Address that the call came from, or that a backend says its client has. */
  readonly peer: string;
  readonly requestId: string;
}

/**
 * Lets through whoever may call for a person who isn't signed in, and answers where that person is.
 *
 * @param clientIp the address that a backend states; empty for none
 * @throws AppError: `permission_denied` for a caller that isn't nobody and has no service key with the scope
 *   `auth`; `invalid_argument` for an address that isn't a backend's to state: whoever could choose it would
 *   have no limits.
 */
export function originOfPerson(origin: Origin, clientIp = ""): Origin {
  const { caller, requestId } = origin;
  if (caller.kind !== "anonymous") requireServiceScope(caller, "auth");
  if (clientIp === "") return origin;
  if (caller.kind === "anonymous") {
    throw invalidArgument({ field: "client_ip", description: "is for service keys only" });
  }
  return { caller, requestId, peer: plainAddress(clientIp) ?? clientIp };
}

/** The change that a call makes at a moment. */
export function changeOf({ caller, peer, requestId }: Origin, nowMs: number, actor = actorOf(caller)): Change {
  return { at: new Date(nowMs), actor, address: peer, requestId };
}

function actorOf(caller: Caller): Actor {
  return { kind: caller.kind, id: callerId(caller) };
}
