/** Where a change comes from: who makes the call, and what the audit log says of the call itself. */
import type { Actor, Change } from "../domain/audit.ts";
import { type Caller, callerId } from "../domain/caller.ts";

/** A transport's call is one. */
export interface Origin {
  readonly caller: Caller;
  /** Address that the call came from. */
  readonly peer: string;
  readonly requestId: string;
}

/** The change that a call makes at a moment. */
export function changeOf({ caller, peer, requestId }: Origin, nowMs: number, actor = actorOf(caller)): Change {
  return { at: new Date(nowMs), actor, address: peer, requestId };
}

function actorOf(caller: Caller): Actor {
  return { kind: caller.kind, id: callerId(caller) };
}
