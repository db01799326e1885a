/** Every service of the API with its handlers: one implementation behind all transports. */
import { AuthService } from "../../gen/latchkey/v1/auth_pb.ts";
import { IntrospectionService } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import type { IntrospectTokenDeps } from "../usecases/introspect-token.ts";
import type { IssueTokenDeps } from "../usecases/issue-token.ts";
import type { RefreshSessionDeps } from "../usecases/refresh-session.ts";
import type { SignInDeps } from "../usecases/sign-in.ts";
import { login } from "./auth/login.ts";
import { refreshToken } from "./auth/refresh-token.ts";
import { type ServiceEntry, serviceEntry } from "./handlers.ts";
import { batchIntrospect } from "./introspection/batch-introspect.ts";
import { introspect } from "./introspection/introspect.ts";
import { get } from "./token/get.ts";
import { issue } from "./token/issue.ts";
import { list } from "./token/list.ts";
import { revoke } from "./token/revoke.ts";

export type ServiceDeps = IssueTokenDeps & IntrospectTokenDeps & SignInDeps & RefreshSessionDeps;

export function createServices(deps: ServiceDeps): readonly ServiceEntry[] {
  return [
    serviceEntry(TokenService, "nobody", {
      issue: issue(deps),
      get: get(deps),
      list: list(deps),
      revoke: revoke(deps),
    }),
    serviceEntry(IntrospectionService, "nobody", {
      introspect: introspect(deps),
      batchIntrospect: batchIntrospect(deps),
    }),
    serviceEntry(AuthService, "public", { login: login(deps), refreshToken: refreshToken(deps) }),
  ];
}
