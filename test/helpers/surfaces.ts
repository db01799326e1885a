/** The same calls through every door of the service, with outcomes that can be compared. */
import type { DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient as createConnectClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { status } from "@grpc/grpc-js";
import { AuditService } from "../../gen/latchkey/v1/audit_pb.ts";
import { AuthService, UserService } from "../../gen/latchkey/v1/auth_pb.ts";
import { DashboardService } from "../../gen/latchkey/v1/dashboard_pb.ts";
import { IntrospectionService } from "../../gen/latchkey/v1/introspection_pb.ts";
import { OrganizationService } from "../../gen/latchkey/v1/organization_pb.ts";
import { TokenService, type UpdateRequestSchema } from "../../gen/latchkey/v1/token_pb.ts";
import type { App } from "../../src/app.ts";
import { createClient } from "../../src/client/index.ts";
import { STATUS } from "../../src/rpc/status.ts";

export interface Credential {
  readonly bearer?: string;
  readonly apiKey?: string;
}

export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: string; readonly message: string };

export interface IssuedView {
  readonly id: string;
  readonly name: string;
  readonly secret: string;
}

export interface TokenView {
  readonly id: string;
  readonly name: string;
  readonly lastUsedAt: Date | undefined;
}

export interface PageView {
  readonly tokens: readonly TokenView[];
  readonly nextPageToken: string;
}

/** One way into the service. */
export interface Surface {
  readonly name: string;
  issue(
    credential: Credential,
    request: MessageInitShape<typeof TokenService.method.issue.input>,
  ): Promise<Outcome<IssuedView>>;
  get(credential: Credential, id: string): Promise<Outcome<TokenView>>;
  list(
    credential: Credential,
    request?: { organizationId?: string; pageSize?: number; pageToken?: string },
  ): Promise<Outcome<PageView>>;
  /** Changes the fields that are given. */
  update(
    credential: Credential,
    id: string,
    fields: Pick<MessageInitShape<typeof UpdateRequestSchema>, "name" | "enabled" | "permission" | "scopes">,
  ): Promise<Outcome<TokenView>>;
  revoke(credential: Credential, id: string): Promise<Outcome<true>>;
  /** @param overlapSeconds undefined leaves it out of the request */
  rotate(credential: Credential, id: string, overlapSeconds?: number): Promise<Outcome<IssuedView>>;
  finishRotation(credential: Credential, id: string): Promise<Outcome<TokenView>>;
  cancelRotation(credential: Credential, id: string): Promise<Outcome<TokenView>>;
  login(credential: Credential, email: string, password: string): Promise<Outcome<SessionView>>;
  refresh(
    credential: Credential,
    refreshToken: string,
  ): Promise<Outcome<{ accessToken: string; refreshToken: string }>>;
  /** Any call of AuthService whose answer has nothing that each product shows in its own way. */
  account(credential: Credential, action: AccountAction, request: object): Promise<Outcome<object>>;
  close(): void;
}

export type AccountAction = Exclude<keyof typeof AuthService.method, "login" | "refreshToken">;

export interface SessionView {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly userId: string;
  readonly email: string;
}

/** A surface whose calls are RPCs; it can call every one of them. */
export interface RpcSurface extends Surface {
  invoke: Invoke;
  introspect(
    credential: Credential,
    request: MessageInitShape<typeof IntrospectionService.method.introspect.input>,
  ): Promise<Outcome<MessageShape<typeof IntrospectionService.method.introspect.output>>>;
  batchIntrospect(
    credential: Credential,
    tokens: readonly string[],
  ): Promise<Outcome<MessageShape<typeof IntrospectionService.method.batchIntrospect.output>>>;
}

export const RPC_SURFACES = ["grpc", "connect-json", "connect-binary", "grpc-web"] as const;
export const SURFACES = [...RPC_SURFACES, "rest"] as const;
export type SurfaceName = (typeof SURFACES)[number];

export function openSurface(app: App, name: "rest"): Surface;
export function openSurface(app: App, name: (typeof RPC_SURFACES)[number]): RpcSurface;
export function openSurface(app: App, name: SurfaceName): Surface;
export function openSurface(app: App, name: SurfaceName): Surface {
  const baseUrl = `http://${app.httpAddress}`;
  switch (name) {
    case "grpc":
      return grpcSurface(app.grpcAddress);
    case "connect-json":
      return connectSurface(name, createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }));
    case "connect-binary":
      return connectSurface(name, createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: true }));
    case "grpc-web":
      return connectSurface(name, createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }));
    case "rest":
      return restSurface(baseUrl);
  }
}

type Invoke = <M extends DescMethodUnary>(
  method: M,
  request: MessageInitShape<M["input"]>,
  credential: Credential,
) => Promise<Outcome<MessageShape<M["output"]>>>;

function rpcSurface(name: string, invoke: Invoke, close: () => void): RpcSurface {
  const { method: token } = TokenService;
  const { method: auth } = AuthService;
  const { method: introspection } = IntrospectionService;
  const view = (message: MessageShape<typeof token.get.output>["token"]): TokenView => ({
    id: message?.id ?? "",
    name: message?.name ?? "",
    lastUsedAt: message?.lastUsedAt === undefined ? undefined : new Date(Number(message.lastUsedAt.seconds) * 1000),
  });
  return {
    name,
    close,
    invoke,
    issue: async (credential, request) =>
      map(await invoke(token.issue, request, credential), ({ token: made, secret }) => ({
        id: made?.id ?? "",
        name: made?.name ?? "",
        secret,
      })),
    get: async (credential, id) => map(await invoke(token.get, { id }, credential), (answer) => view(answer.token)),
    list: async (credential, request = {}) =>
      map(await invoke(token.list, request, credential), ({ tokens, nextPageToken }) => ({
        tokens: tokens.map(view),
        nextPageToken,
      })),
    update: async (credential, id, fields) =>
      map(await invoke(token.update, { id, ...fields }, credential), (answer) => view(answer.token)),
    revoke: async (credential, id) => map(await invoke(token.revoke, { id }, credential), () => true as const),
    rotate: async (credential, id, overlapSeconds) => {
      const overlap = overlapSeconds === undefined ? {} : { overlap: durationFromMs(overlapSeconds * 1000) };
      return map(await invoke(token.rotate, { id, ...overlap }, credential), ({ token: rotated, secret }) => ({
        id: rotated?.id ?? "",
        name: rotated?.name ?? "",
        secret,
      }));
    },
    finishRotation: async (credential, id) =>
      map(await invoke(token.finishRotation, { id }, credential), (answer) => view(answer.token)),
    cancelRotation: async (credential, id) =>
      map(await invoke(token.cancelRotation, { id }, credential), (answer) => view(answer.token)),
    login: async (credential, email, password) =>
      map(await invoke(auth.login, { email, password }, credential), ({ accessToken, refreshToken, user }) => ({
        accessToken,
        refreshToken,
        userId: user?.id ?? "",
        email: user?.email ?? "",
      })),
    refresh: async (credential, refreshToken) =>
      map(await invoke(auth.refreshToken, { refreshToken }, credential), (pair) => ({
        accessToken: pair.accessToken,
        refreshToken: pair.refreshToken,
      })),
    account: (credential, action, request) => invoke(auth[action] as never, request as never, credential),
    introspect: (credential, request) => invoke(introspection.introspect, request, credential),
    batchIntrospect: (credential, tokens) =>
      invoke(introspection.batchIntrospect, { requests: tokens.map((one) => ({ token: one })) }, credential),
  };
}

function grpcSurface(address: string): RpcSurface {
  const services = [
    TokenService,
    AuthService,
    UserService,
    OrganizationService,
    AuditService,
    IntrospectionService,
    DashboardService,
  ];
  const clients = services.map((service) => [service.typeName, createClient(service, { address })] as const);
  const byName = new Map<string, { close(): void }>(clients);
  const invoke: Invoke = async (method, request, credential) => {
    const client = byName.get(method.parent.typeName) as unknown as Record<
      string,
      (request: unknown, options: { headers: Readonly<Record<string, string>> }) => Promise<never>
    >;
    try {
      const value = await client[method.localName]?.(create(method.input, request), { headers: headersOf(credential) });
      return { ok: true, value: value as never };
    } catch (error) {
      const { code, details } = error as { code?: number; details?: string };
      if (code === undefined) throw error;
      return { ok: false, code: status[code] ?? "", message: details ?? "" };
    }
  };
  return rpcSurface("grpc", invoke, () => byName.forEach((client) => client.close()));
}

function connectSurface(name: string, transport: Transport): RpcSurface {
  const invoke: Invoke = async (method, request, credential) => {
    const client = createConnectClient(method.parent, transport) as unknown as Record<
      string,
      (request: unknown, options: { headers: Readonly<Record<string, string>> }) => Promise<never>
    >;
    try {
      const value = await client[method.localName]?.(create(method.input, request), { headers: headersOf(credential) });
      return { ok: true, value: value as never };
    } catch (error) {
      if (!(error instanceof ConnectError)) throw error;
      return { ok: false, code: grpcName(error.code), message: error.rawMessage };
    }
  };
  return rpcSurface(name, invoke, () => {});
}

const grpcName = (code: Code): string =>
  Object.values(STATUS).find((candidate) => candidate.code === (code as number))?.name ?? Code[code];

function restSurface(baseUrl: string): Surface {
  const send = async <T>(
    verb: string,
    path: string,
    credential: Credential,
    body: unknown,
    read: (json: never) => T,
  ): Promise<Outcome<T>> => {
    const response = await fetch(`${baseUrl}/api/v1/${path}`, {
      method: verb,
      headers: { ...headersOf(credential), ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const json = (await response.json()) as never;
    if (response.ok) return { ok: true, value: read(json) };
    const { error } = json as { error: { code: string; message: string } };
    const expected = Object.values(STATUS).find(({ http, name }) => http === response.status && name === error.code);
    if (expected === undefined) throw new Error(`status ${response.status} does not go with ${error.code}`);
    return { ok: false, code: error.code, message: error.message };
  };
  interface Row {
    id: string;
    name: string;
    lastUsedAt: string | null;
  }
  const view = ({ id, name, lastUsedAt }: Row): TokenView => ({
    id,
    name,
    lastUsedAt: lastUsedAt === null ? undefined : new Date(lastUsedAt),
  });
  const endOverlap = (credential: Credential, id: string, how: string): Promise<Outcome<TokenView>> =>
    send(
      "POST",
      `api-tokens/${encodeURIComponent(id)}/rotation/${how}`,
      credential,
      undefined,
      ({ data }: { data: Row }) => view(data),
    );
  return {
    name: "rest",
    close: () => {},
    issue: (credential, request) =>
      send("POST", "api-tokens", credential, request, ({ data }: { data: Row & { token: string } }) => ({
        id: data.id,
        name: data.name,
        secret: data.token,
      })),
    get: (credential, id) =>
      send("GET", `api-tokens/${encodeURIComponent(id)}`, credential, undefined, ({ data }: { data: Row }) =>
        view(data),
      ),
    list: (credential, request = {}) => {
      const query = new URLSearchParams();
      for (const [key, value] of Object.entries(request)) query.set(key, String(value));
      return send(
        "GET",
        `api-tokens?${query.toString()}`,
        credential,
        undefined,
        ({ data, nextPageToken }: { data: Row[]; nextPageToken?: string }) => ({
          tokens: data.map(view),
          nextPageToken: nextPageToken ?? "",
        }),
      );
    },
    update: (credential, id, fields) =>
      send("PATCH", `api-tokens/${encodeURIComponent(id)}`, credential, fields, ({ data }: { data: Row }) =>
        view(data),
      ),
    revoke: (credential, id) =>
      send("DELETE", `api-tokens/${encodeURIComponent(id)}`, credential, undefined, () => true as const),
    rotate: (credential, id, overlapSeconds) =>
      send(
        "POST",
        `api-tokens/${encodeURIComponent(id)}/rotate`,
        credential,
        overlapSeconds === undefined ? undefined : { overlap: `${overlapSeconds}s` },
        ({ data }: { data: Row & { token: string } }) => ({ id: data.id, name: data.name, secret: data.token }),
      ),
    finishRotation: (credential, id) => endOverlap(credential, id, "finish"),
    cancelRotation: (credential, id) => endOverlap(credential, id, "cancel"),
    login: (credential, email, password) =>
      send(
        "POST",
        "auth/login",
        credential,
        { email, password },
        ({ data }: { data: { accessToken: string; refreshToken: string; user: { id: string; email: string } } }) => ({
          accessToken: data.accessToken,
          refreshToken: data.refreshToken,
          userId: data.user.id,
          email: data.user.email,
        }),
      ),
    refresh: (credential, refreshToken) =>
      send(
        "POST",
        "auth/refresh-token",
        credential,
        { refreshToken },
        ({ data }: { data: { accessToken: string; refreshToken: string } }) => data,
      ),
    account: (credential, action, request) => {
      const path = action.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      return send("POST", `auth/${path}`, credential, request, (answer: object) => answer);
    },
  };
}

function headersOf({ bearer, apiKey }: Credential): Record<string, string> {
  return {
    ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
    ...(apiKey === undefined ? {} : { "x-api-key": apiKey }),
  };
}

function map<T, R>(outcome: Outcome<T>, read: (value: T) => R): Outcome<R> {
  return outcome.ok ? { ok: true, value: read(outcome.value) } : outcome;
}

/** The value of an outcome that has to be good. */
export function expectOk<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) throw new Error(`refused with ${outcome.code}: ${outcome.message}`);
  return outcome.value;
}
