/** Finds the token behind a text that somebody sent, also where another system made it. */
import { Chaskey12 } from "../domain/chaskey.ts";
import type { Entropy } from "../domain/clock.ts";
import type { KnownRecord } from "../domain/decision.ts";
import { type DigestScheme, digestOf, schemeFingerprint } from "../domain/digest-scheme.ts";
import { fingerprint } from "../domain/fingerprint.ts";
import { MAX_KEY_BYTES, mayBeImportedKey } from "../domain/imported-key.ts";
import { type Profile, type Profiles, type RateLimit, rateLimitOf, SERVICE_PROFILE_ID } from "../domain/profile.ts";
import type { Storage } from "../domain/storage.ts";
import { type KeySealer, openImportKey } from "./import-keys.ts";
import { KeptRecord, type TokenCache } from "./token-cache.ts";

export interface TokenFinderDeps {
  readonly storage: Storage;
  readonly tokens: TokenCache;
  readonly profiles: Profiles;
  readonly sealer: Pick<KeySealer, "open">;
  readonly entropy: Entropy;
}

/** A token, and what the conventions that it follows make of it. */
export interface FoundToken extends KnownRecord {
  readonly profile: Profile;
  /** Undefined means none. */
  readonly limit: RateLimit | undefined;
  /** The profile whose format its secret has; undefined for a key of another system. */
  readonly format: Profile | undefined;
}

/** ASCII text as it lies in a request: of one that memory knows no string is made. */
export class EncodedText {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;

  constructor(bytes: Buffer, start: number, end: number) {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
  }

  get length(): number {
    return this.end - this.start;
  }

  toString(): string {
    return this.bytes.toString("latin1", this.start, this.end);
  }
}

const NO_KEY = new Uint8Array(0);
const TAG_KEY_BYTES = 16;

export class TokenFinder {
  readonly #deps: TokenFinderDeps;
  /**
   * What memory knows texts by, and fingerprints of other digests. Each has its own key, or who knows such a fingerprint
   * could send it as a text.
   */
  readonly #ofTexts: Chaskey12;
  readonly #ofDigests: Chaskey12;
  /** By id. What an id stands for never changes, so a key is read and opened once. */
  readonly #hmacKeys = new Map<string, Uint8Array>();
  #schemes: readonly DigestScheme[] = [];
  /** The store's count of changes that the schemes are true for. */
  #changes: number | undefined;

  constructor(deps: TokenFinderDeps) {
    this.#deps = deps;
    this.#ofTexts = new Chaskey12(deps.entropy(TAG_KEY_BYTES));
    this.#ofDigests = new Chaskey12(deps.entropy(TAG_KEY_BYTES));
  }

  /**
   * Finds the token that has the text as its secret, if memory knows it by that: at once, and without a look at
   * the text's format, which was seen before. Undefined where `find` has to be asked.
   */
  recall(text: string | EncodedText): FoundToken | undefined {
    const { tokens } = this.#deps;
    if (text.length > MAX_KEY_BYTES || !tokens.isCurrent) return undefined;
    if (typeof text === "string") this.#ofTexts.ofText(text);
    else this.#ofTexts.ofBytes(text.bytes, text.start, text.end);
    return tokens.recall(this.#ofTexts) as (KeptRecord & FoundToken) | undefined;
  }

  /**
   * Finds the token that has the text as its secret. At once, without a promise, when memory knows it. A text
   * without a format is looked up only once keys were imported: until then nothing but a well-formed secret is
   * anybody's.
   *
   * @param format the profile whose format the text has; undefined for none
   * @throws AppError of kind `unavailable` when the store can't be read; it rejects then
   */
  find(text: string, format: Profile | undefined): FoundToken | undefined | Promise<FoundToken | undefined> {
    const record = format === undefined ? this.#findImported(text) : this.#findWellFormed(text, format);
    return record instanceof Promise ? record.then((later) => this.#judge(later, format)) : this.#judge(record, format);
  }

  /** Whether a token was imported by a digest of the text that isn't its SHA-256, which is its fingerprint. */
  async isDigested(text: string): Promise<boolean> {
    return (await this.#findDigested(text)) !== undefined;
  }

  /** Who imports a digest doesn't show what it is of: it mustn't turn into a service key or another product's. */
  #judge(record: KnownRecord | undefined, format: Profile | undefined): FoundToken | undefined {
    if (record === undefined) return undefined;
    if (record instanceof KeptRecord && record.profile !== undefined) return record as KeptRecord & FoundToken;
    const { token, organization, secret } = record;
    const profile = this.#deps.profiles.get(token.profile);
    if (profile === undefined || (format ?? profile) !== profile) return undefined;
    if (format === undefined && profile.id === SERVICE_PROFILE_ID) return undefined;
    const conventions = { profile, limit: rateLimitOf(profile, token.type, organization.plan), format };
    return record instanceof KeptRecord
      ? Object.assign(record, conventions)
      : { token, organization, secret, ...conventions };
  }

  #findWellFormed(text: string, { id }: Profile): KnownRecord | undefined | Promise<KnownRecord | undefined> {
    const record = this.#findByFingerprint(text, fingerprint(text));
    if (id === SERVICE_PROFILE_ID) return record;
    return record instanceof Promise
      ? record.then((later) => later ?? this.#findDigested(text))
      : (record ?? this.#findDigested(text));
  }

  #findByFingerprint(text: string, bytes: Uint8Array): KnownRecord | undefined | Promise<KnownRecord | undefined> {
    this.#ofTexts.ofText(text);
    return this.#deps.tokens.find(this.#ofTexts.tag, bytes);
  }

  /** Finds a token that was imported by a digest which isn't a fingerprint already. */
  #findDigested(text: string): undefined | Promise<KnownRecord | undefined> {
    return this.#findByThose((schemes) => schemes.filter(({ algorithm }) => algorithm !== "sha256"), text);
  }

  #findImported(text: string): undefined | Promise<KnownRecord | undefined> {
    // Most garbage ends at the first question, and the second one takes longer.
    return this.#hasNoSchemes || !mayBeImportedKey(text) ? undefined : this.#findByThose((schemes) => schemes, text);
  }

  /** Whether it is known that no scheme is in use. */
  get #hasNoSchemes(): boolean {
    return (
      this.#schemes.length === 0 && this.#changes !== undefined && this.#changes === this.#deps.storage.changeCount()
    );
  }

  /** At once, without a promise, when it is known that no scheme is in use. */
  #findByThose(
    choose: (schemes: readonly DigestScheme[]) => readonly DigestScheme[],
    text: string,
  ): undefined | Promise<KnownRecord | undefined> {
    if (this.#hasNoSchemes) return undefined;
    return this.#readSchemes().then((schemes) => this.#findBy(choose(schemes), text));
  }

  async #findBy(schemes: readonly DigestScheme[], text: string): Promise<KnownRecord | undefined> {
    for (const scheme of schemes) {
      const key = scheme.keyId === undefined ? NO_KEY : await this.#hmacKey(scheme.keyId);
      const bytes = schemeFingerprint(scheme, digestOf(scheme.algorithm, text, key));
      const record = await (scheme.algorithm === "sha256"
        ? this.#findByFingerprint(text, bytes)
        : this.#findByDigest(bytes));
      if (record !== undefined) return record;
    }
    return undefined;
  }

  #findByDigest(bytes: Uint8Array): KnownRecord | undefined | Promise<KnownRecord | undefined> {
    this.#ofDigests.ofBytes(bytes, 0, bytes.length);
    return this.#deps.tokens.find(this.#ofDigests.tag, bytes);
  }

  /** The schemes in use. An import is a change, so they are read anew after each change only. */
  async #readSchemes(): Promise<readonly DigestScheme[]> {
    const changes = this.#deps.storage.changeCount();
    if (changes !== undefined && changes === this.#changes) return this.#schemes;
    const schemes = await this.#deps.storage.listDigestSchemes();
    this.#schemes = schemes;
    this.#changes = changes;
    return schemes;
  }

  async #hmacKey(id: string): Promise<Uint8Array> {
    const known = this.#hmacKeys.get(id);
    if (known !== undefined) return known;
    const stored = await this.#deps.storage.getImportKey(id);
    if (stored === undefined) throw new Error("an HMAC key of imported tokens is missing");
    const key = openImportKey(this.#deps.sealer, stored);
    this.#hmacKeys.set(id, key);
    return key;
  }
}
