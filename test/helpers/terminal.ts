/** Runs the program in a pseudo-terminal, which `script` of util-linux makes. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { cleanEnv, MAIN, type TestEnv } from "./service-process.ts";

export interface Outcome {
  readonly code: number | null;
  /** All that was printed, with the line ends of a file. */
  readonly text: string;
}

/** Starts the program where its three streams are one terminal, which shows its process id first. */
function startInTerminal(
  args: readonly string[],
  env: TestEnv,
  nodeArgs: readonly string[] = [],
): ChildProcessWithoutNullStreams {
  const words = [process.execPath, ...nodeArgs, MAIN, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  return spawn("script", ["-qec", `echo $$; exec ${words.join(" ")}`, "/dev/null"], {
    env: { ...cleanEnv(env), SHELL: "/bin/sh", TERM: "xterm" },
  });
}

export interface WatchedOptions {
  /** Arguments of Node itself. */
  readonly nodeArgs?: readonly string[];
  /** Given all that was printed, each time that there is more. */
  readonly onText: (text: string, kill: () => void) => void;
}

/** Runs the program in a terminal, and kills it with SIGKILL when it is asked to; its code is 137 then. */
export async function watchInTerminal(
  args: readonly string[],
  env: TestEnv,
  { nodeArgs, onText }: WatchedOptions,
): Promise<Outcome> {
  const child = startInTerminal(args, env, nodeArgs);
  let shown = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    shown += chunk;
    const [pid, text] = afterPid(shown);
    if (text !== "") onText(text, () => killIfThere(pid));
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, text: afterPid(shown)[1].replaceAll("\r\n", "\n") };
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function afterPid(shown: string): readonly [pid: number, text: string] {
  const end = shown.indexOf("\n") + 1;
  return [Number(shown.slice(0, end)), end === 0 ? "" : shown.slice(end)];
}

/**
 * Runs the program in a terminal, where a person types each answer after its question has shown.
 *
 * @param dialogue question and answer, one after the other
 */
export async function runInTerminal(
  args: readonly string[],
  env: TestEnv,
  dialogue: readonly (readonly [string, string])[] = [],
): Promise<Outcome> {
  const child = startInTerminal(args, env);
  const waiting = [...dialogue];
  let shown = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    shown += chunk;
    const [question, answer] = waiting[0] ?? [];
    if (question === undefined || !shown.includes(question)) return;
    waiting.shift();
    child.stdin.write(`${answer}\r`);
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, text: afterPid(shown)[1].replaceAll("\r\n", "\n") };
}
