/** Boots the real service for a test: its own database, its own folder, free ports. */
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { AuthService } from "../../gen/latchkey/v1/auth_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { type App, type FirstCredentials, openDeployment, type Surroundings, startApp } from "../../src/app.ts";
import { type ClientTls, createClient } from "../../src/client/index.ts";
import { type Config, type Environment, loadConfig } from "../../src/config.ts";
import { type Change, SYSTEM_ACTOR } from "../../src/domain/audit.ts";
import type { Organization, User } from "../../src/domain/entities.ts";
import { fromPublicId, toPublicId, uuidV7 } from "../../src/domain/ids.ts";
import type { Role } from "../../src/domain/roles.ts";
import type { PasswordCost } from "../../src/security/passwords.ts";
import { migratedDatabase } from "./postgres.ts";
import { SCRATCH } from "./scratch.ts";
import { openTestDatabase, type TestDatabase } from "./test-database.ts";

export interface Person {
  readonly userId: string;
  readonly email: string;
  readonly password: string;
}

export interface TestApp extends AsyncDisposable {
  readonly app: App;
  readonly config: Config;
  readonly credentials: FirstCredentials;
  readonly database: TestDatabase;
  /** Every line that was logged so far. */
  readonly logLines: string[];
  /** Adds a person with a role to an organization; the default is the first one. */
  addMember(role: Role, organizationId?: string): Promise<Person>;
  /** Adds an organization and answers its public id. */
  addOrganization(profile?: string): Promise<string>;
  /** Signs a person in and answers the access token. */
  signIn(person: Pick<Person, "email" | "password">): Promise<string>;
  /** Makes a service key of one organization, or of all of them. */
  addServiceKey(scopes: readonly string[], organizationId?: string): Promise<string>;
}

export interface TestAppOptions {
  readonly env?: Environment;
  readonly surroundings?: Partial<Surroundings>;
  /** How its own calls speak TLS, where the service does. */
  readonly tls?: ClientTls;
}

/** Real hashes, but no test tries to be slow; those of production are `passwords.test.ts`'s and `start.test.ts`'s. */
const PASSWORD_COST: PasswordCost = { memoryKib: 64, passes: 1 };

export async function startTestApp({ env = {}, surroundings = {}, tls }: TestAppOptions = {}): Promise<TestApp> {
  await using resources = new AsyncDisposableStack();
  const folder = await mkdtemp(join(SCRATCH, "latchkey-test-"));
  resources.defer(() => rm(folder, { recursive: true, force: true }));
  // Set by `postgres-setup.ts`.
  const server = process.env["TEST_POSTGRES_URL"];
  const database = server === undefined ? undefined : resources.use(await migratedDatabase(server));
  const config = loadConfig(
    {
      LATCHKEY_DATA_DIR: folder,
      ...(database && { LATCHKEY_DATABASE_URL: database.url, LATCHKEY_DATABASE_CONNECTIONS: "4" }),
      LATCHKEY_GRPC_ADDR: "127.0.0.1:0",
      LATCHKEY_HTTP_ADDR: "127.0.0.1:0",
      LATCHKEY_OPS_ADDR: "127.0.0.1:0",
      LATCHKEY_THREADS: "1",
      LATCHKEY_LOG_LEVEL: "debug",
      // What is slow depends on the machine.
      LATCHKEY_SLOW_CALL_MS: "0",
      // All tests come from one address.
      LATCHKEY_LOGIN_LIMIT: "1000/1s",
      LATCHKEY_REGISTER_LIMIT: "1000/1s",
      LATCHKEY_RESTORE_PASSWORD_LIMIT: "1000/1s",
      ...env,
    },
    {},
  );
  const logLines: string[] = [];
  const logSink = (line: string): void => void logLines.push(line);
  const deployment = await openDeployment(config, true, { logSink, passwordCost: PASSWORD_COST, ...surroundings });
  const credentials = await deployment.setUp({
    organizationName: "acme",
    profileId: config.defaultProfile,
    adminEmail: "admin@acme.example",
    adminPassword: "correct horse battery staple",
  });
  const app = await startApp(deployment);
  resources.defer(() => app.stop());
  const { storage, passwords, profiles, entropy } = deployment;
  const newId = (): string => uuidV7(Date.now(), entropy(10));
  const memberPassword = "a member's password";
  const memberHash = passwords.hash(memberPassword);

  const parts = resources.move();
  return {
    app,
    config,
    credentials,
    database: openTestDatabase(config, database?.url),
    logLines,
    async addMember(role, organizationId = credentials.organizationId) {
      const user: User = {
        id: newId(),
        email: `${role}-${newId()}@acme.example`,
        passwordHash: await memberHash,
        firstName: "",
        lastName: "",
        displayName: "",
        avatarUrl: "",
        createdAt: new Date(),
      };
      await storage.createUser(user);
      const organization = fromPublicId("org", organizationId) ?? "";
      const membership = { organizationId: organization, userId: user.id, role, createdAt: new Date() };
      await storage.putMembership(membership, bySystem());
      return { userId: toPublicId("usr", user.id), email: user.email, password: memberPassword };
    },
    async addOrganization(profile = "watchplane") {
      const organization: Organization = {
        id: newId(),
        name: "other",
        profile,
        plan: profiles.get(profile)?.plans[0]?.name ?? "",
        createdAt: new Date(),
      };
      await storage.createOrganization(organization, bySystem());
      return toPublicId("org", organization.id);
    },
    async signIn({ email, password }) {
      const client = createClient(AuthService, { address: app.grpcAddress, tls, token: credentials.serviceKey });
      try {
        return (await client.login({ email, password })).accessToken;
      } finally {
        client.close();
      }
    },
    async addServiceKey(scopes, organizationId) {
      const client = createClient(TokenService, { address: app.grpcAddress, tls, token: credentials.serviceKey });
      try {
        const system = toPublicId("org", "00000000-0000-0000-0000-000000000000");
        const { secret } = await client.issue({
          organizationId: organizationId ?? system,
          name: "test key",
          type: "service_key",
          scopes: [...scopes],
        });
        return secret;
      } finally {
        client.close();
      }
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

/** A change that came by no call. */
export function bySystem(): Change {
  return { at: new Date(), actor: SYSTEM_ACTOR, address: "", requestId: "" };
}
