/** Several processes of the service on one PostgreSQL server of their own, as on several machines. */
import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { appendFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { IntrospectionService } from "../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { codeOf, Deployment, Finding, type Service } from "../test/helpers/deployment.ts";
import { connectTo, execute } from "../test/helpers/postgres.ts";
import { PostgresCluster } from "../test/helpers/postgres-cluster.ts";
import type { TestEnv } from "../test/helpers/service-process.ts";

/** `LATCHKEY_STALENESS`, as it is unless an operator chooses otherwise. */
export const STALENESS_MS = 1_000;

/** The same for all processes, as an operator sets it. */
const ROOT_KEY = Buffer.alloc(32, "root").toString("base64url");

const DATABASE = "latchkey";

export class Fleet implements AsyncDisposable {
  readonly cluster: PostgresCluster;
  readonly deployment: Deployment;
  readonly services: Service[] = [];
  readonly #resources: AsyncDisposableStack;
  readonly #starting = new Set<Promise<Service>>();

  private constructor(cluster: PostgresCluster, deployment: Deployment, resources: AsyncDisposableStack) {
    this.cluster = cluster;
    this.deployment = deployment;
    this.#resources = resources;
  }

  /**
   * Starts the server as it comes, so that commits are durable, and so many processes.
   *
   * @param folder for all that is theirs but the server's data
   */
  static async start(folder: string, processes: number): Promise<Fleet> {
    await using resources = new AsyncDisposableStack();
    const cluster = resources.use(await startCluster(folder));
    await createDatabase(cluster, DATABASE);
    const settings = settingsOf(`${cluster.url}/${DATABASE}`);
    const deployment = await Deployment.create(folder, process.execArgv, settings);
    const fleet = new Fleet(cluster, deployment, resources.move());
    try {
      await Promise.all(Array.from({ length: processes }, (_, index) => fleet.startService(index)));
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  get url(): string {
    return `${this.cluster.url}/${DATABASE}`;
  }

  /** Starts a process in the place of the one that was there, whose data folder it has. */
  async startService(index: number, settings: TestEnv = {}): Promise<Service> {
    const starting = this.#start(index, settings);
    this.#starting.add(starting);
    return starting.finally(() => this.#starting.delete(starting));
  }

  async #start(index: number, settings: TestEnv): Promise<Service> {
    const folder = join(this.deployment.folder, `process-${index}`);
    await mkdir(folder, { recursive: true });
    const service = await this.deployment.start([], { LATCHKEY_DATA_DIR: folder, ...settings });
    this.#resources.use(service);
    this.#resources.defer(() => appendFile(join(folder, "log.json"), `${service.process.stdout.join("\n")}\n`));
    this.services[index] = service;
    return service;
  }

  /**
   * Waits until every process issues, and finds what it issued.
   *
   * @returns how many milliseconds that took
   * @throws Finding when it takes longer than it may, or a process has ended
   */
  async untilServing(atMostMs: number): Promise<number> {
    const startedAtMs = performance.now();
    await Promise.all(
      this.services.map(async (service) => {
        for (;;) {
          service.assertUp();
          const failure = await this.#failureOf(service, atMostMs);
          if (failure === undefined) return;
          if (performance.now() - startedAtMs > atMostMs) {
            throw new Finding(`a process doesn't serve after ${atMostMs} ms: ${failure}`);
          }
          await setTimeout(10);
        }
      }),
    );
    return performance.now() - startedAtMs;
  }

  async #failureOf(service: Service, timeoutMs: number): Promise<string | undefined> {
    const { organizationId } = this.deployment.credentials;
    using tokens = service.connect(TokenService, { timeoutMs });
    using introspection = service.connect(IntrospectionService, { timeoutMs });
    try {
      const { secret } = await tokens.issue({ organizationId, name: randomUUID() });
      const { active } = await introspection.introspect({ token: secret });
      return active ? undefined : "a new token isn't active";
    } catch (error) {
      return codeOf(error);
    }
  }

  /** Ends every process properly. @throws Finding when one had ended by itself, or ends badly */
  async stop(): Promise<void> {
    await Promise.all(this.services.map((service) => service.stop()));
  }

  /** Asks the database. */
  async query<Row>(sql: string): Promise<readonly Row[]> {
    await using connection = await connectTo(this.url);
    return (await connection.client.query(sql)).rows as Row[];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // One that starts while another one couldn't would stay behind.
    await Promise.allSettled(this.#starting);
    await this.#resources.disposeAsync();
  }
}

/** @param folder for its log */
export async function startCluster(folder: string): Promise<PostgresCluster> {
  const log = createWriteStream(join(folder, "postgres.log"));
  return PostgresCluster.start([], (text) => void log.write(text));
}

export async function createDatabase(cluster: PostgresCluster, name: string): Promise<void> {
  await execute(`${cluster.url}/postgres`, `CREATE DATABASE ${name}`);
}

export function settingsOf(databaseUrl: string): TestEnv {
  return {
    LATCHKEY_DATABASE_URL: databaseUrl,
    LATCHKEY_ROOT_KEY: ROOT_KEY,
    // As `bin/latchkey` does it, for there are many starts.
    NODE_COMPILE_CACHE: join(import.meta.dirname, "../.cache/compiled"),
  };
}
