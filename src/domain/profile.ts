/** A product's token conventions, as data. `docs/profiles.md` explains the file that it is read from. */
import type { Token } from "./entities.ts";
import type { Role } from "./roles.ts";
import { isWellFormed, type SecretFormat } from "./secret-format.ts";

export interface Scope {
  readonly name: string;
  readonly description: string;
}

/** A named permission, and the scopes that it stands for. */
export interface Permission {
  readonly name: string;
  readonly description: string;
  readonly scopes: readonly string[];
}

/** What a product's tokens can do. */
export type Access =
  /** Every token may do everything. */
  | { readonly kind: "full" }
  /** A token holds any subset of a closed catalog; there is no wildcard. */
  | { readonly kind: "scopes"; readonly catalog: readonly Scope[] }
  /** A token holds one named permission. */
  | { readonly kind: "permissions"; readonly catalog: readonly Scope[]; readonly permissions: readonly Permission[] };

export type CredentialHeader = "authorization" | "x-api-key";

/** So many units in each window. Windows are aligned to the clock: they start at multiples of their length. */
export interface RateLimit {
  readonly requests: number;
  readonly windowMs: number;
}

/** Who may issue, change and revoke tokens: `any` of them, or their `own` only. */
export interface Managers {
  readonly any: readonly Role[];
  readonly own: readonly Role[];
}

export interface TokenType {
  readonly name: string;
  readonly description: string;
  readonly managers: Managers;
  /** Goes before the plan's. */
  readonly rateLimit: RateLimit | undefined;
}

export interface Plan {
  readonly name: string;
  readonly rateLimit: RateLimit | undefined;
  /** Whether the plan comes with API tokens at all. */
  readonly tokens: boolean;
  /** Whether a token can be bound to addresses. */
  readonly ipAllowlist: boolean;
}

/** JSON in which a text `{name}` stands for a value; a key that ends in `?` is left out when its value is empty. */
export type Template = string | number | boolean | null | readonly Template[] | { readonly [key: string]: Template };

export interface ResponseTemplate {
  readonly status: number;
  readonly body: Template;
}

/** How the product's public routes look. */
export interface Presentation {
  /** The product's JSON names of request fields, and ours (protobuf names). */
  readonly requestFields: ReadonlyMap<string, string>;
  /** One token. */
  readonly token: Template;
  readonly responses: {
    readonly issue: ResponseTemplate;
    /** Every answer about one token that has no template of its own. */
    readonly token: ResponseTemplate;
    readonly list: ResponseTemplate;
    readonly revoke: ResponseTemplate;
    readonly login: ResponseTemplate;
    readonly refresh: ResponseTemplate;
    /** Undefined when the product has no such route. */
    readonly me: ResponseTemplate | undefined;
  };
  readonly errors: {
    readonly body: Template;
    /** The product's error codes by error kind; the gRPC name stands for the others. */
    readonly codes: ReadonlyMap<string, string>;
    /** Texts by error reason or kind, in place of ours. */
    readonly messages: ReadonlyMap<string, string>;
  };
}

export interface Profile {
  readonly id: string;
  readonly secretFormat: SecretFormat;
  /** Where a token of this product may be sent; `authorization` means as a bearer token. */
  readonly credentialHeaders: readonly CredentialHeader[];
  /** Where the public routes lie. */
  readonly basePaths: readonly string[];
  readonly access: Access;
  /** At least one. The first is the default. */
  readonly types: readonly TokenType[];
  /** At least one. The first is the default. */
  readonly plans: readonly Plan[];
  /** Whether a token can be given an expiry. */
  readonly expiry: "never" | "optional";
  /** Which of the organization's own tokens may manage tokens: none, all, or those with one of some permissions. */
  readonly managingTokens: "none" | "all" | readonly string[];
  /** Whether revoked tokens stay in the list by default. */
  readonly listsRevoked: boolean;
  /** Whether a call that changes a token must carry an idempotency key. */
  readonly requiresIdempotencyKey: boolean;
  /** Names of the headers that tell of the rate limit. */
  readonly rateLimitHeaders: {
    readonly limit: string | undefined;
    readonly remaining: string | undefined;
    readonly reset: string | undefined;
  };
  readonly presentation: Presentation;
  readonly dashboard: DashboardWords;
  /** How the product's own command line is called and set up; undefined when it has none. */
  readonly commandLine: CommandLine | undefined;
}

/** What the product calls things in its dashboard. */
export interface DashboardWords {
  /** Name of the product. */
  readonly productName: string;
  /** Title of the page of tokens. */
  readonly tokensTitle: string;
  /** One of them in a sentence. */
  readonly tokenNoun: "token" | "key";
  /** What makes one. */
  readonly newTokenLabel: string;
}

export interface CommandLine {
  readonly program: string;
  /** The environment variable that holds the credential. */
  readonly tokenVariable: string;
  /** The configuration file, relative to the folder of a person's configurations. */
  readonly configPath: string;
}

/** The profile of the keys that authenticate backends to Latchkey itself. */
export const SERVICE_PROFILE_ID = "latchkey";

/** The type that an issue request names to make a service key of one organization. */
export const SERVICE_KEY_TYPE = "service_key";

/** The profiles of a deployment. */
export class Profiles {
  readonly #byId: ReadonlyMap<string, Profile>;
  readonly #all: readonly Profile[];

  /** No two may have one id, or prefixes of which one starts the other; the loader sees to that. */
  constructor(profiles: readonly Profile[]) {
    this.#all = profiles;
    this.#byId = new Map(profiles.map((profile) => [profile.id, profile]));
  }

  get all(): readonly Profile[] {
    return this.#all;
  }

  /** Those that an organization of a customer can have. */
  get offered(): readonly Profile[] {
    return this.#all.filter(({ id }) => id !== SERVICE_PROFILE_ID);
  }

  get(id: string): Profile | undefined {
    return this.#byId.get(id);
  }

  /** The profile whose format the text has, checksum included. Looks nothing up. */
  ofSecret(text: string): Profile | undefined {
    for (const profile of this.#all) {
      if (isWellFormed(profile.secretFormat, text)) return profile;
    }
    return undefined;
  }

  /** The profile whose prefix the text starts with: what somebody meant who sent something malformed. */
  ofPrefix(text: string): Profile | undefined {
    return this.#all.find(({ secretFormat }) => text.startsWith(secretFormat.prefix));
  }
}

/** What decides what a token may do. */
type Granted = Pick<Token, "permission" | "scopes">;

/** Whether a token with this permission and these scopes may do what needs `scope`. */
export function grants(access: Access, token: Granted, scope: string): boolean {
  return access.kind === "full" || scopesOf(access, token).includes(scope);
}

/** The scopes that a token has, by name or by its permission. Where every token may do everything there are none. */
export function scopesOf(access: Access, { permission, scopes }: Granted): readonly string[] {
  switch (access.kind) {
    case "full":
      return [];
    case "scopes":
      return scopes;
    case "permissions":
      return access.permissions.find(({ name }) => name === permission)?.scopes ?? [];
  }
}

/** The plan of that name. */
export function planOf(profile: Profile, name: string): Plan | undefined {
  // Service keys don't go by the plan that their organization has of its product.
  if (profile.id === SERVICE_PROFILE_ID) return profile.plans[0];
  return profile.plans.find((plan) => plan.name === name);
}

/** The type of that name. */
export function typeOf(profile: Profile, name: string): TokenType | undefined {
  return profile.types.find((type) => type.name === name);
}

/** Whether tokens of this type belong to a person: there is somebody who looks after their own only. */
export function isPersonal(type: TokenType | undefined): boolean {
  return type !== undefined && type.managers.own.length > 0;
}

/** The limit of a token of this type, in an organization on this plan. Undefined means none. */
export function rateLimitOf(profile: Profile, type: string, plan: string): RateLimit | undefined {
  return typeOf(profile, type)?.rateLimit ?? planOf(profile, plan)?.rateLimit;
}
