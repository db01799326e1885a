/** The real service with certificates of a test's own authority, and connections that look at them. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import type { Environment } from "../../src/config.ts";
import { type Authority, createAuthority, type Pair, writePair } from "./certificates.ts";
import { SCRATCH } from "./scratch.ts";
import { startTestApp, type TestApp, type TestAppOptions } from "./test-app.ts";

export interface TlsApp extends AsyncDisposable {
  readonly test: TestApp;
  readonly folder: string;
  readonly authority: Authority;
  /** Where the service's files are. */
  readonly files: { readonly cert: string; readonly key: string; readonly ca: string; readonly services: string };
  readonly ca: Buffer;
  /** What a client needs to send a certificate. */
  as(pair: Pair): { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
  /** Resolves with the first line of the log, from a place on, that has all of these texts. */
  logged(texts: readonly string[], from?: number): Promise<string>;
}

export interface TlsAppOptions extends Omit<TestAppOptions, "env"> {
  readonly env?: Environment;
  /** The services with client certificates; undefined asks clients for none. */
  readonly services?: readonly object[];
  /** Serves HTTP with the same certificate. */
  readonly http?: boolean;
}

export async function startTlsApp({ env = {}, http = false, ...options }: TlsAppOptions = {}): Promise<TlsApp> {
  await using resources = new AsyncDisposableStack();
  const folder = await mkdtemp(join(SCRATCH, "latchkey-tls-"));
  resources.defer(() => rm(folder, { recursive: true, force: true }));
  const authority = await createAuthority();
  const ca = Buffer.from(authority.pem);
  const pair = await writePair(folder, "server", await authority.server());
  const files = { ...pair, ca: join(folder, "ca.crt"), services: join(folder, "services.json") };
  await writeFile(files.ca, authority.pem);
  await writeServices(files.services, options.services ?? []);
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const logSink = (line: string): void => {
    lines.push(line);
    for (const look of waiting) look();
  };
  const test = resources.use(
    await startTestApp({
      tls: { ca },
      env: {
        LATCHKEY_GRPC_TLS_CERT: files.cert,
        LATCHKEY_GRPC_TLS_KEY: files.key,
        ...(options.services && {
          LATCHKEY_GRPC_CLIENT_CA: files.ca,
          LATCHKEY_GRPC_CLIENTS_FILE: files.services,
        }),
        ...(http && { LATCHKEY_HTTP_TLS_CERT: files.cert, LATCHKEY_HTTP_TLS_KEY: files.key }),
        ...env,
      },
      surroundings: { ...options.surroundings, logSink },
    }),
  );
  const logged = (texts: readonly string[], from = 0): Promise<string> =>
    new Promise((resolve) => {
      const look = (): void => {
        const found = lines.slice(from).find((line) => texts.every((text) => line.includes(text)));
        if (found === undefined) return;
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
    });
  const parts = resources.move();
  return {
    test: { ...test, logLines: lines },
    folder,
    authority,
    files,
    ca,
    as: ({ cert, key }) => ({ ca, cert: Buffer.from(cert), key: Buffer.from(key) }),
    logged,
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

export async function writeServices(path: string, services: readonly object[]): Promise<void> {
  await writeFile(path, JSON.stringify({ services }), { mode: 0o600 });
}

/** Makes a handshake, and answers the connection; rejects with why there is none. */
export function handshake(address: string, options: ConnectionOptions): Promise<TLSSocket> {
  const { hostname, port } = new URL(`https://${address}`);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), servername: "localhost", ...options });
    socket.once("secureConnect", () => resolve(socket));
    socket.on("error", reject);
  });
}

/** The serial number of the certificate that a listener shows. */
export async function serialShown(address: string, ca: Buffer, protocol = "h2"): Promise<string | undefined> {
  const socket = await handshake(address, { ca, ALPNProtocols: [protocol] });
  const serial = socket.getPeerX509Certificate()?.serialNumber;
  socket.destroy();
  return serial;
}
