/** Port: other services that sign people in to the dashboard, by OpenID Connect. */
import type { Identity } from "./entities.ts";

export interface ProviderSettings {
  /** Stands in addresses and in the audit log. */
  readonly name: string;
  /** What its button says. */
  readonly label: string;
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

/** A sign-in that has begun. */
export interface BegunSignIn {
  /** Where the browser is to go. */
  readonly url: string;
  /** What it is to bring back, sealed, so that nobody else's answer counts. */
  readonly kept: string;
  readonly lifetimeMs: number;
}

/** What a provider sends back with the browser, as it stands in the address. */
export interface ProviderAnswer {
  readonly code: string;
  readonly state: string;
  /** Empty where the provider doesn't say who it is (RFC 9207). */
  readonly issuer: string;
  /** Empty where all went well. */
  readonly error: string;
}

/** Whom a provider vouches for. */
export interface VouchedPerson {
  readonly identity: Identity;
  /** An address of which the provider says that the person has it; undefined for none. */
  readonly email: string | undefined;
}

export interface SignInProviders {
  readonly offered: readonly Pick<ProviderSettings, "name" | "label">[];
  /** @throws AppError: `not_found` for a name that nobody has; `unavailable` when the provider can't be asked */
  begin(name: string): Promise<BegunSignIn>;
  /**
   * @param kept what the browser kept
   * @throws AppError: `not_found` and `unavailable` as `begin`; `unauthenticated` for an answer that isn't to what
   *   this browser began, is too late, or doesn't prove who the person is
   */
  finish(name: string, kept: string | undefined, answer: ProviderAnswer): Promise<VouchedPerson>;
  /** Whether a credential is a token of one of them, which says who somebody is but is no way in. */
  issued(credential: string): boolean;
}
