/** Certificates as a deployment's own authority issues them, made anew for each test. */
// oxlint-disable-next-line import/no-unassigned-import -- what the library is built on asks for it
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { mkdir, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const DAY_MS = 86_400_000;

/** A certificate and its key, PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export interface LeafOptions {
  readonly dns?: readonly string[];
  readonly uri?: readonly string[];
  readonly ip?: readonly string[];
  readonly commonName?: string;
  readonly purpose?: "client" | "server";
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

export interface Authority {
  /** Its own certificate, PEM. */
  readonly pem: string;
  issue(options: LeafOptions): Promise<Pair>;
  /** A certificate of this machine's loopback. */
  server(options?: LeafOptions): Promise<Pair>;
}

const generateKeys = (): Promise<webcrypto.CryptoKeyPair> =>
  webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);

export async function createAuthority(name = "Test authority"): Promise<Authority> {
  const keys = await generateKeys();
  const root = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(),
      name: `CN=${name}`,
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + 30 * DAY_MS),
      keys,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(true, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    },
    webcrypto,
  );
  const issue = (options: LeafOptions): Promise<Pair> => issueLeaf(root, keys.privateKey, options);
  return {
    pem: root.toString("pem"),
    issue,
    server: (options = {}) => issue({ dns: ["localhost"], ip: ["127.0.0.1"], purpose: "server", ...options }),
  };
}

async function issueLeaf(
  root: X509Certificate,
  signingKey: webcrypto.CryptoKey,
  { dns = [], uri = [], ip = [], commonName = "leaf", purpose = "client", ...validity }: LeafOptions,
): Promise<Pair> {
  const keys = await generateKeys();
  const names = [
    ...dns.map((value) => ({ type: "dns" as const, value })),
    ...uri.map((value) => ({ type: "url" as const, value })),
    ...ip.map((value) => ({ type: "ip" as const, value })),
  ];
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(),
      issuer: root.subject,
      subject: `CN=${commonName}`,
      notBefore: validity.notBefore ?? new Date(Date.now() - DAY_MS),
      notAfter: validity.notAfter ?? new Date(Date.now() + 10 * DAY_MS),
      publicKey: keys.publicKey,
      signingKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(false),
        new ExtendedKeyUsageExtension([
          purpose === "client" ? ExtendedKeyUsage.clientAuth : ExtendedKeyUsage.serverAuth,
        ]),
        ...(names.length > 0 ? [new SubjectAlternativeNameExtension(names)] : []),
      ],
    },
    webcrypto,
  );
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/.{64}/g, "$&\n").trimEnd()}\n-----END PRIVATE KEY-----\n`;
  return { cert: `${certificate.toString("pem")}\n`, key };
}

function serialNumber(): string {
  return Buffer.from(webcrypto.getRandomValues(new Uint8Array(15)))
    .toString("hex")
    .padStart(32, "01");
}

/** Writes a pair as two files, each in the place of one that is there in one step. */
export async function writePair(folder: string, name: string, { cert, key }: Pair) {
  const files = { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  await replaceFile(files.cert, cert);
  await replaceFile(files.key, key);
  return files;
}

export async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

/** Writes files as Kubernetes mounts a secret: links through `..data`, which is led to a new folder for a new version. */
export async function mountSecret(folder: string, version: number, files: Readonly<Record<string, string>>) {
  const target = `..v${version}`;
  await mkdir(join(folder, target), { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(folder, target, name), text, { mode: 0o600 });
    if (version === 1) await symlink(join("..data", name), join(folder, name));
  }
  await symlink(target, join(folder, "..data_tmp"));
  await rename(join(folder, "..data_tmp"), join(folder, "..data"));
}
