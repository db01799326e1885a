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

/** One setting, as the documentation shows it. */
export interface Setting {
  readonly env: string;
  /** Shown in the table; empty when there is none. */
  readonly default: string;
  readonly description: string;
  /** A secret is taken from the environment only: flags can be seen by every user of a machine. */
  readonly secret?: true;
}

export const SETTINGS = {
  mode: {
    env: "LATCHKEY_MODE",
    default: "production",
    description: "`production`, or `development`, which makes first credentials on an empty data directory",
  },
  grpcAddress: {
    env: "LATCHKEY_GRPC_ADDR",
    default: "127.0.0.1:50051",
    description: "Where backends call over gRPC; port 0 picks a free one. Beyond this machine it needs TLS",
  },
  grpcTlsCert: {
    env: "LATCHKEY_GRPC_TLS_CERT",
    default: "",
    description:
      "File of the certificate, and those up to its root, that gRPC is served with over TLS (PEM); read again when it changes",
  },
  grpcTlsKey: {
    env: "LATCHKEY_GRPC_TLS_KEY",
    default: "",
    description: "File of the certificate's private key (PEM), which nobody else may read",
  },
  grpcPlaintext: {
    env: "LATCHKEY_GRPC_PLAINTEXT",
    default: "loopback",
    description:
      "Where gRPC may be served without TLS: `loopback`, or `allow` for everywhere, where something else encrypts it",
  },
  grpcClientCa: {
    env: "LATCHKEY_GRPC_CLIENT_CA",
    default: "",
    description: "File of the authorities whose client certificates are good (PEM); read again when it changes",
  },
  grpcClientCerts: {
    env: "LATCHKEY_GRPC_CLIENT_CERTS",
    default: "optional",
    description:
      "With `LATCHKEY_GRPC_CLIENT_CA`: `optional` lets clients without a certificate send a service key, `required` refuses their connection",
  },
  grpcClientsFile: {
    env: "LATCHKEY_GRPC_CLIENTS_FILE",
    default: "",
    description:
      "File, YAML or JSON, of the services that client certificates stand for; read again when it changes. See docs/operations.md",
  },
  httpAddress: {
    env: "LATCHKEY_HTTP_ADDR",
    default: "127.0.0.1:8080",
    description: "Where the public calls over HTTP; port 0 picks a free one",
  },
  httpTlsCert: {
    env: "LATCHKEY_HTTP_TLS_CERT",
    default: "",
    description: "As `LATCHKEY_GRPC_TLS_CERT`, for the public port where no proxy before it has the certificate",
  },
  httpTlsKey: {
    env: "LATCHKEY_HTTP_TLS_KEY",
    default: "",
    description: "As `LATCHKEY_GRPC_TLS_KEY`",
  },
  opsAddress: {
    env: "LATCHKEY_OPS_ADDR",
    default: "127.0.0.1:9464",
    description: "Where operators look: `/livez`, `/readyz`, `/metrics`; port 0 picks a free one",
  },
  threads: {
    env: "LATCHKEY_THREADS",
    default: "one fewer than cores",
    description: "Threads that serve gRPC, from 1 to 64; more than 1 needs Linux or FreeBSD. In development it is 1",
  },
  dataDir: {
    env: "LATCHKEY_DATA_DIR",
    default: "./data",
    description: "Folder of the database file and the root key; made when it is missing",
  },
  databaseUrl: {
    env: "LATCHKEY_DATABASE_URL",
    default: "sqlite:<data dir>/latchkey.db",
    description:
      "The database: `sqlite:` and a path, or `postgres://user:password@host/database`, whose `sslmode` is `verify-full` unless it says otherwise or the host is this machine; with a password as a variable only",
  },
  databasePassword: {
    env: "LATCHKEY_DATABASE_PASSWORD",
    default: "",
    description: "Password for PostgreSQL, as it is, where `LATCHKEY_DATABASE_URL` has none",
    secret: true,
  },
  databaseConnections: {
    env: "LATCHKEY_DATABASE_CONNECTIONS",
    default: "10",
    description:
      "Connections to PostgreSQL for reads, of each thread; two more are for writes and for following others",
  },
  staleness: {
    env: "LATCHKEY_STALENESS",
    default: "1s",
    description:
      "How old may be what is known of other processes' changes in PostgreSQL, in `ms` or `s`; what is older is asked again",
  },
  failOpenSeconds: {
    env: "LATCHKEY_FAIL_OPEN_SECONDS",
    default: "0",
    description:
      "Seconds more that tokens in memory are answered while PostgreSQL can't be reached: revokes elsewhere aren't known then",
  },
  profile: {
    env: "LATCHKEY_PROFILE",
    default: "watchplane",
    description: "Profile of new organizations",
  },
  profilesDir: {
    env: "LATCHKEY_PROFILES_DIR",
    default: "",
    description: "Folder of your own profiles, as YAML or JSON files; see docs/profiles.md",
  },
  hostProfiles: {
    env: "LATCHKEY_HOST_PROFILES",
    default: "",
    description:
      "Profile of public calls whose caller isn't known yet, by host: `api.example.com=watchplane`, separated by commas",
  },
  rootKey: {
    env: "LATCHKEY_ROOT_KEY",
    default: "the file `<data dir>/root.key`",
    description: "Seals what the database alone must not reveal: 32 bytes, base64url. Keep a copy apart from backups",
    secret: true,
  },
  accessTokenAlgorithm: {
    env: "LATCHKEY_ACCESS_TOKEN_ALGORITHM",
    default: "EdDSA",
    description: "How access tokens are signed: `EdDSA` with a key that the service makes, or `HS256`",
  },
  accessTokenSecret: {
    env: "LATCHKEY_ACCESS_TOKEN_SECRET",
    default: "",
    description: "The shared secret for `HS256`, at least 32 characters; refused with `EdDSA`",
    secret: true,
  },
  accessTokenIssuer: {
    env: "LATCHKEY_ACCESS_TOKEN_ISSUER",
    default: "latchkey",
    description: "`iss` of access tokens; one that says another isn't accepted",
  },
  signingKeyDays: {
    env: "LATCHKEY_SIGNING_KEY_DAYS",
    default: "90",
    description: "Days until access tokens are signed with a new key, with `EdDSA`; 0 keeps the first one",
  },
  identityFile: {
    env: "LATCHKEY_IDENTITY_FILE",
    default: "",
    description:
      "File, YAML or JSON, of other issuers whose access tokens are accepted, and that sign people in to the dashboard; see docs/identity.md",
  },
  googleClientId: {
    env: "LATCHKEY_GOOGLE_CLIENT_ID",
    default: "",
    description: "Client id at Google, which then signs people in to the dashboard; see docs/identity.md",
  },
  googleClientSecret: {
    env: "LATCHKEY_GOOGLE_CLIENT_SECRET",
    default: "",
    description: "Client secret at Google; needed with `LATCHKEY_GOOGLE_CLIENT_ID`",
    secret: true,
  },
  tokenRetentionDays: {
    env: "LATCHKEY_TOKEN_RETENTION_DAYS",
    default: "400",
    description: "Days that a token is kept after it was revoked or expired; 0 keeps it forever",
  },
  checkpointOrigin: {
    env: "LATCHKEY_CHECKPOINT_ORIGIN",
    default: "latchkey/<hash of the key>",
    description:
      "Name of the audit log in its signed checkpoints, for example `example.com/latchkey`; see docs/audit.md",
  },
  checkpointInterval: {
    env: "LATCHKEY_CHECKPOINT_INTERVAL",
    default: "300",
    description: "Seconds from one checkpoint to the next, while there are new events; 0 makes none by itself",
  },
  checkpointDir: {
    env: "LATCHKEY_CHECKPOINT_DIR",
    default: "",
    description: "Folder that keeps checkpoints besides `<data dir>/checkpoints`, best on another machine",
  },
  checkpointUrl: {
    env: "LATCHKEY_CHECKPOINT_URL",
    default: "",
    description: "Where each checkpoint is posted as text",
  },
  acceptRollback: {
    env: "LATCHKEY_ACCEPT_ROLLBACK",
    default: "",
    description: "Name of a checkpoint: starts, once, with a database that is older; the refused start says which",
  },
  corsOrigins: {
    env: "LATCHKEY_CORS_ORIGINS",
    default: "",
    description: "Origins whose pages may call the public port, separated by commas, or `*`; empty allows none",
  },
  trustedProxies: {
    env: "LATCHKEY_TRUSTED_PROXIES",
    default: "",
    description: "Addresses and CIDR blocks whose `X-Forwarded-For` counts, separated by commas",
  },
  loginLimit: {
    env: "LATCHKEY_LOGIN_LIMIT",
    default: "10/15m",
    description: "Sign-ins that a client address has, good ones included: a number and `s`, `m` or `h`; IPv6 by /64",
  },
  registration: {
    env: "LATCHKEY_REGISTRATION",
    default: "open",
    description: "Whether strangers can make an account and an organization of their own: `open` or `off`",
  },
  smtpUrl: {
    env: "LATCHKEY_SMTP_URL",
    default: "",
    description:
      "Mail server, `smtps://user:password@host` or `smtp://…` (STARTTLS, unless it is on this machine); empty sends no mail",
    secret: true,
  },
  mailFrom: {
    env: "LATCHKEY_MAIL_FROM",
    default: "",
    description: "Sender of mail, for example `Acme <accounts@example.com>`; needed with `LATCHKEY_SMTP_URL`",
  },
  publicUrl: {
    env: "LATCHKEY_PUBLIC_URL",
    default: "",
    description:
      "Where people find the dashboard, which links in mail and other services lead to; needed with `LATCHKEY_SMTP_URL` and for sign-in by others",
  },
  restorePasswordLimit: {
    env: "LATCHKEY_RESTORE_PASSWORD_LIMIT",
    default: "3/1h",
    description: "Requests for a new password that a client address has, as `LATCHKEY_LOGIN_LIMIT`",
  },
  registerLimit: {
    env: "LATCHKEY_REGISTER_LIMIT",
    default: "5/1h",
    description: "Registrations that a client address has, as `LATCHKEY_LOGIN_LIMIT`",
  },
  cacheEntries: {
    env: "LATCHKEY_CACHE_ENTRIES",
    default: "100000",
    description: "Tokens kept in memory at most, by each thread; 0 reads the database each time",
  },
  cacheMegabytes: {
    env: "LATCHKEY_CACHE_MB",
    default: "128",
    description: "What they may take of memory, about, in MB",
  },
  logLevel: {
    env: "LATCHKEY_LOG_LEVEL",
    default: "info",
    description: "`debug`, `info`, `warn`, `error` or `silent`",
  },
  logFormat: {
    env: "LATCHKEY_LOG_FORMAT",
    default: "auto",
    description: "`json`, `pretty`, or `auto`: pretty when a person watches a terminal",
  },
  slowCallMs: {
    env: "LATCHKEY_SLOW_CALL_MS",
    default: "1000",
    description: "Milliseconds from which on a call is logged as slow; 0 logs none as that",
  },
} as const satisfies Readonly<Record<string, Setting>>;

type SettingName = keyof typeof SETTINGS;

/** Settings of the command line's client commands, which the service passes over. */
export const CLIENT_SETTINGS = {
  address: {
    env: "LATCHKEY_ADDR",
    default: "127.0.0.1:50051",
    description: "gRPC address that the client commands call; with `https://` before it over TLS",
  },
  cacert: {
    env: "LATCHKEY_CACERT",
    default: "",
    description:
      "File of the authorities whose server certificates those commands trust (PEM), with which they speak TLS; an address such as `https://keys.example.com:50051` does so with the public ones",
  },
  cert: {
    env: "LATCHKEY_CERT",
    default: "",
    description: "File of the client certificate of those commands (PEM)",
  },
  key: {
    env: "LATCHKEY_KEY",
    default: "",
    description: "File of its private key (PEM)",
  },
  url: {
    env: "LATCHKEY_URL",
    default: "http://127.0.0.1:8080",
    description: "Where `latchkey login` signs in: the public port, over https unless it is on this machine",
  },
  token: {
    env: "LATCHKEY_TOKEN",
    default: "",
    description: "Credential of those commands: a service key, an API token or an access token",
    secret: true,
  },
} as const satisfies Readonly<Record<string, Setting>>;

/**
 * The variable that names a file with a secret in it, as Docker and Kubernetes hand them over: what stands in the
 * environment is seen by more people and programs than what stands in a file.
 */
export function fileVariableOf(setting: Setting): string {
  return `${setting.env}_FILE`;
}

/** The flag of a setting: `LATCHKEY_GRPC_ADDR` is `--grpc-addr`. */
export function flagOf(setting: Setting): string {
  return setting.env
    .replace(/^LATCHKEY_/, "")
    .toLowerCase()
    .replaceAll("_", "-");
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
