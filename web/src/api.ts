/** The calls that the pages make: the public API over Connect, with the session in a cookie that this script can't see. */
import type * as audit from "../../gen/latchkey/v1/audit_pb.ts";
import type * as auth from "../../gen/latchkey/v1/auth_pb.ts";
import type * as dashboard from "../../gen/latchkey/v1/dashboard_pb.ts";
import type * as organization from "../../gen/latchkey/v1/organization_pb.ts";
import type * as token from "../../gen/latchkey/v1/token_pb.ts";
import { offline, Problem, problemOf } from "./problem.ts";

const TIMEOUT_MS = 30_000;

type Rpc<Request extends object, Answer> = (request: Request) => Promise<Answer>;

const rpc =
  (method: string) =>
  (request: object): Promise<never> =>
    post(method, request) as Promise<never>;

export const api = {
  getEntrance: rpc("DashboardService/GetEntrance") as Rpc<
    dashboard.GetEntranceRequestJson,
    dashboard.GetEntranceResponseJson
  >,
  signIn: rpc("DashboardService/SignIn") as Rpc<dashboard.SignInRequestJson, unknown>,
  signOut: rpc("DashboardService/SignOut") as Rpc<dashboard.SignOutRequestJson, unknown>,
  switchOrganization: rpc("DashboardService/SwitchOrganization") as Rpc<
    dashboard.SwitchOrganizationRequestJson,
    unknown
  >,
  getContext: rpc("DashboardService/GetContext") as Rpc<
    dashboard.GetContextRequestJson,
    dashboard.GetContextResponseJson
  >,

  register: rpc("AuthService/Register") as Rpc<auth.RegisterRequestJson, unknown>,
  restorePassword: rpc("AuthService/RestorePassword") as Rpc<auth.RestorePasswordRequestJson, unknown>,
  resetPassword: rpc("AuthService/ResetPassword") as Rpc<auth.ResetPasswordRequestJson, unknown>,
  changePassword: rpc("AuthService/ChangePassword") as Rpc<auth.ChangePasswordRequestJson, unknown>,
  acceptInvitation: rpc("AuthService/AcceptInvitation") as Rpc<
    auth.AcceptInvitationRequestJson,
    auth.AcceptInvitationResponseJson
  >,
  joinOrganization: rpc("AuthService/JoinOrganization") as Rpc<
    auth.JoinOrganizationRequestJson,
    auth.JoinOrganizationResponseJson
  >,

  issue: rpc("TokenService/Issue") as Rpc<token.IssueRequestJson, token.IssueResponseJson>,
  listTokens: rpc("TokenService/List") as Rpc<token.TokenServiceListRequestJson, token.TokenServiceListResponseJson>,
  updateToken: rpc("TokenService/Update") as Rpc<token.UpdateRequestJson, token.UpdateResponseJson>,
  rotate: rpc("TokenService/Rotate") as Rpc<token.RotateRequestJson, token.RotateResponseJson>,
  finishRotation: rpc("TokenService/FinishRotation") as Rpc<token.FinishRotationRequestJson, unknown>,
  cancelRotation: rpc("TokenService/CancelRotation") as Rpc<token.CancelRotationRequestJson, unknown>,
  revoke: rpc("TokenService/Revoke") as Rpc<token.RevokeRequestJson, unknown>,

  listMembers: rpc("OrganizationService/ListMembers") as Rpc<
    organization.ListMembersRequestJson,
    organization.ListMembersResponseJson
  >,
  inviteMember: rpc("OrganizationService/InviteMember") as Rpc<
    organization.InviteMemberRequestJson,
    organization.InviteMemberResponseJson
  >,
  listInvitations: rpc("OrganizationService/ListInvitations") as Rpc<
    organization.ListInvitationsRequestJson,
    organization.ListInvitationsResponseJson
  >,
  revokeInvitation: rpc("OrganizationService/RevokeInvitation") as Rpc<
    organization.RevokeInvitationRequestJson,
    unknown
  >,
  setMemberRole: rpc("OrganizationService/SetMemberRole") as Rpc<organization.SetMemberRoleRequestJson, unknown>,
  removeMember: rpc("OrganizationService/RemoveMember") as Rpc<
    organization.RemoveMemberRequestJson,
    organization.RemoveMemberResponseJson
  >,

  listEvents: rpc("AuditService/ListEvents") as Rpc<audit.ListEventsRequestJson, audit.ListEventsResponseJson>,
  verifyChain: rpc("AuditService/VerifyChain") as Rpc<audit.VerifyChainRequestJson, audit.VerifyChainResponseJson>,
};

/** @throws Problem, whatever goes wrong */
async function post(method: string, request: object): Promise<unknown> {
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(`/latchkey.v1.${method}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Latchkey-Dashboard": "1" },
      body: JSON.stringify(request),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    body = await response.json();
  } catch {
    throw offline();
  }
  if (response.ok) return body;
  // A proxy in between may answer anything.
  const { code, message } = (body ?? {}) as { code?: unknown; message?: unknown };
  if (typeof code !== "string" || typeof message !== "string") throw offline();
  throw problemOf(code, message, Number(response.headers.get("Retry-After")));
}

/** What went wrong, whatever was thrown. */
export function toProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  return new Problem("unknown", "Something went wrong in this page. Reload it, then try again.");
}

/**
 * Keys that make retries safe: one for each request, the same as long as the request stays the same, so that whoever
 * tries again after a lost answer gets that answer, with its secret.
 */
export function retryKeys(): (request: object) => string {
  let last = { request: "", key: "" };
  return (request) => {
    const text = JSON.stringify(request);
    if (text !== last.request) last = { request: text, key: randomKey() };
    return last.key;
  };
}

/** `crypto.randomUUID` is there on secure origins only. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
