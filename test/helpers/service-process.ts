/** Runs the program as its own process, the way that an operator does. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { SCRATCH } from "./scratch.ts";

export const MAIN = join(import.meta.dirname, "../../src/main.ts");

export interface ReadyLine {
  readonly grpc: string;
  readonly http: string;
  readonly ops: string;
  readonly durationMs: number;
}

export interface ServiceProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly ready: ReadyLine;
  readonly stdout: string[];
  readonly stderr: string[];
  /** Sends the signal and resolves with the exit code, or the signal that ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | string>;
}

/** None outlives who started it, however that one ends. */
const running = new Set<ChildProcess>();
process.once("exit", () => running.forEach((child) => child.kill("SIGKILL")));

export type TestEnv = Readonly<Record<string, string | undefined>>;

export interface ProgramOptions {
  /** Arguments of Node itself. */
  readonly nodeArgs?: readonly string[];
  /** A file to run in place of the program's source, such as a link to `bin/latchkey`. */
  readonly file?: string;
  /** A command to run the program under. It must leave the program its process id and its signals. */
  readonly under?: readonly string[];
  /** Kills the program when it aborts. */
  readonly signal?: AbortSignal;
}

/** An environment in which nothing of the machine's own settings shows, but where compiled code is kept. */
export function cleanEnv(env: TestEnv): NodeJS.ProcessEnv {
  const { PATH, HOME, NODE_COMPILE_CACHE } = process.env;
  return { PATH, HOME, NODE_COMPILE_CACHE, XDG_CONFIG_HOME: "/nonexistent", ...env };
}

export async function temporaryFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(SCRATCH, "latchkey-test-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Runs a command to its end. */
export async function runProgram(args: readonly string[], env: TestEnv = {}, input = "", options: ProgramOptions = {}) {
  const child = spawnProgram(args, env, options);
  child.stdin.end(input);
  const closed = once(child, "close") as Promise<[number | null]>;
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { stdout, stderr, code };
}

function spawnProgram(
  args: readonly string[],
  env: TestEnv,
  { nodeArgs = [], under = [], file, signal }: ProgramOptions,
) {
  const program = file === undefined ? [process.execPath, ...nodeArgs, MAIN] : [file];
  const [command = "", ...rest] = [...under, ...program, ...args];
  const kill = signal === undefined ? {} : { signal, killSignal: "SIGKILL" as const };
  const child = spawn(command, rest, { env: cleanEnv(env), stdio: "pipe", ...kill });
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

/** Starts `latchkey serve` with free ports and waits for its ready line. */
export async function startServiceProcess(
  args: readonly string[],
  env: TestEnv,
  options: ProgramOptions = {},
): Promise<ServiceProcess> {
  const ports = {
    LATCHKEY_GRPC_ADDR: "127.0.0.1:0",
    LATCHKEY_HTTP_ADDR: "127.0.0.1:0",
    LATCHKEY_OPS_ADDR: "127.0.0.1:0",
    LATCHKEY_THREADS: "1",
    // All trials and tests come from one address.
    LATCHKEY_LOGIN_LIMIT: "1000/1s",
    LATCHKEY_REGISTER_LIMIT: "1000/1s",
  };
  const child = spawnProgram(["serve", ...args], { ...ports, ...env }, options);
  const stdout: string[] = [];
  const stderr: string[] = [];
  const exited = new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.once("exit", (code, signal) => resolve([code, signal]));
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => stderr.push(chunk));
  const ready = await new Promise<ReadyLine>((resolve, reject) => {
    child.on("error", (error) => {
      // Of a program that was killed by its signal, the end is yet to come.
      if (child.pid === undefined) reject(error);
    });
    let rest = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      stdout.push(...lines);
      const line = lines.find((candidate) => candidate.includes('"msg":"ready"'));
      if (line !== undefined) resolve(JSON.parse(line) as ReadyLine);
    });
    void exited.then(([code, signal]) =>
      reject(new Error(`ended with ${code ?? signal} before it was ready: ${stderr.join("")}`)),
    );
  });
  const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<number | string> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    const [code, endedBy] = await exited;
    return code ?? endedBy ?? "";
  };
  return {
    child,
    ready,
    stdout,
    stderr,
    stop,
    async [Symbol.asyncDispose]() {
      await stop("SIGKILL");
    },
  };
}
