/** Mutual TLS: whom a client certificate stands for, and who gets no further than the handshake. */
import { once } from "node:events";
import { type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { AuditService } from "../../gen/latchkey/v1/audit_pb.ts";
import { IntrospectionService, type IntrospectStreamResponse } from "../../gen/latchkey/v1/introspection_pb.ts";
import { OrganizationService } from "../../gen/latchkey/v1/organization_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { createAuthority, type LeafOptions, type Pair, replaceFile } from "../helpers/certificates.ts";
import { grpcClient } from "../helpers/grpc-client.ts";
import { handshake, startTlsApp, type TlsApp, writeServices } from "../helpers/tls-app.ts";

const GATEWAY = "spiffe://example.org/ns/prod/sa/gateway";

const ALL = { name: "gateway", uri: GATEWAY, organization: "all", scopes: ["introspect"] };
const WRITER = {
  name: "console",
  dns: ["console.internal", "console-2.internal"],
  organization: "all",
  scopes: ["tokens:read", "tokens:write", "audit:read"],
};

/** Clients of their own connection, with a certificate, and perhaps a key. */
function clientsOf(service: TlsApp, pair?: Pair, key?: string) {
  const options = {
    tls: pair ? service.as(pair) : { ca: service.ca },
    ...(key !== undefined && { headers: { authorization: `Bearer ${key}` } }),
    "grpc.use_local_subchannel_pool": 1,
  };
  const to = service.test.app.grpcAddress;
  const resources = new DisposableStack();
  return {
    backend: resources.use(grpcClient(IntrospectionService, to, options)),
    tokens: resources.use(grpcClient(TokenService, to, options)),
    organizations: resources.use(grpcClient(OrganizationService, to, options)),
    audit: resources.use(grpcClient(AuditService, to, options)),
    health: resources.use(grpcClient(Health, to, options)),
    [Symbol.dispose]: () => resources.dispose(),
  };
}

const refusal = async (call: Promise<unknown>) => {
  try {
    await call;
    return { code: undefined, details: undefined };
  } catch (error) {
    const { code, details } = error as ServiceError;
    return { code, details };
  }
};

const UNMAPPED =
  "The client certificate is no service's here: send a service key, or have one of its names given to a service.";

it("gives a service the rights that stand beside its names, and no others", async () => {
  await using service = await startTlsApp({ services: [] });
  const { test, authority } = service;
  const { organizationId } = test.credentials;
  const ofTenant = { name: "tenant", dns: "tenant.internal", organization: organizationId };
  await writeServices(service.files.services, [ALL, WRITER, { ...ofTenant, scopes: ["tokens:read", "introspect"] }]);
  await service.logged(["file of services", "read anew"]);
  const other = await test.addOrganization();
  using gateway = clientsOf(service, await authority.issue({ uri: [GATEWAY] }));
  using console = clientsOf(service, await authority.issue({ dns: ["Console-2.INTERNAL"] }));
  using tenant = clientsOf(service, await authority.issue({ dns: ["tenant.internal"] }));

  const { token, secret } = await console.tokens.issue({ organizationId, name: "by certificate" });
  expect(token?.createdBy).toBe("certificate/console");
  expect(await gateway.backend.introspect({ token: secret })).toMatchObject({ active: true, allowed: true });
  const batch = await gateway.backend.batchIntrospect({ requests: [{ token: secret }, { token: secret }] });
  expect(batch.responses.map(({ active }) => active)).toEqual([true, true]);
  const stream = gateway.backend.introspectStream();
  stream.write({ request: { token: secret } });
  const [answer] = (await once(stream, "data")) as [IntrospectStreamResponse];
  expect(answer.response).toMatchObject({ active: true });
  stream.end();

  // What it lacks is said with its name.
  expect(await refusal(gateway.tokens.list({ organizationId }))).toEqual({
    code: status.PERMISSION_DENIED,
    details: "The service gateway lacks the scope tokens:read.",
  });
  expect(await refusal(console.backend.introspect({ token: secret }))).toEqual({
    code: status.PERMISSION_DENIED,
    details: "The service console lacks the scope introspect.",
  });
  expect(await refusal(console.organizations.create({ name: "x", profile: "watchplane", plan: "standard" }))).toEqual({
    code: status.PERMISSION_DENIED,
    details: "The service console lacks the scope organizations:write.",
  });
  // Nor does it come to more by making itself a key.
  const key = { organizationId: "org_00000000000000000000000000", name: "k", type: "service_key" };
  expect(await refusal(console.tokens.issue({ ...key, scopes: ["introspect"] }))).toEqual({
    code: status.PERMISSION_DENIED,
    details: "A service key can't grant scopes that it lacks: introspect.",
  });
  expect(await refusal(console.tokens.getSelf({}))).toEqual({
    code: status.PERMISSION_DENIED,
    details: "This call needs a token; the service console has a client certificate.",
  });

  // One of an organization sees that one only.
  expect((await tenant.tokens.list({})).tokens.map(({ name }) => name)).toEqual(["by certificate"]);
  expect(await refusal(tenant.tokens.list({ organizationId: other }))).toMatchObject({ code: status.NOT_FOUND });
  const foreign = await console.tokens.issue({ organizationId: other, name: "foreign" });
  expect(await tenant.backend.introspect({ token: foreign.secret })).toMatchObject({ active: false });

  const { events } = await console.audit.listEvents({ organizationId });
  expect(events.filter(({ target }) => target === token?.id)).toMatchObject([
    { action: "token.issued", actor: { kind: "service", id: "certificate/console" } },
  ]);
  const line = test.logLines.find((text) => text.includes("TokenService/Issue"));
  expect(line).toContain('"caller":"certificate/console"');
});

it("repeats an answer to the service that had it, and to no other that sends the same key", async () => {
  await using service = await startTlsApp({
    services: [WRITER, { ...WRITER, name: "other", dns: "other.internal" }],
  });
  const { authority, test } = service;
  using console = clientsOf(service, await authority.issue({ dns: ["console.internal"] }));
  using other = clientsOf(service, await authority.issue({ dns: ["other.internal"] }));
  const request = { organizationId: test.credentials.organizationId, name: "once", idempotencyKey: "first-try" };
  const [first, again, others] = [
    await console.tokens.issue(request),
    await console.tokens.issue(request),
    await other.tokens.issue(request),
  ];
  expect(again.secret).toBe(first.secret);
  expect(others.secret).not.toBe(first.secret);
});

it("goes by the key of a call that has one, also when it doesn't work", async () => {
  await using service = await startTlsApp({ services: [ALL] });
  const { test, authority } = service;
  const { organizationId, serviceKey } = test.credentials;
  const pair = await authority.issue({ uri: [GATEWAY] });
  using both = clientsOf(service, pair, serviceKey);
  const { token } = await both.tokens.issue({ organizationId, name: "by key" });
  expect(token?.createdBy).toMatch(/^tok_/);
  for (const key of ["lk_nonsense", "nonsense"]) {
    using bad = clientsOf(service, pair, key);
    expect(await refusal(bad.backend.introspect({ token: "wp_0000" }))).toEqual({
      code: status.UNAUTHENTICATED,
      details: "The credential is not valid.",
    });
  }
});

it("lets clients without a certificate send a key, and look at the health", async () => {
  await using service = await startTlsApp({ services: [ALL] });
  using withKey = clientsOf(service, undefined, service.test.credentials.serviceKey);
  expect(await withKey.backend.introspect({ token: "wp_0000" })).toMatchObject({ active: false });
  using nobody = clientsOf(service);
  expect(await nobody.health.check({})).toMatchObject({ status: 1 });
  expect(await refusal(nobody.backend.introspect({ token: "wp_0000" }))).toMatchObject({
    code: status.UNAUTHENTICATED,
    details: expect.stringContaining("A credential is missing") as string,
  });
});

describe("a certificate that is nobody's", () => {
  let service: TlsApp;

  beforeAll(async () => {
    service = await startTlsApp({ services: [ALL, WRITER] });
  });

  afterAll(() => service[Symbol.asyncDispose]());

  it.each<[string, LeafOptions]>([
    ["no names", {}],
    ["another name", { uri: ["spiffe://example.org/ns/prod/sa/other"] }],
    ["the name in other letters", { uri: [GATEWAY.toUpperCase()] }],
    ["more than the name", { uri: [`${GATEWAY}/more`] }],
    ["the name as its common name", { commonName: "console.internal" }],
    ["a wildcard", { dns: ["*.internal"] }],
    ["the name as part of another one", { uri: [`https://evil.example/, URI:${GATEWAY}`] }],
    ["a name with a quote", { uri: [`https://evil.example/", URI:${GATEWAY}`] }],
    ["the names of two services", { uri: [GATEWAY], dns: ["console.internal"] }],
  ])("has %s", async (_, names) => {
    using client = clientsOf(service, await service.authority.issue(names));
    const unmapped = { code: status.UNAUTHENTICATED, details: UNMAPPED };
    expect(await refusal(client.backend.introspect({ token: "wp_0000" }))).toEqual(unmapped);
    expect(await refusal(client.tokens.list({}))).toEqual(unmapped);
    expect(await client.health.check({})).toMatchObject({ status: 1 });
  });
});

it("refuses the connection of a certificate that isn't good, where one without it would be served", async () => {
  await using service = await startTlsApp({ services: [ALL] });
  const { authority } = service;
  const uri = [GATEWAY];
  const stranger = await createAuthority("Somebody else's");
  const bad: Readonly<Record<string, Pair>> = {
    CERT_HAS_EXPIRED: await authority.issue({ uri, notAfter: new Date(Date.now() - 60_000) }),
    CERT_NOT_YET_VALID: await authority.issue({ uri, notBefore: new Date(Date.now() + 3_600_000) }),
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: await stranger.issue({ uri }),
    INVALID_PURPOSE: await authority.issue({ uri, purpose: "server" }),
  };
  for (const [reason, pair] of Object.entries(bad)) {
    using client = clientsOf(service, pair, service.test.credentials.serviceKey);
    expect(await refusal(client.health.check({}, { timeoutMs: 5_000 }))).toMatchObject({ code: status.UNAVAILABLE });
    expect(await service.logged(["gRPC connection refused", reason])).toContain('"peer":"127.0.0.1"');
  }
});

it("refuses connections without a certificate where one is required", async () => {
  await using service = await startTlsApp({
    services: [ALL],
    env: { LATCHKEY_GRPC_CLIENT_CERTS: "required", LATCHKEY_THREADS: "2" },
  });
  const { authority, test } = service;
  using nobody = clientsOf(service, undefined, test.credentials.serviceKey);
  expect(await refusal(nobody.health.check({}, { timeoutMs: 5_000 }))).toMatchObject({ code: status.UNAVAILABLE });
  expect(await service.logged(["gRPC connection refused"])).toContain('"reason":"no client certificate"');
  const pair = await authority.issue({ uri: [GATEWAY] });
  // On each of the threads.
  const answers = Array.from({ length: 20 }, async () => {
    using gateway = clientsOf(service, pair);
    return await gateway.backend.introspect({ token: "wp_0000" });
  });
  expect(new Set((await Promise.all(answers)).map(({ active }) => active))).toEqual(new Set([false]));
});

it("asks for the certificate at each connection, and takes no earlier one's word", async () => {
  await using service = await startTlsApp({ services: [ALL] });
  const { authority, test } = service;
  const pair = service.as(await authority.issue({ uri: [GATEWAY] }));
  for (const maxVersion of ["TLSv1.3", "TLSv1.2"] as const) {
    const options = { ...pair, ALPNProtocols: ["h2"], maxVersion };
    const first = await handshake(test.app.grpcAddress, options);
    const tickets: Buffer[] = [];
    first.on("session", (ticket: Buffer) => tickets.push(ticket));
    // The settings frame comes after all that the handshake has to bring.
    await once(first, "data");
    const session = tickets.at(-1) ?? first.getSession();
    first.destroy();
    const second = await handshake(test.app.grpcAddress, { ...options, ...(session && { session }) });
    expect(second.isSessionReused()).toBe(false);
    second.destroy();
  }
});

it("goes by the file of services as it is now, for calls on open connections too", async () => {
  await using service = await startTlsApp({ services: [ALL], env: { LATCHKEY_THREADS: "2" } });
  const { authority, files, test } = service;
  using gateway = clientsOf(service, await authority.issue({ uri: [GATEWAY] }));
  const ask = () => refusal(gateway.backend.introspect({ token: "wp_0000" }));
  const served = { code: undefined, details: undefined };
  expect(await ask()).toEqual(served);
  const stream = gateway.backend.introspectStream();
  stream.write({ request: { token: "wp_0000" } });
  await once(stream, "data");

  const from = test.logLines.length;
  await writeServices(files.services, [{ ...ALL, scopes: ["everything"] }]);
  const line = await service.logged(["file of services with client certificates can't be used"], from);
  expect(line).toContain("LATCHKEY_GRPC_CLIENTS_FILE: ");
  expect(line).toContain("services[0].scopes[0]: must be among introspect, ");
  expect(await ask()).toEqual(served);

  await writeServices(files.services, [WRITER]);
  await service.logged(["file of services", "read anew"], from);
  // Threads hear of it a moment later.
  await expect.poll(ask, { timeout: 10_000 }).toEqual({ code: status.UNAUTHENTICATED, details: UNMAPPED });
  const ended = once(stream, "error") as Promise<[ServiceError]>;
  stream.write({ request: { token: "wp_0000" } });
  expect((await ended)[0].code).toBe(status.UNAUTHENTICATED);
});

it("takes a certificate until its end, on a connection that lives longer", async () => {
  let aheadMs = 0;
  await using service = await startTlsApp({
    services: [ALL],
    surroundings: { clock: () => Date.now() + aheadMs },
  });
  const inAnHour = new Date(Date.now() + 3_600_000);
  using gateway = clientsOf(service, await service.authority.issue({ uri: [GATEWAY], notAfter: inAnHour }));
  const ask = () => refusal(gateway.backend.introspect({ token: "wp_0000" }));
  expect(await ask()).toMatchObject({ code: undefined });
  aheadMs = 3_600_001;
  expect(await ask()).toEqual({ code: status.UNAUTHENTICATED, details: UNMAPPED });
});

it("follows the file of authorities, for new connections", async () => {
  await using service = await startTlsApp({ services: [ALL] });
  const { files, test } = service;
  const next = await createAuthority("The next one");
  const pair = await next.issue({ uri: [GATEWAY] });
  const ask = async () => {
    using gateway = clientsOf(service, pair);
    return await refusal(gateway.backend.introspect({ token: "wp_0000" }, { timeoutMs: 5_000 }));
  };
  expect(await ask()).toMatchObject({ code: status.UNAVAILABLE });
  const from = test.logLines.length;
  await replaceFile(files.ca, `${service.authority.pem}\n${next.pem}\n`);
  await service.logged(["certificate for gRPC was read anew"], from);
  expect(await ask()).toMatchObject({ code: undefined });
});
