/** Runs the program as its own process, the way that an operator does. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";

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

export type TestEnv = Readonly<Record<string, string | undefined>>;

/** An environment in which nothing of the machine's own settings shows. */
export function cleanEnv(env: TestEnv): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env;
  return { PATH, HOME, ...env };
}

export async function temporaryFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "latchkey-test-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Runs a command to its end. */
export async function runProgram(args: readonly string[], env: TestEnv = {}, input = "") {
  const child = spawn(process.execPath, [MAIN, ...args], { env: cleanEnv(env), stdio: "pipe" });
  child.stdin.end(input);
  const closed = once(child, "close") as Promise<[number | null]>;
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { stdout, stderr, code };
}

/**
 * Starts `latchkey serve` with free ports and waits for its ready line.
 *
 * @param under a command that the program's own command line is given to
 */
export async function startServiceProcess(
  args: readonly string[],
  env: TestEnv,
  under: readonly string[] = [],
): Promise<ServiceProcess> {
  const ports = {
    LATCHKEY_GRPC_ADDR: "127.0.0.1:0",
    LATCHKEY_HTTP_ADDR: "127.0.0.1:0",
    LATCHKEY_OPS_ADDR: "127.0.0.1:0",
  };
  const [command = "", ...commandArgs] = [...under, process.execPath, MAIN, "serve", ...args];
  const child = spawn(command, commandArgs, { env: cleanEnv({ ...ports, ...env }), stdio: "pipe" });
  const stdout: string[] = [];
  const stderr: string[] = [];
  const exited = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => stderr.push(chunk));
  const ready = await new Promise<ReadyLine>((resolve, reject) => {
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
