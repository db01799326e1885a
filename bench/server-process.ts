/** Servers under measurement: each its own process, whose CPU time and memory the kernel counts. */
import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { FirstCredentials } from "../src/app.ts";
import type { Rival, RivalReady } from "./rival-server.ts";

export interface ServerProcess extends AsyncDisposable {
  /** `host:port` */
  readonly address: string;
  readonly pid: number;
}

export interface ServiceUnderTest extends ServerProcess {
  readonly credentials: FirstCredentials;
  /** From the start of the process to its line that says so, in milliseconds. */
  readonly readyMs: number;
}

const PROGRAM = join(import.meta.dirname, "../bin/latchkey");

export interface ServiceOptions {
  /** A deployment that is there; the default is a new one, which goes when the service ends. */
  readonly folder?: string;
  /** Those of Node; an altered build is one. */
  readonly nodeArgs?: readonly string[];
}

/** Runs the service as `npm start` does. */
export async function startService(
  env: Readonly<Record<string, string>> = {},
  { folder: given, nodeArgs = [] }: ServiceOptions = {},
): Promise<ServiceUnderTest> {
  const folder = given ?? mkdtempSync(join(tmpdir(), "latchkey-bench-"));
  const { PATH, HOME } = process.env;
  const settings = {
    LATCHKEY_DATA_DIR: folder,
    LATCHKEY_GRPC_ADDR: "127.0.0.1:0",
    LATCHKEY_HTTP_ADDR: "127.0.0.1:0",
    LATCHKEY_OPS_ADDR: "127.0.0.1:0",
    LATCHKEY_THREADS: "1",
    LATCHKEY_LOG_FORMAT: "json",
    ...env,
  };
  const startedAt = performance.now();
  const NODE_OPTIONS = nodeArgs.map((arg) => JSON.stringify(arg)).join(" ");
  const child = spawn(PROGRAM, ["serve", "--dev"], {
    env: { PATH, HOME, NODE_OPTIONS, ...settings },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const exited = once(child, "exit");
  for await (const line of createInterface(child.stdout)) {
    if (!line.includes('"msg":"ready"')) continue;
    const readyMs = performance.now() - startedAt;
    const { grpc } = JSON.parse(line) as { readonly grpc: string };
    const credentials = JSON.parse(readFileSync(join(folder, "dev-credentials.json"), "utf8")) as FirstCredentials;
    child.stdout.resume();
    return {
      address: grpc,
      pid: child.pid ?? 0,
      credentials,
      readyMs,
      async [Symbol.asyncDispose]() {
        child.kill();
        await exited;
        if (given === undefined) rmSync(folder, { recursive: true });
      },
    };
  }
  throw new Error("the service ended before it was ready");
}

export type Floor = "http2" | "grpc" | "connect";

export function startFloor(floor: Floor): Promise<ServerProcess> {
  return startForked(new URL("./floor-server.ts", import.meta.url), [floor]);
}

export interface RivalUnderTest extends ServerProcess, RivalReady {}

/** @param keys how many it makes */
export async function startRival(rival: Rival, keys: number): Promise<RivalUnderTest> {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-bench-"));
  const file = new URL("./rival-server.ts", import.meta.url);
  const server = await startForked<RivalReady>(file, [rival, String(keys), join(folder, "keys.db")]);
  return {
    ...server,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
}

/** Runs a file that sends a message when it listens. */
async function startForked<Ready extends Pick<ServerProcess, "address">>(
  file: URL,
  args: readonly string[],
): Promise<Ready & ServerProcess> {
  const child = fork(file, args);
  const exited = once(child, "exit").then(([code]) => {
    throw new Error(`${file.pathname} ${args.join(" ")} ended with ${String(code)}`);
  });
  const [ready] = (await Promise.race([once(child, "message"), exited])) as [Ready];
  return {
    ...ready,
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      child.kill();
      await exited.catch(() => {});
    },
  };
}

/** CPU time of all threads of a process so far, in microseconds. Threads that ended are not in it. */
export function cpuMicros(pid: number): number {
  return cpuMicrosByThread(pid)
    .values()
    .reduce((sum, micros) => sum + micros, 0);
}

/** The same of each thread, by its id. */
export function cpuMicrosByThread(pid: number): ReadonlyMap<string, number> {
  return new Map(
    readdirSync(`/proc/${pid}/task`).map((thread) => {
      const [nanos = "0"] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ");
      return [thread, Number(nanos) / 1000];
    }),
  );
}

export interface ResidentMemory {
  /** In bytes. */
  readonly now: number;
  /** At its highest so far. */
  readonly peak: number;
}

/** What a process has of physical memory, as the kernel counts it: heap, native memory and pages of its files. */
export function residentMemory(pid: number): ResidentMemory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024;
  return { now: bytes("VmRSS"), peak: bytes("VmHWM") };
}
