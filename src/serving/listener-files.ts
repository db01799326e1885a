/** What the listeners take from files: certificates, and who has client certificates. All of it follows its files. */
import type { Config } from "../config.ts";
import type { Clock } from "../domain/clock.ts";
import type { Logger } from "../domain/logger.ts";
import type { ServiceIdentity } from "../domain/service-identity.ts";
import { readServiceIdentities } from "../identity/service-identity-document.ts";
import { ReloadedFiles } from "../tls/reloaded-files.ts";
import type { ServerTls } from "../tls/server-tls.ts";
import { readServerTls, type TlsFiles } from "../tls/tls-files.ts";

export interface ListenerFiles extends Disposable {
  /** Undefined where the listener speaks plain text. */
  readonly grpcTls: ReloadedFiles<ServerTls> | undefined;
  readonly httpTls: ReloadedFiles<ServerTls> | undefined;
  /** Apart from the certificates: a slip in one must not keep the other from being renewed. */
  readonly services: ReloadedFiles<readonly ServiceIdentity[]> | undefined;
}

interface Parts {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** @throws StartError that names each setting whose file can't be used */
export function openListenerFiles({ grpcTls, httpTls, grpcClientsFile }: Config, parts: Parts): ListenerFiles {
  using opened = new DisposableStack();
  const keep = <T>(files: ReloadedFiles<T>): ReloadedFiles<T> => opened.adopt(files, () => files.stop());
  const { logger } = parts;
  const found = {
    grpcTls: grpcTls && keep(followTls("the certificate for gRPC", grpcTls, parts)),
    httpTls: httpTls && keep(followTls("the certificate for HTTP", httpTls, parts)),
    services:
      grpcClientsFile &&
      keep(
        new ReloadedFiles({
          what: "the file of services with client certificates",
          paths: [grpcClientsFile.path],
          read: () => readServices(grpcClientsFile),
          logger,
        }),
      ),
  };
  const kept = opened.move();
  return { ...found, [Symbol.dispose]: () => kept.dispose() };
}

function followTls(what: string, files: TlsFiles, { clock, logger }: Parts): ReloadedFiles<ServerTls> {
  const { cert, key, clientCa } = files;
  return new ReloadedFiles({
    what,
    paths: [cert, key, ...(clientCa === undefined ? [] : [clientCa])].map(({ path }) => path),
    read: () => readServerTls(files),
    objection: ({ expiresAtMs }) =>
      expiresAtMs > clock()
        ? undefined
        : `${cert.setting}: ${cert.path} expired at ${new Date(expiresAtMs).toISOString()}`,
    logger,
  });
}

function readServices({ path, setting }: NonNullable<Config["grpcClientsFile"]>) {
  const read = readServiceIdentities(path);
  return "faults" in read ? { faults: read.faults.map((fault) => `${setting}: ${path}: ${fault}`) } : read;
}
