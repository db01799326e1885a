/** Who makes a call. */
import type { KnownToken } from "./entities.ts";
import { type Id, SYSTEM_ORGANIZATION_ID, toPublicId } from "./ids.ts";
import type { RateStatus } from "./rate-window.ts";
import type { Role } from "./roles.ts";
import type { ServiceIdentity } from "./service-identity.ts";

export type Caller =
  /** Nobody said who it is. */
  | { readonly kind: "anonymous" }
  /** A person, signed in. */
  | {
      readonly kind: "user";
      readonly userId: Id;
      readonly organizationId: Id;
      readonly role: Role;
      readonly sessionId: Id;
      /** Id of the organization's profile. */
      readonly profile: string;
    }
  /** A person whom another issuer's access token speaks for. Nothing of them is stored here. */
  | {
      readonly kind: "external";
      /** The issuer's name in the settings. */
      readonly issuer: string;
      /** Whom its token is about, in the issuer's own terms. */
      readonly subject: string;
      readonly organizationId: Id;
      readonly role: Role;
      /** Id of the organization's profile. */
      readonly profile: string;
    }
  /** A customer's API token. */
  | {
      readonly kind: "token";
      readonly token: KnownToken;
      /** Where the token stands after this call; undefined when it has no limit. */
      readonly rateStatus: RateStatus | undefined;
    }
  /** A backend, with a service key or a client certificate. */
  | { readonly kind: "service"; readonly service: KnownToken | ServiceIdentity };

/**
 * The public id of the caller, for logs and for `created_by`. Of a person elsewhere it is `issuer:subject`, of a
 * backend with a client certificate `certificate/name`: no issuer's name has a slash.
 */
export function callerId(caller: Caller): string {
  switch (caller.kind) {
    case "anonymous":
      return "anonymous";
    case "user":
      return toPublicId("usr", caller.userId);
    case "external":
      return `${caller.issuer}:${caller.subject}`;
    case "token":
      return toPublicId("tok", caller.token.id);
    case "service": {
      const { service } = caller;
      return "id" in service ? toPublicId("tok", service.id) : `certificate/${service.name}`;
    }
  }
}

/** The one organization that the caller is bound to, or undefined when it serves all of them. */
export function callerOrganization(caller: Exclude<Caller, { kind: "anonymous" }>): Id | undefined {
  if (caller.kind === "user" || caller.kind === "external") return caller.organizationId;
  const { organizationId } = caller.kind === "service" ? caller.service : caller.token;
  return organizationId === SYSTEM_ORGANIZATION_ID ? undefined : organizationId;
}
