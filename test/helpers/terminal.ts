/** Runs the program in a pseudo-terminal, which `script` of util-linux makes. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { cleanEnv, MAIN, type TestEnv } from "./service-process.ts";

export interface Outcome {
  readonly code: number | null;
  /** All that was printed, with the line ends of a file. */
  readonly text: string;
}

/** Starts the program where its three streams are one terminal. */
function startInTerminal(args: readonly string[], env: TestEnv): ChildProcessWithoutNullStreams {
  const words = [process.execPath, MAIN, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  return spawn("script", ["-qec", words.join(" "), "/dev/null"], {
    env: { ...cleanEnv(env), SHELL: "/bin/sh", TERM: "xterm" },
  });
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
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
    const [question, answer] = waiting[0] ?? [];
    if (question === undefined || !text.includes(question)) return;
    waiting.shift();
    child.stdin.write(`${answer}\r`);
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, text: text.replaceAll("\r\n", "\n") };
}
