/** Servers under measurement: each its own process, whose CPU time and memory the kernel counts. */
import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { FirstCredentials } from "../src/app.ts";

export interface ServerProcess extends AsyncDisposable {
  /** `host:port` */
  readonly address: string;
  readonly pid: number;
}

export interface ServiceUnderTest extends ServerProcess {
  readonly credentials: FirstCredentials;
}

const MAIN = join(import.meta.dirname, "../src/main.ts");

/** Runs the service on a database of its own, as `npm start` does. */
export async function startService(env: Readonly<Record<string, string>> = {}): Promise<ServiceUnderTest> {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-bench-"));
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
  const child = spawn(process.execPath, [MAIN, "serve", "--dev"], {
    env: { PATH, HOME, ...settings },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const exited = once(child, "exit");
  for await (const line of createInterface(child.stdout)) {
    if (!line.includes('"msg":"ready"')) continue;
    const { grpc } = JSON.parse(line) as { readonly grpc: string };
    const credentials = JSON.parse(readFileSync(join(folder, "dev-credentials.json"), "utf8")) as FirstCredentials;
    child.stdout.resume();
    return {
      address: grpc,
      pid: child.pid ?? 0,
      credentials,
      async [Symbol.asyncDispose]() {
        child.kill();
        await exited;
        rmSync(folder, { recursive: true });
      },
    };
  }
  throw new Error("the service ended before it was ready");
}

export type Floor = "http2" | "grpc" | "connect";

export async function startFloor(floor: Floor): Promise<ServerProcess> {
  const child = fork(new URL("./floor-server.ts", import.meta.url), [floor]);
  const exited = once(child, "exit");
  const [address] = (await once(child, "message")) as [string];
  return {
    address,
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      child.kill();
      await exited;
    },
  };
}

/** CPU time of all threads of a process so far, in microseconds. Threads that ended are not in it. */
export function cpuMicros(pid: number): number {
  let nanos = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const [onCpu = "0"] = readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ");
    nanos += Number(onCpu);
  }
  return nanos / 1000;
}

/** Peak resident memory, in bytes. */
export function peakMemory(pid: number): number {
  const [, kilobytes = "0"] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) * 1024;
}
