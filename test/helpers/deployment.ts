/** A deployment in a folder, whose service is started and killed as often as a trial likes. */
import { join } from "node:path";
import type { DescService } from "@bufbuild/protobuf";
import { type ServiceError, status } from "@grpc/grpc-js";
import type { FirstCredentials } from "../../src/app.ts";
import { type GrpcClient, grpcClient } from "./grpc-client.ts";
import { runProgram, type ServiceProcess, startServiceProcess, type TestEnv } from "./service-process.ts";

/** The service did what it must not. */
export class Finding extends Error {
  override readonly name = "Finding";
}

export class Deployment {
  readonly folder: string;
  readonly credentials: FirstCredentials;
  readonly #nodeArgs: readonly string[];
  readonly #settings: TestEnv;

  private constructor(
    folder: string,
    credentials: FirstCredentials,
    nodeArgs: readonly string[],
    settings: TestEnv = {},
  ) {
    this.folder = folder;
    this.credentials = credentials;
    this.#nodeArgs = nodeArgs;
    this.#settings = settings;
  }

  /**
   * Makes one, as an operator does: `latchkey bootstrap`.
   *
   * @param nodeArgs those of Node, for all that runs on it; an altered build is one. The default is what this
   *   process itself was started with.
   * @param settings those of all of its processes
   */
  static async create(
    folder: string,
    nodeArgs: readonly string[] = process.execArgv,
    settings: TestEnv = {},
  ): Promise<Deployment> {
    const args = ["bootstrap", "--admin-email", "admin@example.com", "--json"];
    const env = { LATCHKEY_DATA_DIR: folder, ...settings };
    const { stdout, stderr, code } = await runProgram(args, env, "", { nodeArgs });
    if (code !== 0) throw new Error(`bootstrap ended with ${code}: ${stderr}`);
    return new Deployment(folder, JSON.parse(stdout) as FirstCredentials, nodeArgs, settings);
  }

  /** The same deployment in another folder, to which its files were copied. */
  movedTo(folder: string): Deployment {
    return new Deployment(folder, this.credentials, this.#nodeArgs, this.#settings);
  }

  get databasePath(): string {
    return join(this.folder, "latchkey.db");
  }

  /** @param under a command to run the service under, which leaves it its process id and its signals */
  async start(under: readonly string[] = [], settings: TestEnv = {}): Promise<Service> {
    const env = { LATCHKEY_DATA_DIR: this.folder, ...this.#settings, ...settings };
    return new Service(await startServiceProcess([], env, { nodeArgs: this.#nodeArgs, under }), this.credentials);
  }

  /** Starts the service and kills it so many milliseconds later, ready or not. */
  async killInMidStart(afterMs: number): Promise<void> {
    const env = { LATCHKEY_DATA_DIR: this.folder, ...this.#settings };
    const options = { nodeArgs: this.#nodeArgs, signal: AbortSignal.timeout(afterMs) };
    await startServiceProcess([], env, options).then(
      (service) => service.stop("SIGKILL"),
      (error: unknown) => {
        if (!/ended with SIGKILL/.test(String(error))) throw error;
      },
    );
  }
}

export class Service implements AsyncDisposable {
  readonly process: ServiceProcess;
  readonly #serviceKey: string;
  readonly #clients = new DisposableStack();

  constructor(serviceProcess: ServiceProcess, { serviceKey }: FirstCredentials) {
    this.process = serviceProcess;
    this.#serviceKey = serviceKey;
  }

  /**
   * A client with a connection of its own, which closes with the service.
   *
   * @param timeoutMs of calls that have none of their own
   */
  connect<S extends DescService>(service: S, { timeoutMs }: { readonly timeoutMs?: number } = {}): GrpcClient<S> {
    const client = grpcClient(service, this.process.ready.grpc, {
      timeoutMs,
      headers: { authorization: `Bearer ${this.#serviceKey}` },
      "grpc.use_local_subchannel_pool": 1,
    });
    return this.#clients.use(client);
  }

  get pid(): number {
    return this.process.child.pid ?? 0;
  }

  /** Whether it runs. */
  get isUp(): boolean {
    const { exitCode, signalCode } = this.process.child;
    return exitCode === null && signalCode === null;
  }

  /** `kill -9`. @throws Finding when it had ended by itself */
  async kill(): Promise<void> {
    this.assertUp();
    await this.process.stop("SIGKILL");
  }

  /** Ends it properly. @throws Finding when it had ended by itself, or ends badly */
  async stop(): Promise<void> {
    this.assertUp();
    this.#clients.dispose();
    const code = await this.process.stop();
    if (code !== 0) throw new Finding(`the service stopped with ${code}`);
  }

  assertUp(): void {
    const { exitCode, signalCode } = this.process.child;
    if (!this.isUp) throw new Finding(`the service ended by itself with ${signalCode ?? exitCode}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process.stop("SIGKILL");
    this.#clients.dispose();
  }
}

/** The answer of a call that must succeed. @throws Finding when it fails */
export async function mustAnswer<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw new Finding(`a call failed that must succeed: ${codeOf(error)}: ${(error as ServiceError).details}`, {
      cause: error,
    });
  }
}

/** The name of a failed call's gRPC code. @throws what isn't a failed call */
export function codeOf(error: unknown): string {
  const { code, details } = error as Partial<ServiceError>;
  if (code === undefined || details === undefined) throw error;
  return status[code] ?? String(code);
}
