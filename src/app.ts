/** The composition root: builds every part once, and takes them down in the right order. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import packageJson from "../package.json" with { type: "json" };
import { type Config, isLoopback } from "./config.ts";
import type { Clock, Entropy } from "./domain/clock.ts";
import type { Logger } from "./domain/logger.ts";
import type { PasswordHasher } from "./domain/passwords.ts";
import type { Profiles } from "./domain/profile.ts";
import type { NoteKey } from "./domain/signed-note.ts";
import { StartError } from "./domain/start-error.ts";
import type { Storage } from "./domain/storage.ts";
import { WriteMeter } from "./domain/write-meter.ts";
import type { Readiness } from "./http/ops-server.ts";
import { type ClosableLogger, createLogger } from "./logger.ts";
import { loadProfiles } from "./profiles/load-profiles.ts";
import type { Products } from "./rpc/product.ts";
import { createCheckpointFolder } from "./security/checkpoint-folder.ts";
import { createCheckpointReceiver } from "./security/checkpoint-receiver.ts";
import { createCheckpointSigner } from "./security/checkpoint-signer.ts";
import { pooledEntropy } from "./security/entropy.ts";
import { createPasswordHasher, OWASP_COST, type PasswordCost } from "./security/passwords.ts";
import { ensureRootKeyFile, readRootKeyFile } from "./security/root-key-file.ts";
import { createSealer, type Sealer } from "./security/sealer.ts";
import { openListenerFiles } from "./serving/listener-files.ts";
import { chooseProducts } from "./serving/products.ts";
import { type DatabaseShare, openDatabase } from "./storage/database.ts";
import { readSigningKeys } from "./storage/sqlite/restore.ts";
import { combine, type Metric } from "./telemetry/metric.ts";
import type { MetricExport } from "./telemetry/metric-export.ts";
import { processMetrics } from "./telemetry/service-metrics.ts";
import { Checkpointer } from "./usecases/checkpointer.ts";
import { DatabaseHealth } from "./usecases/database-health.ts";
import type { Outbox } from "./usecases/outbox.ts";
import { startSweepers } from "./usecases/retention.ts";
import { putAsideAfter } from "./usecases/rollback-guard.ts";
import { type FirstCredentials, type SetUpInput, setUp } from "./usecases/set-up.ts";
import type { UsageRecorder } from "./usecases/usage-recorder.ts";

/** What the outside world is to the service; tests put their own in its place. */
export interface Surroundings {
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Takes log lines; the default is the standard output. */
  readonly logSink: ((line: string) => void) | undefined;
  /** Stands between the service and its storage engine. */
  readonly aroundStorage: (storage: Storage) => Storage;
  /** How much work it is to try a password. */
  readonly passwordCost: PasswordCost;
}

const REAL: Surroundings = {
  clock: Date.now,
  entropy: pooledEntropy(),
  logSink: undefined,
  aroundStorage: (storage) => storage,
  passwordCost: OWASP_COST,
};

/** The parts that work without a listener: what `bootstrap` and the service share. */
export interface Deployment {
  readonly config: Config;
  readonly logger: ClosableLogger;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly profiles: Profiles;
  readonly products: Products;
  readonly storage: Storage;
  readonly writes: WriteMeter;
  readonly passwords: PasswordHasher;
  readonly rootKey: Uint8Array;
  readonly sealer: Sealer;
  readonly checkpointer: Checkpointer;
  /** What one further thread needs to work on the database. */
  readonly shareDatabase: () => DatabaseShare;
  /** Makes the first organization, admin and service key; see `usecases/set-up.ts`. */
  setUp(input: SetUpInput): Promise<FirstCredentials>;
}

/**
 * Opens the root key and the database.
 *
 * @param makeRootKey whether a deployment without a database yet gets a new root key
 * @throws StartError that says what to do
 */
export async function openDeployment(
  config: Config,
  makeRootKey: boolean,
  surroundings: Partial<Surroundings> = {},
): Promise<Deployment> {
  const { clock, entropy, logSink, aroundStorage, passwordCost } = { ...REAL, ...surroundings };
  const products = chooseProducts(config, loadProfiles(config.profilesDir));
  const { profiles } = products;
  const logger = await createLogger({
    level: config.logLevel,
    format: config.logFormat,
    secretPrefixes: profiles.all.map(({ secretFormat }) => secretFormat.prefix),
    sink: logSink,
  });
  // A new key beside an old database would open nothing that is sealed in it.
  const openRootKey = async (isNew: boolean): Promise<Uint8Array> => {
    const fromFile = makeRootKey && isNew ? ensureRootKeyFile : readRootKeyFile;
    return config.rootKey ?? (await fromFile(config.rootKeyFile, entropy));
  };
  const keyOfFile = config.postgres === undefined ? await openRootKey(!existsSync(config.databasePath)) : undefined;
  await using resources = new AsyncDisposableStack();
  const writes = new WriteMeter();
  const { databasePath, postgres } = config;
  // The memory that tokens don't take, where none are kept, is worth most in pages that they are read from.
  const pageCacheBytes = config.cacheEntries === 0 ? config.cacheBytes : undefined;
  const database = await openDatabase({ databasePath, postgres, logger, meter: writes, pageCacheBytes });
  const storage = aroundStorage(database.storage);
  resources.defer(() => storage.close());
  const rootKey = keyOfFile ?? (await openRootKey(await isUntouched(storage)));
  const sealer = createSealer(rootKey, entropy);
  const checkpointer = await Checkpointer.open({
    storage,
    clock,
    logger,
    signer: createCheckpointSigner(sealer, config.checkpointOrigin),
    folders: config.checkpointFolders.map((path) => createCheckpointFolder(path)),
    receivers: config.checkpointUrl === undefined ? [] : [createCheckpointReceiver(config.checkpointUrl)],
    intervalMs: config.checkpointIntervalMs,
    acceptedRollback: config.acceptedRollback,
  });
  resources.move();
  const parts = { clock, entropy, profiles, storage, passwords: createPasswordHasher(entropy, passwordCost) };
  return {
    ...parts,
    products,
    config,
    logger,
    writes,
    rootKey,
    sealer,
    checkpointer,
    shareDatabase: () => database.share(),
    setUp: (input) => setUp(parts, input),
  };
}

/** Whether nothing was sealed in a database yet. */
async function isUntouched(storage: Storage): Promise<boolean> {
  return (await storage.isEmpty()) && (await storage.listSigningKeys()).length === 0;
}

/**
 * The key that verifies a deployment's checkpoints. It comes from the root key, so no service has to run.
 *
 * @throws StartError when the root key can't be read
 */
export async function readCheckpointKey({ rootKey, rootKeyFile, checkpointOrigin }: Config): Promise<NoteKey> {
  const sealer = createSealer(rootKey ?? (await readRootKeyFile(rootKeyFile)), randomBytes);
  return createCheckpointSigner(sealer, checkpointOrigin).key;
}

/**
 * Puts aside the checkpoints of what a restore undoes, as its operator has decided, and answers how many.
 *
 * @param revision the last that is left
 * @throws StartError when the root key or a folder can't be read
 */
export async function abandonCheckpoints(config: Config, revision: number): Promise<number> {
  const folders = config.checkpointFolders.map((path) => createCheckpointFolder(path));
  return putAsideAfter({ folders, key: await readCheckpointKey(config) }, revision);
}

/** @throws StartError when the root key is missing, or isn't the one that a database file was sealed under */
export async function assertRootKeyOpens(config: Config, databaseFile: string): Promise<void> {
  const keys = readSigningKeys(databaseFile);
  if (keys.length === 0) return;
  const { opensSigningKeys } = await import("./security/access-tokens.ts");
  const rootKey = config.rootKey ?? (await readRootKeyFile(config.rootKeyFile));
  if (opensSigningKeys(createSealer(rootKey, randomBytes), keys)) return;
  const place = config.rootKey === undefined ? config.rootKeyFile : "LATCHKEY_ROOT_KEY";
  throw new StartError(
    `The root key in ${place} isn't the one that the backup was made with, and the service won't start with it: put that one back`,
  );
}

export { moveDatabase } from "./storage/database-copy.ts";
export {
  type DatabasePlace,
  openAuditLog,
  openTokenPurge,
  planUpgrade,
  type TokenPurge,
  upgradeDatabase,
} from "./storage/offline.ts";
export { backUpDatabase } from "./storage/sqlite/backup.ts";
export { type Check, checkDatabase } from "./storage/sqlite/check.ts";
export { findLoss, restoreDatabase } from "./storage/sqlite/restore.ts";
export type { FirstCredentials };

export interface App extends AsyncDisposable {
  readonly deployment: Deployment;
  readonly usage: UsageRecorder;
  /** The main thread's; undefined where no mail is sent. */
  readonly outbox: Outbox | undefined;
  /** `host:port` of each listener, as really bound. */
  readonly grpcAddress: string;
  readonly httpAddress: string;
  readonly opsAddress: string;
  /** Lets calls in flight finish, then lets go of everything. Stopping twice is stopping once. */
  stop(): Promise<void>;
}

/** What only a running service needs, most of all there is: commands that work on the database do without. */
async function servers() {
  const [grpc, http, ops, serving, threads, exposition] = await Promise.all([
    import("./grpc/grpc-server.ts"),
    import("./http/http-server.ts"),
    import("./http/ops-server.ts"),
    import("./serving/serving.ts"),
    import("./serving/serving-threads.ts"),
    import("./telemetry/exposition.ts"),
  ]);
  const { ServingThreads } = threads;
  return { ...grpc, ...http, ...ops, ...serving, ServingThreads, ...exposition };
}

/** Starts the service on an open deployment, which it closes when it stops or can't start. */
export async function startApp(deployment: Deployment): Promise<App> {
  // Taken down in the reverse order, also when a later part doesn't start.
  await using parts = new AsyncDisposableStack();
  const { config, logger, storage, products, checkpointer, clock } = deployment;
  parts.defer(() => storage.close());
  parts.defer(() => checkpointer.stop());
  const files = parts.use(openListenerFiles(config, deployment));
  const { createServing, expose, ServingThreads, startGrpcServer, startHttpServer, startOpsServer } = await servers();
  let phase: Readiness["phase"] = "starting";
  const failsOpen = (config.postgres?.failOpenMs ?? 0) > 0;
  const database = new DatabaseHealth({ ...deployment, failsOpen }, () => showHealth());
  const onUnavailable = (): void => database.doubt();
  const serving = await createServing({ ...deployment, version: packageJson.version, onUnavailable });
  let metricExport: MetricExport | undefined;
  // Together, so that a dead collector of traces and metrics is waited for once.
  parts.defer(async () => void (await Promise.all([serving.stop(), metricExport?.stop()])));
  const threads = await ServingThreads.start({
    count: config.threads - 1,
    deployment: {
      config,
      version: packageJson.version,
      rootKey: deployment.rootKey,
      profiles: products.profiles.all,
    },
    shareDatabase: deployment.shareDatabase,
    checkpointer,
    onUnavailable,
    logger,
  });
  parts.defer(() => threads.stop());
  const showHealth = (): void => {
    const { readsFailSince, writesFailSince, canIntrospect } = database;
    const state = { canIntrospect, reads: readsFailSince === undefined, writes: writesFailSince === undefined };
    serving.showHealth(state);
    threads.showHealth(state);
  };
  files.services?.follow((services) => {
    serving.identifyAs(services);
    threads.identifyAs(services);
  });
  const { accessTokens } = serving;
  const { tokenRetentionDays } = config;
  for (const sweeper of startSweepers({ storage, accessTokens, clock, logger, tokenRetentionDays })) {
    parts.defer(() => sweeper.stop());
  }

  // Ready means ready: the first answer to a health check is no worse than the ones that follow. A disk that
  // is full at the start must not keep introspection from being answered.
  await storage.ping();
  parts.defer(() => database.stop());
  await database.start();
  showHealth();
  const readMetrics = async (): Promise<readonly Metric[]> => {
    const all = [serving.metrics(), threads.metrics(), processMetrics({ version: packageJson.version, database })];
    return combine(await Promise.all(all));
  };
  const ops = await startOpsServer({
    address: config.opsAddress,
    readiness: () => ({ phase, database }),
    metrics: async () => expose(await readMetrics()),
    logger,
  });
  parts.defer(() => ops.stop());
  const http = await startHttpServer({
    pipeline: serving.pipeline,
    services: serving.services,
    products,
    clock,
    address: config.httpAddress,
    tls: files.httpTls?.current,
    corsOrigins: config.corsOrigins,
    trustedProxies: config.trustedProxies,
    publicUrl: config.publicUrl,
    publicKeys: () => accessTokens.publicKeys(),
    logger,
  });
  parts.defer(() => http.stop());
  files.httpTls?.follow((tls) => http.renewTls(tls));
  const grpc = await startGrpcServer({
    pipeline: serving.pipeline,
    address: config.grpcAddress,
    sharing: config.threads > 1 ? "first" : "none",
    tls: files.grpcTls?.current,
    requiresClientCertificate: config.requiresClientCertificate,
    logger,
  });
  parts.defer(() => grpc.stop());
  files.grpcTls?.follow((tls) => {
    grpc.renewTls(tls);
    threads.renewTls(tls);
  });
  await threads.listen(grpc.address, files.grpcTls?.current);
  warnOfPlainText(config, logger);
  await checkpointer.start();
  if (config.otel?.metrics !== undefined) {
    const { startMetricExport } = await import("./telemetry/metric-export.ts");
    metricExport = await startMetricExport(config.otel, config.otel.metrics, {
      version: packageJson.version,
      logger,
      read: readMetrics,
    });
  }

  phase = "running";
  const running = parts.move();
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    phase = "stopping";
    serving.health.shutdown();
    stopped ??= Promise.allSettled([http.stop(), grpc.stop(), threads.stop()]).then(() => running.disposeAsync());
    return stopped;
  };
  return {
    deployment,
    usage: serving.usage,
    outbox: serving.outbox,
    grpcAddress: grpc.address,
    httpAddress: http.address,
    opsAddress: ops.address,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** What the operator has allowed, or may have overlooked. A proxy before the public port is told by its address. */
function warnOfPlainText({ grpcAddress, grpcTls, httpAddress, httpTls, trustedProxies }: Config, logger: Logger): void {
  if (grpcTls === undefined && !isLoopback(grpcAddress)) {
    logger.warn({ address: grpcAddress }, "gRPC is served in plain text beyond this machine");
  }
  if (httpTls === undefined && !isLoopback(httpAddress) && trustedProxies.length === 0) {
    logger.warn(
      { address: httpAddress },
      "HTTP is served in plain text beyond this machine: set LATCHKEY_HTTP_TLS_CERT, or LATCHKEY_TRUSTED_PROXIES to the proxy that has the certificate",
    );
  }
}
