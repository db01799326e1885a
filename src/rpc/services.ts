/** Every service of the API with its handlers: one implementation behind all transports. */
import type { DescMethod } from "@bufbuild/protobuf";
import { AuditService } from "../../gen/latchkey/v1/audit_pb.ts";
import { AuthService, UserService } from "../../gen/latchkey/v1/auth_pb.ts";
import { DashboardService } from "../../gen/latchkey/v1/dashboard_pb.ts";
import { IntrospectionService } from "../../gen/latchkey/v1/introspection_pb.ts";
import { OrganizationService } from "../../gen/latchkey/v1/organization_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import type { AddMemberDeps } from "../usecases/add-member.ts";
import type { CreateOrganizationDeps } from "../usecases/create-organization.ts";
import type { GetCheckpointDeps } from "../usecases/get-checkpoint.ts";
import type { ImportTokensDeps } from "../usecases/import-tokens.ts";
import type { InviteMemberDeps } from "../usecases/invite-member.ts";
import type { IssueTokenDeps } from "../usecases/issue-token.ts";
import type { RefreshSessionDeps } from "../usecases/refresh-session.ts";
import type { RegisterDeps } from "../usecases/register.ts";
import type { RestorePasswordDeps } from "../usecases/restore-password.ts";
import type { SignInDeps } from "../usecases/sign-in.ts";
import type { SignInByProviderDeps } from "../usecases/sign-in-by-provider.ts";
import { getCheckpoint } from "./audit/get-checkpoint.ts";
import { listEvents } from "./audit/list-events.ts";
import { verifyChain } from "./audit/verify-chain.ts";
import { acceptInvitation } from "./auth/accept-invitation.ts";
import { changePassword } from "./auth/change-password.ts";
import { joinOrganization } from "./auth/join-organization.ts";
import { login } from "./auth/login.ts";
import { logout } from "./auth/logout.ts";
import { refreshToken } from "./auth/refresh-token.ts";
import { register } from "./auth/register.ts";
import { resetPassword } from "./auth/reset-password.ts";
import { restorePassword } from "./auth/restore-password.ts";
import { beginProviderSignIn } from "./dashboard/begin-provider-sign-in.ts";
import { finishProviderSignIn } from "./dashboard/finish-provider-sign-in.ts";
import { getContext } from "./dashboard/get-context.ts";
import { type GetEntranceDeps, getEntrance } from "./dashboard/get-entrance.ts";
import { signIn } from "./dashboard/sign-in.ts";
import { signOut } from "./dashboard/sign-out.ts";
import { switchOrganization } from "./dashboard/switch-organization.ts";
import { type ServiceEntry, serviceEntry } from "./handlers.ts";
import { batchIntrospect } from "./introspection/batch-introspect.ts";
import {
  AnswerEncoder,
  encodedBatchIntrospect,
  encodedIntrospect,
  encodedIntrospectStream,
} from "./introspection/encoded.ts";
import { introspect } from "./introspection/introspect.ts";
import type { JudgementDeps } from "./introspection/judgement.ts";
import { addMember } from "./organization/add-member.ts";
import { create as createOrganization } from "./organization/create.ts";
import { get as getOrganization } from "./organization/get.ts";
import { inviteMember } from "./organization/invite-member.ts";
import { list as listOrganizations } from "./organization/list.ts";
import { listInvitations } from "./organization/list-invitations.ts";
import { listMembers } from "./organization/list-members.ts";
import { removeMember } from "./organization/remove-member.ts";
import { revokeInvitation } from "./organization/revoke-invitation.ts";
import { setMemberRole } from "./organization/set-member-role.ts";
import { setPlan } from "./organization/set-plan.ts";
import { setProfile } from "./organization/set-profile.ts";
import { cancelRotation } from "./token/cancel-rotation.ts";
import { finishRotation } from "./token/finish-rotation.ts";
import { get as getToken } from "./token/get.ts";
import { getSelf } from "./token/get-self.ts";
import { importTokens } from "./token/import.ts";
import { issue } from "./token/issue.ts";
import { list as listTokens } from "./token/list.ts";
import { revoke } from "./token/revoke.ts";
import { revokeMany } from "./token/revoke-many.ts";
import { rotate } from "./token/rotate.ts";
import { update } from "./token/update.ts";
import { getMe } from "./user/get-me.ts";

export type ServiceDeps = IssueTokenDeps &
  ImportTokensDeps &
  JudgementDeps &
  SignInDeps &
  RefreshSessionDeps &
  RestorePasswordDeps &
  RegisterDeps &
  GetEntranceDeps &
  SignInByProviderDeps &
  CreateOrganizationDeps &
  AddMemberDeps &
  InviteMemberDeps &
  GetCheckpointDeps;

/** The service that may do without the database for a while. */
export const INTROSPECTION_SERVICE: string = IntrospectionService.typeName;

/** Services that mostly change something; the others go on while the database can only be read. */
export const WRITING_SERVICES: readonly string[] = [
  TokenService,
  OrganizationService,
  AuthService,
  DashboardService,
].map(({ typeName }) => typeName);

/** Calls of AuthService that a person makes who is signed in already. */
const OF_PEOPLE: ReadonlySet<DescMethod> = new Set([
  AuthService.method.changePassword,
  AuthService.method.joinOrganization,
]);

/** Calls of DashboardService that a page makes before anybody has signed in there, or after. */
const OF_STRANGERS: ReadonlySet<DescMethod> = new Set([
  DashboardService.method.getEntrance,
  DashboardService.method.signIn,
  DashboardService.method.beginProviderSignIn,
  DashboardService.method.finishProviderSignIn,
  DashboardService.method.signOut,
]);

export function createServices(deps: ServiceDeps): readonly ServiceEntry[] {
  const answers = new AnswerEncoder(deps);
  return [
    serviceEntry(TokenService, "nobody", {
      issue: issue(deps),
      get: getToken(deps),
      getSelf: getSelf(deps),
      list: listTokens(deps),
      update: update(deps),
      revoke: revoke(deps),
      rotate: rotate(deps),
      finishRotation: finishRotation(deps),
      cancelRotation: cancelRotation(deps),
      import: importTokens(deps),
      revokeMany: revokeMany(deps),
    }),
    serviceEntry(
      IntrospectionService,
      "nobody",
      {
        introspect: introspect(deps),
        batchIntrospect: batchIntrospect(deps),
      },
      {
        introspect: encodedIntrospect(deps, answers),
        batchIntrospect: encodedBatchIntrospect(deps, answers),
        introspectStream: encodedIntrospectStream(deps, answers),
      },
    ),
    serviceEntry(OrganizationService, "nobody", {
      create: createOrganization(deps),
      get: getOrganization(deps),
      list: listOrganizations(deps),
      setPlan: setPlan(deps),
      setProfile: setProfile(deps),
      addMember: addMember(deps),
      inviteMember: inviteMember(deps),
      listInvitations: listInvitations(deps),
      revokeInvitation: revokeInvitation(deps),
      listMembers: listMembers(deps),
      setMemberRole: setMemberRole(deps),
      removeMember: removeMember(deps),
    }),
    serviceEntry(AuditService, "nobody", {
      listEvents: listEvents(deps),
      verifyChain: verifyChain(deps),
      getCheckpoint: getCheckpoint(deps),
    }),
    serviceEntry(UserService, "nobody", { getMe: getMe(deps) }),
    serviceEntry(AuthService, (method) => (OF_PEOPLE.has(method) ? "nobody" : "public"), {
      login: login(deps),
      refreshToken: refreshToken(deps),
      register: register(deps),
      restorePassword: restorePassword(deps),
      resetPassword: resetPassword(deps),
      acceptInvitation: acceptInvitation(deps),
      joinOrganization: joinOrganization(deps),
      logout: logout(deps),
      changePassword: changePassword(deps),
    }),
    serviceEntry(DashboardService, (method) => (OF_STRANGERS.has(method) ? "public" : "nobody"), {
      getEntrance: getEntrance(deps),
      signIn: signIn(deps),
      beginProviderSignIn: beginProviderSignIn(deps),
      finishProviderSignIn: finishProviderSignIn(deps),
      signOut: signOut(deps),
      switchOrganization: switchOrganization(deps),
      getContext: getContext(deps),
    }),
  ];
}
