/**
 * Starts ten processes at once on an empty database: first ten that set it up, of which one must win and the others must
 * say so, then ten that serve. Each step of the schema must be taken once, and what one process issues or signs must be
 * good at every other one.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { AuthService } from "../gen/latchkey/v1/auth_pb.ts";
import { IntrospectionService } from "../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import type { FirstCredentials } from "../src/app.ts";
import { MIGRATIONS } from "../src/storage/postgres/migrations.ts";
import { Finding, mustAnswer } from "../test/helpers/deployment.ts";
import { grpcClient } from "../test/helpers/grpc-client.ts";
import { connectTo } from "../test/helpers/postgres.ts";
import { runProgram, type ServiceProcess, startServiceProcess, type TestEnv } from "../test/helpers/service-process.ts";
import { createDatabase, settingsOf, startCluster } from "./fleet.ts";
import { count, type Trial } from "./trial.ts";

const AT_ONCE = 10;
const ALREADY_SET_UP = /has been set up already/;

export const postgresStarts: Trial = {
  name: "postgres-starts",
  does: `processes set up an empty database at once, ${AT_ONCE} where there are so many, and as many serve it`,
  trials: { full: 100, short: 4 },
  isTimed: false,
  mustCatch: ["migrates-without-a-lock"],

  async run({ trials, folder }) {
    await using cluster = await startCluster(folder);
    let databases = 0;
    for (let left = trials; left > 0; left -= AT_ONCE) {
      const round = databases++;
      const name = `starts_${round}`;
      await createDatabase(cluster, name);
      const url = `${cluster.url}/${name}`;
      const folders = await Promise.all(
        Array.from({ length: Math.min(AT_ONCE, left) }, async (_, index) => {
          const path = join(folder, `${name}-${index}`);
          await mkdir(path);
          return { LATCHKEY_DATA_DIR: path, ...settingsOf(url) };
        }),
      );
      const credentials = await setUp(folders);
      await expectMigratedOnce(url);
      await expectAllServe(folders, credentials);
      await expectMigratedOnce(url);
    }
    return (
      `${count(trials, "process", "processes")} on ${count(databases, "empty database")}: ${MIGRATIONS.length} steps taken ` +
      "once each, set up once, served by all, each with what the others had issued and signed"
    );
  },
};

/** All at once. @throws Finding unless exactly one succeeds, and the others say why they don't */
async function setUp(environments: readonly TestEnv[]): Promise<FirstCredentials> {
  const args = ["bootstrap", "--admin-email", "admin@example.com", "--json"];
  const nodeArgs = process.execArgv;
  const ended = await Promise.all(environments.map((env) => runProgram(args, env, "", { nodeArgs })));
  const [winner, ...others] = ended.filter(({ code }) => code === 0);
  const loser = ended.find(({ code, stderr }) => code !== 0 && !ALREADY_SET_UP.test(stderr));
  if (loser !== undefined) throw new Finding(`a process ended with ${loser.code}: ${loser.stderr}`);
  if (winner === undefined || others.length > 0)
    throw new Finding(`${others.length + 1} processes set up one database`);
  return JSON.parse(winner.stdout) as FirstCredentials;
}

async function expectMigratedOnce(url: string): Promise<void> {
  await using database = await connectTo(url);
  const { rows } = await database.client.query<{ version: string }>(
    "SELECT version FROM schema_migrations ORDER BY version",
  );
  const versions = rows.map(({ version }) => Number(version)).join();
  if (versions !== MIGRATIONS.map((_, index) => index + 1).join())
    throw new Finding(`the schema has steps ${versions}`);
}

/** @throws Finding unless all start, and know what each of them issues */
async function expectAllServe(environments: readonly TestEnv[], credentials: FirstCredentials): Promise<void> {
  const { serviceKey, organizationId, adminEmail: email, adminPassword: password } = credentials;
  await using resources = new AsyncDisposableStack();
  const starts = await Promise.allSettled(
    environments.map((env) => startServiceProcess([], env, { nodeArgs: process.execArgv })),
  );
  const processes = starts.flatMap((start) => (start.status === "fulfilled" ? [resources.use(start.value)] : []));
  const failure = starts.find((start) => start.status === "rejected");
  if (failure !== undefined) throw new Finding(`a process doesn't start: ${String(failure.reason)}`);
  const connect = ({ ready }: ServiceProcess, token: string) => {
    const headers = { authorization: `Bearer ${token}` };
    return {
      tokens: resources.use(grpcClient(TokenService, ready.grpc, { headers })),
      introspection: resources.use(grpcClient(IntrospectionService, ready.grpc, { headers })),
      auth: resources.use(grpcClient(AuthService, ready.grpc, { headers })),
    };
  };
  const backends = processes.map((one) => connect(one, serviceKey));
  const issued = await mustAnswer(
    Promise.all(backends.map(({ tokens }, index) => tokens.issue({ organizationId, name: `of ${index}` }))),
  );
  const signedIn = await mustAnswer(Promise.all(backends.map(({ auth }) => auth.login({ email, password }))));
  for (const { introspection } of backends) {
    const requests = issued.map(({ secret }) => ({ token: secret }));
    const { responses } = await mustAnswer(introspection.batchIntrospect({ requests }));
    if (!responses.every(({ active }) => active)) throw new Finding("a process doesn't know what another one issued");
  }
  for (const one of processes) {
    for (const { accessToken } of signedIn) {
      await mustAnswer(connect(one, accessToken).tokens.list({ organizationId, pageSize: 1 }));
    }
  }
  const codes = await Promise.all(processes.map((one) => one.stop()));
  if (codes.some((code) => code !== 0)) throw new Finding(`processes stopped with ${codes.join()}`);
}
