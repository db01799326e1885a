/** Documents that show commands: what they show, and the commands run as a reader would run them. */
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";

export const ROOT = join(import.meta.dirname, "../..");

export interface Block {
  readonly language: string;
  readonly text: string;
}

/** The fenced blocks of a document, by its path from the project's root. */
export async function readBlocks(path: string): Promise<readonly Block[]> {
  const document = await readFile(join(ROOT, path), "utf8");
  return [...document.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language = "", body = ""]) => ({
    language,
    text: body,
  }));
}

/** Runs a script that stops at the first failure, and answers what it printed. Its errors go to the test's. */
function runShell(script: string, env: NodeJS.ProcessEnv): Promise<string> {
  const shell = spawn("bash", ["-euo", "pipefail", "-c", script], {
    cwd: ROOT,
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  return text(shell.stdout);
}

const END_OF_BLOCK = "--- end of block ---";

/**
 * Runs shell blocks in one shell, as in a terminal, and answers what each printed; of those that came after a
 * failure nothing.
 *
 * @param adapt puts the test's own paths and addresses in the place of the document's
 */
export async function runBlocks(
  blocks: readonly Block[],
  adapt: (script: string) => string,
  env: NodeJS.ProcessEnv,
): Promise<readonly string[]> {
  const script = blocks.map(({ text: body }) => `${body}echo; echo '${END_OF_BLOCK}'\n`).join("");
  return (await runShell(adapt(script), env)).split(END_OF_BLOCK).slice(0, -1);
}
