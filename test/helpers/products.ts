/** One running service that hosts the four products, with customers of each of them, called from outside. */
import { once } from "node:events";
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { text as textOf } from "node:stream/consumers";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  IntrospectionService,
  type IntrospectRequestSchema,
  type IntrospectResponse,
} from "../../gen/latchkey/v1/introspection_pb.ts";
import { OrganizationService, Role } from "../../gen/latchkey/v1/organization_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import type { Surroundings } from "../../src/app.ts";
import { createClient, type ServiceClient } from "../../src/client/index.ts";
import type { Environment } from "../../src/config.ts";
import { fromPublicId } from "../../src/domain/ids.ts";
import type { Role as RoleName } from "../../src/domain/roles.ts";
import { mintToken } from "../../src/usecases/issue-token.ts";
import { bySystem, startTestApp, type TestApp } from "./test-app.ts";

export const PRODUCTS = ["watchplane", "watchmantower", "walwarden", "plane"] as const;
export type Product = (typeof PRODUCTS)[number];

export type Headers = Readonly<Record<string, string>>;
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** What somebody who writes a script for the product knows of it. */
interface Facts {
  /** Where its page says that the API is, or would be. */
  readonly host: string;
  readonly basePath: string;
  /** How a request carries a token; the first is what the page shows first. */
  readonly headers: readonly ((secret: string) => Headers)[];
  /** The least that a token is issued with. */
  readonly issue: (name: string) => Record<string, Json>;
  /** The token in an answer. */
  readonly tokenIn: (answer: Json) => Json;
  /** Where an issued token has its secret. */
  readonly secret: string;
  /** The tokens in a list. */
  readonly listIn: (answer: Json) => Json;
}

const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });
const apiKey = (token: string): Headers => ({ "x-api-key": token });
const data = (answer: Json): Json => field(answer, "data");

export const FACTS: Readonly<Record<Product, Facts>> = {
  watchplane: {
    host: "api.watchplane.com",
    basePath: "/api/v1",
    headers: [apiKey],
    issue: (name) => ({ name }),
    tokenIn: data,
    secret: "token",
    listIn: data,
  },
  watchmantower: {
    host: "api.watchmantower.com",
    basePath: "/public/v1",
    headers: [bearer, apiKey],
    issue: (name) => ({ name, permissions: "full" }),
    tokenIn: data,
    secret: "key",
    listIn: data,
  },
  walwarden: {
    host: "api.walwarden.example",
    basePath: "/api/v1",
    headers: [bearer],
    issue: (name) => ({ name }),
    tokenIn: data,
    secret: "token",
    listIn: data,
  },
  plane: {
    host: "api.plane.so",
    basePath: "/api/v1",
    headers: [apiKey],
    issue: (label) => ({ label }),
    tokenIn: (answer) => answer,
    secret: "token",
    listIn: (answer) => field(answer, "results"),
  },
};

/** An answer of the public port. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** As they are spelled. */
  readonly headerNames: readonly string[];
  /** The body as it came. */
  readonly text: string;
  readonly json: Json;
}

export interface CallOptions {
  readonly headers?: Headers;
  /** Sent as JSON. */
  readonly body?: Json;
  /** What the `Host` header says. */
  readonly host?: string;
}

/** A clock that moves when the test says so. */
export class TestClock {
  nowMs: number;

  constructor(start: string) {
    this.nowMs = Date.parse(start);
  }

  advance(ms: number): void {
    this.nowMs += ms;
  }

  /** Goes to a moment of the next window of this length. */
  startWindow(windowMs: number, offsetMs = 0): void {
    this.nowMs = this.nowMs - (this.nowMs % windowMs) + windowMs + offsetMs;
  }

  /** Now, as answers write it. */
  get iso(): string {
    return iso(this.nowMs);
  }
}

/** A moment as answers write it. */
export function iso(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export interface IssuedToken {
  readonly id: string;
  readonly secret: string;
  /** The headers that carry it, as the product's page shows them first. */
  readonly headers: Headers;
  readonly answer: Answer;
}

/** People sign in again before their access token of an hour is over. */
const SESSION_MS = 50 * MINUTE;

/** A customer of one product. */
export class Tenant {
  readonly service: ProductService;
  readonly product: Product;
  /** Public id of the organization. */
  readonly id: string;
  readonly #people = new Map<
    RoleName,
    { readonly email: string; readonly password: string; readonly userId: string }
  >();
  readonly #sessions = new Map<RoleName, { readonly headers: Headers; readonly untilMs: number }>();

  constructor(service: ProductService, product: Product, id: string) {
    this.service = service;
    this.product = product;
    this.id = id;
  }

  /** UUID of the organization. */
  get uuid(): string {
    return fromPublicId("org", this.id) ?? "";
  }

  /** Somebody with that role; the same one each time. */
  async person(
    role: RoleName,
  ): Promise<{ readonly email: string; readonly password: string; readonly userId: string }> {
    const known = this.#people.get(role);
    if (known !== undefined) return known;
    const person = await this.service.test.addMember(role, this.id);
    this.#people.set(role, person);
    return person;
  }

  /** The headers of somebody with that role who is signed in. */
  async as(role: RoleName): Promise<Headers> {
    const { nowMs } = this.service.clock;
    const session = this.#sessions.get(role);
    if (session !== undefined && nowMs < session.untilMs) return session.headers;
    const headers = bearer(await this.service.test.signIn(await this.person(role)));
    this.#sessions.set(role, { headers, untilMs: nowMs + SESSION_MS });
    return headers;
  }

  /** Calls a route below the product's base path, at the product's host. */
  call(verb: string, path: string, options: CallOptions = {}): Promise<Answer> {
    const { host, basePath } = FACTS[this.product];
    return this.service.call(verb, basePath + path, { host, ...options });
  }

  /** Tries to issue a token, with the product's names of the fields. A second passes, so that lists have an order. */
  async tryIssue(fields: Record<string, Json> = {}, by: Headers | RoleName = "admin"): Promise<Answer> {
    this.service.clock.advance(SECOND);
    const body = { ...FACTS[this.product].issue("a token"), ...fields };
    return this.call("POST", "/api-tokens", { headers: await this.#changing(by), body });
  }

  /** Issues a token, with the product's names of the fields. */
  async issue(fields: Record<string, Json> = {}, by: Headers | RoleName = "admin"): Promise<IssuedToken> {
    const { tokenIn, secret: name, headers } = FACTS[this.product];
    const answer = await this.tryIssue(fields, by);
    if (answer.status !== 201) throw new Error(`issue: ${answer.status} ${answer.text}`);
    const token = tokenIn(answer.json);
    const secret = textField(token, name);
    return { id: textField(token, "id"), secret, headers: headers[0]!(secret), answer };
  }

  async list(query = "", by: Headers | RoleName = "admin"): Promise<Json> {
    const answer = await this.call("GET", `/api-tokens${query}`, { headers: await this.#headersOf(by) });
    if (answer.status !== 200) throw new Error(`list: ${answer.status} ${answer.text}`);
    return FACTS[this.product].listIn(answer.json);
  }

  /** The token's entry in the list; undefined when it has none. */
  async listed(id: string, query = ""): Promise<Json | undefined> {
    const list = (await this.list(query)) as Json[];
    return list.find((token) => field(token, "id") === id);
  }

  async revoke(id: string, by: Headers | RoleName = "admin"): Promise<Answer> {
    return this.call("DELETE", `/api-tokens/${id}`, { headers: await this.#changing(by) });
  }

  /** What the product says a token is. */
  self(headers: Headers, options: CallOptions = {}): Promise<Answer> {
    return this.call("GET", "/api-tokens/self", { ...options, headers: { ...headers, ...options.headers } });
  }

  async setPlan(plan: string): Promise<void> {
    await this.service.organizations.setPlan({ organizationId: this.id, plan });
  }

  /** A token that is there, but switched off. */
  async disabledToken(type = ""): Promise<string> {
    const { deployment } = this.service.test.app;
    const profile = deployment.profiles.get(this.product)!;
    const wishes = {
      name: "switched off",
      type: type || profile.types[0]!.name,
      permission: profile.access.kind === "permissions" ? "full" : "",
      scopes: [],
      expiresAt: undefined,
      ipAllowlist: [],
      metadata: {},
    };
    const by = { createdBy: "nobody", userId: undefined };
    const { secret, newToken } = mintToken(deployment, profile, this.uuid, wishes, by);
    await deployment.storage.createToken({ ...newToken, token: { ...newToken.token, enabled: false } }, bySystem());
    return secret;
  }

  async #headersOf(by: Headers | RoleName): Promise<Headers> {
    return typeof by === "string" ? this.as(by) : by;
  }

  async #changing(by: Headers | RoleName): Promise<Headers> {
    const headers = await this.#headersOf(by);
    return this.product === "walwarden" ? { "idempotency-key": crypto.randomUUID(), ...headers } : headers;
  }
}

export class ProductService implements AsyncDisposable {
  readonly test: TestApp;
  readonly clock: TestClock;
  readonly tokens: ServiceClient<typeof TokenService>;
  readonly organizations: ServiceClient<typeof OrganizationService>;
  readonly introspection: ServiceClient<typeof IntrospectionService>;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(test: TestApp, clock: TestClock) {
    this.test = test;
    this.clock = clock;
    const connection = { address: test.app.grpcAddress, token: test.credentials.serviceKey };
    this.tokens = createClient(TokenService, connection);
    this.organizations = createClient(OrganizationService, connection);
    this.introspection = createClient(IntrospectionService, connection);
  }

  /** Makes a customer of a product. */
  async addTenant(product: Product, plan = ""): Promise<Tenant> {
    const { organization } = await this.organizations.create({
      name: `a customer of ${product}`,
      profile: product,
      plan,
    });
    if (organization === undefined) throw new Error("no organization was made");
    return new Tenant(this, product, organization.id);
  }

  /** Adds somebody whose names are known to an organization. */
  async addPerson(
    organizationId: string,
    names: {
      readonly firstName: string;
      readonly lastName: string;
      readonly displayName: string;
      readonly avatarUrl: string;
    },
  ): Promise<{ readonly email: string; readonly password: string; readonly userId: string }> {
    const email = `${crypto.randomUUID()}@example.com`;
    const added = { organizationId, email, role: Role.ADMIN, ...names };
    const { member, initialPassword } = await this.organizations.addMember(added);
    return { email, password: initialPassword, userId: member?.user?.id ?? "" };
  }

  /** One request to the public port. */
  async call(verb: string, target: string, { headers = {}, body, host }: CallOptions = {}): Promise<Answer> {
    const [hostname, port] = this.test.app.httpAddress.split(":");
    const outgoing = request({
      agent: this.#agent,
      hostname,
      port,
      path: target,
      method: verb,
      headers: {
        ...(host === undefined ? {} : { host }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
    });
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
    const text = await textOf(incoming);
    return {
      status: incoming.statusCode ?? 0,
      headers: incoming.headers,
      headerNames: incoming.rawHeaders.filter((_, index) => index % 2 === 0),
      text,
      json: JSON.parse(text) as Json,
    };
  }

  /** What a backend asks for each request that it gets. */
  introspect(question: MessageInitShape<typeof IntrospectRequestSchema>): Promise<IntrospectResponse> {
    return this.introspection.introspect(question);
  }

  /** Puts the times of last use where lists find them. */
  flushUses(): Promise<void> {
    return this.test.app.usage.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.tokens.close();
    this.organizations.close();
    this.introspection.close();
    this.#agent.destroy();
    await this.test[Symbol.asyncDispose]();
  }
}

export interface ProductServiceOptions {
  readonly env?: Environment;
  readonly surroundings?: Partial<Omit<Surroundings, "clock">>;
}

/** Starts the service with the products' hosts, behind a proxy on this machine that says who the client is. */
export async function startProducts({
  env = {},
  surroundings = {},
}: ProductServiceOptions = {}): Promise<ProductService> {
  const clock = new TestClock("2026-03-04T05:06:07Z");
  const test = await startTestApp({
    env: {
      LATCHKEY_HOST_PROFILES: PRODUCTS.map((product) => `${FACTS[product].host}=${product}`).join(","),
      LATCHKEY_TRUSTED_PROXIES: "127.0.0.1",
      ...env,
    },
    surroundings: { ...surroundings, clock: () => clock.nowMs },
  });
  return new ProductService(test, clock);
}

/** The value of an object's field; null when there is none. */
export function field(json: Json | undefined, name: string): Json {
  if (json === undefined || json === null || typeof json !== "object" || Array.isArray(json)) return null;
  return json[name] ?? null;
}

/** The text of an object's field; fails when it has none. */
export function textField(json: Json | undefined, name: string): string {
  const value = field(json, name);
  if (typeof value !== "string") throw new Error(`there is no text ${name} in ${JSON.stringify(json)}`);
  return value;
}

/** An answer's rate-limit headers, by the names that they are sent with; undefined where there is none. */
export function rateHeaders({
  headers,
}: Answer): Readonly<Record<"limit" | "remaining" | "reset", string | undefined>> {
  const read = (name: string): string | undefined => headers[name]?.toString();
  return {
    limit: read("x-ratelimit-limit"),
    remaining: read("x-ratelimit-remaining"),
    reset: read("x-ratelimit-reset"),
  };
}

/** When the window that holds this moment ends, in seconds since the epoch. */
export function windowEnd(nowMs: number, windowMs: number): number {
  return (nowMs - (nowMs % windowMs) + windowMs) / 1000;
}
