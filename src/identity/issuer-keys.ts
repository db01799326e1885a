/** The public keys of an issuer: fetched when they are needed, kept for a while, and never asked for in a flood. */
import { type CryptoKey, createLocalJWKSet, errors, type JSONWebKeySet, type JWSHeaderParameters } from "jose";
import type { Clock } from "../domain/clock.ts";
import { fetchJson } from "./bounded-fetch.ts";
import { discover } from "./provider-metadata.ts";

/** From then on they are fetched again, beside calls, which are answered by those that are there. */
const FRESH_MS = 10 * 60_000;

/** A key that its issuer took back works for so long at most, also while the issuer can't be asked. */
const KEPT_MS = 60 * 60_000;

/** Tokens that name unknown keys make one request in so long, however many they are. */
const COOL_DOWN_MS = 30_000;

/** As `COOL_DOWN_MS`, while there are no keys: the first tokens after an outage shouldn't wait for long. */
const RETRY_MS = 5_000;

interface KeysSource {
  readonly issuer: string;
  /** Undefined to find it by the issuer's metadata. */
  readonly jwksUri: string | undefined;
}

/** The keys can't be had, so whether a signature is good can't be told. */
export class KeysUnavailable extends Error {
  override readonly name = "KeysUnavailable";
}

type KeySet = ReturnType<typeof createLocalJWKSet>;

export class IssuerKeys {
  readonly #source: KeysSource;
  readonly #clock: Clock;
  readonly #stopped = new AbortController();
  #keys: KeySet | undefined;
  #fetchedAtMs = Number.NEGATIVE_INFINITY;
  #triedAtMs = Number.NEGATIVE_INFINITY;
  #failure: unknown;
  #fetching: Promise<void> | undefined;

  constructor(source: KeysSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /**
   * The key that a token's header names.
   *
   * @returns undefined when the issuer has no such key
   * @throws KeysUnavailable
   */
  async find(header: JWSHeaderParameters): Promise<CryptoKey | undefined> {
    const age = this.#since(this.#fetchedAtMs);
    if (age >= KEPT_MS) {
      this.#keys = undefined;
      await this.#refresh(RETRY_MS);
    } else if (age >= FRESH_MS) {
      void this.#refresh(COOL_DOWN_MS);
    }
    const known = await this.#select(header);
    if (known !== undefined) return known;
    // The issuer may have a new key.
    await this.#refresh(this.#keys === undefined ? RETRY_MS : COOL_DOWN_MS);
    const key = await this.#select(header);
    if (key === undefined && this.#failure !== undefined) {
      throw new KeysUnavailable(`the keys of ${this.#source.issuer} can't be fetched`, { cause: this.#failure });
    }
    return key;
  }

  /** Gives up what is being fetched. */
  stop(): void {
    this.#stopped.abort();
  }

  async #select(header: JWSHeaderParameters): Promise<CryptoKey | undefined> {
    try {
      return await this.#keys?.(header);
    } catch (error) {
      // None fits, or several do: a token has to name its key then.
      if (error instanceof errors.JOSEError) return undefined;
      // A key that can't be used, as one that is too short.
      if (error instanceof TypeError || error instanceof DOMException) return undefined;
      throw error;
    }
  }

  /** Fetches the keys, unless that was tried within the last `notWithinMs`. Never rejects. */
  #refresh(notWithinMs: number): Promise<void> {
    if (this.#fetching !== undefined) return this.#fetching;
    if (this.#since(this.#triedAtMs) < notWithinMs) return Promise.resolve();
    const nowMs = this.#clock();
    this.#triedAtMs = nowMs;
    this.#fetching = this.#fetch()
      .then(
        (keys) => {
          this.#keys = createLocalJWKSet(keys);
          this.#fetchedAtMs = nowMs;
          this.#failure = undefined;
        },
        (error: unknown) => {
          this.#failure = error;
        },
      )
      .finally(() => {
        this.#fetching = undefined;
      });
    return this.#fetching;
  }

  /** A clock that is set back must not keep keys for longer. */
  #since(thenMs: number): number {
    return Math.abs(this.#clock() - thenMs);
  }

  async #fetch(): Promise<JSONWebKeySet> {
    const { signal } = this.#stopped;
    const { issuer, jwksUri } = this.#source;
    const uri = jwksUri ?? (await discover(issuer, ["jwks_uri"], signal)).jwks_uri;
    const document = (await fetchJson(uri, signal)) as Partial<JSONWebKeySet> | null;
    if (!Array.isArray(document?.keys)) throw new Error(`${uri} has no JSON Web Key Set`);
    // A shared secret has no place there, and would verify what others can sign.
    const keys = document.keys.filter((key) => typeof key === "object" && key !== null && key.kty !== "oct");
    return { keys };
  }
}
