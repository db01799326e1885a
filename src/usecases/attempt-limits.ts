/** Limits how often people who aren't signed in may try things, for each client. */
import { clientNetwork } from "../domain/address.ts";
import type { AttemptAllowances, Attempted } from "../domain/attempts.ts";
import { rateLimited } from "../domain/errors.ts";
import type { RateLimiter } from "./rate-limiter.ts";

export interface AttemptLimitsDeps {
  /** One of its own: no crowd of clients puts tokens out of the other's memory. */
  readonly rateLimiter: RateLimiter;
  readonly sealer: { deriveKey(purpose: string, context: Uint8Array): Uint8Array };
  readonly allowances: AttemptAllowances;
}

/**
 * Counts attempts by who makes them, never by whom they are about: so nobody can use up somebody else's. Every
 * attempt counts, the good ones too. The windows are the store's, so they survive a restart.
 */
export class AttemptLimits {
  readonly #deps: AttemptLimitsDeps;

  constructor(deps: AttemptLimitsDeps) {
    this.#deps = deps;
  }

  /**
   * Counts an attempt of the client at an address. Clients behind one IPv6 network are one.
   *
   * @throws AppError: `rate_limited` for one too many, `unavailable` when it can't be counted.
   */
  ofAddress(action: Attempted, address: string): Promise<void> {
    return this.#count(action, "address", clientNetwork(address));
  }

  /** Counts an attempt within a session. @throws as `ofAddress` */
  ofSession(action: Attempted, sessionId: string): Promise<void> {
    return this.#count(action, "session", sessionId);
  }

  /** Counts an attempt of an organization's people together. @throws as `ofAddress` */
  ofOrganization(action: Attempted, organizationId: string): Promise<void> {
    return this.#count(action, "organization", organizationId);
  }

  async #count(action: Attempted, kind: "address" | "session" | "organization", who: string): Promise<void> {
    const { rateLimiter, sealer, allowances } = this.#deps;
    // The database alone doesn't tell whose attempts they are.
    const key = sealer.deriveKey("attempts of a client", Buffer.from(`${action} ${kind} ${who}`));
    const { admitted, status } = await rateLimiter.admit(Buffer.from(key).toString("base64url"), allowances[action], 1);
    if (!admitted) throw rateLimited(status);
  }
}
