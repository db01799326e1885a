/** How a PostgreSQL database is reached, and how current what it says must be. */

/** `encrypt` doesn't look at who the server is. */
export type PostgresTls = "off" | "encrypt" | "verify";

/** Where a database is, and how one gets in. */
export interface PostgresAddress {
  /** A name, an address, or the folder of a socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Undefined where PGPASSWORD or a password file has it. */
  readonly password: string | undefined;
  readonly database: string;
  readonly tls: PostgresTls;
  /** File of the certificates to trust; undefined trusts those that Node does. */
  readonly rootCertificateFile: string | undefined;
  /** Files of the client's own certificate and its key. */
  readonly certificateFile: string | undefined;
  readonly keyFile: string | undefined;
}

export interface PostgresSettings extends PostgresAddress {
  /** Connections for reads, of each thread. */
  readonly poolSize: number;
  /** Milliseconds after which what was read isn't trusted without asking again. */
  readonly stalenessMs: number;
  /** Milliseconds more that it is trusted while the server can't be reached. */
  readonly failOpenMs: number;
}

const DEFAULT_PORT = 5432;

/** As libpq has them, but that nothing falls back to a connection without TLS by itself. */
const SSL_MODES: ReadonlyMap<string, PostgresTls> = new Map<string, PostgresTls>([
  ["disable", "off"],
  ["require", "encrypt"],
  ["verify-full", "verify"],
]);

/**
 * Reads a URL such as `postgres://user:password@host:5432/database?sslmode=verify-full`. Without `sslmode` the server
 * is verified, unless it is this machine.
 *
 * @returns what is wrong with it, in words that follow the setting's name and hold no part of it, where anything is
 */
export function readPostgresUrl(text: string): PostgresAddress | string {
  const url = URL.parse(text);
  if (url === null || !/^postgres(?:ql)?:$/.test(url.protocol))
    return "must be a URL such as postgres://user@host/database";
  const parts = [url.username, url.password, url.pathname.slice(1), url.hostname].map(decode);
  const [user, password, database, hostname] = parts;
  if (user === undefined || password === undefined || database === undefined || hostname === undefined) {
    return "has a percent sign that stands for itself: write it as %25";
  }
  if (user === "") return "must name a user: postgres://user@host/database";
  if (database === "" || database.includes("/")) return "must name a database: postgres://user@host/database";
  const options = new Map(url.searchParams);
  const take = (name: string): string | undefined => {
    const value = options.get(name);
    options.delete(name);
    return value === "" ? undefined : value;
  };
  const host = take("host") ?? hostname.replace(/^\[(.*)\]$/, "$1");
  const mode = take("sslmode");
  const tls = mode === undefined ? (isThisMachine(host) ? "off" : "verify") : SSL_MODES.get(mode);
  if (tls === undefined) return `must have one of ${[...SSL_MODES.keys()].join(", ")} as its sslmode`;
  const rootCertificateFile = take("sslrootcert");
  const certificateFile = take("sslcert");
  const keyFile = take("sslkey");
  const [unknown] = options.keys();
  if (unknown !== undefined) return "may have host, sslmode, sslrootcert, sslcert and sslkey after its question mark";
  return {
    host,
    port: url.port === "" ? DEFAULT_PORT : Number(url.port),
    user,
    password: password === "" ? undefined : password,
    database,
    tls,
    rootCertificateFile,
    certificateFile,
    keyFile,
  };
}

function isThisMachine(host: string): boolean {
  return host.startsWith("/") || host === "localhost" || host === "::1" || host.startsWith("127.");
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** The database's name for people: without a password. */
export function nameOfPostgres({ host, port, user, database }: PostgresAddress): string {
  const place = host.startsWith("/") ? `${host}:` : `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return `postgres://${user}@${place}/${database}`;
}
