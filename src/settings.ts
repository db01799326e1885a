/** Every setting by its name, with its default and what it means. Alone in its file, for help is made of it at once. */

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
    description:
      "Tokens kept in memory at most, by each thread; 0 reads the database each time, and SQLite keeps pages instead",
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

export type SettingName = keyof typeof SETTINGS;

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
