/** Takes a secret without showing it: typed at a terminal, or piped in. */
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { UsageError } from "./command.ts";
import { CommandError } from "./command-error.ts";
import { isInteractive } from "./confirm.ts";

/**
 * @param name what is asked for
 * @throws UsageError when nothing comes
 */
export async function readSecret(name: string): Promise<string> {
  const secret = (isInteractive() ? await ask(`${name}: `) : await text(process.stdin)).trim();
  if (secret === "") throw new UsageError(`no ${name.toLowerCase()} was given`);
  return secret;
}

async function ask(question: string): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  // On a terminal it reads key by key and shows them on its output, which leads nowhere.
  const keys = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  try {
    const givenUp = new Promise<never>((_resolve, reject) => {
      keys.once("SIGINT", () => reject(new CommandError("given up, and nothing was changed")));
    });
    // What is typed from here on isn't shown.
    process.stderr.write(question);
    const closed = new Promise<string>((resolve) => keys.once("close", () => resolve("")));
    return await Promise.race([keys.question(""), closed, givenUp]);
  } finally {
    keys.close();
    process.stderr.write("\n");
  }
}
