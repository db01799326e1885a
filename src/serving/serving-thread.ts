/** A further thread that serves gRPC. It shares the port with the others, and nothing else but the database. */
import { parentPort, workerData } from "node:worker_threads";
import type { SignedCheckpoint } from "../domain/checkpoint.ts";
import { AppError } from "../domain/errors.ts";
import { Profiles } from "../domain/profile.ts";
import { WriteMeter } from "../domain/write-meter.ts";
import { type GrpcServer, startGrpcServer } from "../grpc/grpc-server.ts";
import { createLogger } from "../logger.ts";
import { pooledEntropy } from "../security/entropy.ts";
import { createPasswordHasher, OWASP_COST } from "../security/passwords.ts";
import { createSealer } from "../security/sealer.ts";
import { joinDatabase } from "../storage/database.ts";
import { keepTickShape } from "../tick-shape.ts";
import type { FromServingThread, ServingThreadOptions, SigningOutcome, ToServingThread } from "./messages.ts";
import { chooseProducts } from "./products.ts";
import { createServing } from "./serving.ts";

keepTickShape();
if (parentPort === null) throw new Error("this file runs as a worker thread only");
const main = parentPort;
const send = (message: FromServingThread): void => main.postMessage(message);

const { config, version, rootKey, database, profiles, checkpointKey } = workerData as ServingThreadOptions;
const products = chooseProducts(config, new Profiles(profiles));
const logger = await createLogger({
  level: config.logLevel,
  // The main thread writes them all, so that no line gets into another one.
  format: "json",
  secretPrefixes: profiles.map(({ secretFormat }) => secretFormat.prefix),
  sink: (line) => send({ kind: "log", line }),
});
const entropy = pooledEntropy();
const writes = new WriteMeter();
const storage = await joinDatabase(database, writes);
const signings = new Map<number, (outcome: SigningOutcome) => void>();
const serving = await createServing({
  config,
  version,
  logger,
  clock: Date.now,
  entropy,
  products,
  storage,
  writes,
  passwords: createPasswordHasher(entropy, OWASP_COST),
  sealer: createSealer(rootKey, entropy),
  checkpointer: { key: checkpointKey, sign },
  onUnavailable: () => send({ kind: "doubt" }),
});
let server: Promise<GrpcServer> | undefined;
let lastId = 0;

// An error that escapes ends this thread, and another one is started.
main.on("message", (message: ToServingThread) => void receive(message));
send({ kind: "prepared" });

async function receive(message: ToServingThread): Promise<void> {
  switch (message.kind) {
    case "listen":
      server = startGrpcServer({
        pipeline: serving.pipeline,
        address: message.address,
        sharing: "further",
        tls: message.tls,
        requiresClientCertificate: config.requiresClientCertificate,
        logger,
      });
      await server;
      send({ kind: "listening" });
      break;
    case "tls":
      (await server)?.renewTls(message.tls);
      break;
    case "services":
      serving.identifyAs(message.services);
      break;
    case "database":
      serving.showHealth(message.state);
      break;
    case "read_metrics":
      send({ kind: "metrics", metrics: await serving.metrics() });
      break;
    case "signed":
      signings.get(message.id)?.(message.outcome);
      signings.delete(message.id);
      break;
    case "stop":
      serving.health.shutdown();
      // The stop may come while it is about to listen.
      await (await server)?.stop();
      await serving.stop();
      await storage.close();
      main.close();
      // What a dead collector or mail server holds up would keep the thread alive.
      if (config.otel !== undefined || config.mail !== undefined) process.exit();
  }
}

/** Only the main thread follows the log. */
async function sign(): Promise<SignedCheckpoint> {
  const id = ++lastId;
  const outcome = await new Promise<SigningOutcome>((resolve) => {
    signings.set(id, resolve);
    send({ kind: "sign", id });
  });
  if (outcome.ok) return outcome.signed;
  throw new AppError(outcome.kind, outcome.message);
}
