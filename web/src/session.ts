/** Who is signed in, and what they may do. The service decides; this only spares people what it would refuse. */
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type {
  GetContextResponseJson,
  OfferedPlanJson,
  OfferedTypeJson,
  OfferJson,
} from "../../gen/latchkey/v1/dashboard_pb.ts";
import type { OrganizationJson, RoleJson } from "../../gen/latchkey/v1/organization_pb.ts";
import type { TokenJson } from "../../gen/latchkey/v1/token_pb.ts";

export interface Session {
  readonly userId: string;
  readonly email: string;
  readonly name: string;
  readonly organization: OrganizationJson;
  readonly organizationId: string;
  readonly role: RoleJson;
  readonly places: readonly { readonly id: string; readonly name: string; readonly role: RoleJson }[];
  readonly offer: OfferJson;
  readonly signInMethod: string;
  /** Reads it anew. */
  readonly reload: () => Promise<void>;
  /** Says that it ended. */
  readonly end: () => void;
}

const Current = createContext<Session | undefined>(undefined);
export const SessionProvider = Current.Provider;

export function useSession(): Session {
  const session = useContext(Current);
  if (session === undefined) throw new Error("a page for people who are signed in");
  return session;
}

export function toSession(answer: GetContextResponseJson, rest: Pick<Session, "reload" | "end">): Session {
  const { user = {}, organization = {}, role = "ROLE_UNSPECIFIED", places = [], offer = {} } = answer;
  return {
    ...rest,
    userId: user.id ?? "",
    email: user.email ?? "",
    name: user.displayName ?? "",
    organization,
    organizationId: organization.id ?? "",
    role,
    places: places.map((place) => ({
      id: place.organization?.id ?? "",
      name: place.organization?.name ?? "",
      role: place.role ?? "ROLE_UNSPECIFIED",
    })),
    offer,
    signInMethod: answer.signInMethod ?? "",
  };
}

export const isManager = ({ role }: Session): boolean => role === "ROLE_OWNER" || role === "ROLE_ADMIN";

export const planOf = ({ offer, organization }: Session): OfferedPlanJson | undefined =>
  offer.plans?.find(({ name }) => name === organization.plan);

/** The types of token that the person may issue. */
export function issuableTypes({ offer, role }: Session): readonly OfferedTypeJson[] {
  return (offer.types ?? []).filter(
    ({ managers = [], ownManagers = [] }) => managers.includes(role) || ownManagers.includes(role),
  );
}

export function canManage({ offer, role, userId }: Session, token: TokenJson): boolean {
  const { managers = [], ownManagers = [] } =
    offer.types?.find(({ name = "" }) => name === (token.type ?? "")) ?? offer.types?.[0] ?? {};
  return managers.includes(role) || (ownManagers.includes(role) && token.userId === userId);
}

const ROLE_NAMES: Readonly<Record<string, string>> = {
  ROLE_OWNER: "Owner",
  ROLE_ADMIN: "Admin",
  ROLE_MEMBER: "Member",
};

export const roleName = (role: RoleJson | undefined): string => ROLE_NAMES[role ?? ""] ?? "";
