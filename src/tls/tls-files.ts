/** Reads a listener's certificate, its key and the authorities of its clients, and finds what is wrong with them. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { type ServerTls, secureContextOptions } from "./server-tls.ts";

/** A file that an operator names. */
export interface NamedFile {
  readonly path: string;
  /** The setting that names it, for errors. */
  readonly setting: string;
}

export interface TlsFiles {
  readonly cert: NamedFile;
  readonly key: NamedFile;
  readonly clientCa: NamedFile | undefined;
}

/** Far more than any chain or bundle of a deployment's own authorities. */
const MAX_BYTES = 1024 * 1024;

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Rights of others, and of a file's group to change it. */
const FOR_ALL = 0o007;
const FOR_GROUP = 0o070;
const GROUP_READS = 0o040;

class Fault extends Error {}

/**
 * @returns what is in the files, or each fault behind the setting and the file that it is in. No fault holds any part
 *   of a key.
 */
export function readServerTls(files: TlsFiles): { readonly value: ServerTls } | { readonly faults: readonly string[] } {
  const faults: string[] = [];
  const attempt = <T>({ path, setting }: NamedFile, read: (path: string) => T): T | undefined => {
    try {
      return read(path);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      faults.push(`${setting}: ${path} ${error.message}`);
      return undefined;
    }
  };
  const chain = attempt(files.cert, readCertificates);
  const key = attempt(files.key, readPrivateKey);
  const authorities = files.clientCa && attempt(files.clientCa, readCertificates);
  const [leaf] = chain?.certificates ?? [];
  if (chain === undefined || key === undefined || leaf === undefined || faults.length > 0) return { faults };
  const tls: ServerTls = {
    cert: chain.pem,
    key,
    expiresAtMs: leaf.validToDate.getTime(),
    clientCa: authorities?.pem,
  };
  attempt(files.key, () => {
    if (!leaf.checkPrivateKey(createPrivateKey(key))) {
      throw new Fault(`is not the key of the first certificate in ${files.cert.path} (${files.cert.setting})`);
    }
  });
  attempt(files.cert, () => {
    try {
      // OpenSSL has limits of its own, for example for short keys.
      createSecureContext(secureContextOptions(tls));
    } catch (error) {
      throw new Fault(`can't be served: ${reasonOf(error)}`);
    }
  });
  return faults.length > 0 ? { faults } : { value: tls };
}

function readCertificates(path: string): { readonly pem: string; readonly certificates: readonly X509Certificate[] } {
  const pem = readText(path);
  const blocks = pem.match(CERTIFICATE) ?? [];
  if (blocks.length === 0) throw new Fault("holds no certificate (PEM)");
  const certificates = blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw new Fault(`can't be read at certificate ${index + 1} of ${blocks.length}`);
    }
  });
  // A key that was put into the same file stays out of what is handed on.
  return { pem: blocks.join("\n"), certificates };
}

function readPrivateKey(path: string): string {
  const pem = readText(path, requirePrivate);
  if (/ENCRYPTED/.test(pem)) throw new Fault("is encrypted: give the key without a passphrase");
  try {
    createPrivateKey(pem);
  } catch {
    throw new Fault("holds no private key that can be read (PEM)");
  }
  return pem;
}

/**
 * Who can read the key can pretend to be the service. A file of root's may be read by the group that the service is
 * in: so do Kubernetes and certificate tools hand keys to a service that isn't root.
 */
function requirePrivate({ mode, uid }: { readonly mode: number; readonly uid: number }): void {
  if (process.platform === "win32") return;
  const allowed = uid === 0 ? GROUP_READS : 0;
  if ((mode & (FOR_ALL | (FOR_GROUP & ~allowed))) === 0) return;
  throw new Fault(
    `is open to others (mode 0${(mode & 0o777).toString(8)}), and it holds a private key: \`chmod ${uid === 0 ? "640" : "600"}\` it, and replace the key if somebody may have read it`,
  );
}

/** @param check looks at the file's rights, of the file that is then read and no other */
function readText(path: string, check?: (status: { readonly mode: number; readonly uid: number }) => void): string {
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    const status = fstatSync(file);
    // Reading a pipe would wait for whoever writes to it.
    if (!status.isFile()) throw new Fault("is not a file");
    if (status.size > MAX_BYTES) throw new Fault(`is larger than ${MAX_BYTES / 1024} KiB`);
    check?.(status);
    return readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw new Fault(`can't be read: ${(error as NodeJS.ErrnoException).code ?? "unknown"}`);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** OpenSSL's word for it, which never quotes what it reads. */
function reasonOf(error: unknown): string {
  const { reason, message } = error as { readonly reason?: string; readonly message: string };
  return reason ?? message;
}
