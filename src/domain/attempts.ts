/** What people may try while nobody is signed in, and how often. */
import type { RateLimit } from "./profile.ts";

/** How much of it a client has. */
export interface AttemptAllowances {
  readonly login: RateLimit;
  readonly register: RateLimit;
  readonly restorePassword: RateLimit;
  /** Of an organization: its invitations are letters that a stranger may have to strangers sent. */
  readonly invite: RateLimit;
}

export type Attempted = keyof AttemptAllowances;
