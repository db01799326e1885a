/** How a product's profile makes answers and errors look on the public routes. */
import { type DescMethod, type Message, type MessageShape, toJson } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { AuthService, type User, UserService } from "../../gen/latchkey/v1/auth_pb.ts";
import { type Token, TokenSchema, TokenService, TokenState } from "../../gen/latchkey/v1/token_pb.ts";
import type { AppError } from "../domain/errors.ts";
import { fromPublicId, type IdPrefix } from "../domain/ids.ts";
import type { Profile, ResponseTemplate, Template } from "../domain/profile.ts";
import { type RateStatus, retryAfterSeconds } from "../domain/rate-window.ts";
import { STATUS } from "./status.ts";

/** An answer before it is text. */
export interface JsonAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Anything that `JSON.stringify` takes. */
  readonly body: unknown;
}

/** The answer to `RevokeMany`, the same for every product: it is about no token. */
export const REVOKED_MANY: ResponseTemplate = { status: 200, body: { count: "{count}" } };

type Values = Readonly<Record<string, unknown>>;

/** A handler's answer, as the product shows it. */
export function presentSuccess(profile: Profile, method: DescMethod, response: Message): JsonAnswer {
  const { responses } = profile.presentation;
  switch (method) {
    case TokenService.method.issue: {
      const { token, secret } = response as MessageShape<typeof TokenService.method.issue.output>;
      return fill(responses.issue, { ...tokenValues(profile, token), secret });
    }
    case TokenService.method.rotate: {
      const { token, secret } = response as MessageShape<typeof TokenService.method.rotate.output>;
      return fill(rotateTemplate(profile), { ...tokenValues(profile, token), secret });
    }
    case TokenService.method.list: {
      const { tokens, nextPageToken } = response as MessageShape<typeof TokenService.method.list.output>;
      return fill(responses.list, {
        tokens: tokens.map((token) => tokenValues(profile, token)["token"]),
        next_page_token: nextPageToken,
      });
    }
    case TokenService.method.revoke: {
      const { token } = response as MessageShape<typeof TokenService.method.revoke.output>;
      return fill(responses.revoke, tokenValues(profile, token));
    }
    case TokenService.method.revokeMany: {
      const { count } = response as MessageShape<typeof TokenService.method.revokeMany.output>;
      return fill(REVOKED_MANY, { count });
    }
    case AuthService.method.login: {
      const { accessToken, refreshToken, user } = response as MessageShape<typeof AuthService.method.login.output>;
      return fill(responses.login, { access_token: accessToken, refresh_token: refreshToken, ...userValues(user) });
    }
    case AuthService.method.refreshToken: {
      const { accessToken, refreshToken } = response as MessageShape<typeof AuthService.method.refreshToken.output>;
      return fill(responses.refresh, { access_token: accessToken, refresh_token: refreshToken });
    }
    case UserService.method.getMe: {
      const { user } = response as MessageShape<typeof UserService.method.getMe.output>;
      if (responses.me !== undefined) return fill(responses.me, userValues(user));
      break;
    }
    default:
  }
  if ("token" in response && method.output.field["token"]?.message === TokenSchema) {
    return fill(responses.token, tokenValues(profile, response.token as Token | undefined));
  }
  return { status: 200, headers: {}, body: toJson(method.output, response) };
}

/** A rotated token looks as an issued one: its secret stands there once. But nothing was made. */
export function rotateTemplate({ presentation }: Profile): ResponseTemplate {
  return { ...presentation.responses.issue, status: 200 };
}

/** An error, as the product shows it. */
export function presentFailure(profile: Profile, error: AppError, nowMs: number): JsonAnswer {
  const { body, codes, messages } = profile.presentation.errors;
  const status = STATUS[error.kind];
  const message =
    (error.reason === undefined ? undefined : messages.get(error.reason)) ??
    messages.get(error.kind) ??
    (error.violations.length === 0 ? error.message : namedByProduct(profile, error));
  return {
    status: status.http,
    headers: {
      ...(error.kind === "unauthenticated" ? { "WWW-Authenticate": 'Bearer realm="latchkey"' } : {}),
      ...(error.rateStatus === undefined ? {} : rateLimitHeaders(profile, error.rateStatus)),
      ...(error.rateStatus === undefined || error.kind !== "rate_limited"
        ? {}
        : { "Retry-After": String(retryAfterSeconds(error.rateStatus, nowMs)) }),
    },
    body: render(body, { code: codes.get(error.kind) ?? status.name, message, status: status.http }),
  };
}

/** Where a token stands against its limit, in the headers that the product has for it. */
export function rateLimitHeaders(profile: Profile, rate: RateStatus): Readonly<Record<string, string>> {
  const { limit, remaining, reset } = profile.rateLimitHeaders;
  return {
    ...(limit === undefined ? {} : { [limit]: String(rate.limit) }),
    ...(remaining === undefined ? {} : { [remaining]: String(rate.remaining) }),
    ...(reset === undefined ? {} : { [reset]: String(Math.ceil(rate.resetMs / 1000)) }),
  };
}

/** Faults by the names that the product's customers know. */
function namedByProduct({ presentation: { requestFields } }: Profile, { violations }: AppError): string {
  const names = new Map(Array.from(requestFields, ([theirs, ours]) => [ours, theirs]));
  return violations
    .map(({ field, description }) => {
      const [name = ""] = field.split(/[.[]/);
      return `${names.get(name) ?? name}${field.slice(name.length)}: ${description}`;
    })
    .join("; ");
}

function fill({ status, body }: ResponseTemplate, values: Values): JsonAnswer {
  return { status, headers: {}, body: render(body, values) };
}

function render(template: Template, values: Values): unknown {
  if (typeof template === "string") {
    const name = /^\{([\w.:]+)\}$/.exec(template)?.[1];
    return name === undefined ? template : (values[name] ?? null);
  }
  if (template === null || typeof template !== "object") return template;
  if (isList(template)) return template.map((item) => render(item, values));
  const entries = Object.entries(template).flatMap(([key, item]): [string, unknown][] => {
    const value = render(item, values);
    if (!key.endsWith("?")) return [[key, value]];
    return value === null || value === "" ? [] : [[key.slice(0, -1), value]];
  });
  return Object.fromEntries(entries);
}

const isList = (template: object): template is readonly Template[] => Array.isArray(template);

const STATE_NAMES = new Map<TokenState, string>(
  Object.entries(TokenState).map(([name, state]) => [state, name.toLowerCase()]),
);

function tokenValues(profile: Profile, token: Token | undefined): Values {
  if (token === undefined) return {};
  const values = {
    id: token.id,
    "id:uuid": uuid("tok", token.id),
    organization_id: token.organizationId,
    "organization_id:uuid": uuid("org", token.organizationId),
    user_id: token.userId === "" ? null : token.userId,
    "user_id:uuid": uuid("usr", token.userId),
    name: token.name,
    type: token.type,
    permission: token.permission,
    scopes: token.scopes,
    ip_allowlist: token.ipAllowlist,
    metadata: token.metadata,
    state: STATE_NAMES.get(token.state),
    is_active: token.state === TokenState.ACTIVE,
    hint: token.hint,
    created_by: token.createdBy,
    created_at: time(token.createdAt),
    expires_at: time(token.expiresAt),
    last_used_at: time(token.lastUsedAt),
    last_used_address: token.lastUsedAddress === "" ? null : token.lastUsedAddress,
    revoked_at: time(token.revokedAt),
    rotated_at: time(token.rotation?.startedAt),
    overlap_ends_at: time(token.rotation?.overlapEndsAt),
    previous_last_used_at: time(token.rotation?.previousLastUsedAt),
  };
  return { ...values, token: render(profile.presentation.token, values) };
}

function userValues(user: User | undefined): Values {
  if (user === undefined) return {};
  return {
    "user.id": user.id,
    "user.id:uuid": uuid("usr", user.id),
    "user.email": user.email,
    "user.first_name": user.firstName,
    "user.last_name": user.lastName,
    "user.display_name": user.displayName,
    "user.avatar_url": user.avatarUrl === "" ? null : user.avatarUrl,
  };
}

function uuid(prefix: IdPrefix, id: string): string | null {
  return fromPublicId(prefix, id) ?? null;
}

/** RFC 3339 in UTC, with milliseconds only where there are any. */
function time(timestamp: Timestamp | undefined): string | null {
  return timestamp === undefined ? null : timestampDate(timestamp).toISOString().replace(".000Z", "Z");
}
