/** A product's token conventions, as data. */
import type { Role } from "./roles.ts";
import { isWellFormed, type SecretFormat } from "./secret-format.ts";

/** What a product's tokens can do. */
export type PermissionModel =
  /** Every token may do everything. */
  | { readonly kind: "full" }
  /** A token holds any subset of a closed catalog; there is no wildcard. */
  | { readonly kind: "scopes"; readonly catalog: readonly string[] }
  /** A token holds one named permission, each of which stands for scopes. */
  | { readonly kind: "permissions"; readonly permissions: ReadonlyMap<string, readonly string[]> };

export type CredentialHeader = "authorization" | "x-api-key";

export interface Profile {
  readonly id: string;
  readonly secretFormat: SecretFormat;
  /** Where a token of this product may be sent; `authorization` means as a bearer token. */
  readonly credentialHeaders: readonly CredentialHeader[];
  readonly permissionModel: PermissionModel;
  /** Names of the token types; empty when there is only one kind. */
  readonly types: readonly string[];
  /** Whether a token can be given an expiry. */
  readonly expiry: "never" | "optional";
  /** Plans on which a token can be bound to addresses. */
  readonly ipAllowlistPlans: readonly string[];
  readonly plans: readonly string[];
  /** Who may issue and revoke tokens. */
  readonly managers: {
    readonly roles: readonly Role[];
    /** Whether one of the organization's own tokens may. */
    readonly tokens: boolean;
  };
  /** Whether revoked tokens stay in the list by default. */
  readonly listsRevoked: boolean;
}

/** The profile of the keys that authenticate backends to Latchkey itself. */
export const SERVICE_PROFILE_ID = "latchkey";

/** The type that an issue request names to make a service key of one organization. */
export const SERVICE_KEY_TYPE = "service_key";

/** The profiles of a deployment. No two have prefixes of which one starts the other. */
export class Profiles {
  readonly #byId: ReadonlyMap<string, Profile>;
  readonly #all: readonly Profile[];

  constructor(profiles: readonly Profile[]) {
    this.#all = profiles;
    this.#byId = new Map(profiles.map((profile) => [profile.id, profile]));
    for (const one of profiles) {
      const other = profiles.find(
        (candidate) => candidate !== one && candidate.secretFormat.prefix.startsWith(one.secretFormat.prefix),
      );
      if (other) throw new Error(`profiles ${one.id} and ${other.id} have colliding prefixes`);
    }
  }

  get ids(): readonly string[] {
    return [...this.#byId.keys()];
  }

  get secretPrefixes(): readonly string[] {
    return this.#all.map(({ secretFormat }) => secretFormat.prefix);
  }

  get(id: string): Profile | undefined {
    return this.#byId.get(id);
  }

  /** The profile whose format the text has, checksum included. Looks nothing up. */
  ofSecret(text: string): Profile | undefined {
    return this.#all.find((profile) => isWellFormed(profile.secretFormat, text));
  }
}

/** Whether a token with this permission and these scopes may do what needs `scope`. */
export function grants(
  model: PermissionModel,
  token: { readonly permission: string; readonly scopes: readonly string[] },
  scope: string,
): boolean {
  switch (model.kind) {
    case "full":
      return true;
    case "scopes":
      return token.scopes.includes(scope);
    case "permissions":
      return model.permissions.get(token.permission)?.includes(scope) ?? false;
  }
}
