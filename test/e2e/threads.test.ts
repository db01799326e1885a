/** A service of several threads is one service: what is said to one of them holds for all. */
import { once } from "node:events";
import { createServer } from "node:net";
import type { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.ts";
import { AuditService } from "../../gen/latchkey/v1/audit_pb.ts";
import { AuthService, UserService } from "../../gen/latchkey/v1/auth_pb.ts";
import { IntrospectionService } from "../../gen/latchkey/v1/introspection_pb.ts";
import { OrganizationService, Role } from "../../gen/latchkey/v1/organization_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { AppError } from "../../src/domain/errors.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { codeOf } from "../helpers/deployment.ts";
import { readExposition } from "../helpers/exposition.ts";
import { type GrpcClient, grpcClient } from "../helpers/grpc-client.ts";
import { Mailbox } from "../helpers/mailbox.ts";
import { startTestApp, type TestApp, type TestAppOptions } from "../helpers/test-app.ts";

const THREADS = 3;

/** So many that each thread has some: that one has none happens once in ten million times. */
const CONNECTIONS = 40;

interface Connection {
  readonly tokens: GrpcClient<typeof TokenService>;
  readonly introspection: GrpcClient<typeof IntrospectionService>;
  readonly audit: GrpcClient<typeof AuditService>;
  readonly auth: GrpcClient<typeof AuthService>;
  readonly users: GrpcClient<typeof UserService>;
  readonly organizations: GrpcClient<typeof OrganizationService>;
  readonly health: GrpcClient<typeof Health>;
}

/** Starts the service, its threads, and connections to all of them. */
async function startThreads({ env, ...options }: TestAppOptions = {}) {
  const resources = new AsyncDisposableStack();
  const threads: Worker[] = [];
  const see = (thread: Worker) => void (thread.threadName === "grpc" && threads.push(thread));
  process.on("worker", see);
  resources.defer(() => void process.off("worker", see));
  const test = resources.use(await startTestApp({ ...options, env: { LATCHKEY_THREADS: String(THREADS), ...env } }));
  // Before the service stops, or its stop would wait for them.
  const connections = Array.from({ length: CONNECTIONS }, () => connect(test, resources));
  return {
    test,
    threads,
    connections,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function connect(test: TestApp, resources: AsyncDisposableStack): Connection {
  const options = {
    headers: { authorization: `Bearer ${test.credentials.serviceKey}` },
    // Clients of one number share a connection, and no others do.
    "grpc.use_local_subchannel_pool": 1,
  };
  const to = test.app.grpcAddress;
  return {
    tokens: resources.use(grpcClient(TokenService, to, options)),
    introspection: resources.use(grpcClient(IntrospectionService, to, options)),
    audit: resources.use(grpcClient(AuditService, to, options)),
    auth: resources.use(grpcClient(AuthService, to, options)),
    users: resources.use(grpcClient(UserService, to, options)),
    organizations: resources.use(grpcClient(OrganizationService, to, options)),
    health: resources.use(grpcClient(Health, to, options)),
  };
}

async function callsCounted({ app }: TestApp, method: string): Promise<number> {
  const page = await (await fetch(`http://${app.opsAddress}/metrics`)).text();
  const family = readExposition(page).find(({ name }) => name === "latchkey_calls_total");
  const samples = family?.samples.filter(({ labels }) => labels["method"]?.endsWith(`/${method}`)) ?? [];
  return samples.reduce((sum, { value }) => sum + value, 0);
}

it("issues, changes and revokes on any thread, and all of them know at once", async () => {
  await using service = await startThreads();
  const { test, threads, connections } = service;
  expect(threads).toHaveLength(THREADS - 1);
  const { organizationId } = test.credentials;
  const issued = await Promise.all(
    connections.map(({ tokens }, index) => tokens.issue({ organizationId, name: `token ${index}` })),
  );
  const statesOf = async (secret: string): Promise<ReadonlySet<boolean | undefined>> => {
    const answers = await Promise.all(
      connections.map(({ introspection }) => introspection.introspect({ token: secret })),
    );
    return new Set(answers.map(({ active }) => active));
  };
  for (const [index, { token, secret }] of issued.entries()) {
    expect(await statesOf(secret)).toEqual(new Set([true]));
    await connections[index]?.tokens.revoke({ id: token?.id ?? "" });
    expect(await statesOf(secret)).toEqual(new Set([false]));
  }
  // Each thread counts its own.
  expect(await callsCounted(test, "Introspect")).toBe(2 * CONNECTIONS * CONNECTIONS);
  expect(await callsCounted(test, "Issue")).toBe(CONNECTIONS);
});

it("writes whole lines into one log, and no secret", async () => {
  await using service = await startThreads();
  const { test, connections } = service;
  const { organizationId, serviceKey } = test.credentials;
  // Where the log shows it, if nothing keeps it out.
  const headers = { "x-request-id": serviceKey };
  await Promise.all(connections.map(({ tokens }) => tokens.issue({ organizationId, name: "canary" }, { headers })));
  const lines = test.logLines.map((line) => JSON.parse(line) as { requestId?: string });
  expect(lines.filter(({ requestId }) => requestId === "[redacted]")).toHaveLength(CONNECTIONS);
  expect(test.logLines.join("")).not.toContain(serviceKey);
});

it("keeps a rate limit exactly", async () => {
  await using service = await startThreads({ env: { LATCHKEY_PROFILE: "plane" } });
  const { test, connections } = service;
  const { organizationId } = test.credentials;
  const { secret } = await (connections[0] as Connection).tokens.issue({
    organizationId,
    name: "busy",
    type: "api_key",
  });
  const answers = await Promise.all(
    Array.from({ length: 5 * CONNECTIONS }, (_, index) =>
      (connections[index % CONNECTIONS] as Connection).introspection.introspect({ token: secret }),
    ),
  );
  // The minute may end meanwhile, and another one begin.
  const admitted = new Map<bigint | undefined, number>();
  const refused = new Set<bigint | undefined>();
  for (const { allowed, rateLimit } of answers) {
    const end = rateLimit?.reset;
    if (allowed) admitted.set(end, (admitted.get(end) ?? 0) + 1);
    else refused.add(end);
  }
  expect(refused.size).toBeGreaterThan(0);
  for (const end of refused) expect(admitted.get(end)).toBe(60);
});

it("signs in, renews and signs out on any thread, and all of them know at once", async () => {
  await using service = await startThreads();
  const { test, connections } = service;
  const { adminEmail: email, adminPassword: password } = test.credentials;
  const at = (index: number) => connections[index % CONNECTIONS] as Connection;
  const whoIs = ({ users }: Connection, accessToken: string): Promise<string | undefined> =>
    users.getMe({}, { headers: { authorization: `Bearer ${accessToken}` } }).then(({ user }) => user?.email, codeOf);
  const everywhere = async (accessToken: string): Promise<ReadonlySet<string | undefined>> =>
    new Set(await Promise.all(connections.map((one) => whoIs(one, accessToken))));
  await Promise.all(
    connections.map(async ({ auth }, index) => {
      const first = await auth.login({ email, password });
      expect(await whoIs(at(index + 1), first.accessToken)).toBe(email);
      const second = await at(index + 2).auth.refreshToken({ refreshToken: first.refreshToken });
      expect(await everywhere(second.accessToken)).toEqual(new Set([email]));
      await at(index + 3).auth.logout({ refreshToken: second.refreshToken });
      expect(await everywhere(second.accessToken)).toEqual(new Set(["UNAUTHENTICATED"]));
      const refused = at(index + 4).auth.refreshToken({ refreshToken: second.refreshToken });
      expect(await refused.then(() => "OK", codeOf)).toBe("UNAUTHENTICATED");
    }),
  );
});

it("keeps the limit of sign-ins exactly", async () => {
  await using service = await startThreads({ env: { LATCHKEY_LOGIN_LIMIT: "10/9999h" } });
  const codes = await Promise.all(
    service.connections.map(({ auth }) =>
      auth.login({ email: "nobody@example.com", password: "wrong" }).then(() => "OK", codeOf),
    ),
  );
  expect(codes.filter((code) => code === "UNAUTHENTICATED")).toHaveLength(10);
  expect(codes.filter((code) => code === "RESOURCE_EXHAUSTED")).toHaveLength(CONNECTIONS - 10);
});

it("sends on its stop the letters that wait on every thread", async () => {
  await using mailbox = await Mailbox.open();
  await using service = await startThreads({ env: mailbox.env });
  const { test, connections } = service;
  const { organizationId } = test.credentials;
  const people = connections.map((_, index) => `person-${String(index).padStart(2, "0")}@example.com`);
  await Promise.all(
    connections.map(({ organizations }, index) =>
      organizations.inviteMember({ organizationId, email: people[index] ?? "", role: Role.MEMBER }),
    ),
  );
  await test.app.stop();
  expect(mailbox.mails.flatMap(({ to }) => to).toSorted()).toEqual(people);
});

it("makes one token of one idempotency key, whichever threads it comes to", async () => {
  await using service = await startThreads();
  const { organizationId } = service.test.credentials;
  const wish = { organizationId, name: "once", idempotencyKey: "the-same-on-all-threads" };
  const answers = await Promise.all(service.connections.map(({ tokens }) => tokens.issue(wish)));
  expect(new Set(answers.map(({ secret }) => secret)).size).toBe(1);
});

it("signs checkpoints on every thread", async () => {
  await using service = await startThreads();
  const answers = await Promise.all(service.connections.map(({ audit }) => audit.getCheckpoint({})));
  const size = (note: string): string | undefined => note.split("\n")[1];
  expect(new Set(answers.map(({ note }) => size(note))).size).toBe(1);
  expect(new Set(answers.map(({ verifierKey }) => verifierKey)).size).toBe(1);
});

it("tells on every thread that the database fails, and that the service stops", async () => {
  let isDown = false;
  const failing = (storage: Storage): Storage =>
    new Proxy(storage, {
      get(target, property, receiver) {
        if (property === "ping" && isDown)
          return () => Promise.reject(new AppError("unavailable", "The disk is gone."));
        return (Reflect.get(target, property, receiver) as () => unknown).bind(target);
      },
    });
  await using service = await startThreads({ surroundings: { aroundStorage: failing } });
  const { connections, test } = service;
  const states = async (): Promise<ReadonlySet<ServingStatus>> =>
    new Set((await Promise.all(connections.map(({ health }) => health.check({})))).map(({ status }) => status));
  expect(await states()).toEqual(new Set([ServingStatus.SERVING]));
  isDown = true;
  await expect.poll(states, { timeout: 5_000 }).toEqual(new Set([ServingStatus.NOT_SERVING]));
  isDown = false;
  await expect.poll(states, { timeout: 5_000 }).toEqual(new Set([ServingStatus.SERVING]));

  const begun = connections.map(() => Promise.withResolvers<void>());
  const lastStates = connections.map(async ({ health }, index) => {
    let last: ServingStatus | undefined;
    for await (const { status } of health.watch({}) as AsyncIterable<{ status: ServingStatus }>) {
      last = status;
      begun[index]?.resolve();
    }
    return last;
  });
  await Promise.all(begun.map(({ promise }) => promise));
  await test.app.stop();
  expect(new Set(await Promise.all(lastStates))).toEqual(new Set([ServingStatus.NOT_SERVING]));
});

it("writes down on its stop what every thread has counted", async () => {
  await using service = await startThreads();
  const { test, connections } = service;
  const { organizationId } = test.credentials;
  const { secret } = await (connections[0] as Connection).tokens.issue({ organizationId, name: "counted" });
  await Promise.all(connections.map(({ introspection }) => introspection.introspect({ token: secret })));
  await test.app.stop();
  const [counted] = await test.database.query(
    "SELECT sum(uses) AS uses FROM token_uses JOIN tokens ON id = token_id WHERE name = 'counted'",
  );
  expect(Number(counted?.["uses"])).toBe(CONNECTIONS);
});

it("replaces a thread that dies, while the others go on", async () => {
  await using service = await startThreads();
  const { test, threads, connections } = service;
  const { organizationId } = test.credentials;
  const { secret } = await (connections[0] as Connection).tokens.issue({ organizationId, name: "asked about" });
  const ask = ({ introspection }: Connection) => introspection.introspect({ token: secret });
  const answered = async (): Promise<number> =>
    (
      await Promise.all(
        connections.map((one) =>
          ask(one).then(
            ({ active }) => Number(active),
            () => 0,
          ),
        ),
      )
    ).reduce((sum, one) => sum + one);
  expect(await answered()).toBe(CONNECTIONS);
  expect(await callsCounted(test, "Introspect")).toBe(CONNECTIONS);

  const [victim] = threads as [Worker];
  await victim.terminate();
  // Those that were connected to it fail, or come to another one by then.
  expect(await answered()).toBeGreaterThan(0);
  if (threads.length < THREADS) await once(process, "worker");
  const alive = connections.length;
  await expect.poll(answered, { timeout: 10_000 }).toBe(alive);
  expect(await callsCounted(test, "Introspect")).toBeGreaterThanOrEqual(2 * CONNECTIONS);
  expect(test.logLines.join("")).toContain("a thread that serves gRPC ended; another one is started");
  await test.app.stop();
});

it("doesn't share its port with another program", async () => {
  const blocker = createServer();
  blocker.listen({ host: "127.0.0.1", port: 0, reusePort: true });
  await once(blocker, "listening");
  const { port } = blocker.address() as { port: number };
  const address = `127.0.0.1:${port}`;
  await expect(startThreads({ env: { LATCHKEY_GRPC_ADDR: address } })).rejects.toThrow(
    `gRPC address ${address} is taken`,
  );
  blocker.close();
});
