/** What a thread needs to answer calls: use cases over a storage, and the pipeline that leads to them. */
import { type Config, nameOfDatabase } from "../config.ts";
import type { AccessTokens } from "../domain/access-tokens.ts";
import type { Clock, Entropy } from "../domain/clock.ts";
import { AppError } from "../domain/errors.ts";
import type { Logger } from "../domain/logger.ts";
import type { PasswordHasher } from "../domain/passwords.ts";
import type { ServiceIdentity } from "../domain/service-identity.ts";
import { StartError } from "../domain/start-error.ts";
import type { Storage } from "../domain/storage.ts";
import type { WriteMeter } from "../domain/write-meter.ts";
import { createHealth, type HealthService } from "../grpc/health.ts";
import { createReflection } from "../grpc/reflection.ts";
import { createExternalTokens } from "../identity/external-tokens.ts";
import { createSignInProviders } from "../identity/sign-in-providers.ts";
import type { ServiceEntry } from "../rpc/handlers.ts";
import { Pipeline, type PipelineDeps } from "../rpc/pipeline.ts";
import type { Products } from "../rpc/product.ts";
import { createServices, INTROSPECTION_SERVICE, type ServiceDeps, WRITING_SERVICES } from "../rpc/services.ts";
import { TracedPipeline } from "../rpc/traced-pipeline.ts";
import { createAccessTokens } from "../security/access-tokens.ts";
import type { Sealer } from "../security/sealer.ts";
import type { Metric } from "../telemetry/metric.ts";
import { watchThread } from "../telemetry/runtime.ts";
import { threadMetrics } from "../telemetry/service-metrics.ts";
import type { Tracing } from "../telemetry/tracing.ts";
import { AttemptLimits } from "../usecases/attempt-limits.ts";
import { authenticate } from "../usecases/authenticate.ts";
import { ChangeLog } from "../usecases/change-log.ts";
import { noDecisions } from "../usecases/introspect-token.ts";
import { Outbox } from "../usecases/outbox.ts";
import { RateLimiter } from "../usecases/rate-limiter.ts";
import type { Post } from "../usecases/restore-password.ts";
import { ServiceIdentities } from "../usecases/service-identities.ts";
import { TokenCache } from "../usecases/token-cache.ts";
import { TokenFinder } from "../usecases/token-finder.ts";
import { UsageRecorder } from "../usecases/usage-recorder.ts";

export interface ServingParts {
  readonly config: Config;
  /** Of Latchkey. */
  readonly version: string;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly products: Products;
  readonly storage: Storage;
  /** Is told of this thread's writes. */
  readonly writes: WriteMeter;
  readonly passwords: PasswordHasher;
  readonly sealer: Sealer;
  readonly checkpointer: ServiceDeps["checkpointer"];
  /** Hears of every call that failed because something was unavailable. */
  readonly onUnavailable: () => void;
}

/** What of the database works. */
export interface DatabaseState {
  /** Also while nothing can be read, if memory may decide alone. */
  readonly canIntrospect: boolean;
  readonly reads: boolean;
  readonly writes: boolean;
}

export interface Serving {
  /** The services of the API; the pipeline has health and reflection besides. */
  readonly services: readonly ServiceEntry[];
  readonly pipeline: Pipeline;
  readonly usage: UsageRecorder;
  readonly accessTokens: Pick<AccessTokens, "publicKeys" | "renew">;
  /** Undefined where no mail is sent. */
  readonly outbox: Outbox | undefined;
  readonly health: Pick<HealthService, "shutdown">;
  /** Says at the health service what can be served. Nothing is, before that. */
  showHealth(state: DatabaseState): void;
  /** Says whom client certificates stand for. They stand for nobody, before that. */
  identifyAs(services: readonly ServiceIdentity[]): void;
  /** Reads this thread's numbers; never rejects. */
  metrics(): Promise<readonly Metric[]>;
  /** Writes down and sends what waits, when no calls come any more. Never rejects. */
  stop(): Promise<void>;
}

/** More backends than anybody has, and their customers' scripts on the public port. */
const CALLER_CACHE = { maxEntries: 5_000, maxBytes: 16 * 1024 * 1024 };

/** @throws StartError when the signing keys of access tokens can't be read or opened */
export async function createServing(parts: ServingParts): Promise<Serving> {
  const { config, logger, storage, products, sealer, clock, entropy, onUnavailable } = parts;
  const { profiles } = products;
  const tracing = await startTracing(config, parts.version, logger);
  parts.writes.follow = tracing?.startWrite;
  const accessTokens = await createAccessTokens({
    storage,
    sealer,
    clock,
    entropy,
    issuer: config.accessTokenIssuer,
    algorithm: config.accessTokenAlgorithm,
    keyLifetimeMs: config.signingKeyLifetimeMs,
  }).catch((cause: unknown) => {
    // The store's own trouble says nothing of the root key.
    if (cause instanceof AppError) {
      const advice = config.postgres === undefined ? "Check the disk" : "Check the server";
      throw new StartError(`${nameOfDatabase(config)} can't be served: ${cause.message} ${advice}`, { cause });
    }
    throw new StartError(
      `The signing key in ${nameOfDatabase(config)} doesn't open: put back the root key that it was made with`,
      { cause },
    );
  });
  const externalTokens = createExternalTokens(config.identity.issuers, clock);
  const signInProviders = createSignInProviders(config.identity.providers, {
    clock,
    entropy,
    sealer,
    callbackOf: (name) => `${config.publicUrl}/sign-in/with/${name}/callback`,
  });
  const finderOf = (tokens: TokenCache): TokenFinder => new TokenFinder({ storage, tokens, profiles, sealer, entropy });
  const changeLog = new ChangeLog(storage);
  const tokenCache = new TokenCache(storage, changeLog, {
    maxEntries: config.cacheEntries,
    maxBytes: config.cacheBytes,
  });
  // Apart, so that no crowd of customers' tokens puts the backends' few keys out.
  const callerCache = new TokenCache(storage, changeLog, CALLER_CACHE);
  const callerFinder = finderOf(callerCache);
  const usage = new UsageRecorder(storage, logger);
  const rateLimiter = new RateLimiter({ storage, clock, logger });
  // Apart, so that no crowd of clients puts tokens out.
  const attemptLimiter = new RateLimiter({ storage, clock, logger });
  const { attemptAllowances: allowances } = config;
  const post = await openPost(config, logger);
  const decisions = noDecisions();
  const services = createServices({
    ...parts,
    profiles,
    defaultProfile: products.fallback,
    accessTokens,
    tokenFinder: finderOf(tokenCache),
    usage,
    rateLimiter,
    attemptLimits: new AttemptLimits({ rateLimiter: attemptLimiter, sealer, allowances }),
    post,
    signInProviders,
    publicUrl: config.publicUrl,
    allowsRegistration: config.allowsRegistration,
    decisions,
  });
  const allButIntrospection = services
    .map(({ service }) => service.typeName)
    .filter((name) => name !== INTROSPECTION_SERVICE);
  const health = createHealth(services.map(({ service }) => service.typeName));
  const reflection = createReflection([...services, health.entry].map(({ service }) => service));
  const entries = [...services, health.entry, ...reflection];
  const serviceIdentities = new ServiceIdentities({ clock, logger });
  const pipelineDeps: PipelineDeps = {
    authenticate: (credential, call) =>
      authenticate(
        {
          storage,
          tokenFinder: callerFinder,
          profiles,
          accessTokens,
          externalTokens,
          signInProviders,
          usage,
          rateLimiter,
          clock,
        },
        credential,
        call.peer,
      ),
    identify: (certificate) => serviceIdentities.callerOf(certificate),
    onUnavailable,
    logger,
    slowCallMs: config.slowCallMs,
    logsQuietCalls: config.logLevel === "debug",
  };
  const pipeline =
    tracing === undefined
      ? new Pipeline(entries, pipelineDeps)
      : new TracedPipeline(entries, pipelineDeps, tracing.startCall);
  const runtime = watchThread();
  return {
    services,
    pipeline,
    usage,
    accessTokens,
    outbox: post?.outbox,
    health,
    showHealth: ({ canIntrospect, reads, writes }) => {
      if (!canIntrospect) health.set("NOT_SERVING");
      else if (!reads) health.set("SERVING", allButIntrospection);
      else health.set("SERVING", writes ? [] : WRITING_SERVICES);
    },
    identifyAs: (identities) => serviceIdentities.replace(identities),
    metrics: threadMetrics({
      calls: () => pipeline.calls,
      decisions,
      caches: { tokens: tokenCache, callers: callerCache },
      writes: parts.writes,
      rateLimiter,
      latestRevision: () => storage.latestRevision(),
      runtime,
    }),
    stop: async () => {
      runtime.stop();
      externalTokens.stop();
      signInProviders.stop();
      await post?.outbox.stop();
      await attemptLimiter.stop();
      await rateLimiter.stop();
      await usage.stop();
      await tracing?.stop();
    },
  };
}

/** The mail library is loaded only where mail is sent. */
async function openPost({ mail, publicUrl }: Config, logger: Logger): Promise<Post | undefined> {
  if (mail === undefined || publicUrl === undefined) return undefined;
  const { createSmtpMailer } = await import("../mail/smtp-mailer.ts");
  return { outbox: new Outbox({ mailer: createSmtpMailer(mail), logger }), publicUrl };
}

/** Traces calls on this thread, where that is asked for; else not even OpenTelemetry's packages are loaded. */
async function startTracing(
  { otel, grpcAddress, httpAddress }: Config,
  version: string,
  logger: Logger,
): Promise<Tracing | undefined> {
  if (otel?.traces === undefined) return undefined;
  const tracing = await import("../telemetry/tracing.ts");
  return tracing.startTracing(otel, otel.traces, {
    version,
    logger,
    addresses: { internal: grpcAddress, public: httpAddress },
  });
}
