/** All settings: environment and flags in, one frozen, checked Config out. Nothing else reads them. */
import { readFileSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import type { AccessTokenAlgorithm } from "./domain/access-tokens.ts";
import { isAddressBlock } from "./domain/address.ts";
import type { AttemptAllowances } from "./domain/attempts.ts";
import type { MailSettings } from "./domain/mail.ts";
import { nameOfPostgres, type PostgresSettings, readPostgresUrl } from "./domain/postgres-settings.ts";
import type { RateLimit } from "./domain/profile.ts";
import { parseRootKey } from "./domain/root-key.ts";
import { isKeyName } from "./domain/signed-note.ts";
import { StartError } from "./domain/start-error.ts";
import { type IdentitySettings, isSafeUrl, NO_IDENTITY, readIdentityFile } from "./identity/identity-document.ts";
import { CLIENT_SETTINGS, fileVariableOf, flagOf, SETTINGS, type Setting, type SettingName } from "./settings.ts";
import { type OtelSettings, readOtelSettings } from "./telemetry/otel-settings.ts";
import type { NamedFile, TlsFiles } from "./tls/tls-files.ts";

export type Mode = "production" | "development";
export type LogFormat = "auto" | "json" | "pretty";

export interface Config {
  readonly mode: Mode;
  /** `host:port` of the internal listener. */
  readonly grpcAddress: string;
  /** Undefined serves gRPC in plain text. */
  readonly grpcTls: TlsFiles | undefined;
  /** Whether a connection without a client certificate is refused. */
  readonly requiresClientCertificate: boolean;
  /** Which services the holders of client certificates are; undefined where they are none. */
  readonly grpcClientsFile: NamedFile | undefined;
  /** `host:port` of the public listener. */
  readonly httpAddress: string;
  /** Undefined serves HTTP in plain text. */
  readonly httpTls: TlsFiles | undefined;
  /** `host:port` of the operators' listener. */
  readonly opsAddress: string;
  /** Threads that serve gRPC. */
  readonly threads: number;
  readonly dataDir: string;
  /** File of the SQLite database, where it is one. */
  readonly databasePath: string;
  /** Undefined where the database is a file. */
  readonly postgres: PostgresSettings | undefined;
  /** Id of the profile of new organizations. */
  readonly defaultProfile: string;
  /** Folder of the company's own profiles. */
  readonly profilesDir: string | undefined;
  /** Ids of profiles by the host that requests are sent to. */
  readonly hostProfiles: ReadonlyMap<string, string>;
  /** The root key, when it is given as a setting. */
  readonly rootKey: Uint8Array | undefined;
  /** Where the root key lies otherwise. */
  readonly rootKeyFile: string;
  readonly accessTokenAlgorithm: AccessTokenAlgorithm;
  readonly accessTokenIssuer: string;
  /** Other services that say who people are. */
  readonly identity: IdentitySettings;
  /** How long a key signs access tokens before another one does; undefined is forever. */
  readonly signingKeyLifetimeMs: number | undefined;
  /** Days that revoked and expired tokens are kept; 0 means forever. */
  readonly tokenRetentionDays: number;
  /** Name of the audit log and of the key that signs its checkpoints; undefined names them after the key. */
  readonly checkpointOrigin: string | undefined;
  /** Milliseconds from one checkpoint to the next; 0 for none but those that are asked for. */
  readonly checkpointIntervalMs: number;
  /** Folders that keep checkpoints: one in the data directory, and one outside where it is set. */
  readonly checkpointFolders: readonly string[];
  readonly checkpointUrl: string | undefined;
  /** Name of the newest checkpoint whose events the database may lack. */
  readonly acceptedRollback: string | undefined;
  readonly corsOrigins: readonly string[];
  readonly trustedProxies: readonly string[];
  /** What a client may try while nobody is signed in. */
  readonly attemptAllowances: AttemptAllowances;
  /** Undefined where no mail is sent. */
  readonly mail: MailSettings | undefined;
  /** Where links in mail lead, without a slash at the end. */
  readonly publicUrl: string | undefined;
  /** Whether people can make an organization by themselves. */
  readonly allowsRegistration: boolean;
  /** Tokens that are kept in memory at most. */
  readonly cacheEntries: number;
  readonly cacheBytes: number;
  readonly logLevel: string;
  readonly logFormat: LogFormat;
  /** Milliseconds from which on a call is logged as slow; undefined logs none as that. */
  readonly slowCallMs: number | undefined;
  /** From OpenTelemetry's own variables; undefined exports nothing. */
  readonly otel: OtelSettings | undefined;
}

const GOOGLE = { name: "google", label: "Google", issuer: "https://accounts.google.com" };

const MAX_THREADS = 64;

/** Where the kernel spreads connections among those who listen on one port. */
const SHARES_PORTS = process.platform === "linux" || process.platform === "freebsd";

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads and checks every setting. A flag wins over the environment, and a secret may lie in a file.
 *
 * @param flags by flag name, without dashes
 * @throws StartError with a line for each fault
 */
export function loadConfig(variables: Environment, flags: Environment): Config {
  const faults: string[] = [];
  const env = withSecretsOfFiles(variables, faults);
  const known = new Set<string>(
    [...Object.values(SETTINGS), ...Object.values(CLIENT_SETTINGS)].map(({ env: name }) => name),
  );
  for (const name of Object.keys(env)) {
    if (name.startsWith("LATCHKEY_") && !known.has(name)) {
      faults.push(`${name} is not a setting; \`latchkey serve --help\` lists them all`);
    }
  }
  const raw = (name: SettingName): string => {
    const setting: Setting = SETTINGS[name];
    const value = (setting.secret ? undefined : flags[flagOf(setting)]) ?? env[setting.env];
    return value === undefined || value === "" ? setting.default : value;
  };
  const set = (name: SettingName): string | undefined => (raw(name) === SETTINGS[name].default ? undefined : raw(name));
  const check = (name: SettingName, holds: boolean, needs: string): void => {
    if (!holds) faults.push(`${SETTINGS[name].env} ${needs}`);
  };
  const oneOf = <T extends string>(name: SettingName, allowed: readonly T[]): T => {
    const value = raw(name);
    check(name, (allowed as readonly string[]).includes(value), `must be one of ${allowed.join(", ")}, not ${value}`);
    return value as T;
  };
  const address = (name: SettingName): string => {
    const value = raw(name);
    const port = portOf(value);
    check(
      name,
      port !== undefined && Number(port) <= 65535,
      `must be host:port, for example ${SETTINGS[name].default}, not ${value}`,
    );
    return value;
  };
  const wholeNumber = (name: SettingName, from: number, to: number): number => {
    const value = raw(name);
    const holds = /^\d{1,9}$/.test(value) && Number(value) >= from && Number(value) <= to;
    check(name, holds, `must be a whole number from ${from} to ${to}, not ${value}`);
    return Number(value);
  };
  const duration = (name: SettingName, fromMs: number, toMs: number): number => {
    const value = raw(name);
    const [, count = "", unit = ""] = /^(\d{1,6})(ms|s)$/.exec(value) ?? [];
    const ms = Number(count) * (unit === "s" ? 1000 : 1);
    const range = `from ${fromMs}ms to ${toMs / 1000}s`;
    check(name, unit !== "" && ms >= fromMs && ms <= toMs, `must be a time ${range}, for example 500ms, not ${value}`);
    return ms;
  };
  const attempts = (name: SettingName): RateLimit => {
    const value = raw(name);
    const [, count = "", length = "", unit = ""] = /^([1-9]\d{0,8})\/([1-9]\d{0,3})([smh])$/.exec(value) ?? [];
    check(name, count !== "", `must be a number, and in how long, for example ${SETTINGS[name].default}, not ${value}`);
    return { requests: Number(count), windowMs: Number(length) * ({ s: 1, m: 60, h: 3600 }[unit] ?? 0) * 1000 };
  };
  const file = (name: SettingName): NamedFile | undefined =>
    raw(name) === "" ? undefined : { path: resolve(raw(name)), setting: SETTINGS[name].env };
  const tlsFiles = (certName: SettingName, keyName: SettingName, clientCa?: NamedFile): TlsFiles | undefined => {
    const [cert, key] = [file(certName), file(keyName)];
    check(certName, (cert === undefined) === (key === undefined), `is needed together with ${SETTINGS[keyName].env}`);
    return cert && key && { cert, key, clientCa };
  };
  const list = (name: SettingName): readonly string[] =>
    raw(name)
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== "");

  const statedMode = oneOf<Mode>("mode", ["production", "development"]);
  const mode = flags["dev"] === undefined ? statedMode : "development";
  if (flags["dev"] !== undefined && env[SETTINGS.mode.env] === "production") {
    faults.push(`--dev contradicts ${SETTINGS.mode.env}=production; run \`latchkey serve\` without --dev`);
  }
  const dataDir = resolve(raw("dataDir"));
  const databaseUrl = raw("databaseUrl");
  const isPostgres = /^postgres(?:ql)?:/.test(databaseUrl);
  const databasePath = isPostgres ? "" : sqlitePath(databaseUrl, dataDir, faults);
  const stalenessMs = duration("staleness", 50, 60_000);
  const pool = {
    poolSize: wholeNumber("databaseConnections", 1, 1_000),
    stalenessMs,
    failOpenMs: wholeNumber("failOpenSeconds", 0, 86_400) * 1000,
  };
  const hasFlag = flags[flagOf(SETTINGS.databaseUrl)] !== undefined;
  const databasePassword = env[SETTINGS.databasePassword.env] ?? "";
  const postgres = isPostgres ? postgresSettings(databaseUrl, hasFlag, databasePassword, pool, faults) : undefined;
  check("databasePassword", isPostgres || databasePassword === "", "is for PostgreSQL; unset it");
  const checkpointDir = join(dataDir, "checkpoints");
  const grpcClientCa = file("grpcClientCa");
  const config: Config = {
    mode,
    grpcAddress: address("grpcAddress"),
    grpcTls: tlsFiles("grpcTlsCert", "grpcTlsKey", grpcClientCa),
    requiresClientCertificate: oneOf("grpcClientCerts", ["optional", "required"]) === "required",
    grpcClientsFile: file("grpcClientsFile"),
    httpAddress: address("httpAddress"),
    httpTls: tlsFiles("httpTlsCert", "httpTlsKey"),
    opsAddress: address("opsAddress"),
    threads: set("threads") === undefined ? defaultThreads(mode) : wholeNumber("threads", 1, MAX_THREADS),
    dataDir,
    databasePath,
    postgres,
    defaultProfile: raw("profile"),
    profilesDir: raw("profilesDir") === "" ? undefined : resolve(raw("profilesDir")),
    hostProfiles: readHostProfiles(list("hostProfiles"), faults),
    rootKey: readRootKey(env[SETTINGS.rootKey.env], faults),
    rootKeyFile: join(dataDir, "root.key"),
    accessTokenAlgorithm: readAlgorithm(
      oneOf("accessTokenAlgorithm", ["EdDSA", "HS256"]),
      env[SETTINGS.accessTokenSecret.env] ?? "",
      faults,
    ),
    accessTokenIssuer: raw("accessTokenIssuer"),
    identity: withGoogle(
      readIdentity(raw("identityFile"), raw("accessTokenIssuer"), faults),
      raw("googleClientId"),
      env[SETTINGS.googleClientSecret.env] ?? "",
      faults,
    ),
    signingKeyLifetimeMs: wholeNumber("signingKeyDays", 0, 3_650) * 86_400_000 || undefined,
    tokenRetentionDays: wholeNumber("tokenRetentionDays", 0, 99_999),
    checkpointOrigin: set("checkpointOrigin"),
    checkpointIntervalMs: wholeNumber("checkpointInterval", 0, 86_400) * 1000,
    checkpointFolders: [checkpointDir, set("checkpointDir")].flatMap((path) =>
      path === undefined ? [] : resolve(path),
    ),
    checkpointUrl: set("checkpointUrl"),
    acceptedRollback: set("acceptRollback"),
    corsOrigins: list("corsOrigins"),
    trustedProxies: list("trustedProxies"),
    attemptAllowances: {
      login: attempts("loginLimit"),
      register: attempts("registerLimit"),
      restorePassword: attempts("restorePasswordLimit"),
      invite: { requests: 100, windowMs: 86_400_000 },
    },
    mail: readMail(env[SETTINGS.smtpUrl.env] ?? "", raw("mailFrom"), faults),
    publicUrl: set("publicUrl")?.replace(/\/+$/, ""),
    allowsRegistration: oneOf("registration", ["open", "off"]) === "open",
    cacheEntries: wholeNumber("cacheEntries", 0, 10_000_000),
    cacheBytes: wholeNumber("cacheMegabytes", 1, 65_536) * 1024 * 1024,
    logLevel: oneOf("logLevel", ["debug", "info", "warn", "error", "silent"]),
    logFormat: oneOf<LogFormat>("logFormat", ["auto", "json", "pretty"]),
    slowCallMs: wholeNumber("slowCallMs", 0, 3_600_000) || undefined,
    otel: readOtelSettings(env, faults),
  };
  check(
    "threads",
    config.threads === 1 || SHARES_PORTS,
    `must be 1: on ${process.platform} threads can't share a port`,
  );
  const { grpcTls, grpcAddress, requiresClientCertificate, grpcClientsFile } = config;
  const mayBePlain =
    oneOf("grpcPlaintext", ["loopback", "allow"]) === "allow" ||
    isLoopback(grpcAddress) ||
    portOf(grpcAddress) === undefined;
  check(
    "grpcAddress",
    mayBePlain || raw("grpcTlsCert") !== "" || raw("grpcTlsKey") !== "",
    `${grpcAddress} can be reached from other machines, and service keys would cross the network in plain text: set ${SETTINGS.grpcTlsCert.env} and ${SETTINGS.grpcTlsKey.env}, listen on 127.0.0.1, or set ${SETTINGS.grpcPlaintext.env}=allow where something else encrypts the connections`,
  );
  check(
    "grpcClientCa",
    grpcClientCa === undefined || grpcTls !== undefined,
    `needs ${SETTINGS.grpcTlsCert.env} and ${SETTINGS.grpcTlsKey.env}`,
  );
  check(
    "grpcClientCerts",
    !requiresClientCertificate || grpcClientCa !== undefined,
    `needs ${SETTINGS.grpcClientCa.env}, the authorities whose certificates are good`,
  );
  check(
    "grpcClientsFile",
    grpcClientsFile === undefined || grpcClientCa !== undefined,
    `needs ${SETTINGS.grpcClientCa.env}, the authorities whose certificates are good`,
  );
  check(
    "grpcClientCa",
    grpcClientCa === undefined || grpcClientsFile !== undefined || requiresClientCertificate,
    `has no effect without ${SETTINGS.grpcClientsFile.env} or ${SETTINGS.grpcClientCerts.env}=required`,
  );
  for (const origin of config.corsOrigins) {
    check(
      "corsOrigins",
      origin === "*" || URL.parse(origin)?.origin === origin,
      `must hold origins such as https://app.example.com, not ${origin}`,
    );
  }
  for (const block of config.trustedProxies) {
    check("trustedProxies", isAddressBlock(block), `must hold addresses or CIDR blocks, not ${block}`);
  }
  const { checkpointOrigin, checkpointFolders, checkpointUrl } = config;
  check(
    "checkpointOrigin",
    checkpointOrigin === undefined || isKeyName(checkpointOrigin),
    "must have no spaces and no plus signs, for example example.com/latchkey",
  );
  check(
    "checkpointDir",
    new Set(checkpointFolders).size === checkpointFolders.length,
    `must be another folder than ${checkpointDir}, which keeps them anyway`,
  );
  // It may hold a secret, so it isn't shown.
  check(
    "checkpointUrl",
    checkpointUrl === undefined || isPlainUrl(checkpointUrl),
    "must be a URL such as https://example.com/checkpoints, without a user name and a password",
  );
  const { mail, publicUrl } = config;
  check("publicUrl", mail === undefined || publicUrl !== undefined, `is needed with ${SETTINGS.smtpUrl.env}`);
  check(
    "publicUrl",
    config.identity.providers.length === 0 || (publicUrl !== undefined && isSafeUrl(publicUrl)),
    "must be an https URL (http on this machine only) where other services sign people in: they send the browser back there",
  );
  check(
    "publicUrl",
    publicUrl === undefined || (isPlainUrl(publicUrl) && !/[?#\s]/.test(publicUrl)),
    `must be a URL such as https://keys.example.com, not ${publicUrl ?? ""}`,
  );
  if (faults.length > 0) throw new StartError(faults.join("\n"));
  return Object.freeze(config);
}

/** A key or a password is no longer than this, and what is longer is another file. */
const MAX_SECRET_BYTES = 16 * 1024;

/** The variables with the content of each file in the place of its name. A newline at the end isn't part of it. */
function withSecretsOfFiles(variables: Environment, faults: string[]): Environment {
  const env: Record<string, string | undefined> = { ...variables };
  for (const setting of Object.values<Setting>(SETTINGS)) {
    const variable = fileVariableOf(setting);
    const path = env[variable];
    if (setting.secret !== true || path === undefined) continue;
    delete env[variable];
    if (path === "") continue;
    if ((env[setting.env] ?? "") !== "") faults.push(`${setting.env} and ${variable} are both set: unset one`);
    const found = readSecret(path);
    if ("fault" in found) faults.push(`${variable}: ${path} ${found.fault}`);
    else env[setting.env] = found.secret;
  }
  return env;
}

function readSecret(path: string): { readonly secret: string } | { readonly fault: string } {
  try {
    const status = statSync(path);
    // Reading a pipe would wait for whoever writes to it.
    if (!status.isFile()) return { fault: "is not a file" };
    if (status.size > MAX_SECRET_BYTES) return { fault: `is larger than ${MAX_SECRET_BYTES / 1024} KiB` };
    const secret = readFileSync(path, "utf8").replace(/\r?\n$/, "");
    return secret === "" ? { fault: "is empty" } : { secret };
  } catch (error) {
    return { fault: `can't be read (${(error as NodeJS.ErrnoException).code ?? "unknown"})` };
  }
}

function defaultThreads(mode: Mode): number {
  if (mode === "development" || !SHARES_PORTS) return 1;
  return Math.min(Math.max(1, availableParallelism() - 1), MAX_THREADS);
}

/** The port in `host:port`; undefined where there is none. */
function portOf(address: string): string | undefined {
  return /^(?:\[[0-9a-f:.]+\]|[\w.-]+):(\d{1,5})$/i.exec(address)?.[1];
}

/** Whether only this machine can reach an address. What a name leads to can change. */
export function isLoopback(address: string): boolean {
  return /^(?:127(?:\.\d{1,3}){3}|localhost|\[(?:0*:)*0*1\]|\[::ffff:127(?:\.\d{1,3}){3}\]):\d+$/i.test(address);
}

function isPlainUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "";
}

function sqlitePath(url: string, dataDir: string, faults: string[]): string {
  if (url === SETTINGS.databaseUrl.default) return join(dataDir, "latchkey.db");
  if (url.startsWith("sqlite:") && url.length > "sqlite:".length) {
    return resolve(url.slice("sqlite:".length).replace(/^\/\/(?=\/)/, ""));
  }
  // The URL may hold a password, so only its scheme is shown.
  const scheme = /^\w+:/.exec(url)?.[0] ?? "that";
  faults.push(`${SETTINGS.databaseUrl.env} must be sqlite: and a path, or postgres://…; ${scheme} is not served`);
  return "";
}

function postgresSettings(
  url: string,
  isFlag: boolean,
  password: string,
  pool: Pick<PostgresSettings, "poolSize" | "stalenessMs" | "failOpenMs">,
  faults: string[],
): PostgresSettings | undefined {
  const address = readPostgresUrl(url);
  if (typeof address === "string") {
    faults.push(`${SETTINGS.databaseUrl.env} ${address}`);
    return undefined;
  }
  if (isFlag && address.password !== undefined) {
    faults.push(
      `--${flagOf(SETTINGS.databaseUrl)} holds a password, which every user of the machine could see: set ${SETTINGS.databaseUrl.env}`,
    );
  }
  if (password !== "" && address.password !== undefined) {
    faults.push(
      `${SETTINGS.databasePassword.env} is set, and ${SETTINGS.databaseUrl.env} has a password: leave out one`,
    );
  }
  return { ...address, ...pool, password: password === "" ? address.password : password };
}

/** The database's name for people. */
export function nameOfDatabase({ postgres, databasePath }: Config): string {
  return postgres === undefined ? databasePath : nameOfPostgres(postgres);
}

function readHostProfiles(items: readonly string[], faults: string[]): ReadonlyMap<string, string> {
  const pairs = items.map((item) => {
    const [, host, profile] = /^([a-z0-9.-]+)=([a-z0-9-]+)$/.exec(item.toLowerCase()) ?? [];
    if (host !== undefined && profile !== undefined) return [host, profile] as const;
    faults.push(`${SETTINGS.hostProfiles.env} must hold pairs such as api.example.com=watchplane, not ${item}`);
    return undefined;
  });
  return new Map(pairs.filter((pair) => pair !== undefined));
}

function readRootKey(text: string | undefined, faults: string[]): Uint8Array | undefined {
  if (text === undefined || text === "") return undefined;
  const key = parseRootKey(text);
  if (key === undefined) faults.push(`${SETTINGS.rootKey.env} must be 32 bytes in base64url, 43 characters`);
  return key;
}

function readAlgorithm(name: "EdDSA" | "HS256", secret: string, faults: string[]): AccessTokenAlgorithm {
  const setting = SETTINGS.accessTokenSecret.env;
  if (name !== "HS256") {
    if (secret !== "")
      faults.push(`${setting} is for HS256; unset it, or set ${SETTINGS.accessTokenAlgorithm.env}=HS256`);
    return { name };
  }
  if (secret.length < 32) faults.push(`${setting} must have at least 32 characters for HS256`);
  return { name, secret };
}

function readIdentity(path: string, ownIssuer: string, faults: string[]): IdentitySettings {
  if (path === "") return NO_IDENTITY;
  const read = readIdentityFile(resolve(path));
  if ("faults" in read) {
    faults.push(...read.faults.map((fault) => `${SETTINGS.identityFile.env}: ${path}: ${fault}`));
    return NO_IDENTITY;
  }
  if (read.settings.issuers.some(({ issuer }) => issuer === ownIssuer)) {
    faults.push(`${SETTINGS.identityFile.env}: ${path}: ${ownIssuer} is ${SETTINGS.accessTokenIssuer.env}`);
  }
  return read.settings;
}

function withGoogle(
  identity: IdentitySettings,
  clientId: string,
  clientSecret: string,
  faults: string[],
): IdentitySettings {
  const { googleClientId, googleClientSecret } = SETTINGS;
  if ((clientId === "") !== (clientSecret === "")) {
    faults.push(`${googleClientId.env} and ${googleClientSecret.env} are needed together`);
  }
  if (clientId === "") return identity;
  if (identity.providers.some(({ name, issuer }) => name === GOOGLE.name || issuer === GOOGLE.issuer)) {
    faults.push(`${googleClientId.env}: ${SETTINGS.identityFile.env} has Google already`);
  }
  return { ...identity, providers: [{ ...GOOGLE, clientId, clientSecret }, ...identity.providers] };
}

function readMail(smtpUrl: string, from: string, faults: string[]): MailSettings | undefined {
  if (smtpUrl === "") return undefined;
  const url = URL.parse(smtpUrl);
  // It may hold a password, so it isn't shown.
  if (url === null || !/^smtps?:$/.test(url.protocol) || url.hostname === "" || !canBeDecoded(url)) {
    faults.push(`${SETTINGS.smtpUrl.env} must be a URL such as smtps://user:password@mail.example.com`);
  }
  if (!/^[^\r\n]*[^\s@<]@[^\s@>]+>?$/.test(from)) {
    faults.push(`${SETTINGS.mailFrom.env} must be an address such as Acme <accounts@example.com>`);
  }
  return { smtpUrl, from };
}

function canBeDecoded({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}
