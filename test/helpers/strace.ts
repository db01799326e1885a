/** Runs the service under strace: to see its system calls in their order, to let some fail, or to slow them down. */
import { spawnSync } from "node:child_process";
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";

/**
 * The command to put before the program's. The program stays our child, and only the calls named are stopped
 * (`--seccomp-bpf`): all others run at full speed.
 *
 * @param calls names of system calls, as `-e trace=` takes them
 * @throws Error when there is no strace, or it may not trace
 */
export function strace(output: string, calls: readonly string[], ...more: readonly string[]): readonly string[] {
  const { error, status, stderr } = spawnSync("strace", ["-f", "--seccomp-bpf", "-o", "/dev/null", "true"]);
  if (error || status !== 0) {
    const why = error?.message ?? stderr.toString();
    throw new Error(`this trial needs strace 5.3 or newer, and the right to trace: ${why}`);
  }
  return ["strace", "-D", "-f", "--seccomp-bpf", "-y", "-e", `trace=${calls.join(",")}`, ...more, "-o", output];
}

/** A system call that ended. */
export interface SystemCall {
  readonly name: string;
  /** As strace prints them, without the brackets. */
  readonly args: string;
  /** Negative, or NaN, when it failed. */
  readonly result: number;
  /** It failed because strace made it fail. */
  readonly isInjected: boolean;
}

/** Where a call stands in the order of things: it was seen to begin, or to end. */
export type Step = { readonly at: "begin"; readonly args: string } | ({ readonly at: "end" } & SystemCall);

const LINE = /^(\d+) +(?:<\.\.\. \w+ resumed>(.*)|(\w+)\((.*))$/;
const UNFINISHED = " <unfinished ...>";

/**
 * Reads a trace in its order. strace notes a call's end before it lets the thread go on, so what a thread does
 * because another's call has ended comes later in the trace.
 */
export async function* readTrace(path: string): AsyncGenerator<Step> {
  /** By thread: the call that it is in. */
  const begun = new Map<string, { readonly name: string; readonly args: string }>();
  for await (const line of createInterface({ input: createReadStream(path) })) {
    const [, thread = "", resumed, name, rest = ""] = LINE.exec(line) ?? [];
    if (name !== undefined) {
      const isUnfinished = rest.endsWith(UNFINISHED);
      const args = isUnfinished ? rest.slice(0, -UNFINISHED.length) : rest;
      yield { at: "begin", args };
      if (isUnfinished) begun.set(thread, { name, args });
      else yield end(name, args);
    } else if (resumed !== undefined) {
      const call = begun.get(thread);
      begun.delete(thread);
      if (call !== undefined) yield end(call.name, call.args + resumed);
    }
  }
}

const RESULT = /\)\s+= (-?\w+|\?)(?: \w+ \([^)]*\))?( \(INJECTED\))?$/;

function end(name: string, text: string): Step {
  const { 0: tail = "", 1: result, 2: injected } = RESULT.exec(text) ?? [];
  const args = text.slice(0, text.length - tail.length);
  return { at: "end", name, args, result: Number(result), isInjected: injected !== undefined };
}

const LAST_LINES_BYTES = 4_096;
const PATIENCE_MS = 10_000;

/** Waits until strace has written the end of a process that was killed. */
export async function traceEnded(path: string, pid: number): Promise<void> {
  const last = new RegExp(`^${pid} .*\\+\\+\\+ (?:killed|exited)`, "m");
  for (const start = performance.now(); performance.now() - start < PATIENCE_MS; await setTimeout(10)) {
    const { size } = await stat(path);
    await using file = await open(path);
    const tail = Buffer.alloc(Math.min(size, LAST_LINES_BYTES));
    await file.read(tail, 0, tail.length, size - tail.length);
    if (last.test(tail.toString("latin1"))) return;
  }
  throw new Error(`strace has not written the end of ${pid} to ${path}`);
}
