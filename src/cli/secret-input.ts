/** Takes a secret without showing it: typed at a terminal, or piped in. */
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { UsageError } from "./command.ts";
import { CommandError } from "./command-error.ts";
import { isInteractive } from "./confirm.ts";

/** @throws UsageError when nothing comes */
export async function readToken(): Promise<string> {
  return (await read("token", "Token: ")).trim();
}

/** A password may begin and end with spaces; the end of the line isn't part of it. @throws as `readToken` */
export function readPassword(): Promise<string> {
  return read("password", "Password: ");
}

async function read(name: string, question: string): Promise<string> {
  const secret = isInteractive() ? await ask(question) : (await text(process.stdin)).replace(/\r?\n$/, "");
  if (secret.trim() === "") throw new UsageError(`no ${name} was given`);
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
