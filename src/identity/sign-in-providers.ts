/**
 * Signs people in by OpenID Connect: the authorization code flow with PKCE (RFC 7636), state and nonce, all three
 * sealed in what the browser keeps, so nothing is stored here until somebody is in.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { decodeJwt, errors, jwtVerify } from "jose";
import * as z from "zod/mini";
import type { Clock, Entropy } from "../domain/clock.ts";
import { AppError, notFound } from "../domain/errors.ts";
import { ASYMMETRIC_ALGORITHMS } from "../domain/external-tokens.ts";
import type { ProviderAnswer, ProviderSettings, SignInProviders, VouchedPerson } from "../domain/sign-in-providers.ts";
import { FetchRefused, fetchJson } from "./bounded-fetch.ts";
import { IssuerKeys, KeysUnavailable } from "./issuer-keys.ts";
import { discover } from "./provider-metadata.ts";

/** So long a person may take to sign in there. */
const LIFETIME_MS = 10 * 60_000;

/** Clocks of providers may be wrong by as much. */
const CLOCK_TOLERANCE_S = 30;

/** An ID token is made for the exchange that gets it. */
const MAX_TOKEN_AGE_S = 300;

const METADATA_KEPT_MS = 60 * 60_000;

/** A provider that can't be asked isn't asked more often than this. */
const RETRY_MS = 5_000;

const SECRET_BYTES = 32;
const MAX_SUBJECT_LENGTH = 255;
const MAX_EMAIL_LENGTH = 254;
const SEALING_PURPOSE = "sign-in by a provider";

const keptSchema = z.object({
  provider: z.string(),
  state: z.string(),
  nonce: z.string(),
  verifier: z.string(),
  expiresAtMs: z.number(),
});

type Kept = z.infer<typeof keptSchema>;

export interface SignInProvidersDeps {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly sealer: {
    seal(purpose: string, plaintext: Uint8Array): Uint8Array;
    open(purpose: string, sealed: Uint8Array): Uint8Array;
  };
  /** Gives the address that a provider sends the browser back to. */
  readonly callbackOf: (name: string) => string;
}

export interface StoppableSignInProviders extends SignInProviders {
  /** Gives up what is being fetched. */
  stop(): void;
}

export function createSignInProviders(
  settings: readonly ProviderSettings[],
  deps: SignInProvidersDeps,
): StoppableSignInProviders {
  const stopped = new AbortController();
  const providers = new Map(settings.map((one) => [one.name, new Provider(one, deps, stopped.signal)]));
  const issuers = new Set<unknown>(settings.map(({ issuer }) => issuer));
  const find = (name: string): Provider => {
    const provider = providers.get(name);
    if (provider === undefined) throw notFound("sign-in provider");
    return provider;
  };
  return {
    offered: settings.map(({ name, label }) => ({ name, label })),
    begin: async (name) => find(name).begin(),
    finish: async (name, kept, answer) => find(name).finish(kept, answer),
    issued(credential) {
      try {
        return issuers.size > 0 && issuers.has(decodeJwt(credential).iss);
      } catch {
        return false;
      }
    },
    stop: () => stopped.abort(),
  };
}

type Metadata = Readonly<Record<"authorization_endpoint" | "token_endpoint", string>>;

class Provider {
  readonly #settings: ProviderSettings;
  readonly #deps: SignInProvidersDeps;
  readonly #signal: AbortSignal;
  readonly #keys: IssuerKeys;
  #metadata: Promise<Metadata> | undefined;
  #readAtMs = 0;
  #keptMs = 0;

  constructor(settings: ProviderSettings, deps: SignInProvidersDeps, signal: AbortSignal) {
    this.#settings = settings;
    this.#deps = deps;
    this.#signal = signal;
    this.#keys = new IssuerKeys({ issuer: settings.issuer, jwksUri: undefined }, deps.clock);
    signal.addEventListener("abort", () => this.#keys.stop(), { once: true });
  }

  async begin(): ReturnType<SignInProviders["begin"]> {
    const { name, clientId } = this.#settings;
    const { clock, sealer, callbackOf } = this.#deps;
    const { authorization_endpoint } = await this.#discover();
    const kept: Kept = {
      provider: name,
      state: this.#secret(),
      nonce: this.#secret(),
      verifier: this.#secret(),
      expiresAtMs: clock() + LIFETIME_MS,
    };
    const url = new URL(authorization_endpoint);
    for (const [parameter, value] of Object.entries({
      response_type: "code",
      client_id: clientId,
      redirect_uri: callbackOf(name),
      scope: "openid email",
      state: kept.state,
      nonce: kept.nonce,
      code_challenge: createHash("sha256").update(kept.verifier).digest("base64url"),
      code_challenge_method: "S256",
    })) {
      url.searchParams.set(parameter, value);
    }
    const sealed = sealer.seal(SEALING_PURPOSE, Buffer.from(JSON.stringify(kept)));
    return { url: url.href, kept: Buffer.from(sealed).toString("base64url"), lifetimeMs: LIFETIME_MS };
  }

  async finish(sealed: string | undefined, answer: ProviderAnswer): Promise<VouchedPerson> {
    const { issuer } = this.#settings;
    const kept = this.#open(sealed);
    // First of all: what isn't an answer to this browser's question is nobody's.
    if (kept === undefined || !isSame(kept.state, answer.state)) {
      throw refused("This sign-in wasn't begun in this browser, or took too long: start again.");
    }
    if (answer.issuer !== "" && answer.issuer !== issuer) throw refused(this.#failed);
    if (answer.error !== "" || answer.code === "") throw refused(this.#failed);
    const idToken = await this.#exchange(answer.code, kept.verifier);
    return this.#read(idToken, kept.nonce);
  }

  get #failed(): string {
    return `${this.#settings.label} didn't sign you in: start again.`;
  }

  #secret(): string {
    return Buffer.from(this.#deps.entropy(SECRET_BYTES)).toString("base64url");
  }

  #open(sealed: string | undefined): Kept | undefined {
    if (sealed === undefined) return undefined;
    try {
      const opened = this.#deps.sealer.open(SEALING_PURPOSE, Buffer.from(sealed, "base64url"));
      const kept = keptSchema.parse(JSON.parse(Buffer.from(opened).toString()));
      return kept.provider === this.#settings.name && kept.expiresAtMs > this.#deps.clock() ? kept : undefined;
    } catch {
      return undefined;
    }
  }

  /** Trades the code for an ID token, as the client that the provider knows (RFC 6749, section 2.3.1). */
  async #exchange(code: string, verifier: string): Promise<string> {
    const { name, clientId, clientSecret } = this.#settings;
    const { token_endpoint } = await this.#discover();
    const basic = [clientId, clientSecret].map((part) => new URLSearchParams({ part }).toString().slice(5)).join(":");
    const body = new URLSearchParams({
      grant_type: "authorization_code",
      code,
      redirect_uri: this.#deps.callbackOf(name),
      code_verifier: verifier,
    });
    try {
      const answer = await fetchJson(token_endpoint, this.#signal, {
        method: "POST",
        headers: { authorization: `Basic ${Buffer.from(basic).toString("base64")}` },
        body,
      });
      const { id_token } = (answer ?? {}) as { readonly id_token?: unknown };
      if (typeof id_token !== "string") throw new Error(`${name} answered without an ID token`);
      return id_token;
    } catch (cause) {
      // A code that was used, is old or made up. Anything else is between the provider and us.
      if (cause instanceof FetchRefused && cause.status === 400) throw refused(this.#failed);
      throw this.#unavailable(cause);
    }
  }

  async #read(idToken: string, nonce: string): Promise<VouchedPerson> {
    const { issuer, clientId } = this.#settings;
    try {
      const { payload } = await jwtVerify(
        idToken,
        async (header) => (await this.#keys.find(header)) ?? Promise.reject(new errors.JWKSNoMatchingKey()),
        {
          algorithms: [...ASYMMETRIC_ALGORITHMS],
          issuer,
          audience: clientId,
          currentDate: new Date(this.#deps.clock()),
          clockTolerance: CLOCK_TOLERANCE_S,
          maxTokenAge: MAX_TOKEN_AGE_S,
          requiredClaims: ["exp", "sub", "nonce"],
        },
      );
      const { sub, aud, azp, nonce: said, email, email_verified: isVerified } = payload;
      // Of a token for several it says for whom it was made (OpenID Connect Core, section 3.1.3.7).
      const isForUs = azp === clientId || (azp === undefined && [aud].flat().length === 1);
      const isSubject = typeof sub === "string" && sub.length <= MAX_SUBJECT_LENGTH && /^[\x20-\x7e]+$/.test(sub);
      if (typeof said !== "string" || !isSame(said, nonce) || !isForUs || !isSubject) throw refused(this.#failed);
      const isAddress =
        typeof email === "string" && email.length <= MAX_EMAIL_LENGTH && /^[^\s@]+@[^\s@]+$/.test(email);
      return { identity: { issuer, subject: sub }, email: isAddress && isVerified === true ? email : undefined };
    } catch (cause) {
      if (cause instanceof KeysUnavailable) throw this.#unavailable(cause);
      throw refused(this.#failed);
    }
  }

  async #discover(): Promise<Metadata> {
    const { clock } = this.#deps;
    // A clock that is set back must not keep it.
    if (this.#metadata === undefined || Math.abs(clock() - this.#readAtMs) >= this.#keptMs) {
      this.#readAtMs = clock();
      this.#keptMs = METADATA_KEPT_MS;
      const fields = ["authorization_endpoint", "token_endpoint"] as const;
      this.#metadata = discover(this.#settings.issuer, fields, this.#signal);
      this.#metadata.catch(() => {
        this.#keptMs = RETRY_MS;
      });
    }
    try {
      return await this.#metadata;
    } catch (cause) {
      throw this.#unavailable(cause);
    }
  }

  #unavailable(cause: unknown): AppError {
    return new AppError("unavailable", `${this.#settings.label} can't be asked at the moment; try again later.`, {
      cause,
    });
  }
}

function refused(message: string): AppError {
  return new AppError("unauthenticated", message);
}

function isSame(one: string, two: string): boolean {
  const [first, second] = [Buffer.from(one), Buffer.from(two)];
  return first.length === second.length && timingSafeEqual(first, second);
}
